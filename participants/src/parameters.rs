//! The numbers that make a participant: one mixture for all, and what differs from head to head.

use mindeye_config::{Checked, Complaint, ConfigError, Sha256, from_toml, sha256_of_bytes};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// `config/participants/mixture.toml`: how signal and noise are mixed, the same for every participant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mixture {
    /// What happens in the head from trial to trial.
    pub trial: TrialMixture,
    /// What changes from day to day.
    pub day: DayMixture,
    /// Errors of a single-trial beta that are not in the head's answer to the picture.
    pub beta: BetaNoise,
    /// Noise of a volume.
    pub bold: BoldNoise,
}

/// Variation of the answer itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialMixture {
    /// Response to any picture, SDs of the responses to pictures.
    pub mean: f64,
    /// SD of the logarithm of attention's gain.
    pub attention_sd: f64,
    /// Share of trials without attention.
    pub lapse_share: f64,
    /// Gain of a trial without attention.
    pub lapse_gain: f64,
    /// Gain lost with every earlier presentation of the same picture.
    pub repetition: f64,
    /// SD of the variation inside the signal subspace, SDs of the responses to pictures.
    pub subspace: f64,
}

/// Variation from session to session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DayMixture {
    /// SD of the gain of a day.
    pub gain_sd: f64,
    /// SD of the angle, radians, by which tuning turns towards that of a neighbour.
    pub tuning_sd: f64,
    /// SD of a smooth offset of all betas of a day, SDs of the responses to pictures.
    pub offset_sd: f64,
}

/// Noise of one beta, percent signal change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BetaNoise {
    /// SD of the spatially smooth part.
    pub smooth_sd: f64,
    /// Its full width at half maximum, mm.
    pub smooth_fwhm_mm: f64,
    /// SD of each global mode.
    pub global_sd: f64,
    /// SD of what is independent from voxel to voxel and trial to trial.
    pub thermal_sd: f64,
    /// Correlation of smooth and global parts from one trial to the next.
    pub ar1: f64,
}

/// Noise of one volume.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoldNoise {
    /// Grey matter's intensity over the SD of thermal noise.
    pub sfnr: f64,
    /// SD of the spatially smooth part, percent.
    pub smooth_percent: f64,
    /// Its full width at half maximum, mm.
    pub smooth_fwhm_mm: f64,
    /// SD of each global mode, percent.
    pub global_percent: f64,
    /// Correlation of smooth and global parts from one second to the next.
    pub ar1_per_s: f64,
    /// Largest drift over a run, percent.
    pub drift_percent: f64,
    /// SD of the head's random walk, mm (and degrees) in a minute.
    pub motion_mm: f64,
    /// SD of where the head lies on another day, mm (and degrees).
    pub reposition_mm: f64,
}

/// `config/participants/sub-01.toml`: one head.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Everything that is drawn follows from it.
    pub seed: u64,
    /// Voxels of the visual mask.
    pub voxels: usize,
    /// Size along x, y, z against the template head.
    pub scale: [f64; 3],
    /// Turn of the head in the scanner about x, y, z, degrees.
    pub turn_deg: [f64; 3],
    /// Amplitude of the folds' own displacement, mm.
    pub fold_mm: f64,
    /// Median over voxels of the SD of responses to pictures, percent signal change.
    pub amplitude_percent: f64,
    /// SD over voxels of the logarithm of that.
    pub amplitude_spread: f64,
    /// Factor on all noise.
    pub noise: f64,
    /// Time axis of the haemodynamic response against SPM's.
    pub hrf_stretch: f64,
    /// SD over voxels of the logarithm of that.
    pub hrf_spread: f64,
    /// Repetition time, seconds.
    pub tr_s: f64,
}

fn positive(key: &str, value: f64) -> Result<(), Complaint> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(Complaint::new(key, format!("must be above 0, found {value}")))
}

fn not_negative(key: &str, value: f64) -> Result<(), Complaint> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(Complaint::new(key, format!("must be 0 or more, found {value}")))
}

fn below_one(key: &str, value: f64) -> Result<(), Complaint> {
    not_negative(key, value)?;
    if value < 1.0 {
        return Ok(());
    }
    Err(Complaint::new(key, format!("must be below 1, found {value}")))
}

