//! One tensor of a network: numbers in a file or numbers that follow from a seed, seen as floats a piece at a time, so
//! that memory holds a piece and never a tensor of gigabytes.

use crate::random_init::Drawn;
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use std::borrow::Cow;
use std::ops::Range;

/// Numbers that are widened, narrowed or drawn at once.
const PIECE: usize = 1 << 16;

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
            _ => unreachable!("`floats` cuts the bytes into pieces of the storage's size"),
        }
    }
}

/// Where a tensor's numbers come from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Numbers<'w> {
    /// A weights file, still in its own little-endian bytes.
    Stored(Storage, &'w [u8]),
    /// A seed: each number is made when somebody asks for it.
    Drawn(Drawn),
}

/// A tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor<'w> {
    /// Shape, outermost axis first.
    pub shape: Vec<usize>,
    /// Its numbers, as many as the shape says.
    pub numbers: Numbers<'w>,
}

impl<'w> Tensor<'w> {
    /// The numbers in row-major order.
    pub fn values(&self) -> impl Iterator<Item = f32> + 'w {
        let numbers = self.numbers;
        pieces(self.len()).flat_map(move |range| numbers.floats(range))
    }

    /// The numbers as little-endian float32, piece by piece, borrowed where they are stored so.
    pub fn f32_pieces(&self) -> impl Iterator<Item = Cow<'w, [u8]>> {
        self.pieces_as(Storage::F32, |floats| floats.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// The numbers as little-endian float16, rounded to nearest, piece by piece, borrowed where they are stored so.
    pub fn f16_pieces(&self) -> impl Iterator<Item = Cow<'w, [u8]>> {
        self.pieces_as(Storage::F16, |floats| {
            let mut halves = vec![f16::ZERO; floats.len()];
            halves.convert_from_f32_slice(floats);
            halves.iter().flat_map(|v| v.to_le_bytes()).collect()
        })
    }

    /// Pieces of bytes: the file's own where numbers are stored as `wanted`, else what `encode` makes of the floats.
    fn pieces_as(&self, wanted: Storage, encode: fn(&[f32]) -> Vec<u8>) -> impl Iterator<Item = Cow<'w, [u8]>> {
        let numbers = self.numbers;
        pieces(self.len()).map(move |range| match numbers {
            Numbers::Stored(storage, bytes) if storage == wanted => {
                Cow::Borrowed(&bytes[range.start * storage.bytes()..range.end * storage.bytes()])
            }
            _ => Cow::Owned(encode(&numbers.floats(range))),
        })
    }

    /// Whether every number is finite as float16 too, whose largest is 65504.
    #[must_use]
    pub fn fits_half(&self) -> bool {
        match self.numbers {
            Numbers::Stored(Storage::F16, _) | Numbers::Drawn(_) => true,
            Numbers::Stored(..) => self.values().all(|v| f16::from_f32(v).is_finite()),
        }
    }

    /// How many numbers the tensor holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Position in row-major order of the first number that is NaN or infinite.
    #[must_use]
    pub fn first_non_finite(&self) -> Option<usize> {
        self.values().position(|v| !v.is_finite())
    }
}

impl Numbers<'_> {
    /// The numbers in `range`.
    fn floats(self, range: Range<usize>) -> Vec<f32> {
        match self {
            Self::Drawn(drawn) => range.map(|i| drawn.number(i as u64)).collect(),
            Self::Stored(storage, bytes) => {
                let bytes = &bytes[range.start * storage.bytes()..range.end * storage.bytes()];
                bytes.chunks_exact(storage.bytes()).map(|number| storage.widen(number)).collect()
            }
        }
    }
}

/// 0 to `length` in ranges of at most [`PIECE`].
fn pieces(length: usize) -> impl Iterator<Item = Range<usize>> {
    (0..length).step_by(PIECE).map(move |start| start..(start + PIECE).min(length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random_init::Noise;

    fn joined<'w>(pieces: impl Iterator<Item = Cow<'w, [u8]>>) -> Vec<u8> {
        pieces.flat_map(|piece| piece.into_owned()).collect()
    }

    #[test]
    fn every_storage_has_the_same_numbers_in_either_width() {
        // Exact in all three kinds, so the comparison may be exact.
        let numbers = [0.0_f32, -1.5, 2.0, 0.25];
        let f32_bytes: Vec<u8> = numbers.iter().flat_map(|v| v.to_le_bytes()).collect();
        let f16_bytes: Vec<u8> = numbers.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
        let bf16_bytes: Vec<u8> = numbers.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect();
        for (storage, bytes) in [(Storage::F32, &f32_bytes), (Storage::F16, &f16_bytes), (Storage::Bf16, &bf16_bytes)] {
            let tensor = Tensor { shape: vec![4], numbers: Numbers::Stored(storage, bytes) };
            assert_eq!(tensor.values().collect::<Vec<_>>(), numbers, "{storage:?}");
            assert_eq!(joined(tensor.f32_pieces()), f32_bytes, "{storage:?}");
            assert_eq!(joined(tensor.f16_pieces()), f16_bytes, "{storage:?}");
        }
    }

    #[test]
    fn pieces_join_to_the_whole() {
        let length = 2 * PIECE + 7;
        let drawn = Drawn { noise: Noise::new(1, "x"), centre: 0.0, spread: 1.0 };
        let tensor = Tensor { shape: vec![length], numbers: Numbers::Drawn(drawn) };
        let one_by_one: Vec<f32> = (0..length as u64).map(|i| drawn.number(i)).collect();
        assert!(tensor.values().eq(one_by_one.iter().copied()));
        assert_eq!(joined(tensor.f32_pieces()).len(), 4 * length);
        let halves: Vec<u8> = one_by_one.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
        assert!(joined(tensor.f16_pieces()) == halves);
    }

    #[test]
    fn the_first_number_that_is_not_finite_or_not_half_is_found() {
        let bytes: Vec<u8> = [1.0, f32::INFINITY, f32::NAN].iter().flat_map(|v: &f32| v.to_le_bytes()).collect();
        let numbers = Numbers::Stored(Storage::F32, &bytes);
        assert_eq!(Tensor { shape: vec![3], numbers }.first_non_finite(), Some(1));
        for (number, fits) in [(65504.0_f32, true), (65520.0, false), (-7e4, false)] {
            let bytes: Vec<u8> = [0.0, number, 1.0].iter().flat_map(|v: &f32| v.to_le_bytes()).collect();
            let tensor = Tensor { shape: vec![3], numbers: Numbers::Stored(Storage::F32, &bytes) };
            assert_eq!(tensor.fits_half(), fits, "{number}");
        }
    }
}
