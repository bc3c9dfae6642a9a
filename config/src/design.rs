//! The tables of `preprocess.toml` that say what a GLM's design is made of.

use crate::{Complaint, Confounds, Drift, Hrf, HrfHeight, NoiseModel};
use serde::{Deserialize, Serialize};

/// Haemodynamic response.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HrfConfig {
    /// Shape.
    pub kind: Hrf,
    /// Which height of the regressor is 1.
    pub height: HrfHeight,
}

/// Slow drift.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DriftConfig {
    /// Basis.
    pub kind: Drift,
    /// High-pass cut-off, Hz: floor(2 T f) cosines, or Legendre polynomials up to order 1 + floor(T f), after T seconds.
    pub cutoff_hz: f64,
    /// Length of the run in seconds where it is not announced.
    pub planned_s: f64,
}

/// Nilearn's cut-off, and ten minutes.
impl Default for DriftConfig {
    fn default() -> Self {
        Self { kind: Drift::None, cutoff_hz: 0.01, planned_s: 600.0 }
    }
}

/// Motion regressors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfoundConfig {
    /// Which of them.
    pub kind: Confounds,
}

/// Noise.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NoiseConfig {
    /// Its model.
    pub model: NoiseModel,
}

impl DriftConfig {
    pub(crate) fn identifying_cutoff_hz(&self) -> Option<f64> {
        (self.kind != Drift::None).then_some(self.cutoff_hz)
    }

    pub(crate) fn check(&self) -> Result<(), Complaint> {
        Complaint::unless_positive("cutoff_hz", self.cutoff_hz)?;
        Complaint::unless_positive("planned_s", self.planned_s)?;
        let columns = 2.0 * self.planned_s * self.cutoff_hz;
        Complaint::unless(columns <= 256.0, "cutoff_hz", || {
            format!("times planned_s asks for {columns:.0} drift columns; 256 are the most")
        })
    }
}
