//! The tables of `preprocess.toml` that say what happens to volumes between the mask and the estimates; all off by default.

use crate::{Checked, Complaint};
use serde::{Deserialize, Serialize};

/// Slices of a volume are acquired one after the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SliceTimingKind {
    /// Taken to be acquired at once.
    #[default]
    None,
    /// Brought to the volume's start, linearly between a voxel's last two samples.
    Linear,
}

/// Slice timing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SliceTimingConfig {
    /// Whether there is any.
    pub kind: SliceTimingKind,
}

/// What is done about spikes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DespikeKind {
    /// Nothing.
    #[default]
    None,
    /// Koush's modified Kalman filter, voxel by voxel.
    Kalman,
}

/// Spikes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DespikeConfig {
    /// Whether they are taken out.
    pub kind: DespikeKind,
}

/// Spatial smoothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SmoothingConfig {
    /// Full width at half maximum of a Gaussian inside the mask, mm; 0 for none.
    pub fwhm_mm: f64,
}

/// Temporal averaging.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AveragingConfig {
    /// Mean of so many last volumes; 1 for none.
    pub volumes: u32,
}

/// None.
impl Default for AveragingConfig {
    fn default() -> Self {
        Self { volumes: 1 }
    }
}

impl Checked for SmoothingConfig {
    fn check(&self) -> Result<(), Complaint> {
        Complaint::unless_non_negative("fwhm_mm", self.fwhm_mm)?;
        Complaint::unless(self.fwhm_mm <= 30.0, "fwhm_mm", || {
            format!("{} mm leaves no pattern; 30 mm are the most", self.fwhm_mm)
        })
    }
}

impl Checked for AveragingConfig {
    fn check(&self) -> Result<(), Complaint> {
        Complaint::unless((1..=16).contains(&self.volumes), "volumes", || {
            format!("must be 1 to 16, found {}", self.volumes)
        })
    }
}
