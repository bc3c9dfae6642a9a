//! A plan is what is known of a run before its first volume: its length, its grid, and what it is brought to.

use crate::Grid;
use crate::motion::SessionReference;
use std::sync::Arc;

/// What is known of a run before its first volume. All of it may be missing: `RunPlan { volumes, ..RunPlan::default() }`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunPlan {
    /// Volumes that are expected; without a number the recipe's `drift.planned_s` holds.
    pub volumes: Option<u32>,
    /// Member of the HRF library of each voxel, in mask order; for `hrf.kind = "library"` only.
    pub hrf_index: Option<Arc<Vec<u8>>>,
    /// What the run is registered to, in the mask's frame; for `motion.kind = "rigid"` only. Without one the mask is taken
    /// to lie on the run's first volume.
    pub reference: Option<Arc<SessionReference>>,
    /// Grid of the run's raw volumes; without one, the mask's.
    pub run_grid: Option<Grid>,
    /// Acquisition time of each slice (third voxel axis) after the volume's start, seconds; for slice timing only.
    pub slice_timing_s: Option<Vec<f64>>,
}
