//! The identity of the estimator that made the betas: a model decodes only what it was trained on.

use crate::Complaint;
use serde::{Deserialize, Serialize};

/// How a trial's response amplitude is estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BetaKind {
    /// GLMsingle without denoising or ridge (NSD `betas_fithrf`).
    #[serde(rename = "glmsingle-b2")]
    GlmsingleB2,
    /// GLMsingle with denoising and ridge (NSD `betas_fithrf_GLMdenoise_RR`).
    #[serde(rename = "glmsingle-b3")]
    GlmsingleB3,
    /// Least squares, separate: this trial against all others together.
    #[serde(rename = "lss")]
    Lss,
    /// Least squares, all trials at once.
    #[serde(rename = "lsa")]
    Lsa,
    /// Least squares, all trials at once, with a ridge on each trial's amplitude.
    #[serde(rename = "ridge-lsa")]
    RidgeLsa,
    /// Mean of the volumes in a window after onset, minus a baseline.
    #[serde(rename = "window")]
    Window,
}

/// Shape of the haemodynamic response in the design.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hrf {
    /// No model of the response.
    #[default]
    None,
    /// SPM's double gamma.
    Spm,
    /// Glover 1999, with the constants of nilearn 0.14.1.
    Glover,
    /// An index per voxel into a library of stretched double gammas.
    Library,
}

/// Which height of a regressor is 1, and so what a beta of one unit means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HrfHeight {
    /// The peak of the response to this stimulus, as in GLMsingle: a beta is the response at its peak.
    #[default]
    Peak,
    /// The plateau of the response to an endless stimulus, as in nilearn and SPM (the response has unit area).
    Plateau,
}

/// Model of slow drift.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Drift {
    /// None; a local baseline takes its place.
    #[default]
    None,
    /// Discrete cosines.
    Cosine,
    /// Legendre polynomials.
    Legendre,
}

/// Motion regressors in the design.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confounds {
    /// None.
    #[default]
    None,
    /// Six rigid-body parameters.
    Motion6,
    /// Six parameters and their derivatives.
    Motion12,
    /// Friston's 24.
    Friston24,
}

/// Model of the noise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoiseModel {
    /// Independent from volume to volume.
    #[default]
    Ordinary,
    /// First-order autoregressive.
    Ar1,
}

/// Unit of a beta before z-scoring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BetaUnit {
    /// Percent of the voxel's own mean.
    PercentSignalChange,
    /// The scanner's arbitrary units (`scaling = "none"`).
    None,
}

/// How betas are normalised before the backbone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ZscorePolicy {
    /// Mean and SD per voxel and revision lag, frozen from training.
    #[default]
    FrozenPerLag,
    /// Mean and SD of the trials before, this one left out, drawn towards the frozen ones.
    LeaveCurrentOut,
    /// The frozen ones, after taking off what declared neutral volumes differ from the run's mean.
    NeutralOffset,
}

/// What made the betas: two of these must agree before one may decode the other's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Estimator {
    /// Kind of single-trial estimate.
    pub beta: BetaKind,
    /// Ridge on trials, drift and motion (`beta.ridge_alpha`, `ridge_drift`, `ridge_motion_mm2`); `ridge-lsa` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ridge: Option<[f64; 3]>,
    /// Haemodynamic response model.
    pub hrf: Hrf,
    /// Which height of the response is 1; not for `window`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hrf_height: Option<HrfHeight>,
    /// Drift model.
    pub drift: Drift,
    /// High-pass cut-off of the drift model, Hz; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_cutoff_hz: Option<f64>,
    /// Confound regressors.
    pub confounds: Confounds,
    /// Noise model.
    pub noise: NoiseModel,
    /// Full width at half maximum of spatial smoothing, mm; 0 is none.
    pub smoothing_fwhm_mm: f64,
    /// Time inside the TR at which a volume is taken to be sampled, as a fraction of the TR.
    pub slice_reference: f64,
    /// Presentations averaged in each training sample.
    pub repeats_averaged: u32,
    /// Unit of the betas.
    pub unit: BetaUnit,
    /// Normalisation policy.
    pub zscore: ZscorePolicy,
    /// Seconds after onset at which betas are estimated; one row of `zscore.safetensors` each.
    pub revision_lags_s: Vec<f64>,
}

/// The first field in which two estimators differ.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the betas of this daemon and of the training differ in `{field}`: here {here}, in training {training}")]
pub struct Mismatch {
    /// Name of the field.
    pub field: &'static str,
    /// Its value here.
    pub here: String,
    /// Its value in training.
    pub training: String,
}

impl Estimator {
    /// Compares the serving estimator `self` with the one used in `training`.
    ///
    /// # Errors
    /// [`Mismatch`] naming the first field that differs.
    pub fn agrees_with(&self, training: &Self) -> Result<(), Mismatch> {
        let pairs = self.fields().into_iter().zip(training.fields());
        for ((field, here), (_, training)) in pairs {
            if here != training {
                return Err(Mismatch { field, here, training });
            }
        }
        Ok(())
    }

    fn fields(&self) -> [(&'static str, String); 14] {
        [
            ("beta", as_written(&self.beta)),
            ("ridge", or_absent(self.ridge)),
            ("hrf", as_written(&self.hrf)),
            ("hrf_height", or_absent(self.hrf_height)),
            ("drift", as_written(&self.drift)),
            ("drift_cutoff_hz", or_absent(self.drift_cutoff_hz)),
            ("confounds", as_written(&self.confounds)),
            ("noise", as_written(&self.noise)),
            ("smoothing_fwhm_mm", as_written(&self.smoothing_fwhm_mm)),
            ("slice_reference", as_written(&self.slice_reference)),
            ("repeats_averaged", as_written(&self.repeats_averaged)),
            ("unit", as_written(&self.unit)),
            ("zscore", as_written(&self.zscore)),
            ("revision_lags_s", as_written(&self.revision_lags_s)),
        ]
    }

    pub(crate) fn check(&self) -> Result<(), Complaint> {
        Complaint::unless_non_negative("smoothing_fwhm_mm", self.smoothing_fwhm_mm)?;
        Complaint::unless((0.0..=1.0).contains(&self.slice_reference), "slice_reference", || {
            format!("is a fraction of the TR, 0 to 1, found {}", self.slice_reference)
        })?;
        check_lags(&self.revision_lags_s)
    }
}

/// `value` in the words of the file, such as `"glmsingle-b3"` or `[7.5]`.
pub(crate) fn as_written(value: &impl Serialize) -> String {
    toml::Value::try_from(value).map_or_else(|error| error.to_string(), |value| value.to_string())
}

fn or_absent(value: Option<impl Serialize>) -> String {
    value.map_or_else(|| "absent".into(), |value| as_written(&value))
}

/// Lags must be positive and ascending: the row of a lag in `zscore.safetensors` is its place in this list.
pub(crate) fn check_lags(lags_s: &[f64]) -> Result<(), Complaint> {
    let ascending = lags_s.windows(2).all(|pair| pair[0] < pair[1]);
    let positive = lags_s.iter().all(|lag| lag.is_finite() && *lag > 0.0);
    Complaint::unless(!lags_s.is_empty() && ascending && positive, "revision_lags_s", || {
        format!("must be one or more ascending positive seconds, found {lags_s:?}")
    })
}
