//! Alignment brings a raw volume onto the mask: gathered where the head is taken to lie still, else read where it is.
//!
//! ```text
//!   first volume ──register──► session reference (the mask's frame)     once, with go or no-go
//!   each volume ───estimate──► first volume, or session reference
//!   mask voxel ──► session reference ──► first volume ──► volume        one composed map, one reading
//! ```

use crate::error::span_mm;
use crate::motion::{
    Motion, MotionCorrector, MotionEstimate, MotionSettings, Reference, RegistrationReport, Rigid, SessionReference,
    centre_mm, check_grid, register_to,
};
use crate::resample::Volume;
use crate::{Gather, Grid, Mask, Pattern, PreprocessError, RawVolume, RunPlan, Stage};
use mindeye_config::{MotionConfig, MotionKind, MotionReference};
use std::sync::Arc;

/// How raw volumes come onto the mask.
pub(crate) enum Alignment {
    /// The head lies still, on the mask's grid.
    Still(Gather),
    /// Motion is estimated, and volumes are read under it.
    Rigid(Box<Tracker>),
}

/// How one volume came onto the mask.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Aligned {
    /// `None` where the head was taken to lie still.
    pub(crate) estimate: Option<MotionEstimate>,
    /// Mask voxels that lay more than half a voxel outside the volume.
    pub(crate) out_of_field: usize,
}

impl Alignment {
    pub(crate) fn new(config: &MotionConfig, mask: &Arc<Mask>, plan: &RunPlan) -> Result<Self, PreprocessError> {
        let run_grid = plan.run_grid.as_ref().unwrap_or(mask.grid());
        match config.kind {
            MotionKind::None => {
                require_mask_grid(run_grid, mask.grid())?;
                Ok(Self::Still(Gather::new(mask.clone())))
            }
            MotionKind::Rigid => Ok(Self::Rigid(Box::new(Tracker::new(config, mask, run_grid, plan)?))),
        }
    }

    /// Finds the head in `raw`; nothing where it is taken to lie still.
    pub(crate) fn estimate(&mut self, raw: RawVolume<'_>) -> Result<(), PreprocessError> {
        match self {
            Self::Still(_) => Ok(()),
            Self::Rigid(tracker) => tracker.estimate(raw),
        }
    }

    /// Reads the mask's voxels of `raw`, whose head is found first if [`estimate`](Self::estimate) was not asked for it.
    pub(crate) fn read(&mut self, raw: RawVolume<'_>, out: &mut Pattern) -> Result<Aligned, PreprocessError> {
        match self {
            Self::Still(gather) => {
                gather.process_into(&raw, out)?;
                Ok(Aligned { estimate: None, out_of_field: 0 })
            }
            Self::Rigid(tracker) => tracker.read(raw, out),
        }
    }

    /// The volume that was read belongs to the run: the next one starts from its pose.
    pub(crate) fn accept(&mut self, aligned: &Aligned) {
        if let (Self::Rigid(tracker), Some(estimate)) = (self, &aligned.estimate) {
            tracker.accept(estimate);
        }
    }

    /// The slice in which each mask voxel lies in a volume that was read.
    pub(crate) fn slices(&self, aligned: &Aligned, out: &mut [f64]) {
        match (self, &aligned.estimate) {
            (Self::Rigid(tracker), Some(estimate)) => tracker.slices(estimate, out),
            (Self::Rigid(_), None) => {}
            (Self::Still(gather), _) => {
                let [nx, ny, _] = gather.mask().grid().dim;
                let slices = gather.mask().voxels().iter().map(|voxel| (*voxel as usize / (nx * ny)) as f64);
                out.iter_mut().zip(slices).for_each(|(out, slice)| *out = slice);
            }
        }
    }

    pub(crate) fn registration(&self) -> Option<&RegistrationReport> {
        match self {
            Self::Still(_) => None,
            Self::Rigid(tracker) => tracker.head.as_ref()?.registration.as_ref(),
        }
    }

    /// A motion given as six numbers, as a map.
    pub(crate) fn pose(&self, motion: &Motion) -> Rigid {
        motion.about(self.centre_mm())
    }

    /// The point about which motion turns, RAS+ mm.
    pub(crate) fn centre_mm(&self) -> [f64; 3] {
        match self {
            Self::Still(gather) => centre_mm(gather.mask().grid()),
            Self::Rigid(tracker) => tracker.centre_mm(),
        }
    }

    pub(crate) fn reset(&mut self) {
        if let Self::Rigid(tracker) = self {
            (tracker.head, tracker.begun, tracker.estimated) = (None, false, None);
        }
    }
}

/// Follows the head of one run, from its first volume on.
pub(crate) struct Tracker {
    settings: MotionSettings,
    against: MotionReference,
    /// Prepared before the first volume comes, which has enough to wait for.
    session: Option<(Arc<SessionReference>, Reference)>,
    mask: Arc<Mask>,
    run_grid: Grid,
    head: Option<Head>,
    /// The volume that made `head` belongs to the run; until then another first volume makes another.
    begun: bool,
    /// Of the volume that is loaded and not yet read.
    estimated: Option<MotionEstimate>,
}

