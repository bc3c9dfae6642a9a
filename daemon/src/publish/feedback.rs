//! The number that is fed back: one per trial, of one estimate and no other, or `missing`.
//!
//! It is made of retrieval scores alone. A picture, its effort and its time play no part, and no other estimate takes the
//! place of one that is not there in time.

use mindeye_config::FeedbackConfig;
use mindeye_decode::{Gallery, Retrieval};
use mindeye_preprocess::TrialBeta;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Two times that are the same planned lag: they come from the same table.
const SAME_LAG_S: f64 = 1e-9;

/// What a session's feedback is made of, looked up in the gallery once.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedbackPlan {
    config: FeedbackConfig,
    targets: Vec<usize>,
    against: Vec<usize>,
}

/// A session's feedback that a bundle cannot give.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum FeedbackError {
    /// There is nothing to score.
    #[error("session.feedback needs a gallery, and the bundle has none")]
    NoGallery,
    /// A picture that is not there.
    #[error("session.feedback.{key} names `{id}`, which is not among the gallery's {count} pictures")]
    NotInGallery {
        /// `targets` or `against`.
        key: &'static str,
        /// The picture.
        id: String,
        /// Pictures in the gallery.
        count: usize,
    },
    /// An estimate that is never made.
    #[error("session.feedback.lag_s = {lag_s}, but the bundle estimates at {lags_s:?} s after onset")]
    NoSuchLag {
        /// Configured.
        lag_s: f64,
        /// The recipe's.
        lags_s: Vec<f64>,
    },
}

impl FeedbackPlan {
    /// Looks the pictures up in `gallery`, and the lag in the recipe's `lags_s`.
    ///
    /// # Errors
    /// [`FeedbackError`] naming what the bundle lacks.
    pub fn new(config: &FeedbackConfig, gallery: Option<&Gallery>, lags_s: &[f64]) -> Result<Self, FeedbackError> {
        let gallery = gallery.ok_or(FeedbackError::NoGallery)?;
        if !lags_s.iter().any(|lag_s| is_lag(*lag_s, config)) {
            return Err(FeedbackError::NoSuchLag { lag_s: config.lag_s, lags_s: lags_s.to_vec() });
        }
        let find = |key, names: &[mindeye_config::Name]| -> Result<Vec<usize>, FeedbackError> {
            let absent = |id: &str| FeedbackError::NotInGallery { key, id: id.to_owned(), count: gallery.ids.len() };
            names.iter().map(|id| gallery.find(id.as_str()).ok_or_else(|| absent(id.as_str()))).collect()
        };
        let (targets, against) = (find("targets", &config.targets)?, find("against", &config.against)?);
        Ok(Self { config: config.clone(), targets, against })
    }

    /// Mean score of the targets minus that of the pictures against; `None` for an estimate of another lag.
    fn raw(&self, beta: &TrialBeta, retrieval: &Retrieval) -> Option<f64> {
        let mean = |items: &[usize]| {
            let sum: f64 = items.iter().map(|at| f64::from(retrieval.scores[*at])).sum();
            if items.is_empty() { 0.0 } else { sum / items.len() as f64 }
        };
        is_lag(beta.lag_s, &self.config).then(|| mean(&self.targets) - mean(&self.against))
    }
}

fn is_lag(lag_s: f64, config: &FeedbackConfig) -> bool {
    (lag_s - config.lag_s).abs() < SAME_LAG_S
}

/// Why a trial has no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// The trial belongs to the baseline.
    Baseline,
    /// The estimate or its scores were not there by the trial's final answer.
    NotInTime,
    /// The baseline's numbers are all the same, or fewer than two are there.
    NoBaseline,
}

/// One trial's feedback.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Feedback {
    /// Trial.
    pub trial: u32,
    /// The score before smoothing and baseline, where it was there in time.
    pub raw: Option<f64>,
    /// The number.
    pub value: Option<f64>,
    /// Why there is no number.
    pub missing: Option<Missing>,
}

/// The feedback of one run, in the order in which trials are answered.
#[derive(Debug)]
pub struct FeedbackSeries {
    plan: Arc<FeedbackPlan>,
    given: Vec<Feedback>,
}

impl FeedbackSeries {
    /// A run before its first trial.
    #[must_use]
    pub fn new(plan: Arc<FeedbackPlan>) -> Self {
        Self { plan, given: Vec::new() }
    }

    /// Takes in what an earlier process gave.
    pub fn remember(&mut self, given: Feedback) {
        self.given.push(given);
    }

    /// A retrieval list is there: the feedback of its trial, if this is the estimate that counts and the first of it.
    pub fn scored(&mut self, beta: &TrialBeta, retrieval: &Retrieval) -> Option<Feedback> {
        let raw = self.plan.raw(beta, retrieval)?;
        self.give(beta.trial, Some(raw))
    }

    /// The trial's final answer is out: a trial that has no number by now is missing.
    pub fn closed(&mut self, trial: u32) -> Option<Feedback> {
        self.give(trial, None)
    }

    /// A trial is given once; a corrected event changes nothing that was shown.
    fn give(&mut self, trial: u32, raw: Option<f64>) -> Option<Feedback> {
        if self.given.iter().any(|given| given.trial == trial) {
            return None;
        }
        let (value, missing) = match raw.map(|raw| self.value(raw)) {
            None => (None, Some(Missing::NotInTime)),
            Some(Ok(value)) => (Some(value), None),
            Some(Err(missing)) => (None, Some(missing)),
        };
        let feedback = Feedback { trial, raw, value, missing };
        self.given.push(feedback);
        Some(feedback)
    }

    fn value(&self, raw: f64) -> Result<f64, Missing> {
        let baseline = self.plan.config.baseline_trials as usize;
        if self.given.len() < baseline {
            return Err(Missing::Baseline);
        }
        let smoothed = self.smoothed(raw);
        if baseline == 0 {
            return Ok(smoothed);
        }
        let (mean, sd) = mean_and_sd(self.given[..baseline].iter().filter_map(|given| given.raw));
        if sd > 0.0 { Ok((smoothed - mean) / sd) } else { Err(Missing::NoBaseline) }
    }

    /// Mean of `raw` and the scores before it; missing ones are left out.
    fn smoothed(&self, raw: f64) -> f64 {
        let others = self.plan.config.smoothing_trials as usize - 1;
        let past = self.given.iter().rev().filter_map(|given| given.raw).take(others);
        let (sum, count) = past.fold((raw, 1.0), |(sum, count), past| (sum + past, count + 1.0));
        sum / count
    }
}

/// Sample SD; 0 of fewer than two numbers.
fn mean_and_sd(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    let numbers: Vec<f64> = numbers.collect();
    let count = numbers.len() as f64;
    let mean = numbers.iter().sum::<f64>() / count;
    let squares: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
    if numbers.len() < 2 { (mean, 0.0) } else { (mean, (squares / (count - 1.0)).sqrt()) }
}

#[cfg(test)]
#[path = "feedback_tests.rs"]
mod tests;
