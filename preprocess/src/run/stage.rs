//! The whole run as one stage, so that the conformance suite holds it to the promises of its parts.

use super::RunPreprocessor;
use super::beside::balance_of;
use crate::quality::VolumeQuality;
use crate::trial::Trial;
use crate::{PreprocessError, RawVolume, Stage, TrialBeta, TrialMissed};

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
