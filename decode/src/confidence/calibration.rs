//! One temperature turns scores into probabilities (Guo et al. 2017, arXiv 1706.04599): pᵢ ∝ exp(sᵢ/T).
//!
//! T is the one under which held-out trials are most likely. It is fitted on trials that the model was not trained on: on
//! training trials the scores are better than they will ever be again.

use super::assessment::BINS;
use super::{coverage_risk, expected_calibration_error, threshold_at};
use crate::Retrieval;
use mindeye_config::{Checked, Complaint};
use serde::{Deserialize, Serialize};

/// The `format` of `calibration.toml`.
pub const CALIBRATION_FORMAT: &str = "mindeye-calibration/1";
/// Inverse temperatures between which the best is sought: cosines differ by 1e-4 to 2.
const INVERSE_TEMPERATURES: (f64, f64) = (1e-3, 1e6);

/// A held-out trial: its scores and the item that was shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Scores of the whole gallery.
    pub retrieval: Retrieval,
    /// The item that was shown; `None` when it is not in the gallery.
    pub shown: Option<usize>,
}

impl Scored {
    /// The same trial against the gallery without what was shown: a trial whose stimulus is absent. `None` where it is
    /// absent already, or the only one.
    #[must_use]
    pub fn without_shown(&self) -> Option<Self> {
        let mut scores = self.retrieval.scores.clone();
        scores.remove(self.shown?);
        (!scores.is_empty()).then_some(Self { retrieval: Retrieval { scores }, shown: None })
    }
}

/// `calibration.toml`: how a bundle's scores become confidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// [`CALIBRATION_FORMAT`].
    pub format: String,
    /// Held-out trials on which it was fitted.
    pub trials: usize,
    /// Items of the gallery then: a probability of 0.5 means another thing among 10 than among 1,000.
    pub pool_size: usize,
    /// T, in units of the score.
    pub temperature: f64,
    /// Below this probability no answer is given.
    pub abstain_below: f64,
    /// Below this best score the stimulus is taken to be absent from the gallery; -1 where it was not fitted.
    pub absent_below: f64,
    /// Expected calibration error on the trials of the fit, each judged by the temperature of the others' half.
    pub expected_calibration_error: f64,
}

/// What is said of one trial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// Probability of the best item, given that the stimulus is in the gallery.
    pub confidence: f64,
    /// What to do with it.
    pub answer: Answer,
}

/// Whether the best item is offered as the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It is.
    Given,
    /// Not sure enough.
    Abstained,
    /// Nothing in the gallery resembles what was decoded.
    Absent,
}

impl Calibration {
    /// Fits on held-out `trials` that show an item of the gallery, and on those that do not: the temperature, the
    /// abstention at which at most `risk` of the answered trials are wrong, and the best score that `false_alarms` of the
    /// shown trials fall short of. `None` without a trial that shows an item, or without such an abstention.
    #[must_use]
    pub fn fit(trials: &[Scored], risk: f64, false_alarms: f64) -> Option<Self> {
        let known: Vec<&Scored> = trials.iter().filter(|trial| trial.shown.is_some()).collect();
        let temperature = fit_temperature(&known)?;
        let judged = held_out_verdicts(&known);
        let abstain_below = coverage_risk(&judged).into_iter().rev().find(|point| point.risk <= risk)?.threshold;
        let best: Vec<f64> = known.iter().map(|trial| trial.retrieval.best_score()).collect();
        let has_unknown = trials.len() > known.len();
        Some(Self {
            format: CALIBRATION_FORMAT.into(),
            trials: trials.len(),
            pool_size: known[0].retrieval.scores.len(),
            temperature,
            abstain_below,
            absent_below: if has_unknown { threshold_at(&best, false_alarms) } else { -1.0 },
            expected_calibration_error: expected_calibration_error(&judged, BINS),
        })
    }

