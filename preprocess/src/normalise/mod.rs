//! From betas to the z-scores that a backbone was trained on: one function for training and serving.
//!
//! A frozen mean and SD **per voxel and revision lag** is the default: an LSS beta at 4.5 s has about five times the
//! SD of the same beta from the whole run, so one row does not serve all lags; and what a run shows cannot bend it.
//! The other two policies follow the run. They move with its content, and [`Balance`] says when that is one-sided.

mod balance;
mod neutral;
mod running;

pub use balance::{Balance, Imbalance};

use crate::zscore::require_equal;
use crate::{Pattern, PreprocessError, RunningMoments, ZscoreTable};
use mindeye_config::{BetaUnit, PreprocessConfig, ZscorePolicy};
use neutral::Neutral;
use running::RunningTable;
use std::sync::Arc;

/// The normalisation of one run, or of a session if it is handed from run to run.
#[derive(Debug, Clone)]
pub struct Normaliser {
    frozen: Arc<ZscoreTable>,
    unit: BetaUnit,
    policy: Policy,
}

#[derive(Debug, Clone)]
enum Policy {
    Frozen,
    Running(RunningTable),
    Neutral(Neutral),
}

impl Normaliser {
    /// The policy of `recipe` with the training session's statistics.
    #[must_use]
    pub fn new(recipe: &PreprocessConfig, frozen: Arc<ZscoreTable>) -> Self {
        let policy = match recipe.zscore.policy {
            ZscorePolicy::FrozenPerLag => Policy::Frozen,
            ZscorePolicy::LeaveCurrentOut => Policy::Running(RunningTable::new(&frozen, recipe.zscore.prior_trials)),
            ZscorePolicy::NeutralOffset => Policy::Neutral(Neutral::new(&recipe.zscore.neutral_s, frozen.voxels())),
        };
        Self { frozen, unit: recipe.unit, policy }
    }

    /// Tells of a volume sampled at run time `sampled_s`; only declared neutral volumes matter, and only to
    /// `neutral-offset`.
    ///
    /// # Errors
    /// [`PreprocessError::Disagree`] if it has another number of voxels.
    pub fn volume(&mut self, sampled_s: f64, volume: &Pattern) -> Result<(), PreprocessError> {
        match &mut self.policy {
            Policy::Neutral(neutral) => neutral.volume(sampled_s, volume),
            Policy::Frozen | Policy::Running(_) => Ok(()),
        }
    }

    /// Tells of a trial's beta at a lag, which replaces what was told of the same trial and lag; only
    /// `leave-current-out` remembers it.
    ///
    /// # Errors
    /// [`PreprocessError::Disagree`] if it has another number of voxels or there is no such lag.
    pub fn record(&mut self, trial: u32, lag_row: usize, beta: &Pattern) -> Result<(), PreprocessError> {
        require_equal("beta", "z-score table", "voxels", beta.len(), self.frozen.voxels())?;
        match &mut self.policy {
            Policy::Running(running) => running.record(trial, lag_row, beta),
            Policy::Frozen | Policy::Neutral(_) => Ok(()),
        }
    }

    /// Writes the z-scores of `trial`'s beta at a lag and returns the voxels that have no SD; their z is 0.
    /// `run` holds the run's volumes so far.
    ///
    /// # Errors
    /// [`PreprocessError::Disagree`] if a number of voxels differs or there is no such lag.
    pub fn normalise(
        &self,
        trial: u32,
        lag_row: usize,
        beta: &Pattern,
        run: &RunningMoments,
        out: &mut Pattern,
    ) -> Result<usize, PreprocessError> {
        match &self.policy {
            Policy::Frozen => self.frozen.apply(lag_row, beta, out),
            Policy::Running(running) => running.apply(&self.frozen, trial, lag_row, beta, out),
            Policy::Neutral(neutral) => {
                let beta = neutral.without_offset(self.unit, beta, run)?;
                self.frozen.apply(lag_row, &beta, out)
            }
        }
    }

    /// Trials that bend the statistics of a lag, besides the training's: 0 for policies that do not follow the run.
    #[must_use]
    pub fn trials(&self, lag_row: usize) -> usize {
        match &self.policy {
            Policy::Running(running) => running.trials(lag_row),
            Policy::Frozen | Policy::Neutral(_) => 0,
        }
    }

    /// Forgets the run.
    pub fn reset(&mut self) {
        match &mut self.policy {
            Policy::Frozen => {}
            Policy::Running(running) => running.reset(),
            Policy::Neutral(neutral) => neutral.reset(),
        }
    }
}
