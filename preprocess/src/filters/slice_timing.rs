//! Slice timing brings every voxel to the volume's start, between its last two samples: nothing of the future is needed.
//!
//! Why interpolation, and not a design that samples each slice at its own time: window betas, GLM and stream all want one
//! time per volume, and a head that moves through slices would change a voxel's design from volume to volume. Why to the
//! start: any later reference would need the next volume for the slices acquired before it. It comes after motion, and asks
//! in which slice a voxel of the *head* lay in each of the two volumes, so that motion through slices and gaps between
//! volumes are exact. The price is noise: half way between two samples white noise keeps 71 % of its SD, at a sample all
//! of it.

use crate::zscore::require_equal;
use crate::{Pattern, PreprocessError, Stage};

/// y(start) = y_{t−1} + (y_t − y_{t−1}) (start − τ_{t−1}) / (τ_t − τ_{t−1}), with τ the times at which the voxel was
/// acquired in this volume and in the newest before it. The first volume stays as it is.
#[derive(Debug, Clone)]
pub struct SliceTiming {
    voxels: usize,
    before: Vec<Sample>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    value: f32,
    acquired_s: f64,
}

/// A volume with the times of its voxels.
#[derive(Debug, Clone, Copy)]
pub struct SliceTimed<'a> {
    /// The mask's voxels.
    pub pattern: &'a Pattern,
    /// Start of the volume, seconds since volume 0.
    pub start_s: f64,
    /// When each voxel was acquired, seconds since volume 0: `start_s` or later, mask order.
    pub acquired_s: &'a [f64],
}

impl SliceTiming {
    /// For `voxels` voxels.
    #[must_use]
    pub fn new(voxels: usize) -> Self {
        Self { voxels, before: Vec::with_capacity(voxels) }
    }
}

impl Stage for SliceTiming {
    type In<'a> = SliceTimed<'a>;
    type Out = Pattern;

    fn process_into(&mut self, input: &SliceTimed<'_>, out: &mut Pattern) -> Result<(), PreprocessError> {
        require_equal("volume", "slice timing", "voxels", input.pattern.len(), self.voxels)?;
        require_equal("times", "slice timing", "voxels", input.acquired_s.len(), self.voxels)?;
        out.0.clone_from(&input.pattern.0);
        for ((out, before), acquired_s) in out.0.iter_mut().zip(&self.before).zip(input.acquired_s) {
            let share = (input.start_s - before.acquired_s) / (acquired_s - before.acquired_s);
            let (now, before) = (f64::from(*out), f64::from(before.value));
            *out = (before + (now - before) * share) as f32;
        }
        let samples = input.pattern.0.iter().zip(input.acquired_s);
        self.before.clear();
        self.before.extend(samples.map(|(value, acquired_s)| Sample { value: *value, acquired_s: *acquired_s }));
        Ok(())
    }

    fn delay_volumes(&self) -> u32 {
        0
    }

    fn reset(&mut self) {
        self.before.clear();
    }
}
