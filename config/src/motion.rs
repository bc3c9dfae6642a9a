//! The table of `preprocess.toml` that says whether head motion is taken out, against what, and how a match is judged.

use crate::{Checked, Complaint};
use serde::{Deserialize, Serialize};

/// What is done about head motion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MotionKind {
    /// Nothing: the head is taken to lie still, and the run on the mask's grid.
    #[default]
    None,
    /// Six numbers per volume, and one resampling.
    Rigid,
}

/// What each volume is compared with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MotionReference {
    /// The run's first volume, which is registered to the session reference once: volumes of one run look alike, so
    /// that each match is good whatever the other session's contrast was. One resampling under the composed map.
    #[default]
    FirstVolume,
    /// The session reference itself (the bundle's, or `--reference`).
    Session,
}

/// How a volume is read between its voxels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interpolation {
    /// Two neighbours along each axis.
    Trilinear,
    /// Keys' cubic convolution, four neighbours.
    Keys,
    /// Cubic B-spline through the voxels.
    #[default]
    CubicBspline,
}

/// Motion correction and registration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MotionConfig {
    /// Whether there is any.
    pub kind: MotionKind,
    /// What each volume is compared with.
    pub against: MotionReference,
    /// Kernel of the one resampling.
    pub kernel: Interpolation,
    /// Distance of the estimate's sample points, mm.
    pub spacing_mm: f64,
    /// An estimate is done when a step moves the head by less, mm RMS.
    pub tolerance_mm: f64,
    /// Readings of a volume per resolution at most; what has not settled by then is labelled.
    pub iterations: u32,
    /// Registration is a no-go below this weighted correlation.
    pub least_correlation: f64,
    /// Registration is a no-go with less than this share of the reference in view.
    pub least_overlap: f64,
    /// Registration is a no-go with a larger shift of the reference's centre, mm.
    pub largest_shift_mm: f64,
    /// Registration is a no-go with a larger turn, degrees.
    pub largest_turn_deg: f64,
}

/// No motion correction; the other numbers are those of `mindeye-preprocess`'s README, measured there.
impl Default for MotionConfig {
    fn default() -> Self {
        Self {
            kind: MotionKind::None,
            against: MotionReference::FirstVolume,
            kernel: Interpolation::CubicBspline,
            spacing_mm: 3.0,
            tolerance_mm: 0.01,
            iterations: 10,
            least_correlation: 0.95,
            least_overlap: 0.75,
            largest_shift_mm: 40.0,
            largest_turn_deg: 30.0,
        }
    }
}

impl Checked for MotionConfig {
    fn check(&self) -> Result<(), Complaint> {
        let positive = [
            ("spacing_mm", self.spacing_mm),
            ("tolerance_mm", self.tolerance_mm),
            ("largest_shift_mm", self.largest_shift_mm),
            ("largest_turn_deg", self.largest_turn_deg),
        ];
        positive.into_iter().try_for_each(|(key, value)| Complaint::unless_positive(key, value))?;
        Complaint::unless(self.iterations >= 1, "iterations", || "must be 1 or more, found 0".into())?;
        let shares = [("least_correlation", self.least_correlation), ("least_overlap", self.least_overlap)];
        match shares.into_iter().find(|(_, share)| !(0.0..=1.0).contains(share)) {
            Some((key, share)) => Err(Complaint::new(key, format!("must lie in 0 to 1, found {share}"))),
            None => Ok(()),
        }
    }
}
