//! Registration joins two sessions: a first volume finds its place in an earlier reference, or says that it does not.

use crate::PreprocessError;
use crate::motion::estimate::{Estimator, score};
use crate::motion::fit::{Fit, Limits};
use crate::motion::reference::centre_of_mass_mm;
use crate::motion::{Motion, MotionEstimate, MotionSettings, Reference, Rigid};
use crate::resample::Volume;

/// Turns that are tried about each axis, radians (10 degrees): every turn to 15 degrees lies within 5 of one.
const TRIED_TURN: f64 = 0.174_533;

/// Starts that are followed down to full resolution.
const FOLLOWED: usize = 3;

/// On the coarsest level: steps below 0.2 mm RMS are done, and a start may be far away.
const COARSE: Limits = Limits { tolerance_mm: 0.2, iterations: 25 };

/// When a registration is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RegistrationLimits {
    /// Below this weighted correlation. Volumes of one real run reach 0.9994 to 1.0000 (two runs), the same person and
    /// sequence with slices in another order 0.997, another sequence of the same hour 0.925 to 0.929, two persons 0.60
    /// and 0.64 (`preprocess/README.md`). The simulated head finds itself again at 0.9999; another anatomy reaches 0.79, the head
    /// made 10 % larger 0.35.
    pub least_correlation: f64,
    /// With less than this share of the reference in view: the mask may be out of it.
    pub least_overlap: f64,
    /// Further away than this, mm.
    pub largest_shift_mm: f64,
    /// Turned by more than this, degrees.
    pub largest_turn_deg: f64,
}

/// 0.95 and 0.75; 40 mm and 30 degrees: the search is made for 20 mm and 15 degrees along and about each axis (35 mm and
/// 27 degrees at the corners), and what it finds beyond that is more likely wrong than true.
impl Default for RegistrationLimits {
    fn default() -> Self {
        Self { least_correlation: 0.95, least_overlap: 0.75, largest_shift_mm: 40.0, largest_turn_deg: 30.0 }
    }
}

/// The mirror image of a real head correlates by 0.025 to 0.073 less than the head itself, that of the simulated one by 0.017.
const LEAST_LEAD: f64 = 0.005;

/// On voxels of 6 mm the simulated head leads by 0.003 only, but leaves a tenth unexplained of what its mirror image leaves.
const CLEARLY_LESS: f64 = 0.5;

/// Whether the pictures do not say which side is left: the mirror image is as good, or nearly as good by both measures.
fn is_ambiguous(found: f64, mirrored: f64) -> bool {
    found < mirrored + LEAST_LEAD && 1.0 - found > CLEARLY_LESS * (1.0 - mirrored)
}

/// Where an earlier session's reference lies in this session's first volume, and whether to believe it.
#[derive(Debug, Clone, PartialEq)]
pub struct Registration {
    /// From reference RAS+ mm to the volume's; `correlation` is the quality number.
    pub estimate: MotionEstimate,
    /// What the volume's mirror image reaches, registered in the same way: −1 where it finds no place at all.
    pub mirrored_correlation: f64,
    /// Why it should not be believed; empty for a go.
    pub objections: Vec<Objection>,
}

impl Registration {
    /// True if nothing speaks against it.
    #[must_use]
    pub fn go(&self) -> bool {
        self.objections.is_empty()
    }
}

/// A reason not to believe a registration, with both sides.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Objection {
    /// Another head, another contrast, or a wrong place.
    #[error("reference and volume correlate by {found:.3}, {least} is the least")]
    Correlation {
        /// Weighted correlation.
        found: f64,
        /// What it must reach.
        least: f64,
    },
    /// A header that says left for right, or a reference made from one.
    #[error(
        "left and right may be exchanged: the volume correlates by {found:.3} with the reference, its mirror image by {mirrored:.3}"
    )]
    Mirrored {
        /// Weighted correlation.
        found: f64,
        /// The same of the mirror image.
        mirrored: f64,
    },
    /// The volume shows too little of the reference.
    #[error("{found:.2} of the reference lies inside the volume, {least} is the least")]
    Overlap {
        /// Share of the weight.
        found: f64,
        /// What it must reach.
        least: f64,
    },
    /// Further than the search was made for.
    #[error(
        "the head lies {shift_mm:.0} mm and {turn_deg:.0} degrees away; {largest_shift_mm} mm and {largest_turn_deg} degrees are the most"
    )]
    TooFar {
        /// Shift of the reference grid's centre.
        shift_mm: f64,
        /// The whole turn, about whatever axis.
        turn_deg: f64,
        /// What the shift may reach.
        largest_shift_mm: f64,
        /// What the turn may reach.
        largest_turn_deg: f64,
    },
    /// The last step was still large.
    #[error("the estimate still moved after {iterations} readings")]
    Unsettled {
        /// Readings of the volume.
        iterations: u32,
    },
}

