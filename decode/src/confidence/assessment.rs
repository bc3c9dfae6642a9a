//! What held-out trials say of a confidence: does it keep its word, what does abstaining buy, is the session above chance,
//! would an absent stimulus be noticed, and are there hubs that scaling would take away?

use super::calibration::Scored;
use super::{
    Calibration, CoverageRisk, Null, SessionNull, area_under_risk, area_under_roc, coverage_risk, csls,
    expected_calibration_error, held_out_verdicts, hubness,
};
use crate::Retrieval;
use crate::metrics::{Draws, Interval};
use serde::Serialize;

/// Bins of the reliability diagram.
pub(super) const BINS: usize = 10;
/// Resamples of the interval of the calibration error.
const RESAMPLES: usize = 2000;
/// Permutations of the null.
const PERMUTATIONS: u32 = 9999;
/// Neighbours over which scores are scaled locally, as published (Conneau et al. 2018).
const NEIGHBOURS: usize = 10;

/// Figures over held-out trials, each judged by a temperature that it had no part in.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Assessment {
    /// Trials that show a picture of the gallery.
    pub trials: usize,
    /// Pictures of the gallery.
    pub pool_size: usize,
    /// Share of trials whose first picture was shown (scores are centred).
    pub top1: f64,
    /// The same after cross-domain similarity local scaling over these trials.
    pub top1_csls: f64,
    /// Mean confidence.
    pub mean_confidence: f64,
    /// Expected calibration error with its 95 % interval over resampled trials. A bootstrap of an error that cannot be
    /// below 0 lies high, so that the interval is on the careful side.
    pub calibration_error: Interval,
    /// Coverage and risk at each threshold.
    pub coverage_risk: Vec<CoverageRisk>,
    /// Area under that curve.
    pub area_under_risk: f64,
    /// Mean rank against the permutation null.
    pub null: Option<Null>,
    /// Probability that a trial's best score is above that of a trial whose stimulus is not in the gallery. The latter are
    /// the same trials against the gallery without what was shown.
    pub absent_area_under_roc: Option<f64>,
    /// Share of those trials that are told to be absent, where the calibration has a threshold.
    pub absent_found: f64,
}

impl Assessment {
    /// Figures of `calibration` on the held-out `trials` that it was fitted on; `None` where none shows a picture of the
    /// gallery.
    #[must_use]
    pub fn of(calibration: &Calibration, trials: &[Scored], seed: u64) -> Option<Self> {
        let known: Vec<&Scored> = trials.iter().filter(|trial| trial.shown.is_some()).collect();
        let pool_size = known.first()?.retrieval.scores.len();
        let verdicts = held_out_verdicts(&known);
        let absent: Vec<Retrieval> = known.iter().filter_map(|trial| Some(trial.without_shown()?.retrieval)).collect();
        let best = |retrieval: &Retrieval| retrieval.best_score();
        let known_best: Vec<f64> = known.iter().map(|trial| best(&trial.retrieval)).collect();
        let absent_best: Vec<f64> = absent.iter().map(best).collect();
        let found = absent_best.iter().filter(|score| **score < calibration.absent_below).count();
        Some(Self {
            trials: known.len(),
            pool_size,
            top1: share(known.iter().map(|trial| Some(trial.retrieval.ranked(1)[0].0) == trial.shown)),
            top1_csls: top1_csls(&known),
            mean_confidence: verdicts.iter().map(|(confidence, _)| confidence).sum::<f64>() / known.len() as f64,
            calibration_error: calibration_error(&verdicts, seed),
            coverage_risk: coverage_risk(&verdicts),
            area_under_risk: area_under_risk(&verdicts),
            null: null(&known, seed),
            absent_area_under_roc: area_under_roc(&known_best, &absent_best),
            absent_found: found as f64 / absent_best.len().max(1) as f64,
        })
    }
}

fn share(hits: impl ExactSizeIterator<Item = bool>) -> f64 {
    let of = hits.len();
    hits.filter(|hit| *hit).count() as f64 / of as f64
}

fn top1_csls(known: &[&Scored]) -> f64 {
    let queries: Vec<Retrieval> = known.iter().map(|trial| trial.retrieval.clone()).collect();
    let hubs = hubness(&queries, queries[0].scores.len(), NEIGHBOURS);
    share(known.iter().map(|trial| {
        let scaled = csls(&trial.retrieval, &hubs, NEIGHBOURS);
        Some(scaled.ranked(1)[0].0) == trial.shown
    }))
}

fn null(known: &[&Scored], seed: u64) -> Option<Null> {
    let mut session = SessionNull::default();
    for trial in known {
        session.add(trial.retrieval.clone(), trial.shown?);
    }
    session.null(PERMUTATIONS, seed)
}

/// The error of `verdicts`, (confidence, right), and the percentiles of that of resampled trials.
fn calibration_error(verdicts: &[(f64, bool)], seed: u64) -> Interval {
    let mut random = Draws::new(seed);
    let mut errors: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let drawn: Vec<_> = (0..verdicts.len()).map(|_| verdicts[random.below(verdicts.len())]).collect();
            expected_calibration_error(&drawn, BINS)
        })
        .collect();
    errors.sort_by(f64::total_cmp);
    let percentile = |share: f64| errors[(share * (RESAMPLES - 1) as f64).round() as usize];
    let value = expected_calibration_error(verdicts, BINS);
    Interval { value, low: percentile(0.025), high: percentile(0.975) }
}
