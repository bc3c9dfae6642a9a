//! Everything that can be wrong with a run, a mask or a file: each error names the thing, the place and both sides.

use crate::{Grid, VoxelType};
use std::path::PathBuf;

/// An error of preprocessing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreprocessError {
    /// A file could not be opened, read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what its kind or its header says.
    #[error("{}: {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The disagreement, both sides.
        problem: String,
    },
    /// A volume has another length than its grid asks for.
    #[error("a volume of {voxels} {} voxels has {expected} bytes, found {found}", dtype.name())]
    VolumeSize {
        /// Voxels of the grid.
        voxels: usize,
        /// Type of a voxel.
        dtype: VoxelType,
        /// Bytes that the grid asks for.
        expected: usize,
        /// Bytes that came.
        found: usize,
    },
    /// A voxel inside the mask is NaN, infinite or beyond f32.
    #[error("voxel {voxel} (linear index, x fastest) is {value}; every voxel of the mask must be finite in float32")]
    NonFinite {
        /// Linear index in the grid, x fastest.
        voxel: usize,
        /// The value as read.
        value: f64,
    },
    /// A mask selects nothing, selects out of its grid, or selects twice.
    #[error("mask: {problem}")]
    Mask {
        /// The disagreement, both sides.
        problem: String,
    },
    /// Two things that must share a grid, a voxel count or a list of lags do not.
    #[error("{left} and {right} disagree in {what}: {left_value} against {right_value}")]
    Disagree {
        /// First thing.
        left: &'static str,
        /// Second thing.
        right: &'static str,
        /// The quantity.
        what: &'static str,
        /// The first thing's value.
        left_value: String,
        /// The second thing's value.
        right_value: String,
    },
    /// The z-score table holds a number that cannot be a mean or an SD.
    #[error("z-score table: `{tensor}` at lag row {lag_row}, voxel {voxel} is {value}")]
    Zscore {
        /// Tensor of the file: `mean`, `sd` or `lags_s`.
        tensor: &'static str,
        /// Row.
        lag_row: usize,
        /// Column in mask order.
        voxel: usize,
        /// The value as read.
        value: f64,
    },
    /// The ring cannot hold what the recipe looks back on.
    #[error(
        "a ring of {ring_volumes} volumes of {tr_s} s is too short: the recipe looks back {memory_s} s; \
         set ring_volumes to {needed} or more"
    )]
    RingTooShort {
        /// Volumes that the ring was given.
        ring_volumes: usize,
        /// Repetition time, seconds.
        tr_s: f64,
        /// Seconds that the recipe looks back.
        memory_s: f64,
        /// The least number of volumes.
        needed: usize,
    },
    /// A number given to a run is not a time.
    #[error("{what} must be {rule}, found {value}")]
    Time {
        /// The quantity.
        what: &'static str,
        /// What it must be.
        rule: &'static str,
        /// What it was.
        value: f64,
    },
    /// A volume does not come after the one before.
    #[error("volume {index} at {start_s} s does not follow volume {newest} at {newest_start_s} s")]
    Order {
        /// Index of the volume.
        index: u32,
        /// Its acquisition start, seconds since volume 0.
        start_s: f64,
        /// Index of the newest volume so far.
        newest: u32,
        /// Its acquisition start, seconds since volume 0.
        newest_start_s: f64,
    },
    /// An axis is too short for motion to be seen along it.
    #[error(
        "{what} has {found} voxels along {axis}; motion correction needs {least} or more: switch it off for such a run"
    )]
    TooFewVoxels {
        /// Whose grid.
        what: &'static str,
        /// `x`, `y` or `z`.
        axis: char,
        /// Voxels along it.
        found: usize,
        /// The least number.
        least: usize,
    },
    /// A volume of a recorded run was refused.
    #[error("volume {index}: {source}")]
    InVolume {
        /// Index in the run, 0-based.
        index: u32,
        /// Why.
        source: Box<PreprocessError>,
    },
    /// Slice timing is to be corrected, and nobody said when slices are acquired.
    #[error(
        "the recipe's slice_timing.kind = \"linear\" needs the acquisition time of every slice, and the run has none"
    )]
    NoSliceTimes,
    /// Acquisition times that do not fit the run.
    #[error("slice times: {problem}")]
    SliceTimes {
        /// The disagreement, both sides.
        problem: String,
    },
    /// Volumes are to be compared with a reference that is not there.
    #[error("the recipe's motion.against = \"session\" compares volumes with a session reference, and there is none")]
    NoSessionReference,
    /// Millimetres that cannot be, where motion is told in them.
    #[error(
        "{what} has voxels of {} mm, and spans {}: no head lies in that; correct its voxel sizes, or set motion.kind = \"none\"",
        format_mm(grid.voxel_sizes_mm()), format_mm(span_mm(grid))
    )]
    TooSmallForAHead {
        /// Whose grid.
        what: &'static str,
        /// The grid.
        grid: Box<Grid>,
    },
    /// A grid maps voxels to a plane, a line or nowhere, or is a single slice that cannot be read between.
    #[error("{what} has a grid without an inside: {} voxels, affine {:?}", format_dim(grid), grid.affine)]
    FlatGrid {
        /// Whose grid.
        what: &'static str,
        /// The grid.
        grid: Box<Grid>,
    },
    /// A volume shows no head: constant, empty, or without edges in some direction.
    #[error("{what} shows nothing that could move: its voxels are constant, or have no edges in some direction")]
    NoContrast {
        /// The volume.
        what: &'static str,
    },
    /// `advance` was called without a new volume.
    #[error("volume {index} was announced before it was resampled")]
    NothingResampled {
        /// Index of the volume.
        index: u32,
    },
}

impl PreprocessError {
    /// The same error, told of the volume that it happened to.
    #[must_use]
    pub fn in_volume(self, index: u32) -> Self {
        Self::InVolume { index, source: Box::new(self) }
    }
}

/// Sides of the whole grid, mm.
pub(crate) fn span_mm(grid: &Grid) -> [f64; 3] {
    let sizes = grid.voxel_sizes_mm();
    [0, 1, 2].map(|axis| sizes[axis] * grid.dim[axis] as f64)
}

fn format_mm(lengths: [f64; 3]) -> String {
    lengths.map(|mm| format!("{mm:.1}")).join(" x ")
}

fn format_dim(grid: &Grid) -> String {
    grid.dim.map(|n| n.to_string()).join("x")
}
