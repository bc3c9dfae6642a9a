//! Feedback is one number of one estimate per trial, or missing.

use super::*;
use mindeye_config::Name;
use mindeye_preprocess::Pattern;

fn plan(baseline_trials: u32, smoothing_trials: u32) -> Arc<FeedbackPlan> {
    let name = |text: &str| Name::new(text).unwrap();
    let config = FeedbackConfig {
        targets: vec![name("a")],
        against: vec![name("b")],
        lag_s: 6.0,
        baseline_trials,
        smoothing_trials,
    };
    Arc::new(FeedbackPlan { config, targets: vec![0], against: vec![1, 2] })
}

fn beta(trial: u32, lag_s: f64) -> TrialBeta {
    TrialBeta {
        trial,
        beta_revision: 0,
        lag_row: 0,
        lag_s,
        onset_s: 9.0,
        seconds_after_onset: lag_s,
        first_volume: 8,
        last_volume: 10,
        volumes_used: 2,
        baseline_volumes: 0,
        voxels_without_beta: 0,
        standard_error: None,
        beta: Pattern::zeros(1),
        zscored: Pattern::zeros(1),
    }
}

/// A list whose raw number is `raw`: the target scores `raw` + 0.25, the two against it 0 and 0.5.
fn list(raw: f32) -> Retrieval {
    Retrieval { scores: vec![raw + 0.25, 0.0, 0.5] }
}

/// Values of trials that each scored in time, `None` for missing.
fn values(series: &mut FeedbackSeries, raws: &[f32]) -> Vec<Result<f64, Missing>> {
    let given =
        raws.iter().enumerate().map(|(trial, raw)| series.scored(&beta(trial as u32, 6.0), &list(*raw)).unwrap());
    given.map(|given| given.value.ok_or_else(|| given.missing.unwrap())).collect()
}

#[test]
fn the_number_is_targets_minus_against_smoothed_and_then_set_against_the_baseline() {
    use Missing::{Baseline, NoBaseline};
    type Case<'a> = (u32, u32, &'a [f32], &'a [Result<f64, Missing>]);
    let cases: [Case<'_>; 4] = [
        (0, 1, &[0.5, 0.25], &[Ok(0.5), Ok(0.25)]),
        (0, 2, &[0.5, 0.25, 0.75], &[Ok(0.5), Ok(0.375), Ok(0.5)]),
        // Mean 0.5, SD 0.5: (0.75 - 0.5) / 0.5, then smoothed (0.75 + 0.25) / 2.
        (3, 1, &[0.0, 0.5, 1.0, 0.75], &[Err(Baseline), Err(Baseline), Err(Baseline), Ok(0.5)]),
        (2, 1, &[0.5, 0.5, 1.0], &[Err(Baseline), Err(Baseline), Err(NoBaseline)]),
    ];
    for (baseline, smoothing, raws, expected) in cases {
        let mut series = FeedbackSeries::new(plan(baseline, smoothing));
        assert_eq!(values(&mut series, raws), expected, "baseline {baseline}, smoothing {smoothing}");
    }
}

#[test]
fn another_estimate_never_takes_the_place_of_one_that_is_late() {
    let mut series = FeedbackSeries::new(plan(0, 1));
    assert_eq!(series.scored(&beta(0, 4.5), &list(0.5)), None);
    assert_eq!(series.scored(&beta(0, 7.5), &list(0.5)), None);
    let missing = series.closed(0).unwrap();
    assert_eq!((missing.value, missing.missing), (None, Some(Missing::NotInTime)));
    assert_eq!(series.scored(&beta(0, 6.0), &list(0.5)), None);
}

#[test]
fn a_number_that_was_given_stays() {
    let mut series = FeedbackSeries::new(plan(0, 1));
    assert_eq!(series.scored(&beta(0, 6.0), &list(0.5)).unwrap().value, Some(0.5));
    assert_eq!(series.scored(&beta(0, 6.0), &list(0.75)), None);
    assert_eq!(series.closed(0), None);
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let raws = [0.0, 0.5, 1.0, 0.75, 0.25];
    let mut whole = FeedbackSeries::new(plan(3, 2));
    let expected = values(&mut whole, &raws);
    let mut restarted = FeedbackSeries::new(plan(3, 2));
    whole.given[..4].iter().for_each(|given| restarted.remember(*given));
    let last = restarted.scored(&beta(4, 6.0), &list(raws[4])).unwrap();
    assert_eq!(last.value.ok_or_else(|| last.missing.unwrap()), expected[4]);
}