/// Finds `reference`'s head in `volume`: six degrees of freedom, to 20 mm along and 15 degrees about each axis.
///
/// The centres of mass are laid on each other, 27 turns (−10, 0 and 10 degrees about each axis) are each followed on
/// voxels of 12 mm or so, and the three best of them to full resolution. About 27 x 10 readings of 750 points and
/// 3 x 5 of up to 32,000: 80 million multiply-adds, some 70 ms with the reference's own preparation. Its mirror image goes the
/// same way, because a head is so nearly symmetric that only the comparison tells left from right: twice that, once per session.
///
/// # Errors
/// As [`Reference::new`] for either volume. A registration that should not be believed is not an error: see
/// [`Registration::objections`].
pub fn register(
    reference: &Volume,
    volume: &Volume,
    settings: &MotionSettings,
) -> Result<Registration, PreprocessError> {
    register_to(Reference::new(reference, settings.spacing_mm)?, volume, settings)
}

/// The same with a reference that was prepared before the volume came.
///
/// # Errors
/// As [`register`].
pub fn register_to(
    reference: Reference,
    volume: &Volume,
    settings: &MotionSettings,
) -> Result<Registration, PreprocessError> {
    let mirrored = best_estimate(reference.clone(), &volume.mirrored(), settings)?;
    let mirrored_correlation = mirrored.map_or(-1.0, |(estimate, _)| estimate.correlation);
    let best = best_estimate(reference, volume, settings)?;
    let (estimate, settled) = best.ok_or(PreprocessError::NoContrast { what: "the volume to register" })?;
    let objections = objections(&estimate, mirrored_correlation, settled, &settings.registration);
    Ok(Registration { estimate, mirrored_correlation, objections })
}

/// The best of all starts and whether it settled; `None` where no start leads anywhere.
fn best_estimate(
    reference: Reference,
    volume: &Volume,
    settings: &MotionSettings,
) -> Result<Option<(MotionEstimate, bool)>, PreprocessError> {
    let limits = Limits { tolerance_mm: settings.tolerance_mm, iterations: settings.iterations };
    let mut estimator = Estimator::new(reference, volume.grid().clone(), limits)?;
    estimator.load_volume(volume);
    let best = followed_starts(&estimator, volume).into_iter().max_by(|a, b| score(a).total_cmp(&score(b)));
    Ok(best.map(|best| (estimator.describe(&best), best.converged)))
}

/// The best coarse fits, followed to full resolution.
fn followed_starts(estimator: &Estimator, volume: &Volume) -> Vec<Fit> {
    let coarsest = estimator.coarsest();
    let starts = starts(estimator.reference(), centre_of_mass_mm(volume));
    let mut coarse: Vec<Fit> =
        starts.into_iter().filter_map(|start| estimator.fit_level(coarsest, start, COARSE)).collect();
    coarse.sort_by(|a, b| score(b).total_cmp(&score(a)));
    coarse.iter().take(FOLLOWED).filter_map(|fit| estimator.descend(fit.rigid, coarsest.saturating_sub(1))).collect()
}

/// 27 turns, each with the centre of mass of the reference laid on the volume's.
fn starts(reference: &Reference, volume_mass_mm: [f64; 3]) -> Vec<Rigid> {
    let turns = [0.0, -TRIED_TURN, TRIED_TURN];
    let mass_mm = reference.centre_of_mass_mm();
    let shift = [0, 1, 2].map(|axis| volume_mass_mm[axis] - mass_mm[axis]);
    let all = (0..27).map(|n| [turns[n % 3], turns[n / 3 % 3], turns[n / 9]]);
    all.map(|[x, y, z]| Motion([shift[0], shift[1], shift[2], x, y, z]).about(mass_mm)).collect()
}

fn objections(estimate: &MotionEstimate, mirrored: f64, settled: bool, limits: &RegistrationLimits) -> Vec<Objection> {
    let RegistrationLimits { least_correlation, least_overlap, largest_shift_mm, largest_turn_deg } = *limits;
    let (shift_mm, turn_deg) = (shift_mm(estimate), turn_deg(&estimate.rigid));
    let (correlation, overlap) = (estimate.correlation, estimate.overlap);
    let cases = [
        (correlation < least_correlation, Objection::Correlation { found: correlation, least: least_correlation }),
        (is_ambiguous(correlation, mirrored), Objection::Mirrored { found: correlation, mirrored }),
        (overlap < least_overlap, Objection::Overlap { found: overlap, least: least_overlap }),
        (
            shift_mm > largest_shift_mm || turn_deg > largest_turn_deg,
            Objection::TooFar { shift_mm, turn_deg, largest_shift_mm, largest_turn_deg },
        ),
        (!settled, Objection::Unsettled { iterations: estimate.iterations }),
    ];
    cases.into_iter().filter(|(holds, _)| *holds).map(|(_, objection)| objection).collect()
}

/// How far the reference's centre moves, mm.
pub(super) fn shift_mm(estimate: &MotionEstimate) -> f64 {
    let [x, y, z, ..] = estimate.motion.0;
    (x * x + y * y + z * z).sqrt()
}

/// The one angle of a rotation: trace R = 1 + 2 cos θ.
pub(super) fn turn_deg(rigid: &Rigid) -> f64 {
    let r = &rigid.affine().linear;
    ((r[0][0] + r[1][1] + r[2][2] - 1.0) / 2.0).clamp(-1.0, 1.0).acos().to_degrees()
}
