//! The window beta: what a voxel did a few seconds after onset, against what it did before.

use crate::moments::finite_or_zero;
use crate::{Pattern, RecordedVolume};
use mindeye_config::BetaUnit;

/// The volumes that one estimate rests on, oldest first.
pub(crate) struct Window<'a> {
    /// Sampled inside the window; one or more.
    pub(crate) response: Vec<&'a RecordedVolume>,
    /// Sampled inside the baseline; empty means that `mean_so_far` takes its place.
    pub(crate) baseline: Vec<&'a RecordedVolume>,
    /// μ: mean of each voxel when the estimate was due.
    pub(crate) mean_so_far: &'a [f64],
    pub(crate) unit: BetaUnit,
}

/// β of every voxel with its evidence.
pub(crate) struct WindowBeta {
    pub(crate) beta: Pattern,
    pub(crate) standard_error: Option<f32>,
    pub(crate) voxels_without_beta: u32,
}

impl Window<'_> {
    /// β = c (w̄ − b̄), with w̄ the mean over the window, b̄ the mean over the baseline or else μ, and c = 100/μ for
    /// percent signal change or 1 for the scanner's units (spec: rtfmri section 3.9, the window substitute for a GLM).
    /// Sums run in f64 and in the order of the volumes, so equal input gives equal bytes.
    pub(crate) fn estimate(&self) -> WindowBeta {
        let mut beta = Pattern::zeros(self.mean_so_far.len());
        let mut without_mean = 0;
        let mut errors = MeanOf::default();
        for (voxel, out) in beta.0.iter_mut().enumerate() {
            let (response, baseline) = (mean_at(&self.response, voxel), self.baseline_at(voxel));
            let scale = self.scale_at(voxel);
            let known = without_mean;
            *out = finite_or_zero(scale * (response - baseline), &mut without_mean);
            if without_mean == known {
                errors.add(scale.abs() * self.standard_error_at(voxel, response));
            }
        }
        let standard_error = (self.response.len() > 1).then(|| errors.mean()).flatten();
        WindowBeta { beta, standard_error, voxels_without_beta: without_mean as u32 }
    }

    fn baseline_at(&self, voxel: usize) -> f64 {
        if self.baseline.is_empty() { self.mean_so_far[voxel] } else { mean_at(&self.baseline, voxel) }
    }

    /// Infinite for a mean of zero: the caller counts what is not finite.
    fn scale_at(&self, voxel: usize) -> f64 {
        match self.unit {
            BetaUnit::PercentSignalChange => 100.0 / self.mean_so_far[voxel],
            BetaUnit::None => 1.0,
        }
    }

    /// s/√n over the volumes of the window, scanner's units.
    fn standard_error_at(&self, voxel: usize, mean: f64) -> f64 {
        let n = self.response.len() as f64;
        let squares: f64 = self.response.iter().map(|v| (f64::from(v.pattern.0[voxel]) - mean).powi(2)).sum();
        (squares / (n - 1.0) / n).sqrt()
    }
}

fn mean_at(volumes: &[&RecordedVolume], voxel: usize) -> f64 {
    let sum: f64 = volumes.iter().map(|v| f64::from(v.pattern.0[voxel])).sum();
    sum / volumes.len() as f64
}

/// A mean that skips what is not finite.
#[derive(Default)]
pub(crate) struct MeanOf {
    count: u32,
    sum: f64,
}

impl MeanOf {
    pub(crate) fn add(&mut self, value: f64) {
        if value.is_finite() {
            self.count += 1;
            self.sum += value;
        }
    }

    pub(crate) fn mean(&self) -> Option<f32> {
        let mean = (self.sum / f64::from(self.count)) as f32;
        mean.is_finite().then_some(mean)
    }
}
