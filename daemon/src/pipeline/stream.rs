//! A run without trials: every volume's sample of the residual stream, on its way to be scored.

use super::{RunInfo, VolumeWork};
use mindeye_preprocess::{Pattern, StreamOutput, StreamSample};
use std::sync::Arc;

/// A sample of the stream, z-scored.
#[derive(Debug, Clone)]
pub struct StreamJob {
    /// Its run.
    pub run: Arc<RunInfo>,
    /// Index of the volume.
    pub index: u32,
    /// When the volume was sampled, seconds after volume 0.
    pub sampled_s: f64,
    /// When what it describes was shown: `stream.lag_s` before.
    pub shown_s: f64,
    /// The volume's time is index x TR for lack of a stamp.
    pub nominal: bool,
    /// z of every voxel; `None` while the baseline is not over.
    pub zscored: Option<Arc<Pattern>>,
    /// Voxels without SD over the baseline, whose z is 0.
    pub without_sd: usize,
}

impl StreamJob {
    /// The job of a volume's sample.
    #[must_use]
    pub fn new(run: Arc<RunInfo>, volume: &VolumeWork, sample: StreamSample) -> Self {
        let (zscored, without_sd) = match sample.output {
            StreamOutput::NotYet => (None, 0),
            StreamOutput::Residual { zscored, without_sd } => (Some(Arc::new(zscored)), without_sd),
        };
        let StreamSample { index, sampled_s, shown_s, .. } = sample;
        Self { run, index, sampled_s, shown_s, nominal: volume.nominal, zscored, without_sd }
    }
}
