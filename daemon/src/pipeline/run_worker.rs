//! One run's state on the preprocess thread: the same steps live, after a crash, and in replay.

use super::{RunInfo, TrialSchedule, VolumeWork};
use mindeye_config::{Clock, PreprocessConfig, Step, Timings};
use mindeye_preprocess::motion::{RegistrationReport, SessionReference};
use mindeye_preprocess::quality::VolumeQuality;
use mindeye_preprocess::{
    Event, EventChange, Mask, PreprocessError, RawVolume, RunPlan, RunPreprocessor, StreamSample, TrialBeta,
    ZscoreTable,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What every run of a bundle is made of.
#[derive(Clone)]
pub struct Recipe {
    /// Bundle's `preprocess.toml`.
    pub preprocess: PreprocessConfig,
    /// Bundle's mask.
    pub mask: Arc<Mask>,
    /// Bundle's normalisation.
    pub zscore: Arc<ZscoreTable>,
    /// Bundle's reference volume, to which each run is registered; `None` where the recipe takes the head to lie still.
    pub reference: Option<Arc<SessionReference>>,
    /// Bundle's member of the HRF library of each voxel, where it has one.
    pub hrf_index: Option<Arc<Vec<u8>>>,
    /// Volumes kept in the ring, at least.
    pub ring_volumes: usize,
    /// Seconds after onset at which a trial is due.
    pub decode_after_s: f64,
}

impl Recipe {
    /// Ring length for a run: as configured, and never too short for the window of a trial.
    fn ring_volumes(&self, tr_s: f64) -> usize {
        let needed = (self.preprocess.memory_s() / tr_s).ceil() as usize + 2;
        self.ring_volumes.max(needed)
    }

    /// What is known of a run before its first volume.
    fn plan(&self, run: &RunInfo) -> RunPlan {
        RunPlan {
            volumes: run.start.expected_volumes,
            hrf_index: self.hrf_index.clone(),
            reference: self.reference.clone(),
            // Volumes that are gathered as they come lie on the mask's grid, as near as the door demands.
            run_grid: self.reference.as_ref().map(|_| run.start.grid()),
            slice_timing_s: run.start.slice_timing_s.clone(),
        }
    }
}

/// A trial whose answer is due.
#[derive(Debug, Clone)]
pub struct DueTrial {
    /// Trial.
    pub trial: u32,
    /// End of the acquisition of the volume that made it due, seconds after volume 0.
    pub due_s: f64,
    /// Onset, seconds after volume 0.
    pub onset_s: f64,
    /// Its newest beta; `None` when no volume lies in its window.
    pub beta: Option<Arc<TrialBeta>>,
}

/// What one volume brought.
#[derive(Debug, Default)]
pub struct VolumeOutput {
    /// New estimates, z-scored, in trial then lag order.
    pub betas: Vec<Arc<TrialBeta>>,
    /// Trials that became due.
    pub due: Vec<DueTrial>,
    /// The volume's sample of the stream, where the recipe decodes without trials.
    pub stream: Option<StreamSample>,
    /// What the volume is worth.
    pub quality: VolumeQuality,
    /// With the first volume: how it lies to the bundle's reference.
    pub registration: Option<RegistrationReport>,
    /// Time of each step.
    pub timings: Timings,
}

/// Betas and schedule of one run.
pub struct RunWorker {
    /// The run.
    pub run: Arc<RunInfo>,
    preprocessor: RunPreprocessor,
    follows_head: bool,
    schedule: TrialSchedule,
    onset_s: BTreeMap<u32, f64>,
    newest: BTreeMap<u32, Arc<TrialBeta>>,
    decode_after_s: f64,
}

impl RunWorker {
    /// A run before its first volume, with the trials that its announcement named.
    ///
    /// # Errors
    /// What preprocessing says about recipe, mask and statistics.
    pub fn new(recipe: &Recipe, run: Arc<RunInfo>) -> Result<Self, PreprocessError> {
        let tr_s = run.start.tr_s;
        let preprocessor = RunPreprocessor::planned(
            &recipe.preprocess,
            recipe.mask.clone(),
            run.front_end.as_ref().map_or_else(|| recipe.zscore.clone(), |front_end| front_end.zscore.clone()),
            tr_s,
            recipe.ring_volumes(tr_s),
            &recipe.plan(&run),
        )?;
        let mut worker = Self {
            preprocessor,
            follows_head: recipe.reference.is_some(),
            schedule: TrialSchedule::new(recipe.decode_after_s),
            onset_s: BTreeMap::new(),
            newest: BTreeMap::new(),
            decode_after_s: recipe.decode_after_s,
            run: run.clone(),
        };
        for event in &run.start.events {
            let event = Event { trial: event.trial, onset_s: event.onset_s, duration_s: event.duration_s };
            worker.set_event(&event)?;
        }
        Ok(worker)
    }

    /// Tells or corrects a trial.
    ///
    /// # Errors
    /// What preprocessing says about the event.
    pub fn set_event(&mut self, event: &Event) -> Result<EventChange, PreprocessError> {
        let change = self.preprocessor.set_event(*event)?;
        self.schedule.set(event.trial, event.onset_s);
        self.onset_s.insert(event.trial, event.onset_s);
        Ok(change)
    }

    /// Takes a volume in: statistics always, betas where a lag has passed, and who is due.
    ///
    /// # Errors
    /// What preprocessing says about the volume; its state is then as before.
    pub fn volume(&mut self, volume: &VolumeWork, clock: &dyn Clock) -> Result<VolumeOutput, PreprocessError> {
        let mut output = VolumeOutput::default();
        let mut lap = Lap { clock, since: clock.now(), timings: &mut output.timings };
        let raw = RawVolume::new(volume.dtype, self.run.start.grid().voxel_count(), &volume.voxels)?;
        let is_first = self.preprocessor.registration().is_none();
        if self.follows_head {
            self.preprocessor.estimate_motion(&raw)?;
            lap.ends(Step::Motion);
        }
        self.preprocessor.resample(raw)?;
        lap.ends(Step::Resample);
        self.preprocessor.advance(volume.index, volume.start_s)?;
        let estimates = self.preprocessor.due_betas()?;
        output.stream = self.preprocessor.stream()?;
        lap.ends(Step::Glm);
        output.betas = estimates.into_iter().map(|beta| self.zscored(beta)).collect();
        lap.ends(Step::Zscore);
        for beta in &output.betas {
            self.keep(beta);
        }
        output.due = self.due_at(volume.start_s + self.run.start.tr_s);
        output.quality = self.preprocessor.volume_quality();
        output.registration = self.preprocessor.registration().filter(|_| is_first).cloned();
        Ok(output)
    }

    /// How the run's first volume lies to the bundle's reference, once it came.
    #[must_use]
    pub fn registration(&self) -> Option<&RegistrationReport> {
        self.preprocessor.registration()
    }

    /// Trials that never became due; the run is over.
    pub fn close(&mut self) -> Vec<u32> {
        self.schedule.close()
    }

    fn zscored(&self, mut beta: TrialBeta) -> Arc<TrialBeta> {
        self.preprocessor.zscore(&mut beta);
        Arc::new(beta)
    }

    /// Only estimates planned until a trial is due are decoded; later ones go to the record.
    fn keep(&mut self, beta: &Arc<TrialBeta>) {
        if beta.lag_s <= self.decode_after_s {
            self.newest.insert(beta.trial, beta.clone());
        }
    }

    fn due_at(&mut self, end_s: f64) -> Vec<DueTrial> {
        let trials = self.schedule.due_at(end_s);
        let due = |trial| DueTrial {
            trial,
            due_s: end_s,
            onset_s: self.onset_s.get(&trial).copied().unwrap_or(f64::NAN),
            beta: self.newest.remove(&trial),
        };
        trials.into_iter().map(due).collect()
    }
}

struct Lap<'a> {
    clock: &'a dyn Clock,
    since: mindeye_config::Moment,
    timings: &'a mut Timings,
}

impl Lap<'_> {
    fn ends(&mut self, step: Step) {
        let now = self.clock.now();
        self.timings.add(step, now.since(self.since));
        self.since = now;
    }
}
