//! One run from its first volume to its last beta, offline and online alike: the caller brings the time.

use crate::glm::{Glm, Past, Responses};
use crate::motion::Motion;
use crate::trial::{Lag, SAME_TIME_S, Timing, Trial};
use crate::zscore::require_equal;
use crate::{
    Event, EventChange, Gather, Mask, MissedReason, Normaliser, Pattern, PreprocessError, RawVolume, RunningMoments,
    Stage, TrialBeta, TrialMissed, VolumeRing, ZscoreTable,
};
use mindeye_config::{BetaKind, PreprocessConfig};
use std::collections::BTreeMap;
use std::sync::Arc;

/// All state of one run: running moments, trials, and what their estimate rests on.
///
/// Per volume: [`resample`](Self::resample), [`advance`](Self::advance), [`due_betas`](Self::due_betas), and
/// [`zscore`](Self::zscore) for each beta; events come whenever they come. A window beta depends on the run's volumes
/// and on its own event, and on nothing else. A GLM beta is the fit of the volumes up to its due one with the trials
/// that are known when it is computed; when an event came plays no part beyond that.
pub struct RunPreprocessor {
    recipe: PreprocessConfig,
    tr_s: f64,
    gather: Gather,
    normaliser: Normaliser,
    /// Where the next volume is resampled to, scanner's units; it counts only once `resampled` is set.
    volume: Pattern,
    resampled: bool,
    moments: RunningMoments,
    memory: Memory,
    newest: Option<(u32, f64)>,
    trials: BTreeMap<u32, Trial>,
    missed: Vec<TrialMissed>,
}

/// What of the run an estimate looks back on.
enum Memory {
    /// The last volumes: window betas.
    Ring(Box<VolumeRing>),
    /// All of them: GLM betas.
    Glm(Box<Glm>),
}

