//! One run from its first volume to its last beta, offline and online alike: the caller brings the time.

use crate::trial::{SAME_TIME_S, Timing, Trial};
use crate::zscore::require_equal;
use crate::{
    Event, EventChange, Gather, Mask, Pattern, PreprocessError, RawVolume, RunningMoments, Stage, TrialBeta,
    TrialMissed, VolumeRing, ZscoreTable,
};
use mindeye_config::PreprocessConfig;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All state of one run: ring of volumes, running moments, trials.
///
/// Per volume: [`resample`](Self::resample), [`advance`](Self::advance), [`due_betas`](Self::due_betas), and
/// [`zscore`](Self::zscore) for each beta; events come whenever they come. A beta depends on the run's volumes and on
/// its own event, and on nothing else: neither on other trials nor on when the event came.
pub struct RunPreprocessor {
    recipe: PreprocessConfig,
    tr_s: f64,
    gather: Gather,
    zscore: Arc<ZscoreTable>,
    /// Where the next volume is resampled to, scanner's units; it counts only once `resampled` is set.
    volume: Pattern,
    resampled: bool,
    moments: RunningMoments,
    ring: VolumeRing,
    newest: Option<(u32, f64)>,
    trials: BTreeMap<u32, Trial>,
    missed: Vec<TrialMissed>,
}

impl RunPreprocessor {
    /// A run of `tr_s` seconds per volume that remembers `ring_volumes` volumes.
    ///
    /// # Errors
    /// [`PreprocessError::Disagree`] if `zscore` has not the mask's voxels or the recipe's lags,
    /// [`PreprocessError::Time`] if `tr_s` is not positive, [`PreprocessError::RingTooShort`] if the ring spans less
    /// than the recipe looks back plus one TR.
    pub fn new(
        recipe: &PreprocessConfig,
        mask: Arc<Mask>,
        zscore: Arc<ZscoreTable>,
        tr_s: f64,
        ring_volumes: usize,
    ) -> Result<Self, PreprocessError> {
        require_equal("z-score table", "mask", "voxels", zscore.voxels(), mask.len())?;
        require_equal_lags(zscore.lags_s(), &recipe.revision_lags_s)?;
        require_long_enough(recipe, tr_s, ring_volumes)?;
        Ok(Self {
            recipe: recipe.clone(),
            tr_s,
            volume: Pattern::zeros(mask.len()),
            resampled: false,
            moments: RunningMoments::new(mask.len()),
            gather: Gather::new(mask),
            zscore,
            ring: VolumeRing::new(ring_volumes),
            newest: None,
            trials: BTreeMap::new(),
            missed: Vec::new(),
        })
    }

    /// Tells the run of a trial, before or after its volumes. A correction starts its estimates anew while
    /// `beta_revision` keeps counting.
    ///
    /// # Errors
    /// [`PreprocessError::Time`] if the onset is not finite or the duration is negative.
    pub fn set_event(&mut self, event: Event) -> Result<EventChange, PreprocessError> {
        event.check()?;
        let Some(trial) = self.trials.get_mut(&event.trial) else {
            self.trials.insert(event.trial, Trial::new(event));
            return Ok(EventChange::New);
        };
        if trial.event == event {
            return Ok(EventChange::Same);
        }
        trial.correct(event);
        Ok(EventChange::Corrected)
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

    /// Takes the resampled volume into the run as number `index`, acquired from `start_s` (seconds since volume 0).
    /// Indices left out become gaps.
    ///
    /// # Errors
    /// [`PreprocessError::NothingResampled`] without a new volume, [`PreprocessError::Time`] or
    /// [`PreprocessError::Order`] if it does not come after the newest one; nothing is changed then.
    pub fn advance(&mut self, index: u32, start_s: f64) -> Result<(), PreprocessError> {
        if !self.resampled {
            return Err(PreprocessError::NothingResampled { index });
        }
        self.check_order(index, start_s)?;
        self.moments.add(&self.volume)?;
        let expected = self.newest.map_or(0, |(newest, _)| newest + 1);
        self.ring.push_gap(expected..index);
        self.ring.push_volume(index, start_s, &self.volume, self.moments.mean());
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
    /// None from the window estimate; the signature leaves room for one that must solve a system.
    pub fn due_betas(&mut self) -> Result<Vec<TrialBeta>, PreprocessError> {
        let now_s = self.run_time_s();
        let timing = Timing::new(&self.recipe, self.tr_s);
        let mut betas = Vec::new();
        for trial in self.trials.values_mut() {
            while let Some(lag) = trial.take_due(&self.recipe.revision_lags_s, now_s) {
                match timing.estimate(&mut self.ring, &trial.event, lag) {
                    Ok(beta) => betas.push(trial.number(beta)),
                    Err(reason) => self.missed.push(lag.missed(&trial.event, reason)),
                }
            }
        }
        Ok(betas)
    }

    /// Fills `zscored` and returns the voxels that never varied in training; their z is 0.
    ///
    /// # Panics
    /// If `beta` is not from [`due_betas`](Self::due_betas) of a run with this mask and recipe.
    pub fn zscore(&self, beta: &mut TrialBeta) -> usize {
        self.zscore
            .apply(beta.lag_row, &beta.beta, &mut beta.zscored)
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
        self.ring.clear();
        self.newest = None;
        self.missed.clear();
        for trial in self.trials.values_mut() {
            *trial = Trial::new(trial.event);
        }
    }
}
