//! A recorded run's estimates at every revision lag: what their accuracy is judged by where the truth is known.

use super::RecordedRun;
use crate::{Pattern, PreprocessError};
use std::collections::BTreeMap;

/// Every trial's beta at one lag, not z-scored.
#[derive(Debug, Clone, PartialEq)]
pub struct LagBetas {
    /// Seconds after onset; `None` for the estimate from the whole run.
    pub lag_s: Option<f64>,
    /// By trial; those without an estimate are left out.
    pub betas: BTreeMap<u32, Pattern>,
}

impl RecordedRun<'_> {
    /// Streams the run and keeps the estimate of each planned lag, then that of the whole run.
    ///
    /// # Errors
    /// As [`RecordedRun::estimate`].
    pub fn betas_by_lag(&self) -> Result<Vec<LagBetas>, PreprocessError> {
        let mut run = self.start(self.recipe)?;
        let planned = self.recipe.revision_lags_s.iter();
        let mut lags: Vec<LagBetas> =
            planned.map(|lag_s| LagBetas { lag_s: Some(*lag_s), betas: BTreeMap::new() }).collect();
        for (index, bytes) in (0u32..).zip(self.volumes) {
            self.take_in(&mut run, index, bytes).map_err(|error| error.in_volume(index))?;
            for beta in run.due_betas()? {
                lags[beta.lag_row].betas.insert(beta.trial, beta.beta);
            }
        }
        let whole = run.whole_run_betas().into_iter().map(|beta| (beta.trial, beta.beta)).collect();
        lags.push(LagBetas { lag_s: None, betas: whole });
        Ok(lags)
    }
}
