//! One stored tensor, borrowed from its file and widened to float32 only when somebody needs the numbers.

use half::{bf16, f16};
use std::borrow::Cow;

/// How a tensor's numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// 32-bit float.
    F32,
    /// IEEE 16-bit float.
    F16,
    /// 16-bit float with the exponent of a 32-bit one.
    Bf16,
}

impl Storage {
    /// Bytes of one number.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// The 32-bit float in `bytes`, which is exact for every kind.
    fn widen(self, bytes: &[u8]) -> f32 {
        match (self, bytes) {
            (Self::F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
            (Self::F16, &[a, b]) => f16::from_le_bytes([a, b]).to_f32(),
            (Self::Bf16, &[a, b]) => bf16::from_le_bytes([a, b]).to_f32(),
            _ => unreachable!("`values` cuts the bytes into pieces of the storage's size"),
        }
    }
}

/// A tensor in a weights file: row-major, little-endian, still in the file's own bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor<'w> {
    /// How each number is stored.
    pub storage: Storage,
    /// Shape, outermost axis first.
    pub shape: Vec<usize>,
    /// The numbers as stored.
    pub bytes: &'w [u8],
}

impl<'w> Tensor<'w> {
    /// The numbers in row-major order.
    pub fn values(&self) -> impl Iterator<Item = f32> + 'w {
        let storage = self.storage;
        self.bytes.chunks_exact(storage.bytes()).map(move |piece| storage.widen(piece))
    }

    /// The numbers as little-endian float32, borrowed where they are stored so.
    #[must_use]
    pub fn f32_bytes(&self) -> Cow<'w, [u8]> {
        match self.storage {
            Storage::F32 => Cow::Borrowed(self.bytes),
            _ => Cow::Owned(self.values().flat_map(f32::to_le_bytes).collect()),
        }
    }

    /// The numbers as little-endian float16, rounded to nearest, borrowed where they are stored so.
    #[must_use]
    pub fn f16_bytes(&self) -> Cow<'w, [u8]> {
        match self.storage {
            Storage::F16 => Cow::Borrowed(self.bytes),
            _ => Cow::Owned(self.values().flat_map(|v| f16::from_f32(v).to_le_bytes()).collect()),
        }
    }

    /// Whether every number is finite as float16 too, whose largest is 65504.
    #[must_use]
    pub fn fits_half(&self) -> bool {
        self.storage == Storage::F16 || self.values().all(|v| f16::from_f32(v).is_finite())
    }

    /// How many numbers the tensor holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() / self.storage.bytes()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Position in row-major order of the first number that is NaN or infinite.
    #[must_use]
    pub fn first_non_finite(&self) -> Option<usize> {
        self.values().position(|v| !v.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_storage_widens_to_the_same_numbers() {
        // Exact in all three kinds, so the comparison may be exact.
        let numbers = [0.0_f32, -1.5, 2.0, 0.25];
        let f32_bytes: Vec<u8> = numbers.iter().flat_map(|v| v.to_le_bytes()).collect();
        let f16_bytes: Vec<u8> = numbers.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
        let bf16_bytes: Vec<u8> = numbers.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect();
        for (storage, bytes) in [(Storage::F32, &f32_bytes), (Storage::F16, &f16_bytes), (Storage::Bf16, &bf16_bytes)] {
            let tensor = Tensor { storage, shape: vec![4], bytes };
            assert_eq!(tensor.values().collect::<Vec<_>>(), numbers, "{storage:?}");
            assert_eq!(tensor.f32_bytes(), f32_bytes, "{storage:?}");
        }
    }

    #[test]
    fn the_first_number_that_is_not_finite_is_found() {
        let bytes: Vec<u8> = [1.0, f32::INFINITY, f32::NAN].iter().flat_map(|v: &f32| v.to_le_bytes()).collect();
        assert_eq!(Tensor { storage: Storage::F32, shape: vec![3], bytes: &bytes }.first_non_finite(), Some(1));
    }
}
