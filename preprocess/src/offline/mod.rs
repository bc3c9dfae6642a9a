//! A recorded run, streamed: the daemon's own stages over a file, so that a beta here is the beta of the live run.

mod lagged;
mod usable;

pub use lagged::LagBetas;
pub use usable::{UsableVoxels, usable_voxels, volume_values};

use crate::motion::RegistrationReport;
use crate::quality::VolumeQuality;
use crate::{
    Event, Mask, MissedReason, Pattern, PreprocessError, RawVolume, RunPlan, RunPreprocessor, RunningMoments,
    TrialBeta, VoxelType, ZscoreTable,
};
use mindeye_config::PreprocessConfig;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Which of a trial's estimates is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// The one that the daemon would decode: the last revision lag at or before this many seconds after onset.
    Online {
        /// `deadline.decode_after_s` of the daemon.
        decode_after_s: f64,
    },
    /// The one that rests on the whole run, whatever lags the recipe plans.
    Offline,
}

/// A run in memory, and how to estimate it.
#[derive(Debug, Clone)]
pub struct RecordedRun<'a> {
    /// How volumes become betas.
    pub recipe: &'a PreprocessConfig,
    /// Voxels to estimate, all of them finite in every volume ([`usable_voxels`]).
    pub mask: Arc<Mask>,
    /// Repetition time, seconds; volume i is acquired from i x TR.
    pub tr_s: f64,
    /// Type of the voxels in `volumes`.
    pub dtype: VoxelType,
    /// Raw volumes, little-endian, x fastest.
    pub volumes: &'a [Vec<u8>],
    /// Trials.
    pub events: &'a [Event],
    /// Grid, session reference and slice times of the run; its length is that of `volumes`.
    pub plan: RunPlan,
}

/// What a run yields.
#[derive(Debug, Clone, PartialEq)]
pub struct RunBetas {
    /// One per trial, ascending trial, not z-scored.
    pub betas: Vec<TrialBeta>,
    /// Every trial that has none, ascending trial.
    pub without: Vec<Unestimated>,
    /// Mean and SD over the whole run, scanner's units.
    pub moments: RunningMoments,
    /// How the first volume lies to the session reference, where the plan has one and motion is corrected.
    pub registration: Option<RegistrationReport>,
}

/// A volume that has gone through the stages.
#[derive(Debug, Clone, Copy)]
pub struct SeenVolume<'a> {
    /// Index in the run, 0-based.
    pub index: u32,
    /// Voxels as estimates see them, scanner's units, mask order.
    pub pattern: &'a Pattern,
    /// What it is worth.
    pub quality: VolumeQuality,
}

/// A trial without a beta.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unestimated {
    /// When it was.
    pub event: Event,
    /// Why there is none.
    pub reason: NoBeta,
}

/// Why a trial has no beta.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NoBeta {
    /// Its onset lies at or after the run's end.
    AfterRun {
        /// End of the last volume, seconds.
        end_s: f64,
    },
    /// Online: the run ended before its first revision lag was due.
    Unfinished {
        /// When it would have been due, seconds.
        due_s: f64,
        /// End of the last volume, seconds.
        end_s: f64,
    },
    /// Online: it was due and could not be estimated.
    Missed(MissedReason),
    /// Offline: no volume lies in its window, or the design does not determine it.
    Undetermined,
}

impl fmt::Display for NoBeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AfterRun { end_s } => write!(f, "outside the run, which ends at {end_s} s"),
            Self::Unfinished { due_s, end_s } => write!(f, "due at {due_s} s, the run ends at {end_s} s"),
            Self::Missed(reason) => reason.fmt(f),
            Self::Undetermined => f.write_str("the whole run has no volume in its window, or does not determine it"),
        }
    }
}

