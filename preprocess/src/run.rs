//! One run from its first volume to its last beta, offline and online alike: the caller brings the time.

use crate::alignment::{Aligned, Alignment};
use crate::filters::Filters;
use crate::memory::Memory;
use crate::motion::{Motion, RegistrationReport, Rigid};
use crate::quality::{QualityMeter, Seen, VolumeQuality};
use crate::trial::{Lag, SAME_TIME_S, Timing, Trial};
use crate::zscore::require_equal;
use crate::{
    Balance, Event, EventChange, Imbalance, Mask, Normaliser, Pattern, PreprocessError, RawVolume, ResidualStream,
    RunPlan, RunningMoments, Stage, StreamOutput, StreamSample, StreamVolume, TrialBeta, TrialMissed, ZscoreTable,
};
use mindeye_config::{PreprocessConfig, StreamKind};
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

    /// Finds the head in `raw`; on the run's first volume, also where it lies in the session reference. Does nothing
    /// where the recipe takes the head to lie still.
    ///
    /// An estimate that does not settle is no error: [`volume_quality`](Self::volume_quality) says so. A registration
    /// that should not be believed is none either: see [`registration`](Self::registration).
    ///
    /// # Errors
    /// [`PreprocessError::Disagree`] for another number of voxels, [`PreprocessError::NonFinite`] for any voxel of the
    /// volume, in the mask or not, [`PreprocessError::NoContrast`] for a volume without a head; the run is then as if
    /// the volume had not come.
    pub fn estimate_motion(&mut self, raw: &RawVolume<'_>) -> Result<(), PreprocessError> {
        self.alignment.estimate(*raw)
    }

    /// Brings a raw volume onto the mask, by one reading under its motion; of the volume that
    /// [`estimate_motion`](Self::estimate_motion) saw last, if it was called since the last `resample` (else it is
    /// estimated here). Where the head is taken to lie still, a gather.
    ///
    /// # Errors
    /// As [`Mask::gather`] or [`estimate_motion`](Self::estimate_motion); the run is then as if the volume had not come.
    pub fn resample(&mut self, raw: RawVolume<'_>) -> Result<(), PreprocessError> {
        self.resampled = None;
        self.resampled = Some(self.alignment.read(raw, &mut self.volume)?);
        Ok(())
    }

    /// Takes the resampled volume into the run as number `index`, acquired from `start_s` (seconds since volume 0),
    /// with the motion that was estimated for it, which becomes a confound where the recipe says so. Indices left out
    /// become gaps.
    ///
    /// # Errors
    /// [`PreprocessError::NothingResampled`] without a new volume, [`PreprocessError::Time`] or
    /// [`PreprocessError::Order`] if it does not come after the newest one; nothing is changed then.
    pub fn advance(&mut self, index: u32, start_s: f64) -> Result<(), PreprocessError> {
        let aligned = self.newly_resampled(index)?;
        let pose = aligned.estimate.map(|estimate| (estimate.motion, estimate.rigid));
        self.take_in(index, start_s, pose, Use::Kept)
    }

    /// The same with the head at `motion`, measured elsewhere.
    ///
    /// # Errors
    /// As [`RunPreprocessor::advance`], also for a motion that is not finite.
    pub fn advance_with_motion(&mut self, index: u32, start_s: f64, motion: Motion) -> Result<(), PreprocessError> {
        self.take_in(index, start_s, Some((motion, self.alignment.pose(&motion))), Use::Kept)
    }

    /// The same for a volume that no estimate may use: its motion counts as that of the volume before the next, its
    /// voxels are left out of every mean and fit. For window betas it is a gap.
    ///
    /// # Errors
    /// As [`RunPreprocessor::advance_with_motion`].
    pub fn advance_censored(&mut self, index: u32, start_s: f64, motion: Motion) -> Result<(), PreprocessError> {
        self.take_in(index, start_s, Some((motion, self.alignment.pose(&motion))), Use::Censored)
    }

    fn newly_resampled(&self, index: u32) -> Result<Aligned, PreprocessError> {
        self.resampled.ok_or(PreprocessError::NothingResampled { index })
    }

    fn take_in(
        &mut self,
        index: u32,
        start_s: f64,
        pose: Option<(Motion, Rigid)>,
        use_: Use,
    ) -> Result<(), PreprocessError> {
        let aligned = self.newly_resampled(index)?;
        self.check_order(index, start_s)?;
        let motion = pose.map_or(Motion::STILL, |(motion, _)| motion);
        if let Some(value) = motion.0.into_iter().find(|parameter| !parameter.is_finite()) {
            return Err(PreprocessError::Time { what: "motion", rule: "finite", value });
        }
        let change = self.meter.change(&self.volume);
        let mut despiked_voxels = 0;
        if use_ == Use::Kept {
            let (alignment, volume) = (&self.alignment, &mut self.volume);
            despiked_voxels = self.filters.apply(volume, start_s, |slices| alignment.slices(&aligned, slices))?;
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
        let seen = Seen { index, change, pose, centre_mm: self.alignment.centre_mm() };
        self.quality = VolumeQuality { despiked_voxels, ..self.measure(&seen, &aligned) };
        self.alignment.accept(&aligned);
        self.newest = Some((index, start_s));
        self.resampled = None;
        self.unstreamed = use_ == Use::Kept;
        Ok(())
    }

    fn measure(&mut self, seen: &Seen, aligned: &Aligned) -> VolumeQuality {
        VolumeQuality {
            residual_percent: aligned.estimate.map(|estimate| estimate.residual_percent),
            converged: aligned.estimate.map(|estimate| estimate.converged),
            out_of_field: aligned.out_of_field,
            ..self.meter.measure(seen, &self.moments)
        }
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

    /// The newest volume's sample of the stream; to be asked once after every [`advance`](Self::advance), because its
    /// nuisance model and its baseline are made of the volumes that it was asked for. `None` where the recipe has no stream,
    /// where the newest volume is censored, and when it was asked before.
    ///
    /// # Errors
    /// None that a volume taken in can meet; the signature is that of the stage.
    pub fn stream(&mut self) -> Result<Option<StreamSample>, PreprocessError> {
        let (Some(stream), Some((index, start_s)), true) = (&mut self.stream, self.newest, self.unstreamed) else {
            return Ok(None);
        };
        self.unstreamed = false;
        let motion = self.quality.motion.unwrap_or(Motion::STILL);
        let mut output = StreamOutput::NotYet;
        stream.process_into(&StreamVolume { index, start_s, motion, pattern: &self.volume }, &mut output)?;
        let sampled_s = start_s + self.recipe.slice_reference * self.tr_s;
        Ok(Some(StreamSample { index, sampled_s, shown_s: sampled_s - self.recipe.stream.lag_s, output }))
    }

    /// Declares the condition of the next trial, a bare number from 0, and returns a warning where the last trials lean to
    /// one condition, so that a policy that follows the run would take its evidence away. `None` also where the recipe
    /// declares no conditions. No beta knows of it.
    ///
    /// # Errors
    /// [`PreprocessError::Disagree`] for a condition beyond the recipe's number of them.
    pub fn declare_condition(&mut self, condition: u16) -> Result<Option<Imbalance>, PreprocessError> {
        let conditions = self.recipe.zscore.conditions;
        let Some(balance) = &mut self.balance else { return Ok(None) };
        if condition < conditions {
            return Ok(balance.declare(condition));
        }
        Err(PreprocessError::Disagree {
            left: "declared condition",
            right: "recipe",
            what: "conditions, counted from 0",
            left_value: condition.to_string(),
            right_value: conditions.to_string(),
        })
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

/// Whether estimates may use a volume.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Kept,
    Censored,
}

fn stream_of(
    recipe: &PreprocessConfig,
    voxels: usize,
    tr_s: f64,
    plan: &RunPlan,
) -> Result<Option<ResidualStream>, PreprocessError> {
    match recipe.stream.kind {
        StreamKind::None => Ok(None),
        StreamKind::Residual => ResidualStream::new(recipe, voxels, tr_s, plan, recipe.stream.baseline_s).map(Some),
    }
}

fn balance_of(recipe: &PreprocessConfig) -> Option<Balance> {
    let zscore = &recipe.zscore;
    (zscore.conditions >= 2).then(|| Balance::new(zscore.conditions, zscore.balance_trials.max(1) as usize))
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
        self.estimate_motion(&input.raw)?;
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
        self.resampled = None;
        self.alignment.reset();
        self.filters.reset();
        self.meter.reset();
        self.quality = VolumeQuality::default();
        self.moments.reset();
        self.memory.reset();
        self.normaliser.reset();
        self.newest = None;
        self.stream.iter_mut().for_each(Stage::reset);
        self.unstreamed = false;
        self.balance = balance_of(&self.recipe);
        self.missed.clear();
        for trial in self.trials.values_mut() {
            *trial = Trial::new(trial.event);
        }
    }
}
