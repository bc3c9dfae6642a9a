//! What a registration says to people and records: how far, how well, and whether to go on.

use crate::motion::register::{shift_mm, turn_deg};
use crate::motion::{Registration, SessionReference};
use serde::{Deserialize, Serialize};

/// How the first volume of a run lies to the session reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegistrationReport {
    /// Where the reference came from.
    pub reference: String,
    /// Where the head lies in the volume against the reference: `[mm, mm, mm, rad, rad, rad]`, as
    /// [`Motion`](crate::motion::Motion).
    pub motion: [f64; 6],
    /// Length of the shift, mm.
    pub shift_mm: f64,
    /// The whole turn, degrees.
    pub turn_deg: f64,
    /// Weighted correlation of reference and volume, 1 for equal pictures.
    pub correlation: f64,
    /// The same of the volume's mirror image, which must stay behind; `None` in records of versions that did not look.
    #[serde(default)]
    pub mirrored_correlation: Option<f64>,
    /// Share of the reference's weight inside the volume.
    pub overlap: f64,
    /// Weighted RMS difference, percent of the reference's mean.
    pub residual_percent: f64,
    /// Whether to go on.
    pub go: bool,
    /// Why not, a sentence each; empty for a go.
    pub objections: Vec<String>,
}

impl RegistrationReport {
    /// The report of `registration` to `reference`.
    #[must_use]
    pub fn new(registration: &Registration, reference: &SessionReference) -> Self {
        let estimate = &registration.estimate;
        Self {
            reference: reference.source.clone(),
            motion: estimate.motion.0,
            shift_mm: shift_mm(estimate),
            turn_deg: turn_deg(&estimate.rigid),
            correlation: estimate.correlation,
            mirrored_correlation: Some(registration.mirrored_correlation),
            overlap: estimate.overlap,
            residual_percent: estimate.residual_percent,
            go: registration.go(),
            objections: registration.objections.iter().map(ToString::to_string).collect(),
        }
    }
}