/// What the first volume made.
struct Head {
    corrector: MotionCorrector,
    registration: Option<RegistrationReport>,
}

impl Tracker {
    fn new(config: &MotionConfig, mask: &Arc<Mask>, run_grid: &Grid, plan: &RunPlan) -> Result<Self, PreprocessError> {
        check_grid("the run", run_grid)?;
        require_room_for_a_head(run_grid)?;
        let settings: MotionSettings = config.into();
        let session = match &plan.reference {
            Some(reference) => Some((reference.clone(), Reference::new(&reference.volume, settings.spacing_mm)?)),
            None if config.against == MotionReference::Session => return Err(PreprocessError::NoSessionReference),
            None => None,
        };
        Ok(Self {
            settings,
            against: config.against,
            session,
            mask: mask.clone(),
            run_grid: run_grid.clone(),
            head: None,
            begun: false,
            estimated: None,
        })
    }

    fn estimate(&mut self, raw: RawVolume<'_>) -> Result<(), PreprocessError> {
        self.estimated = None;
        if !self.begun {
            self.head = Some(self.begin(raw)?);
        }
        let head = self.head.as_mut().expect("made by this first volume, or by one that belongs to the run");
        self.estimated = Some(head.corrector.look(raw)?);
        Ok(())
    }

    /// Registers the first volume, and prepares what all volumes are compared with.
    fn begin(&self, raw: RawVolume<'_>) -> Result<Head, PreprocessError> {
        let first = Volume::from_raw(self.run_grid.clone(), raw)?;
        let Some((reference, prepared)) = &self.session else {
            return Ok(Head { corrector: self.corrector(&first, Rigid::IDENTITY)?, registration: None });
        };
        let registration = register_to(prepared.clone(), &first, &self.settings)?;
        let session_to_first = registration.estimate.rigid;
        let corrector = match self.against {
            MotionReference::FirstVolume => self.corrector(&first, session_to_first)?,
            MotionReference::Session => {
                let (grid, mask) = (&self.run_grid, &self.mask);
                let mut corrector =
                    MotionCorrector::prepared(prepared.clone(), grid, mask, Rigid::IDENTITY, self.settings)?;
                corrector.start_at(session_to_first);
                corrector
            }
        };
        Ok(Head { corrector, registration: Some(RegistrationReport::new(&registration, reference)) })
    }

    fn corrector(&self, compared_with: &Volume, mask_to_it: Rigid) -> Result<MotionCorrector, PreprocessError> {
        MotionCorrector::new(compared_with, &self.run_grid, &self.mask, mask_to_it, self.settings)
    }

    fn read(&mut self, raw: RawVolume<'_>, out: &mut Pattern) -> Result<Aligned, PreprocessError> {
        if self.estimated.is_none() {
            self.estimate(raw)?;
        }
        let (estimate, head) = (self.estimated.take(), self.head.as_mut());
        let (estimate, head) = estimate.zip(head).expect("an estimate was there, or was just made by a head");
        let out_of_field = head.corrector.resample_into(&estimate.rigid, out);
        Ok(Aligned { estimate: Some(estimate), out_of_field })
    }

    fn accept(&mut self, estimate: &MotionEstimate) {
        self.begun = true;
        if let Some(head) = &mut self.head {
            head.corrector.accept(estimate);
        }
    }

    fn slices(&self, estimate: &MotionEstimate, out: &mut [f64]) {
        if let Some(head) = &self.head {
            head.corrector.slices_into(&estimate.rigid, out);
        }
    }

    fn centre_mm(&self) -> [f64; 3] {
        self.head.as_ref().map_or_else(|| centre_mm(&self.run_grid), |head| head.corrector.reference().centre_mm())
    }
}

/// The longest side of a grid that shows a head is at least this long, mm: an adult's brain has 140 to 180.
const LEAST_SPAN_MM: f64 = 100.0;

/// A header that was never told its voxel sizes says 1 mm: motion would be told in voxels, and searched for in the wrong
/// ones.
fn require_room_for_a_head(run_grid: &Grid) -> Result<(), PreprocessError> {
    if span_mm(run_grid).iter().any(|span| *span >= LEAST_SPAN_MM) {
        return Ok(());
    }
    Err(PreprocessError::TooSmallForAHead { what: "the run", grid: Box::new(run_grid.clone()) })
}

/// Without motion correction nothing moves voxels: the run must have the mask's.
fn require_mask_grid(run: &Grid, mask: &Grid) -> Result<(), PreprocessError> {
    if run.dim == mask.dim {
        return Ok(());
    }
    Err(PreprocessError::Disagree {
        left: "run",
        right: "mask",
        what: "voxels along each axis, which motion.kind = \"rigid\" would allow",
        left_value: format!("{:?}", run.dim),
        right_value: format!("{:?}", mask.dim),
    })
}
