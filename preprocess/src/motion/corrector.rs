//! The motion corrector is the stage from raw volume to pattern: find where the head is, then read the mask there, once.

use crate::motion::estimate::{Estimator, MotionEstimate};
use crate::motion::fit::Limits;
use crate::motion::{Reference, RegistrationLimits, Rigid};
use crate::resample::{Affine, Kernel, Resampler, Volume};
use crate::{Grid, Mask, Pattern, PreprocessError, RawVolume, Stage};
use mindeye_config::MotionConfig;

/// How motion is estimated and volumes are resampled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MotionSettings {
    /// Kernel of the one resampling.
    pub kernel: Kernel,
    /// Sample points of the estimate lie this far apart, mm.
    pub spacing_mm: f64,
    /// The estimate is done when a step moves the head by less, mm RMS.
    pub tolerance_mm: f64,
    /// Readings of the volume per resolution at most.
    pub iterations: u32,
    /// When a registration is not to be believed.
    pub registration: RegistrationLimits,
}

impl Default for MotionSettings {
    /// B-spline; 3 mm; 0.01 mm, what noise and interpolation leave at 3 mm voxels (0.007 mm); 10 iterations.
    fn default() -> Self {
        Self {
            kernel: Kernel::CubicBspline,
            spacing_mm: 3.0,
            tolerance_mm: 0.01,
            iterations: 10,
            registration: RegistrationLimits::default(),
        }
    }
}

impl From<&MotionConfig> for MotionSettings {
    fn from(config: &MotionConfig) -> Self {
        Self {
            kernel: config.kernel.into(),
            spacing_mm: config.spacing_mm,
            tolerance_mm: config.tolerance_mm,
            iterations: config.iterations,
            registration: RegistrationLimits {
                least_correlation: config.least_correlation,
                least_overlap: config.least_overlap,
                largest_shift_mm: config.largest_shift_mm,
                largest_turn_deg: config.largest_turn_deg,
            },
        }
    }
}

/// What the stage gives for one volume.
#[derive(Debug, Clone, PartialEq)]
pub struct Corrected {
    /// The mask's voxels, scanner's units.
    pub pattern: Pattern,
    /// Where the head lay.
    pub estimate: MotionEstimate,
    /// Mask voxels that lay more than half a voxel outside the volume, and hold its nearest edge value.
    pub out_of_field: usize,
}

impl Corrected {
    /// Room for the output of one volume.
    #[must_use]
    pub fn blank(voxels: usize) -> Self {
        Self { pattern: Pattern::zeros(voxels), estimate: MotionEstimate::UNKNOWN, out_of_field: 0 }
    }
}

/// Brings each volume of a run onto the mask.
///
/// Three frames: the mask's grid, the session reference, the volume. A mask voxel is read at
/// volume voxel = (volume mm → voxel) · motion · (mask mm → session mm) · (mask voxel → mm): one map, one reading.
///
/// Fewest operations for 64x64x36 with 4,000 mask voxels: one pass over the volume (147,456 conversions, nine
/// multiply-adds each to smooth, 150,000 additions for the coarser levels), then two readings of 32,000 points on the
/// finest level and two or three of 5,000 on the next, 110 multiply-adds each: 10 million; resampling another 0.3 million
/// and 0.9 for the B-spline's prefilter: 11 million in all, some 8 MB of memory traffic. Measured: 4 ms for the estimate
/// and 3.6 ms to read all 45,193 voxels of the brain, on one core; 6.5 and 13.5 ms at 104x104x72 (152,661 voxels). The
/// peer (python-rtspm 0.2.18) takes 112-163 ms for 64x64x32, 452 ms for 74x74x36 and 1,651 ms for 104x104x72 (an earlier
/// measurement on a busy machine); `benches/results/` holds the two side by side.
///
/// One thread, on purpose: a volume takes milliseconds and the decoder wants the other cores, and sums in one order are
/// the same bytes everywhere.
pub struct MotionCorrector {
    estimator: Estimator,
    resampler: Resampler,
    /// Mask voxel to session-reference mm.
    mask_to_session: Affine,
    /// Pose of the newest volume that converged: the next one's start.
    last: Option<Rigid>,
}

