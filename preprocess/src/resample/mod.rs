//! Resampling reads a volume between its voxels, once: every rotation and shift is composed before a voxel is touched.

mod coordinates;
pub(crate) mod kernel;
pub(crate) mod lattice;
mod prefilter;
mod resampler;
mod volume;

pub use coordinates::Affine;
pub(crate) use coordinates::dot;
pub use kernel::Kernel;
pub(crate) use lattice::Lattice;
pub(crate) use resampler::Resampler;
pub use resampler::resample;
pub use volume::Volume;
pub(crate) use volume::require_voxels;
