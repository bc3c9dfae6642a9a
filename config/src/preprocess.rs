//! `preprocess.toml`: how volumes become betas; a bundle carries its own and the daemon uses no other.

use crate::estimator::{as_written, check_lags};
use crate::{
    AveragingConfig, BetaKind, BetaUnit, Checked, Complaint, ConfoundConfig, Confounds, DespikeConfig, DriftConfig,
    Estimator, Hrf, HrfConfig, MotionConfig, MotionKind, NoiseConfig, SliceTimingConfig, SliceTimingKind,
    SmoothingConfig, StreamConfig, StreamKind, ZscorePolicy,
};
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
    /// Head motion: estimated and taken out, or not.
    #[serde(default)]
    pub motion: MotionConfig,
    /// Spikes: taken out voxel by voxel, or not.
    #[serde(default)]
    pub despike: DespikeConfig,
    /// Slice timing: brought to the volume's start, or not.
    #[serde(default)]
    pub slice_timing: SliceTimingConfig,
    /// Smoothing inside the mask.
    #[serde(default)]
    pub smoothing: SmoothingConfig,
    /// Mean of the last volumes.
    #[serde(default)]
    pub averaging: AveragingConfig,
    /// Haemodynamic response of the design; `window` has none.
    #[serde(default)]
    pub hrf: HrfConfig,
    /// Slow drift in the design; `window` has none.
    #[serde(default)]
    pub drift: DriftConfig,
    /// Motion in the design; `window` has none.
    #[serde(default)]
    pub confounds: ConfoundConfig,
    /// Noise model of the design's fit.
    #[serde(default)]
    pub noise: NoiseConfig,
    /// Normalisation of betas.
    pub zscore: ZscoreConfig,
    /// Decoding without trials.
    #[serde(default)]
    pub stream: StreamConfig,
}

/// The single-trial estimate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BetaConfig {
    /// Kind; this version estimates `window`, `lss`, `lsa` and `ridge-lsa`.
    pub kind: BetaKind,
    /// `window`: it opens this many seconds after onset.
    #[serde(default = "window_start")]
    pub window_start_s: f64,
    /// `window`: it closes this many seconds after onset.
    #[serde(default = "window_end")]
    pub window_end_s: f64,
    /// `window`: volumes sampled in this many seconds before the onset are the baseline; 0 takes the run's mean so far.
    #[serde(default)]
    pub baseline_s: f64,
    /// `ridge-lsa`: penalty on each trial's beta, in units of the energy Σx² of its complete response.
    #[serde(default = "ridge")]
    pub ridge_alpha: f64,
    /// `ridge-lsa`: penalty on each drift coefficient, (noise SD / SD of the coefficient)²; 0 for none.
    #[serde(default = "ridge_drift")]
    pub ridge_drift: f64,
    /// `ridge-lsa`: penalty on each motion coefficient, (noise SD / SD of the signal per mm)², a radian counting as 50 mm; 0
    /// for none.
    #[serde(default = "ridge_motion")]
    pub ridge_motion_mm2: f64,
}

/// Volumes 4 to 8 s after onset against the run's mean so far.
impl Default for BetaConfig {
    fn default() -> Self {
        Self {
            kind: BetaKind::Window,
            window_start_s: window_start(),
            window_end_s: window_end(),
            baseline_s: 0.0,
            ridge_alpha: ridge(),
            ridge_drift: ridge_drift(),
            ridge_motion_mm2: ridge_motion(),
        }
    }
}

/// Normalisation of betas.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ZscoreConfig {
    /// Policy; the frozen statistics, or the prior, lie in `zscore.safetensors`.
    pub policy: ZscorePolicy,
    /// `leave-current-out`: the frozen statistics count as this many trials.
    pub prior_trials: f64,
    /// `neutral-offset`: volumes sampled in these spans [from, to] of run seconds show nothing.
    pub neutral_s: Vec<[f64; 2]>,
    /// `leave-current-out`: so many conditions are declared trial by trial, and a run that leans to one is warned of; 0
    /// for none.
    pub conditions: u16,
    /// The warning looks at so many last trials.
    pub balance_trials: u32,
}

