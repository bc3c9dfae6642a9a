//! Betas against the truth of simulated runs, in a reduced study: what the defaults rest on.
//!
//! The whole study, with intervals, bounds and every condition, is `cargo run -p mindeye-preprocess --example truth -- study
//! OUT.json`; its figures are in `preprocess/docs-truth.md`.

mod common;
mod glm_support;
mod truth_support;

use truth_support::{LAGS_S, Pair, TWELVE, WHOLE, estimators, evidence_left};

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Mean correlation with the truth per lag, then of the whole run where there is one.
fn accuracy(pair: &Pair, name: &str) -> Vec<f64> {
    let (_, recipe) = estimators().into_iter().find(|(known, _)| *known == name).unwrap();
    pair.accuracy(&recipe).iter().map(|(with_truth, _)| mean(with_truth)).collect()
}

#[test]
fn the_shipped_recipe_is_the_best_at_every_lag_whether_the_response_is_fast_slow_or_as_assumed() {
    for (interval_s, tr_s, stretch) in [(6.0, 1.5, 1.0), (4.0, 1.5, 1.0), (6.0, 1.5, 1.2), (4.0, 1.5, 0.8)] {
        let pair = Pair::new(interval_s, tr_s, stretch, 1);
        let default = accuracy(&pair, "ridge-LSA AR(1)");
        for other in ["window", "LSS", "LSA", "ridge-LSA"] {
            let other_r = accuracy(&pair, other);
            for (row, lag_s) in LAGS_S.iter().enumerate() {
                // 0.01 is the bound.
                let (ours, theirs) = (default[row], other_r[row]);
                assert!(
                    ours > theirs - 0.01,
                    "every {interval_s} s, x {stretch}, {lag_s} s: {ours} against {other} {theirs}"
                );
            }
        }
    }
}

#[test]
fn no_estimate_beats_the_bound_and_the_default_comes_within_a_tenth_of_it() {
    let pair = Pair::new(4.0, 1.5, 1.0, 1);
    let (ours, bound) = (accuracy(&pair, "ridge-LSA AR(1)"), pair.bound());
    for (row, (ours, bound)) in ours.iter().zip(&bound).enumerate() {
        // Above by up to 0.03: 200 correlations over 50 trials have a standard error of 0.009, three of them. Below by up
        // to 0.10: what a general drift basis, an estimated ρ and a ridge on motion cost (0.02 to 0.06 in the study).
        assert!((-0.03..0.10).contains(&(bound - ours)), "row {row}: {ours} with a bound of {bound}");
    }
    let share = ours[TWELVE] / ours[WHOLE];
    let possible = bound[TWELVE] / bound[WHOLE];
    // 0.02 below the best observer's own share: the study has 0 to 0.012 where the response is as assumed.
    assert!(share > possible - 0.02, "at 12 s {share} of the whole run, the best observer {possible}");
}

#[test]
fn forty_in_a_row_keep_their_evidence_where_neighbours_are_not_shrunk_together() {
    // What the estimate itself keeps, normalisation frozen. An unbiased one keeps all but noise; a ridge gives a level
    // that lasts for minutes to the constant and the drift, as docs-truth.md says with its price.
    let share = |name: &str| {
        let (_, recipe) = estimators().into_iter().find(|(known, _)| *known == name).unwrap();
        evidence_left(&recipe, 6.0, 1..3)[TWELVE]
    };
    let (lsa, ridge) = (share("LSA"), share("ridge-LSA"));
    // 0.9 is the bound; below half for the ridge, where the study has a tenth.
    assert!(lsa > 0.9 && ridge < 0.5, "LSA keeps {lsa}, ridge-LSA {ridge}");
}