impl RecordedRun<'_> {
    /// Streams the run; `each_volume` sees every volume as it goes by.
    ///
    /// # Errors
    /// As [`RunPreprocessor::planned`]; [`PreprocessError::InVolume`] around what
    /// [`estimate_motion`](RunPreprocessor::estimate_motion), [`resample`](RunPreprocessor::resample) or
    /// [`advance`](RunPreprocessor::advance) refuse; [`PreprocessError::Disagree`] if the recipe's first lag comes after
    /// `decode_after_s`.
    pub fn estimate(
        &self,
        mode: Mode,
        each_volume: &mut dyn FnMut(&SeenVolume<'_>),
    ) -> Result<RunBetas, PreprocessError> {
        let recipe = PreprocessConfig { revision_lags_s: self.lags_s(mode)?, ..self.recipe.clone() };
        let mut run = self.start(&recipe)?;
        let mut kept = Kept::default();
        for (index, bytes) in (0u32..).zip(self.volumes) {
            self.take_in(&mut run, index, bytes).map_err(|error| error.in_volume(index))?;
            kept.take(&mut run, mode)?;
            each_volume(&SeenVolume { index, pattern: run.volume(), quality: run.volume_quality() });
        }
        if mode == Mode::Offline {
            kept.take_whole_run(&mut run);
        }
        let (moments, registration) = (run.moments().clone(), run.registration().cloned());
        Ok(RunBetas { moments, registration, ..self.sum_up(kept, mode, &recipe) })
    }

    fn take_in(&self, run: &mut RunPreprocessor, index: u32, bytes: &[u8]) -> Result<(), PreprocessError> {
        let grid = self.plan.run_grid.as_ref().unwrap_or(self.mask.grid());
        let raw = RawVolume::new(self.dtype, grid.voxel_count(), bytes)?;
        run.estimate_motion(&raw)?;
        run.resample(raw)?;
        run.advance(index, f64::from(index) * self.tr_s)
    }

    /// End of the last volume's acquisition, seconds since the start of volume 0.
    #[must_use]
    pub fn end_s(&self) -> f64 {
        self.volumes.len() as f64 * self.tr_s
    }

    /// Online the planned lags that the daemon may decode. Offline one that no trial reaches before the run ends, so
    /// that all its volumes and their mean belong to every estimate.
    fn lags_s(&self, mode: Mode) -> Result<Vec<f64>, PreprocessError> {
        let planned = &self.recipe.revision_lags_s;
        let Mode::Online { decode_after_s } = mode else {
            let first_s = self.events.iter().map(|event| event.onset_s).fold(0.0, f64::min);
            return Ok(vec![self.end_s() - first_s]);
        };
        let lags: Vec<f64> = planned.iter().copied().filter(|lag| *lag <= decode_after_s).collect();
        if lags.is_empty() {
            return Err(PreprocessError::Disagree {
                left: "recipe",
                right: "decode_after_s",
                what: "the first revision lag in seconds, which must not come later",
                left_value: format!("{planned:?}"),
                right_value: decode_after_s.to_string(),
            });
        }
        Ok(lags)
    }

    /// A run that knows its trials and its length and has no volume yet. Betas stay as they are estimated, so the
    /// z-score table is the one that changes nothing.
    fn start(&self, recipe: &PreprocessConfig) -> Result<RunPreprocessor, PreprocessError> {
        let (lags_s, voxels) = (recipe.revision_lags_s.clone(), self.mask.len());
        let numbers = lags_s.len() * voxels;
        let zscore = ZscoreTable::new(lags_s, voxels, vec![0.0; numbers], vec![1.0; numbers])?;
        let ring_volumes = (recipe.memory_s() / self.tr_s).ceil() as usize + 2;
        let plan = RunPlan { volumes: Some(self.volumes.len() as u32), ..self.plan.clone() };
        let (mask, zscore) = (self.mask.clone(), Arc::new(zscore));
        let mut run = RunPreprocessor::planned(recipe, mask, zscore, self.tr_s, ring_volumes, &plan)?;
        for event in self.events.iter().filter(|event| event.onset_s < self.end_s()) {
            run.set_event(*event)?;
        }
        Ok(run)
    }

    fn sum_up(&self, kept: Kept, mode: Mode, recipe: &PreprocessConfig) -> RunBetas {
        let end_s = self.end_s();
        let reason = |event: &Event| match kept.missed.get(&event.trial) {
            _ if event.onset_s >= end_s => NoBeta::AfterRun { end_s },
            Some(reason) => NoBeta::Missed(*reason),
            None if mode == Mode::Offline => NoBeta::Undetermined,
            None => NoBeta::Unfinished { due_s: event.onset_s + recipe.revision_lags_s[0], end_s },
        };
        let without = self.events.iter().filter(|event| !kept.betas.contains_key(&event.trial));
        let mut without: Vec<_> = without.map(|event| Unestimated { event: *event, reason: reason(event) }).collect();
        without.sort_by_key(|trial| trial.event.trial);
        let betas = kept.betas.into_values().collect();
        RunBetas { betas, without, moments: RunningMoments::new(0), registration: None }
    }
}

/// The estimate of each trial that the mode wants.
#[derive(Default)]
struct Kept {
    betas: BTreeMap<u32, TrialBeta>,
    missed: BTreeMap<u32, MissedReason>,
}

impl Kept {
    /// Online a later lag's beta takes the place of an earlier one's, as in the daemon.
    fn take(&mut self, run: &mut RunPreprocessor, mode: Mode) -> Result<(), PreprocessError> {
        let due = run.due_betas()?;
        let missed = run.take_missed();
        if mode != Mode::Offline {
            self.betas.extend(due.into_iter().map(|beta| (beta.trial, beta)));
            self.missed.extend(missed.into_iter().map(|missed| (missed.trial, missed.reason)));
        }
        Ok(())
    }

    /// A trial's one estimate has revision 0.
    fn take_whole_run(&mut self, run: &mut RunPreprocessor) {
        let betas = run.whole_run_betas().into_iter();
        self.betas.extend(betas.map(|beta| (beta.trial, TrialBeta { beta_revision: 0, ..beta })));
    }
}