/// Frozen statistics.
impl Default for ZscoreConfig {
    fn default() -> Self {
        Self {
            policy: ZscorePolicy::FrozenPerLag,
            prior_trials: 20.0,
            neutral_s: Vec::new(),
            conditions: 0,
            balance_trials: 20,
        }
    }
}

fn window_start() -> f64 {
    4.0
}

fn window_end() -> f64 {
    8.0
}

fn ridge() -> f64 {
    1.0
}

fn ridge_drift() -> f64 {
    8.0
}

fn ridge_motion() -> f64 {
    8.0
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
        let glm = self.beta.kind != BetaKind::Window;
        Estimator {
            beta: self.beta.kind,
            ridge: (self.beta.kind == BetaKind::RidgeLsa).then_some(self.beta.ridge()),
            hrf: self.hrf.kind,
            hrf_height: glm.then_some(self.hrf.height),
            drift: self.drift.kind,
            drift_cutoff_hz: self.drift.identifying_cutoff_hz(),
            confounds: self.confounds.kind,
            noise: self.noise.model,
            smoothing_fwhm_mm: self.smoothing.fwhm_mm,
            slice_reference: self.slice_reference,
            repeats_averaged: self.repeats_averaged,
            unit: self.unit,
            zscore: self.zscore.policy,
            revision_lags_s: self.revision_lags_s.clone(),
        }
    }

    /// The longest time, in seconds, that a trial's window looks back from its last revision. (A GLM looks back to
    /// the start of the run, and keeps its own history.)
    #[must_use]
    pub fn memory_s(&self) -> f64 {
        self.revision_lags_s.last().copied().unwrap_or(0.0) + self.beta.baseline_s
    }
}

/// A recipe that only says when to estimate; everything else has its default, which is the window estimate.
impl PreprocessConfig {
    /// `beta` at these lags, in percent signal change, sampled in the middle of the TR, with frozen z-scores.
    #[must_use]
    pub fn new(revision_lags_s: Vec<f64>, beta: BetaConfig) -> Self {
        Self {
            tr_s: None,
            slice_reference: middle(),
            unit: percent(),
            repeats_averaged: one(),
            revision_lags_s,
            beta,
            motion: MotionConfig::default(),
            despike: DespikeConfig::default(),
            slice_timing: SliceTimingConfig::default(),
            smoothing: SmoothingConfig::default(),
            averaging: AveragingConfig::default(),
            hrf: HrfConfig::default(),
            drift: DriftConfig::default(),
            confounds: ConfoundConfig::default(),
            noise: NoiseConfig::default(),
            zscore: ZscoreConfig::default(),
            stream: StreamConfig::default(),
        }
    }
}

impl Checked for PreprocessConfig {
    fn check(&self) -> Result<(), Complaint> {
        if let Some(tr_s) = self.tr_s {
            Complaint::unless_positive("tr_s", tr_s)?;
        }
        check_lags(&self.revision_lags_s)?;
        self.beta.check().map_err(|c| c.within("beta"))?;
        self.motion.check().map_err(|c| c.within("motion"))?;
        self.smoothing.check().map_err(|c| c.within("smoothing"))?;
        self.averaging.check().map_err(|c| c.within("averaging"))?;
        self.check_slice_reference()?;
        self.stream.check().map_err(|c| c.within("stream"))?;
        match self.beta.kind {
            BetaKind::Window => self.check_window()?,
            _ => self.check_design()?,
        }
        self.zscore.check(self.beta.kind).map_err(|c| c.within("zscore"))?;
        self.estimator().check()
    }
}

impl PreprocessConfig {
    fn check_window(&self) -> Result<(), Complaint> {
        let first = self.revision_lags_s[0];
        Complaint::unless(first > self.beta.window_start_s, "revision_lags_s", || {
            format!("the first lag, {first} s, must lie after beta.window_start_s = {} s", self.beta.window_start_s)
        })?;
        let plain = Self::new(self.revision_lags_s.clone(), self.beta.clone());
        let streams = self.stream.kind == StreamKind::Residual;
        let parts = [
            ("hrf", self.hrf == plain.hrf),
            ("drift", streams || self.drift == plain.drift),
            ("confounds", streams || self.confounds == plain.confounds),
            ("noise", self.noise == plain.noise),
        ];
        match parts.into_iter().find(|(_, absent)| !absent) {
            Some((part, _)) => Err(Complaint::new(part, "a window estimate has no design; leave this table out")),
            None => self.check_nuisance(),
        }
    }