    /// What is said of a trial with these scores.
    #[must_use]
    pub fn judge(&self, retrieval: &Retrieval) -> Verdict {
        let confidence = probabilities(retrieval, self.temperature).into_iter().fold(0.0, f64::max);
        let answer = match () {
            () if retrieval.best_score() < self.absent_below => Answer::Absent,
            () if confidence < self.abstain_below => Answer::Abstained,
            () => Answer::Given,
        };
        Verdict { confidence, answer }
    }
}

impl Checked for Calibration {
    fn check(&self) -> Result<(), Complaint> {
        let Self { temperature, abstain_below, absent_below, .. } = *self;
        let complain = |key: &str, message| Err(Complaint::new(key, message));
        if self.format != CALIBRATION_FORMAT {
            let message = format!("this version reads \"{CALIBRATION_FORMAT}\", found \"{}\"", self.format);
            return complain("format", message);
        }
        if !(temperature.is_finite() && temperature > 0.0) {
            return complain("temperature", format!("must be above 0, found {temperature}"));
        }
        if !(0.0..=1.0).contains(&abstain_below) {
            return complain("abstain_below", format!("must lie between 0 and 1, found {abstain_below}"));
        }
        if !absent_below.is_finite() {
            return complain("absent_below", format!("must be finite, found {absent_below}"));
        }
        Ok(())
    }
}

/// Probability of each item at `temperature`, in the gallery's order.
#[must_use]
pub fn probabilities(retrieval: &Retrieval, temperature: f64) -> Vec<f64> {
    let best = retrieval.best_score();
    let weights: Vec<f64> = retrieval.scores.iter().map(|s| ((f64::from(*s) - best) / temperature).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// The temperature under which the shown items are most likely. With β = 1/T the mean negative log-likelihood is convex,
/// and its slope is the mean of `E[s]` − s(shown): bisection finds where it is 0. Trials without a shown item do not count.
#[must_use]
pub fn fit_temperature(trials: &[&Scored]) -> Option<f64> {
    let known: Vec<(&Retrieval, usize)> = trials.iter().filter_map(|t| Some((&t.retrieval, t.shown?))).collect();
    if known.is_empty() {
        return None;
    }
    let slope = |inverse: f64| -> f64 { known.iter().map(|(scores, shown)| slope(scores, *shown, inverse)).sum() };
    let (mut low, mut high) = INVERSE_TEMPERATURES;
    for _ in 0..200 {
        // Halving on a logarithmic scale: temperatures differ by factors.
        let middle = (low * high).sqrt();
        if slope(middle) < 0.0 { low = middle } else { high = middle }
    }
    Some(1.0 / (low * high).sqrt())
}

/// E[s] − s(shown) at inverse temperature β.
fn slope(retrieval: &Retrieval, shown: usize, inverse: f64) -> f64 {
    let expected: f64 =
        probabilities(retrieval, 1.0 / inverse).iter().zip(&retrieval.scores).map(|(p, s)| p * f64::from(*s)).sum();
    expected - f64::from(retrieval.scores[shown])
}

/// Confidence of each trial that shows an item, and whether its first item is that, by a temperature that the trial had no
/// part in: that of the other half, even and odd, or of all where a half is empty.
#[must_use]
pub fn held_out_verdicts(trials: &[&Scored]) -> Vec<(f64, bool)> {
    let known: Vec<&Scored> = trials.iter().copied().filter(|trial| trial.shown.is_some()).collect();
    let Some(whole) = fit_temperature(&known) else { return Vec::new() };
    let half = |parity: usize| -> Vec<&Scored> { known.iter().skip(parity).step_by(2).copied().collect() };
    let temperatures = [1, 0].map(|other| fit_temperature(&half(other)).unwrap_or(whole));
    let judge = |(i, trial): (usize, &&Scored)| {
        let probabilities = probabilities(&trial.retrieval, temperatures[i % 2]);
        let (best, _) = trial.retrieval.ranked(1)[0];
        (probabilities[best], trial.shown == Some(best))
    };
    known.iter().enumerate().map(judge).collect()
}
