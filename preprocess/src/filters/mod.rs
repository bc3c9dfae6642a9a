//! Filters stand between the mask and the estimates: what they do to a voxel's course, estimates take for the truth.
//!
//! ```text
//!   aligned Pattern ──► despike ──► slice timing ──► smoothing ──► averaging ──► moments, ring, GLM
//!                       one voxel   its two last     space         time
//!                       in time     samples
//! ```
//!
//! The order: spikes first, before interpolation or smoothing spreads them to other times and voxels; slice timing next,
//! while a voxel still is one place of one slice; then space; averaging last, because it only waits. Smoothing commutes
//! with the two linear steps in time, so only despiking fixes its place. All are off by default: each changes noise and
//! signal alike, most real-time studies use none but smoothing and averaging, and what training had is part of the recipe.
//!
//! All are causal, `delay_volumes` is 0: an output describes the newest volume.

mod averaging;
mod despike;
mod slice_timing;
mod smoothing;

pub use averaging::TemporalAverage;
pub use despike::KalmanDespike;
pub use slice_timing::{SliceTimed, SliceTiming};
pub use smoothing::SpatialSmoothing;

use crate::{Mask, Pattern, PreprocessError, RunPlan, Stage};
use mindeye_config::{DespikeKind, PreprocessConfig, SliceTimingKind};

/// The filters of one run.
pub(crate) struct Filters {
    despike: Option<KalmanDespike>,
    slice_timing: Option<(SliceTiming, SliceClock)>,
    smoothing: Option<SpatialSmoothing>,
    averaging: Option<TemporalAverage>,
    /// What a filter reads while it writes the volume.
    room: Pattern,
}

/// When each voxel of a volume was acquired.
struct SliceClock {
    /// Of each slice after the volume's start, seconds.
    slice_s: Vec<f64>,
    /// Of each voxel, seconds since volume 0.
    acquired_s: Vec<f64>,
}

impl Filters {
    /// # Errors
    /// [`PreprocessError::NoSliceTimes`], or [`PreprocessError::SliceTimes`], where the recipe corrects slice timing.
    pub(crate) fn new(
        recipe: &PreprocessConfig,
        mask: &Mask,
        tr_s: f64,
        plan: &RunPlan,
    ) -> Result<Self, PreprocessError> {
        let slice_timing = match recipe.slice_timing.kind {
            SliceTimingKind::None => None,
            SliceTimingKind::Linear => Some((SliceTiming::new(mask.len()), SliceClock::new(mask, tr_s, plan)?)),
        };
        let volumes = recipe.averaging.volumes as usize;
        Ok(Self {
            despike: (recipe.despike.kind == DespikeKind::Kalman).then(|| KalmanDespike::new(mask.len())),
            slice_timing,
            smoothing: (recipe.smoothing.fwhm_mm > 0.0).then(|| SpatialSmoothing::new(mask, recipe.smoothing.fwhm_mm)),
            averaging: (volumes > 1).then(|| TemporalAverage::new(volumes, mask.len())),
            room: Pattern::zeros(mask.len()),
        })
    }

    /// Filters a volume in place; `slice_of` writes the slice of each voxel, and is asked only for slice timing. Returns
    /// how many voxels held a spike.
    pub(crate) fn apply(
        &mut self,
        volume: &mut Pattern,
        start_s: f64,
        slice_of: impl FnOnce(&mut [f64]),
    ) -> Result<usize, PreprocessError> {
        let mut spikes = 0;
        if let Some(despike) = &mut self.despike {
            through(despike, volume, &mut self.room)?;
            spikes = despike.spikes();
        }
        if let Some((stage, clock)) = &mut self.slice_timing {
            slice_of(&mut clock.acquired_s);
            clock.slices_to_times(start_s);
            std::mem::swap(volume, &mut self.room);
            let input = SliceTimed { pattern: &self.room, start_s, acquired_s: &clock.acquired_s };
            stage.process_into(&input, volume)?;
        }
        if let Some(smoothing) = &mut self.smoothing {
            through(smoothing, volume, &mut self.room)?;
        }
        if let Some(averaging) = &mut self.averaging {
            through(averaging, volume, &mut self.room)?;
        }
        Ok(spikes)
    }

    pub(crate) fn reset(&mut self) {
        self.despike.iter_mut().for_each(Stage::reset);
        self.slice_timing.iter_mut().for_each(|(stage, _)| stage.reset());
        self.averaging.iter_mut().for_each(Stage::reset);
    }
}

fn through<S>(stage: &mut S, volume: &mut Pattern, room: &mut Pattern) -> Result<(), PreprocessError>
where
    S: for<'a> Stage<In<'a> = Pattern, Out = Pattern>,
{
    std::mem::swap(volume, room);
    stage.process_into(room, volume)
}

impl SliceClock {
    fn new(mask: &Mask, tr_s: f64, plan: &RunPlan) -> Result<Self, PreprocessError> {
        let slice_s = plan.slice_timing_s.clone().ok_or(PreprocessError::NoSliceTimes)?;
        let slices = plan.run_grid.as_ref().unwrap_or(mask.grid()).dim[2];
        let problem = match slice_s.iter().find(|time| !(0.0..=tr_s).contains(*time)) {
            _ if slice_s.len() != slices => format!("{} times for {slices} slices", slice_s.len()),
            Some(time) => format!("{time} s lies outside a TR of {tr_s} s"),
            None => return Ok(Self { slice_s, acquired_s: vec![0.0; mask.len()] }),
        };
        Err(PreprocessError::SliceTimes { problem })
    }

    /// From the slice of each voxel to the time at which it was acquired: that of the nearest slice.
    fn slices_to_times(&mut self, start_s: f64) {
        let last = self.slice_s.len() - 1;
        for place in &mut self.acquired_s {
            *place = start_s + self.slice_s[(place.round().max(0.0) as usize).min(last)];
        }
    }
}