/// What is known of a run before its first volume.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunPlan {
    /// Volumes that are expected; without a number the recipe's `drift.planned_s` holds.
    pub volumes: Option<u32>,
    /// Member of the HRF library of each voxel, in mask order; for `hrf.kind = "library"` only.
    pub hrf_index: Option<Arc<Vec<u8>>>,
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
    /// [`PreprocessError::Disagree`] if `zscore` has not the mask's voxels or the recipe's lags,
    /// [`PreprocessError::Time`] if `tr_s` is not positive, [`PreprocessError::RingTooShort`] if the ring spans less
    /// than the recipe looks back plus one TR.
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
        Ok(Self {
            memory: Memory::new(recipe, tr_s, ring_volumes, mask.len(), plan)?,
            recipe: recipe.clone(),
            tr_s,
            volume: Pattern::zeros(mask.len()),
            resampled: false,
            moments: RunningMoments::new(mask.len()),
            gather: Gather::new(mask),
            normaliser: Normaliser::new(recipe, zscore),
            newest: None,
            trials: BTreeMap::new(),
            missed: Vec::new(),
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

    /// Brings a raw volume onto the mask: first form, a gather without motion correction.
    ///
    /// # Errors
    /// As [`Mask::gather`]; the run is then as if the volume had not come.
    pub fn resample(&mut self, raw: RawVolume<'_>) -> Result<(), PreprocessError> {
        self.resampled = false;
        self.gather.process_into(&raw, &mut self.volume)?;
        self.resampled = true;
        Ok(())
    }

    /// Takes the resampled volume into the run as number `index`, acquired from `start_s` (seconds since volume 0),
    /// with the head at rest. Indices left out become gaps.
    ///
    /// # Errors
    /// [`PreprocessError::NothingResampled`] without a new volume, [`PreprocessError::Time`] or
    /// [`PreprocessError::Order`] if it does not come after the newest one; nothing is changed then.
    pub fn advance(&mut self, index: u32, start_s: f64) -> Result<(), PreprocessError> {
        self.advance_with_motion(index, start_s, Motion::STILL)
    }

    /// The same with the head at `motion`, which becomes a confound where the recipe says so.
    ///
    /// # Errors
    /// As [`RunPreprocessor::advance`], also for a motion that is not finite.
    pub fn advance_with_motion(&mut self, index: u32, start_s: f64, motion: Motion) -> Result<(), PreprocessError> {
        self.take_in(index, start_s, motion, Use::Kept)
    }

    /// The same for a volume that no estimate may use: its motion counts as that of the volume before the next, its
    /// voxels are left out of every mean and fit. For window betas it is a gap.
    ///
    /// # Errors
    /// As [`RunPreprocessor::advance_with_motion`].
    pub fn advance_censored(&mut self, index: u32, start_s: f64, motion: Motion) -> Result<(), PreprocessError> {
        self.take_in(index, start_s, motion, Use::Censored)
    }

    fn take_in(&mut self, index: u32, start_s: f64, motion: Motion, use_: Use) -> Result<(), PreprocessError> {
        if !self.resampled {
            return Err(PreprocessError::NothingResampled { index });
        }
        self.check_order(index, start_s)?;
        if let Some(value) = motion.0.into_iter().find(|parameter| !parameter.is_finite()) {
            return Err(PreprocessError::Time { what: "motion", rule: "finite", value });
        }
        if use_ == Use::Kept {
            self.moments.add(&self.volume)?;
            self.normaliser.volume(start_s + self.recipe.slice_reference * self.tr_s, &self.volume)?;
        }
        let expected = self.newest.map_or(0, |(newest, _)| newest + 1);
        let kept = (use_ == Use::Kept).then_some(&self.volume);
        match (&mut self.memory, kept) {
            (Memory::Glm(glm), kept) => glm.advance(index, start_s, motion, kept),
            (Memory::Ring(ring), None) => ring.push_gap(expected..index + 1),
            (Memory::Ring(ring), Some(volume)) => {
                ring.push_gap(expected..index);
                ring.push_volume(index, start_s, volume, self.moments.mean());
            }
        }
        self.newest = Some((index, start_s));
        self.resampled = false;
        Ok(())
    }

    fn check_order(&self, index: u32, start_s: f64) -> Result<(), PreprocessError> {
        if !start_s.is_finite() {
            return Err(PreprocessError::Time { what: "start_s", rule: "finite", value: start_s });
        }
        match self.newest {
            Some((newest, newest_start_s)) if index <= newest || start_s <= newest_start_s => {
                Err(PreprocessError::Order { index, start_s, newest, newest_start_s })
            }
            _ => Ok(()),
        }
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

    /// Bytes that estimates look back on: history and sums of a GLM; 0 for the ring, whose size is set.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        match &self.memory {
            Memory::Ring(_) => 0,
            Memory::Glm(glm) => glm.bytes(),
        }
    }
}

/// Whether estimates may use a volume.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Kept,
    Censored,
}

impl Memory {
    fn new(
        recipe: &PreprocessConfig,
        tr_s: f64,
        ring_volumes: usize,
        voxels: usize,
        plan: &RunPlan,
    ) -> Result<Self, PreprocessError> {
        if recipe.beta.kind == BetaKind::Window {
            return Ok(Self::Ring(Box::new(VolumeRing::new(ring_volumes))));
        }
        let index = plan.hrf_index.as_ref().map(|index| &index[..]);
        let responses = Responses::of(recipe, index, voxels)?;
        let planned_s = plan.volumes.map_or(recipe.drift.planned_s, |volumes| f64::from(volumes.max(1)) * tr_s);
        Ok(Self::Glm(Box::new(Glm::new(recipe, tr_s, planned_s, voxels, &responses))))
    }

