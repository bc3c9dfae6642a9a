//! `preprocess.toml`: how volumes become betas; a bundle carries its own and the daemon uses no other.

use crate::estimator::{as_written, check_lags};
use crate::{BetaKind, BetaUnit, Checked, Complaint, Confounds, Drift, Estimator, Hrf, NoiseModel, ZscorePolicy};
use serde::{Deserialize, Serialize};

/// The whole recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreprocessConfig {
    /// Repetition time in seconds where file and sidecar leave it open (offline runs only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tr_s: Option<f64>,
    /// Time inside the TR at which a volume is taken to be sampled, as a fraction of the TR.
    #[serde(default = "middle")]
    pub slice_reference: f64,
    /// Unit of the betas.
    #[serde(default = "percent")]
    pub unit: BetaUnit,
    /// Presentations that were averaged in each training sample.
    #[serde(default = "one")]
    pub repeats_averaged: u32,
    /// Seconds after onset at which a trial's beta is estimated, ascending.
    pub revision_lags_s: Vec<f64>,
    /// The single-trial estimate.
    pub beta: BetaConfig,
    /// Normalisation of betas.
    pub zscore: ZscoreConfig,
}

/// The single-trial estimate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BetaConfig {
    /// Kind; this version estimates `window`.
    pub kind: BetaKind,
    /// The window opens this many seconds after onset.
    pub window_start_s: f64,
    /// The window closes this many seconds after onset.
    pub window_end_s: f64,
    /// Volumes sampled in this many seconds before the onset are the baseline; 0 takes the run's mean so far.
    pub baseline_s: f64,
}

/// Normalisation of betas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZscoreConfig {
    /// Policy; statistics lie in `zscore.safetensors`.
    pub policy: ZscorePolicy,
}

fn middle() -> f64 {
    0.5
}

fn percent() -> BetaUnit {
    BetaUnit::PercentSignalChange
}

fn one() -> u32 {
    1
}

impl PreprocessConfig {
    /// The identity of the betas that this recipe makes.
    #[must_use]
    pub fn estimator(&self) -> Estimator {
        Estimator {
            beta: self.beta.kind,
            hrf: Hrf::None,
            drift: Drift::None,
            confounds: Confounds::None,
            noise: NoiseModel::Ordinary,
            smoothing_fwhm_mm: 0.0,
            slice_reference: self.slice_reference,
            repeats_averaged: self.repeats_averaged,
            unit: self.unit,
            zscore: self.zscore.policy,
            revision_lags_s: self.revision_lags_s.clone(),
        }
    }

    /// The longest time, in seconds, that a trial looks back from its last revision.
    #[must_use]
    pub fn memory_s(&self) -> f64 {
        self.revision_lags_s.last().copied().unwrap_or(0.0) + self.beta.baseline_s
    }
}

impl Checked for PreprocessConfig {
    fn check(&self) -> Result<(), Complaint> {
        if let Some(tr_s) = self.tr_s {
            Complaint::unless_positive("tr_s", tr_s)?;
        }
        check_lags(&self.revision_lags_s)?;
        self.beta.check().map_err(|c| c.within("beta"))?;
        let first = self.revision_lags_s[0];
        Complaint::unless(first > self.beta.window_start_s, "revision_lags_s", || {
            format!("the first lag, {first} s, must lie after beta.window_start_s = {} s", self.beta.window_start_s)
        })?;
        self.estimator().check()
    }
}

impl BetaConfig {
    fn check(&self) -> Result<(), Complaint> {
        Complaint::unless(self.kind == BetaKind::Window, "kind", || {
            format!("this version estimates {}, found {}", as_written(&BetaKind::Window), as_written(&self.kind))
        })?;
        Complaint::unless_non_negative("window_start_s", self.window_start_s)?;
        Complaint::unless_non_negative("baseline_s", self.baseline_s)?;
        Complaint::unless(self.window_end_s > self.window_start_s, "window_end_s", || {
            format!("must lie after window_start_s = {}, found {}", self.window_start_s, self.window_end_s)
        })
    }
}