    /// Slice timing brings every voxel to the volume's start: the design must sample there.
    fn check_slice_reference(&self) -> Result<(), Complaint> {
        let corrected = self.slice_timing.kind != SliceTimingKind::None;
        Complaint::unless(!corrected || self.slice_reference == 0.0, "slice_reference", || {
            format!("must be 0 with slice_timing.kind = \"linear\", found {}", self.slice_reference)
        })
    }

    fn check_design(&self) -> Result<(), Complaint> {
        Complaint::unless(self.hrf.kind != Hrf::None, "hrf.kind", || {
            format!("{} needs a response: spm, glover or library", as_written(&self.beta.kind))
        })?;
        self.check_nuisance()
    }

    /// What a design and a stream take out.
    fn check_nuisance(&self) -> Result<(), Complaint> {
        let unmeasured = self.confounds.kind != Confounds::None && self.motion.kind == MotionKind::None;
        Complaint::unless(!unmeasured, "confounds.kind", || {
            format!("{} needs motion.kind = \"rigid\", which measures it", as_written(&self.confounds.kind))
        })?;
        self.drift.check().map_err(|c| c.within("drift"))
    }
}

impl BetaConfig {
    fn ridge(&self) -> [f64; 3] {
        [self.ridge_alpha, self.ridge_drift, self.ridge_motion_mm2]
    }

    fn check(&self) -> Result<(), Complaint> {
        let estimated = [BetaKind::Window, BetaKind::Lss, BetaKind::Lsa, BetaKind::RidgeLsa];
        Complaint::unless(estimated.contains(&self.kind), "kind", || {
            let names = estimated.map(|kind| as_written(&kind)).join(", ");
            format!("this version estimates {names}, found {}", as_written(&self.kind))
        })?;
        Complaint::unless_non_negative("window_start_s", self.window_start_s)?;
        Complaint::unless_non_negative("baseline_s", self.baseline_s)?;
        Complaint::unless(self.window_end_s > self.window_start_s, "window_end_s", || {
            format!("must lie after window_start_s = {}, found {}", self.window_start_s, self.window_end_s)
        })?;
        Complaint::unless_positive("ridge_alpha", self.ridge_alpha)?;
        Complaint::unless_non_negative("ridge_drift", self.ridge_drift)?;
        Complaint::unless_non_negative("ridge_motion_mm2", self.ridge_motion_mm2)
    }
}

impl ZscoreConfig {
    fn check(&self, kind: BetaKind) -> Result<(), Complaint> {
        Complaint::unless_positive("prior_trials", self.prior_trials)?;
        let running = self.policy == ZscorePolicy::LeaveCurrentOut;
        Complaint::unless(self.conditions == 0 || running, "conditions", || {
            "only leave-current-out follows the run, and can be bent by its conditions".into()
        })?;
        Complaint::unless(self.conditions != 1, "conditions", || "2 or more can be balanced, found 1".into())?;
        Complaint::unless(self.balance_trials >= 1, "balance_trials", || "must be 1 or more, found 0".into())?;
        self.check_neutral(kind)
    }

    fn check_neutral(&self, kind: BetaKind) -> Result<(), Complaint> {
        let offset = self.policy == ZscorePolicy::NeutralOffset;
        Complaint::unless(offset != self.neutral_s.is_empty(), "neutral_s", || {
            "neutral-offset needs one or more spans [from, to] in seconds; other policies take none".into()
        })?;
        Complaint::unless(!offset || kind == BetaKind::Window, "policy", || {
            "neutral-offset is for window betas: the constant of a GLM already stands for the run's baseline".into()
        })?;
        let no_span = |span: &&[f64; 2]| !(span[0].is_finite() && span[1].is_finite() && span[0] < span[1]);
        match self.neutral_s.iter().find(no_span) {
            Some(span) => Err(Complaint::new("neutral_s", format!("a span is [from, to], found {span:?}"))),
            None => Ok(()),
        }
    }
}