    /// The betas of what is due, in its order. Those of earlier volumes are computed in the order of these volumes,
    /// so that the sums of the past are made once.
    fn estimate_all(&mut self, timing: &Timing<'_>, due: &[(Event, Lag)]) -> Vec<Result<TrialBeta, MissedReason>> {
        match self {
            Self::Ring(ring) => due.iter().map(|(event, lag)| timing.estimate(ring, event, *lag)).collect(),
            Self::Glm(glm) => {
                let mut past = Past::of(glm);
                let volumes: Vec<usize> = due.iter().map(|(event, lag)| glm.volumes_until(lag.due_s(event))).collect();
                let mut order: Vec<usize> = (0..due.len()).collect();
                order.sort_by_key(|at| volumes[*at]);
                let mut betas: Vec<_> = due.iter().map(|_| Err(MissedReason::NoVolumeInWindow)).collect();
                for at in order {
                    let (event, lag) = &due[at];
                    betas[at] = timing.of_glm(event, *lag, glm.beta(&mut past, event.trial, volumes[at]));
                }
                betas
            }
        }
    }

    fn whole_run(&mut self, timing: &Timing<'_>, event: &Event, lag: Lag) -> Option<TrialBeta> {
        match self {
            Self::Ring(ring) => timing.estimate(ring, event, lag).ok(),
            Self::Glm(glm) => {
                let mut past = Past::of(glm);
                timing.of_glm(event, lag, glm.beta(&mut past, event.trial, glm.volumes())).ok()
            }
        }
    }

    fn reset(&mut self) {
        match self {
            Self::Ring(ring) => ring.clear(),
            Self::Glm(glm) => glm.reset(),
        }
    }
}

fn require_equal_lags(table: &[f64], recipe: &[f64]) -> Result<(), PreprocessError> {
    if table == recipe {
        return Ok(());
    }
    Err(PreprocessError::Disagree {
        left: "z-score table",
        right: "recipe",
        what: "revision lags in seconds",
        left_value: format!("{table:?}"),
        right_value: format!("{recipe:?}"),
    })
}

/// At TR spacing the volumes between a trial's earliest sample (onset − baseline) and its due volume (start before
/// onset + lag) start less than memory + one TR apart, so a ring that spans memory + TR holds them all.
fn require_long_enough(recipe: &PreprocessConfig, tr_s: f64, ring_volumes: usize) -> Result<(), PreprocessError> {
    if !(tr_s.is_finite() && tr_s > 0.0) {
        return Err(PreprocessError::Time { what: "tr_s", rule: "positive", value: tr_s });
    }
    let memory_s = recipe.memory_s();
    let needed = (memory_s / tr_s - SAME_TIME_S).ceil() as usize + 1;
    if ring_volumes < needed {
        return Err(PreprocessError::RingTooShort { ring_volumes, tr_s, memory_s, needed });
    }
    Ok(())
}

/// A volume with its place in the run.
#[derive(Debug, Clone, Copy)]
pub struct TimedVolume<'a> {
    /// Index in the run, 0-based.
    pub index: u32,
    /// Acquisition start, seconds since volume 0.
    pub start_s: f64,
    /// Its voxels.
    pub raw: RawVolume<'a>,
}

/// What one volume brought about.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TrialOutcomes {
    /// Betas that became due, z-scored, in trial then lag order.
    pub betas: Vec<TrialBeta>,
    /// Trials that became due and have none.
    pub missed: Vec<TrialMissed>,
}

/// The whole run as one stage. `reset` forgets volumes and estimates and keeps the events.
impl Stage for RunPreprocessor {
    type In<'a> = TimedVolume<'a>;
    type Out = TrialOutcomes;

    fn process_into(&mut self, input: &TimedVolume<'_>, out: &mut TrialOutcomes) -> Result<(), PreprocessError> {
        self.resample(input.raw)?;
        self.advance(input.index, input.start_s)?;
        out.betas = self.due_betas()?;
        for beta in &mut out.betas {
            self.zscore(beta);
        }
        out.missed = self.take_missed();
        Ok(())
    }

    fn delay_volumes(&self) -> u32 {
        0
    }

    fn reset(&mut self) {
        self.resampled = false;
        self.moments.reset();
        self.memory.reset();
        self.normaliser.reset();
        self.newest = None;
        self.missed.clear();
        for trial in self.trials.values_mut() {
            *trial = Trial::new(trial.event);
        }
    }
}
