//! One run from its first volume to its last beta, offline and online alike: the caller brings the time.

mod beside;
mod checks;
mod stage;
mod volumes;

pub use stage::{TimedVolume, TrialOutcomes};

use crate::alignment::{Aligned, Alignment};
use crate::filters::Filters;
use crate::memory::Memory;
use crate::motion::RegistrationReport;
use crate::quality::{QualityMeter, VolumeQuality};
use crate::trial::{Lag, Timing, Trial};
use crate::zscore::require_equal;
use crate::{
    Balance, Event, EventChange, Mask, Normaliser, Pattern, PreprocessError, ResidualStream, RunPlan, RunningMoments,
    TrialBeta, TrialMissed, ZscoreTable,
};
use beside::{balance_of, stream_of};
use checks::{require_equal_lags, require_long_enough};
use mindeye_config::PreprocessConfig;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All state of one run: running moments, trials, and what their estimate rests on.
///
/// Per volume: [`estimate_motion`](Self::estimate_motion), [`resample`](Self::resample), [`advance`](Self::advance),
/// [`due_betas`](Self::due_betas), and [`zscore`](Self::zscore) for each beta; events come whenever they come. A window beta depends on the run's volumes
/// and on its own event, and on nothing else. A GLM beta is the fit of the volumes up to its due one with the trials
/// that are known when it is computed; when an event came plays no part beyond that.
pub struct RunPreprocessor {
    recipe: PreprocessConfig,
    tr_s: f64,
    alignment: Alignment,
    normaliser: Normaliser,
    /// Where the next volume is resampled to, scanner's units; it counts only once `resampled` says how.
    volume: Pattern,
    resampled: Option<Aligned>,
    filters: Filters,
    meter: QualityMeter,
    quality: VolumeQuality,
    moments: RunningMoments,
    memory: Memory,
    newest: Option<(u32, f64)>,
    trials: BTreeMap<u32, Trial>,
    missed: Vec<TrialMissed>,
    /// Decoding without trials, where the recipe wants it.
    stream: Option<ResidualStream>,
    /// The newest volume is one that the stream has not seen.
    unstreamed: bool,
    /// Declared conditions, where the recipe counts them.
    balance: Option<Balance>,
}

impl RunPreprocessor {
    /// A run of `tr_s` seconds per volume that remembers `ring_volumes` volumes, with nothing known of it before.
    ///
    /// # Errors
    /// As [`RunPreprocessor::planned`].
    pub fn new(
        recipe: &PreprocessConfig,
        mask: Arc<Mask>,
        zscore: Arc<ZscoreTable>,
        tr_s: f64,
        ring_volumes: usize,
    ) -> Result<Self, PreprocessError> {
        Self::planned(recipe, mask, zscore, tr_s, ring_volumes, &RunPlan::default())
    }

    /// A run of `tr_s` seconds per volume. Window betas look back on `ring_volumes` volumes; GLM betas on all, with a
    /// drift basis for the planned length.
    ///
    /// # Errors
    /// [`PreprocessError::Disagree`] if `zscore` has not the mask's voxels or the recipe's lags, or if the run has not the
    /// mask's grid and motion is not corrected; [`PreprocessError::Time`] if `tr_s` is not positive,
    /// [`PreprocessError::RingTooShort`] if the ring spans less than the recipe looks back plus one TR. With motion
    /// correction [`PreprocessError::TooFewVoxels`] for an axis of fewer than 8 voxels, [`PreprocessError::FlatGrid`],
    /// [`PreprocessError::TooSmallForAHead`], [`PreprocessError::NoContrast`] for a reference without a head, and
    /// [`PreprocessError::NoSessionReference`] where the recipe compares with one and the plan has none; with slice timing
    /// [`PreprocessError::NoSliceTimes`] or [`PreprocessError::SliceTimes`].
    pub fn planned(
        recipe: &PreprocessConfig,
        mask: Arc<Mask>,
        zscore: Arc<ZscoreTable>,
        tr_s: f64,
        ring_volumes: usize,
        plan: &RunPlan,
    ) -> Result<Self, PreprocessError> {
        require_equal("z-score table", "mask", "voxels", zscore.voxels(), mask.len())?;
        require_equal_lags(zscore.lags_s(), &recipe.revision_lags_s)?;
        require_long_enough(recipe, tr_s, ring_volumes)?;
        let zscore_voxels = zscore.voxels();
        Ok(Self {
            memory: Memory::new(recipe, tr_s, ring_volumes, mask.len(), plan)?,
            recipe: recipe.clone(),
            tr_s,
            volume: Pattern::zeros(mask.len()),
            resampled: None,
            filters: Filters::new(recipe, &mask, tr_s, plan)?,
            meter: QualityMeter::new(mask.len(), plan.volumes.unwrap_or(0) as usize),
            quality: VolumeQuality::default(),
            moments: RunningMoments::new(mask.len()),
            alignment: Alignment::new(&recipe.motion, &mask, plan)?,
            normaliser: Normaliser::new(recipe, zscore),
            newest: None,
            trials: BTreeMap::new(),
            missed: Vec::new(),
            stream: stream_of(recipe, zscore_voxels, tr_s, plan)?,
            unstreamed: false,
            balance: balance_of(recipe),
        })
    }