impl Checked for Mixture {
    fn check(&self) -> Result<(), Complaint> {
        let Self { trial, day, beta, bold } = self;
        let any = [
            ("trial.mean", trial.mean),
            ("trial.attention_sd", trial.attention_sd),
            ("trial.lapse_gain", trial.lapse_gain),
            ("trial.subspace", trial.subspace),
            ("day.gain_sd", day.gain_sd),
            ("day.tuning_sd", day.tuning_sd),
            ("day.offset_sd", day.offset_sd),
            ("beta.smooth_sd", beta.smooth_sd),
            ("beta.global_sd", beta.global_sd),
            ("bold.smooth_percent", bold.smooth_percent),
            ("bold.global_percent", bold.global_percent),
            ("bold.drift_percent", bold.drift_percent),
            ("bold.motion_mm", bold.motion_mm),
            ("bold.reposition_mm", bold.reposition_mm),
        ];
        any.into_iter().try_for_each(|(key, value)| not_negative(key, value))?;
        let shares = [
            ("trial.lapse_share", trial.lapse_share),
            ("trial.repetition", trial.repetition),
            ("beta.ar1", beta.ar1),
            ("bold.ar1_per_s", bold.ar1_per_s),
        ];
        shares.into_iter().try_for_each(|(key, value)| below_one(key, value))?;
        positive("beta.thermal_sd", beta.thermal_sd)?;
        positive("beta.smooth_fwhm_mm", beta.smooth_fwhm_mm)?;
        positive("bold.smooth_fwhm_mm", bold.smooth_fwhm_mm)?;
        positive("bold.sfnr", bold.sfnr)
    }
}

impl Checked for Head {
    fn check(&self) -> Result<(), Complaint> {
        if self.voxels == 0 {
            return Err(Complaint::new("voxels", "must be 1 or more, found 0"));
        }
        self.scale.iter().try_for_each(|scale| positive("scale", *scale))?;
        if let Some(turn) = self.turn_deg.iter().find(|turn| !turn.is_finite()) {
            return Err(Complaint::new("turn_deg", format!("must be finite, found {turn}")));
        }
        not_negative("fold_mm", self.fold_mm)?;
        positive("amplitude_percent", self.amplitude_percent)?;
        not_negative("amplitude_spread", self.amplitude_spread)?;
        positive("noise", self.noise)?;
        positive("hrf_stretch", self.hrf_stretch)?;
        not_negative("hrf_spread", self.hrf_spread)?;
        positive("tr_s", self.tr_s)
    }
}

const MIXTURE: &str = include_str!("../../config/participants/mixture.toml");

const HEADS: [(&str, &str); 6] = [
    ("sub-01", include_str!("../../config/participants/sub-01.toml")),
    ("sub-02", include_str!("../../config/participants/sub-02.toml")),
    ("sub-03", include_str!("../../config/participants/sub-03.toml")),
    ("sub-04", include_str!("../../config/participants/sub-04.toml")),
    ("sub-05", include_str!("../../config/participants/sub-05.toml")),
    ("sub-06", include_str!("../../config/participants/sub-06.toml")),
];

/// Names of the participants that are built in.
#[must_use]
pub fn names() -> [&'static str; 6] {
    HEADS.map(|(name, _)| name)
}

/// A preset that is not usable.
#[derive(Debug, thiserror::Error)]
pub enum PresetError {
    /// No such participant.
    #[error("participant `{found}` is not built in; there are {}", names().join(", "))]
    Unknown {
        /// What was asked for.
        found: String,
    },
    /// The file is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl Mixture {
    /// The built-in mixture.
    ///
    /// # Errors
    /// [`ConfigError`] naming file and key.
    pub fn built_in() -> Result<Self, ConfigError> {
        from_toml(MIXTURE, Path::new("config/participants/mixture.toml"))
    }
}

impl Head {
    /// The built-in participant `name`.
    ///
    /// # Errors
    /// [`PresetError`] naming what there is, or file and key.
    pub fn built_in(name: &str) -> Result<Self, PresetError> {
        let text = HEADS.iter().find(|(known, _)| *known == name).map(|(_, text)| text);
        let text = text.ok_or_else(|| PresetError::Unknown { found: name.to_owned() })?;
        Ok(from_toml(text, Path::new(&format!("config/participants/{name}.toml")))?)
    }
}

/// Digest of mixture and heads, as values: what `config/participants/frozen.toml` promises. Comments may change.
///
/// # Errors
/// [`PresetError`] when a preset is wrong.
pub fn digest() -> Result<Sha256, PresetError> {
    let mut text = format!("{:?}\n", Mixture::built_in()?);
    for name in names() {
        text.push_str(&format!("{name} {:?}\n", Head::built_in(name)?));
    }
    Ok(sha256_of_bytes(text.as_bytes()))
}
