//! How a NIfTI file stores a voxel, and the little-endian type that it becomes on its way to the wire.

use crate::VoxelType;
use nifti::{Endianness, NiftiHeader, NiftiType};

/// Voxel type, byte order and linear scale of a file.
pub(crate) struct Storage {
    stored: NiftiType,
    big_endian: bool,
    /// Slope and intercept, where they are not the identity.
    scale: Option<(f64, f64)>,
}

impl Storage {
    /// # Errors
    /// One sentence for the file's error: a voxel type that is not read, or a scale that is not finite.
    pub(crate) fn of(header: &NiftiHeader) -> Result<Self, String> {
        let stored = header.data_type().map_err(|e| e.to_string())?;
        if bytes_of(stored).is_none() {
            return Err(format!(
                "voxels of type {stored:?} are not read; convert to int16, uint16, float32 or float64"
            ));
        }
        Ok(Self { stored, big_endian: header.endianness == Endianness::Big, scale: scale_of(header)? })
    }

    /// Bytes of a voxel in the file.
    pub(crate) fn bytes(&self) -> usize {
        bytes_of(self.stored).expect("`of` refuses types without a size")
    }

    /// Type of a voxel after [`Storage::decode`].
    pub(crate) fn dtype(&self) -> VoxelType {
        match self.stored {
            _ if self.scale.is_some() => VoxelType::Float32,
            NiftiType::Uint16 => VoxelType::Uint16,
            NiftiType::Float32 => VoxelType::Float32,
            NiftiType::Int32 | NiftiType::Uint32 | NiftiType::Float64 => VoxelType::Float64,
            _ => VoxelType::Int16,
        }
    }

    /// The voxels of the file as little-endian [`Storage::dtype`].
    pub(crate) fn decode(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        if self.big_endian {
            bytes.chunks_exact_mut(self.bytes()).for_each(<[u8]>::reverse);
        }
        if self.scale.is_none() && self.bytes() == self.dtype().bytes() {
            return bytes;
        }
        let (slope, inter) = self.scale.unwrap_or((1.0, 0.0));
        let values = bytes.chunks_exact(self.bytes()).map(|voxel| slope * value(self.stored, voxel) + inter);
        match self.dtype() {
            VoxelType::Int16 => values.flat_map(|v| (v as i16).to_le_bytes()).collect(),
            VoxelType::Uint16 => values.flat_map(|v| (v as u16).to_le_bytes()).collect(),
            VoxelType::Float32 => values.flat_map(|v| (v as f32).to_le_bytes()).collect(),
            VoxelType::Float64 => values.flat_map(f64::to_le_bytes).collect(),
        }
    }
}

fn bytes_of(stored: NiftiType) -> Option<usize> {
    match stored {
        NiftiType::Uint8 | NiftiType::Int8 => Some(1),
        NiftiType::Int16 | NiftiType::Uint16 => Some(2),
        NiftiType::Int32 | NiftiType::Uint32 | NiftiType::Float32 => Some(4),
        NiftiType::Float64 => Some(8),
        _ => None,
    }
}

/// A slope of 0 or NaN means that the header sets no scale (nifti1.h; nibabel reads NaN the same way).
fn scale_of(header: &NiftiHeader) -> Result<Option<(f64, f64)>, String> {
    let (slope, inter) = (f64::from(header.scl_slope), f64::from(header.scl_inter));
    if slope == 0.0 || slope.is_nan() || (slope == 1.0 && inter == 0.0) {
        return Ok(None);
    }
    if !(slope.is_finite() && inter.is_finite()) {
        return Err(format!("a scale must be finite, found slope {slope} and intercept {inter}"));
    }
    Ok(Some((slope, inter)))
}

/// One little-endian voxel; every type here fits f64 exactly.
fn value(stored: NiftiType, voxel: &[u8]) -> f64 {
    let mut bytes = [0; 8];
    bytes[..voxel.len()].copy_from_slice(voxel);
    let [b0, b1, b2, b3, ..] = bytes;
    match stored {
        NiftiType::Uint8 => f64::from(b0),
        NiftiType::Int8 => f64::from(b0 as i8),
        NiftiType::Int16 => f64::from(i16::from_le_bytes([b0, b1])),
        NiftiType::Uint16 => f64::from(u16::from_le_bytes([b0, b1])),
        NiftiType::Int32 => f64::from(i32::from_le_bytes([b0, b1, b2, b3])),
        NiftiType::Uint32 => f64::from(u32::from_le_bytes([b0, b1, b2, b3])),
        NiftiType::Float32 => f64::from(f32::from_le_bytes([b0, b1, b2, b3])),
        _ => f64::from_le_bytes(bytes),
    }
}
