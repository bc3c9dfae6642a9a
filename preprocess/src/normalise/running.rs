//! Mean and SD of the trials so far, the current one left out, drawn towards the training's.

use crate::moments::finite_or_zero;
use crate::zscore::require_equal;
use crate::{Pattern, PreprocessError, ZscoreTable};
use std::collections::BTreeMap;

/// Sums of what betas differ from the training mean, per lag and voxel.
///
/// With prior mean m₀, SD s₀ and weight κ (trials), and n other trials with deviations d = β − m₀:
/// mean = m₀ + Σd/(κ + n) and variance = (κ s₀² + Σd²)/(κ + n) − (Σd/(κ + n))², the mean and variance of a pool of κ
/// trials of the training and n of this run. With no trials yet these are the training's.
///
/// The current trial is left out: among n trials its own beta would pull its z-score towards 0 by 1/n.
#[derive(Debug, Clone)]
pub(super) struct RunningTable {
    prior_trials: f64,
    prior_mean: Vec<Vec<f32>>,
    lags: Vec<Sums>,
}

#[derive(Debug, Clone)]
struct Sums {
    /// Σd and Σd², `f64[voxels]`, unit of the betas.
    first: Vec<f64>,
    second: Vec<f64>,
    /// What each trial put in, to be taken out again: 4 bytes per voxel and trial.
    betas: BTreeMap<u32, Pattern>,
}

impl RunningTable {
    pub(super) fn new(prior: &ZscoreTable, prior_trials: f64) -> Self {
        let empty =
            || Sums { first: vec![0.0; prior.voxels()], second: vec![0.0; prior.voxels()], betas: BTreeMap::new() };
        let lags = 0..prior.lags_s().len();
        Self {
            prior_trials,
            prior_mean: lags.clone().map(|row| prior.mean(row).to_vec()).collect(),
            lags: lags.map(|_| empty()).collect(),
        }
    }

    pub(super) fn record(&mut self, trial: u32, lag_row: usize, beta: &Pattern) -> Result<(), PreprocessError> {
        require_lag(lag_row, self.lags.len())?;
        let (sums, mean) = (&mut self.lags[lag_row], &self.prior_mean[lag_row]);
        if let Some(before) = sums.betas.insert(trial, beta.clone()) {
            sums.add(-1.0, &before, mean);
        }
        sums.add(1.0, beta, mean);
        Ok(())
    }

    pub(super) fn apply(
        &self,
        prior: &ZscoreTable,
        trial: u32,
        lag_row: usize,
        beta: &Pattern,
        out: &mut Pattern,
    ) -> Result<usize, PreprocessError> {
        require_lag(lag_row, self.lags.len())?;
        require_equal("beta", "z-score table", "voxels", beta.len(), prior.voxels())?;
        let sums = &self.lags[lag_row];
        let own = sums.betas.get(&trial);
        let others = sums.betas.len() - usize::from(own.is_some());
        let pool = self.prior_trials + others as f64;
        out.0.resize(beta.len(), 0.0);
        let mut without_sd = 0;
        for (voxel, z) in out.0.iter_mut().enumerate() {
            let (m, s) = (f64::from(prior.mean(lag_row)[voxel]), f64::from(prior.sd(lag_row)[voxel]));
            let d = own.map_or(0.0, |own| f64::from(own.0[voxel]) - m);
            let shift = (sums.first[voxel] - d) / pool;
            let variance = (self.prior_trials * s * s + sums.second[voxel] - d * d) / pool - shift * shift;
            // A voxel that never varied in training stays out, whatever it does now: nothing was learned from it.
            let sd = if s > 0.0 { variance.max(0.0).sqrt() } else { 0.0 };
            *z = finite_or_zero((f64::from(beta.0[voxel]) - m - shift) / sd, &mut without_sd);
        }
        Ok(without_sd)
    }

    pub(super) fn trials(&self, lag_row: usize) -> usize {
        self.lags.get(lag_row).map_or(0, |sums| sums.betas.len())
    }

    pub(super) fn reset(&mut self) {
        for sums in &mut self.lags {
            sums.first.fill(0.0);
            sums.second.fill(0.0);
            sums.betas.clear();
        }
    }
}

impl Sums {
    fn add(&mut self, sign: f64, beta: &Pattern, mean: &[f32]) {
        for (voxel, (beta, mean)) in beta.0.iter().zip(mean).enumerate() {
            let d = f64::from(*beta) - f64::from(*mean);
            self.first[voxel] += sign * d;
            self.second[voxel] += sign * d * d;
        }
    }
}

fn require_lag(lag_row: usize, rows: usize) -> Result<(), PreprocessError> {
    if lag_row < rows {
        return Ok(());
    }
    require_equal("lag row", "z-score table", "rows", lag_row + 1, rows)
}