impl MotionCorrector {
    /// A corrector for volumes on `run_grid` against `session_reference`. `mask_to_session` is where a place of the
    /// mask's frame lies in the session reference, RAS+ mm ([`register`](crate::motion::register)'s result for the mask's
    /// own reference; the identity where the session reference lies in the mask's frame). Everything is allocated here.
    ///
    /// # Errors
    /// As [`Reference::new`], and the same refusals for `run_grid`.
    pub fn new(
        session_reference: &Volume,
        run_grid: &Grid,
        mask: &Mask,
        mask_to_session: Rigid,
        settings: MotionSettings,
    ) -> Result<Self, PreprocessError> {
        let reference = Reference::new(session_reference, settings.spacing_mm)?;
        Self::prepared(reference, run_grid, mask, mask_to_session, settings)
    }

    /// The same with a reference that is prepared already, at `settings.spacing_mm`.
    ///
    /// # Errors
    /// The refusals for `run_grid`.
    pub fn prepared(
        reference: Reference,
        run_grid: &Grid,
        mask: &Mask,
        mask_to_session: Rigid,
        settings: MotionSettings,
    ) -> Result<Self, PreprocessError> {
        let limits = Limits { tolerance_mm: settings.tolerance_mm, iterations: settings.iterations };
        Ok(Self {
            mask_to_session: Affine::of_grid(mask.grid()).then(mask_to_session.affine()),
            estimator: Estimator::new(reference, run_grid.clone(), limits)?,
            resampler: Resampler::new(mask, run_grid.dim, settings.kernel),
            last: None,
        })
    }

    /// The reference that motion is told against.
    #[must_use]
    pub fn reference(&self) -> &Reference {
        self.estimator.reference()
    }

    /// Where the head lies in `raw`; the volume stays loaded for [`resample_into`](Self::resample_into).
    ///
    /// # Errors
    /// [`PreprocessError::Disagree`] for another number of voxels, [`PreprocessError::NonFinite`] for any voxel that is
    /// not finite in f32, [`PreprocessError::NoContrast`] for a constant volume. The next volume then starts where this
    /// one would have.
    pub fn estimate(&mut self, raw: RawVolume<'_>) -> Result<MotionEstimate, PreprocessError> {
        let estimate = self.look(raw)?;
        self.accept(&estimate);
        Ok(estimate)
    }

    /// As [`estimate`](Self::estimate), for a volume that may yet be refused: the next one starts where this one did
    /// until [`accept`](Self::accept) is called.
    ///
    /// # Errors
    /// As [`estimate`](Self::estimate).
    pub fn look(&mut self, raw: RawVolume<'_>) -> Result<MotionEstimate, PreprocessError> {
        self.estimator.load(raw)?;
        self.estimator.estimate(self.last.unwrap_or(Rigid::IDENTITY))
    }

    /// The next volume starts where this estimate ended, if it converged.
    pub fn accept(&mut self, estimate: &MotionEstimate) {
        if estimate.converged {
            self.last = Some(estimate.rigid);
        }
    }

    /// The next volume starts at `pose`.
    pub fn start_at(&mut self, pose: Rigid) {
        self.last = Some(pose);
    }

    /// Reads the loaded volume at the mask's voxels under `pose`; returns how many lay out of field.
    pub fn resample_into(&mut self, pose: &Rigid, out: &mut Pattern) -> usize {
        let to_volume = self.mask_to_volume(pose);
        self.resampler.resample(self.estimator.volume(), &to_volume, out)
    }

    /// Slice of the volume, whole numbers at its middle, in which each mask voxel lies under `pose`.
    pub fn slices_into(&self, pose: &Rigid, out: &mut [f64]) {
        self.resampler.slices(&self.mask_to_volume(pose), out);
    }

    /// Voxel to voxel.
    fn mask_to_volume(&self, pose: &Rigid) -> Affine {
        self.mask_to_session.then(pose.affine()).then(self.estimator.mm_to_voxel())
    }
}

impl Stage for MotionCorrector {
    type In<'a> = RawVolume<'a>;
    type Out = Corrected;

    fn process_into(&mut self, input: &RawVolume<'_>, out: &mut Corrected) -> Result<(), PreprocessError> {
        out.estimate = self.estimate(*input)?;
        out.out_of_field = self.resample_into(&out.estimate.rigid, &mut out.pattern);
        Ok(())
    }

    fn delay_volumes(&self) -> u32 {
        0
    }

    fn reset(&mut self) {
        self.last = None;
    }
}