    /// Tells the run of a trial, before or after its volumes. A correction starts its estimates anew while
    /// `beta_revision` keeps counting; a GLM's design is exact again at once.
    ///
    /// # Errors
    /// [`PreprocessError::Time`] if the onset is not finite or the duration is negative.
    pub fn set_event(&mut self, event: Event) -> Result<EventChange, PreprocessError> {
        event.check()?;
        let change = match self.trials.get_mut(&event.trial) {
            None => {
                self.trials.insert(event.trial, Trial::new(event));
                EventChange::New
            }
            Some(trial) if trial.event == event => return Ok(EventChange::Same),
            Some(trial) => {
                trial.correct(event);
                EventChange::Corrected
            }
        };
        if let Memory::Glm(glm) = &mut self.memory {
            glm.set_event(event);
        }
        Ok(change)
    }

    /// The betas of every (trial, lag) that has become due, in trial then lag order, not yet z-scored: the newest
    /// volume's acquisition ends at or after onset + lag. What is due and cannot be estimated goes to
    /// [`take_missed`](Self::take_missed) instead.
    ///
    /// # Errors
    /// None that a run of checked parts can meet; the signature leaves room for an estimate that can fail as a whole.
    pub fn due_betas(&mut self) -> Result<Vec<TrialBeta>, PreprocessError> {
        let now_s = self.run_time_s();
        let mut due = Vec::new();
        for trial in self.trials.values_mut() {
            while let Some(lag) = trial.take_due(&self.recipe.revision_lags_s, now_s) {
                due.push((trial.event, lag));
            }
        }
        let estimates = self.memory.estimate_all(&Timing::new(&self.recipe, self.tr_s), &due);
        let mut betas = Vec::new();
        for ((event, lag), estimate) in due.into_iter().zip(estimates) {
            match estimate {
                Ok(beta) => betas.push(self.numbered(beta)?),
                Err(reason) => self.missed.push(lag.missed(&event, reason)),
            }
        }
        Ok(betas)
    }

    fn numbered(&mut self, beta: TrialBeta) -> Result<TrialBeta, PreprocessError> {
        self.normaliser.record(beta.trial, beta.lag_row, &beta.beta)?;
        let trial = self.trials.get_mut(&beta.trial).expect("a beta that was due is one of these trials");
        Ok(trial.number(beta))
    }

    /// Every trial's beta from all volumes so far, by trial: the offline estimate. `lag_row` is that of the last
    /// revision lag, `beta_revision` that of the next revision, which this is not counted as.
    ///
    /// Window betas take the last lag's window. Trials without a beta are left out.
    #[must_use]
    pub fn whole_run_betas(&mut self) -> Vec<TrialBeta> {
        let last = self.recipe.revision_lags_s.len() - 1;
        let timing = Timing::new(&self.recipe, self.tr_s);
        let lag = Lag::new(last, &self.recipe.revision_lags_s);
        let trials = self.trials.values();
        let betas =
            trials.filter_map(|trial| Some(trial.unnumbered(self.memory.whole_run(&timing, &trial.event, lag)?)));
        betas.collect()
    }

    /// Fills `zscored` by the recipe's policy and returns the voxels that have no SD (never varied in training); their
    /// z is 0.
    ///
    /// # Panics
    /// If `beta` is not from [`due_betas`](Self::due_betas) of a run with this mask and recipe.
    pub fn zscore(&self, beta: &mut TrialBeta) -> usize {
        self.normaliser
            .normalise(beta.trial, beta.lag_row, &beta.beta, &self.moments, &mut beta.zscored)
            .expect("`new` holds the table to the mask's voxels and the recipe's lags, and the beta comes from them")
    }

    /// Takes the trials that were due since the last call and have no beta.
    pub fn take_missed(&mut self) -> Vec<TrialMissed> {
        std::mem::take(&mut self.missed)
    }

    /// Mean and SD of the run so far, scanner's units.
    #[must_use]
    pub fn moments(&self) -> &RunningMoments {
        &self.moments
    }

    /// Acquisition end of the newest volume, seconds since the start of volume 0; minus infinity before the first.
    #[must_use]
    pub fn run_time_s(&self) -> f64 {
        self.newest.map_or(f64::NEG_INFINITY, |(_, start_s)| start_s + self.tr_s)
    }

    /// What the newest volume is worth; nothing is known before the first.
    #[must_use]
    pub fn volume_quality(&self) -> VolumeQuality {
        self.quality
    }

    /// The newest volume in the mask, scanner's units: after [`advance`](Self::advance) as estimates see it, filtered.
    #[must_use]
    pub fn volume(&self) -> &Pattern {
        &self.volume
    }

    /// How the run's first volume lies to the session reference; `None` before it has been seen, without motion
    /// correction, or without a reference.
    #[must_use]
    pub fn registration(&self) -> Option<&RegistrationReport> {
        self.alignment.registration()
    }

    /// Bytes that estimates look back on: history and sums of a GLM, and of the stream's; 0 for the ring, whose size is
    /// set.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let stream = self.stream.as_ref().map_or(0, ResidualStream::bytes);
        stream
            + match &self.memory {
                Memory::Ring(_) => 0,
                Memory::Glm(glm) => glm.bytes(),
            }
    }
}
