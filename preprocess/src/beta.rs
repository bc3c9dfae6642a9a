//! What a trial yields: a beta with its evidence, or the reason why there is none.

use crate::Pattern;
use std::fmt;

/// One estimate of one trial's response.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialBeta {
    /// Number of the trial.
    pub trial: u32,
    /// Estimates of this trial so far, this one not counted.
    pub beta_revision: u32,
    /// Which of the recipe's revision lags, and row of the z-score table.
    pub lag_row: usize,
    /// That lag, seconds after onset.
    pub lag_s: f64,
    /// Onset, seconds since the acquisition start of volume 0.
    pub onset_s: f64,
    /// Acquisition end of the last volume used, seconds after onset.
    pub seconds_after_onset: f64,
    /// Index of the first volume in the window, or in which a GLM's regressor of the trial is not zero.
    pub first_volume: u32,
    /// Index of the last such volume.
    pub last_volume: u32,
    /// Such volumes.
    pub volumes_used: u32,
    /// Volumes in the baseline, 0 meaning that the run's mean so far took its place; or the other volumes of a GLM's fit.
    pub baseline_volumes: u32,
    /// Voxels whose estimate is not finite in f32, because their mean is 0 or the sum overflows; their beta is 0.
    pub voxels_without_beta: u32,
    /// Standard error, averaged over voxels (for a GLM over some 128 of them), unit of the beta; `None` where it cannot
    /// be estimated, as from a single volume.
    pub standard_error: Option<f32>,
    /// The beta, unit of the recipe.
    pub beta: Pattern,
    /// The beta z-scored with the training session's statistics; empty until `RunPreprocessor::zscore` fills it.
    pub zscored: Pattern,
}

/// A (trial, lag) that is due and has no beta.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrialMissed {
    /// Number of the trial.
    pub trial: u32,
    /// Which of the recipe's revision lags.
    pub lag_row: usize,
    /// That lag, seconds after onset.
    pub lag_s: f64,
    /// Why.
    pub reason: MissedReason,
}

/// Why there is no beta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissedReason {
    /// No volume that had come by then was sampled inside the window, or during the response: a gap, or a long TR.
    NoVolumeInWindow,
    /// The volumes that had come by then do not determine the trial's beta among the other columns of the design.
    DesignNotDetermined,
    /// The event came so late that volumes it needs have left the ring.
    VolumesForgotten,
}

impl fmt::Display for MissedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoVolumeInWindow => "no volume was sampled inside the window",
            Self::DesignNotDetermined => "too few volumes for the design, or the trial cannot be told from others",
            Self::VolumesForgotten => "the event came after its volumes had left the ring",
        })
    }
}
