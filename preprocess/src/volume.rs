//! A raw volume is the scanner's own bytes with their type, checked for length and never copied.

use crate::PreprocessError;
use serde::{Deserialize, Serialize};

/// Type of a voxel on the wire and in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VoxelType {
    /// Signed 16 bit, wire name `int16`.
    Int16,
    /// Unsigned 16 bit, wire name `uint16`.
    Uint16,
    /// IEEE single, wire name `float32`.
    Float32,
    /// IEEE double, wire name `float64`.
    Float64,
}

impl VoxelType {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Int16, Self::Uint16, Self::Float32, Self::Float64];

    /// Bytes of one voxel.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Int16 | Self::Uint16 => 2,
            Self::Float32 => 4,
            Self::Float64 => 8,
        }
    }

    /// Name in the native protocol.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Int16 => "int16",
            Self::Uint16 => "uint16",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
        }
    }

    /// The type of this wire name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }
}

/// One volume as it came: `[x, y, z]`, x fastest, little-endian, scanner's arbitrary units.
#[derive(Debug, Clone, Copy)]
pub struct RawVolume<'a> {
    dtype: VoxelType,
    bytes: &'a [u8],
}

impl<'a> RawVolume<'a> {
    /// Takes `bytes` as `voxel_count` voxels of `dtype`.
    ///
    /// # Errors
    /// [`PreprocessError::VolumeSize`] if the length is another.
    pub fn new(dtype: VoxelType, voxel_count: usize, bytes: &'a [u8]) -> Result<Self, PreprocessError> {
        let expected = voxel_count.saturating_mul(dtype.bytes());
        if bytes.len() != expected {
            return Err(PreprocessError::VolumeSize { voxels: voxel_count, dtype, expected, found: bytes.len() });
        }
        Ok(Self { dtype, bytes })
    }

    /// Type of its voxels.
    #[must_use]
    pub fn dtype(&self) -> VoxelType {
        self.dtype
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Its voxels.
    #[must_use]
    pub fn voxel_count(&self) -> usize {
        self.bytes.len() / self.dtype.bytes()
    }

    /// Linear index of the first voxel, in or out of any mask, that is NaN or infinite. Integers never are.
    #[must_use]
    pub fn first_non_finite(&self) -> Option<usize> {
        match self.dtype {
            VoxelType::Int16 | VoxelType::Uint16 => None,
            VoxelType::Float32 => words(self.bytes).position(|w| !f32::from_le_bytes(w).is_finite()),
            VoxelType::Float64 => words(self.bytes).position(|w| !f64::from_le_bytes(w).is_finite()),
        }
    }

    /// Writes the voxels at `indices` (linear, each below `voxel_count`) to `out`, one for one, as f32.
    ///
    /// # Errors
    /// [`PreprocessError::NonFinite`] for the first that is not finite in f32.
    pub(crate) fn pick(&self, indices: &[u32], out: &mut [f32]) -> Result<(), PreprocessError> {
        match self.dtype {
            VoxelType::Int16 => pick(self.bytes, indices, out, |w| f64::from(i16::from_le_bytes(w))),
            VoxelType::Uint16 => pick(self.bytes, indices, out, |w| f64::from(u16::from_le_bytes(w))),
            VoxelType::Float32 => pick(self.bytes, indices, out, |w| f64::from(f32::from_le_bytes(w))),
            VoxelType::Float64 => pick(self.bytes, indices, out, f64::from_le_bytes),
        }
    }
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.as_chunks::<N>().0.iter().copied()
}

fn pick<const N: usize>(
    bytes: &[u8],
    indices: &[u32],
    out: &mut [f32],
    value_of: impl Fn([u8; N]) -> f64,
) -> Result<(), PreprocessError> {
    let (voxels, _) = bytes.as_chunks::<N>();
    for (slot, &index) in out.iter_mut().zip(indices) {
        let voxel = index as usize;
        let value = value_of(voxels[voxel]);
        *slot = value as f32;
        if !slot.is_finite() {
            return Err(PreprocessError::NonFinite { voxel, value });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_must_match_the_grid_and_the_error_names_both() {
        assert!(RawVolume::new(VoxelType::Int16, 4, &[0; 8]).is_ok());
        let error = RawVolume::new(VoxelType::Float32, 4, &[0; 15]).unwrap_err().to_string();
        assert_eq!(error, "a volume of 4 float32 voxels has 16 bytes, found 15");
    }

    #[test]
    fn every_type_gives_its_own_values() {
        let cases: [(VoxelType, Vec<u8>); 4] = [
            (VoxelType::Int16, [-3i16, 7, 32_767].iter().flat_map(|v| v.to_le_bytes()).collect()),
            (VoxelType::Uint16, [65_533u16, 7, 32_767].iter().flat_map(|v| v.to_le_bytes()).collect()),
            (VoxelType::Float32, [-3f32, 7.0, 32_767.0].iter().flat_map(|v| v.to_le_bytes()).collect()),
            (VoxelType::Float64, [-3f64, 7.0, 32_767.0].iter().flat_map(|v| v.to_le_bytes()).collect()),
        ];
        for (dtype, bytes) in cases {
            let mut out = [0.0; 2];
            RawVolume::new(dtype, 3, &bytes).unwrap().pick(&[0, 2], &mut out).unwrap();
            let first = if dtype == VoxelType::Uint16 { 65_533.0 } else { -3.0 };
            assert_eq!(out, [first, 32_767.0], "{}", dtype.name());
        }
    }

    #[test]
    fn a_non_finite_voxel_is_found_and_refused() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let bytes: Vec<u8> = [1.0, 2.0, bad].iter().flat_map(|v| v.to_le_bytes()).collect();
            let raw = RawVolume::new(VoxelType::Float64, 3, &bytes).unwrap();
            assert_eq!(raw.first_non_finite(), Some(2));
            assert!(matches!(raw.pick(&[2], &mut [0.0]), Err(PreprocessError::NonFinite { voxel: 2, .. })));
            assert!(raw.pick(&[0, 1], &mut [0.0; 2]).is_ok(), "outside the mask it does no harm");
        }
    }

    #[test]
    fn a_double_beyond_single_precision_is_refused() {
        let bytes = 1e39f64.to_le_bytes();
        let raw = RawVolume::new(VoxelType::Float64, 1, &bytes).unwrap();
        assert_eq!(raw.first_non_finite(), None);
        assert!(matches!(raw.pick(&[0], &mut [0.0]), Err(PreprocessError::NonFinite { voxel: 0, .. })));
    }

    #[test]
    fn wire_names_round_trip() {
        for dtype in VoxelType::ALL {
            assert_eq!(VoxelType::from_name(dtype.name()), Some(dtype));
        }
        assert_eq!(VoxelType::from_name("int32"), None);
    }
}
