//! What a run's rest differs from the run's mean: the offset of window betas, from declared neutral volumes only.

use crate::moments::finite_or_zero;
use crate::{Pattern, PreprocessError, RunningMoments, Stage};
use mindeye_config::BetaUnit;

/// A window beta is a difference from the run's mean, which holds whatever was shown. Forty pictures of faces in a row
/// lift the mean of a face voxel, and a policy that follows the run takes their evidence away. Declared neutral
/// volumes (rest before the first trial) hold none of it: β + c (μ − n̄), with n̄ their mean, μ the run's and c the
/// beta's scale, is the response against rest.
#[derive(Debug, Clone)]
pub(super) struct Neutral {
    /// [from, to] of run seconds.
    spans_s: Vec<[f64; 2]>,
    volumes: RunningMoments,
}

impl Neutral {
    pub(super) fn new(spans_s: &[[f64; 2]], voxels: usize) -> Self {
        Self { spans_s: spans_s.to_vec(), volumes: RunningMoments::new(voxels) }
    }

    pub(super) fn volume(&mut self, sampled_s: f64, volume: &Pattern) -> Result<(), PreprocessError> {
        if self.spans_s.iter().any(|[from, to]| (*from..=*to).contains(&sampled_s)) {
            self.volumes.add(volume)?;
        }
        Ok(())
    }

    /// The beta against rest; as it is while no neutral volume has come.
    pub(super) fn without_offset(
        &self,
        unit: BetaUnit,
        beta: &Pattern,
        run: &RunningMoments,
    ) -> Result<Pattern, PreprocessError> {
        crate::zscore::require_equal("beta", "neutral volumes", "voxels", beta.len(), self.volumes.mean().len())?;
        if self.volumes.volumes() == 0 {
            return Ok(beta.clone());
        }
        let mut without_mean = 0;
        let against_rest = |(voxel, beta): (usize, &f32)| {
            let (run, rest) = (run.mean()[voxel], self.volumes.mean()[voxel]);
            let scale = if unit == BetaUnit::PercentSignalChange { 100.0 / run } else { 1.0 };
            finite_or_zero(f64::from(*beta) + scale * (run - rest), &mut without_mean)
        };
        Ok(Pattern(beta.0.iter().enumerate().map(against_rest).collect()))
    }

    pub(super) fn reset(&mut self) {
        self.volumes.reset();
    }
}
