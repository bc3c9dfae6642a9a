//! What each normalisation policy does to a run, and what forty trials of one category do to each policy.

mod common;

use common::{recipe, zscore};
use mindeye_config::{PreprocessConfig, ZscorePolicy};
use mindeye_preprocess::{Normaliser, Pattern, RunningMoments, ZscoreTable};
use std::sync::Arc;

fn with(policy: ZscorePolicy) -> PreprocessConfig {
    let mut recipe = recipe(0.0);
    recipe.zscore.policy = policy;
    recipe.zscore.prior_trials = 10.0;
    if policy == ZscorePolicy::NeutralOffset {
        recipe.zscore.neutral_s = vec![[0.0, 9.0], [100.0, 109.0]];
    }
    mindeye_config::Checked::check(&recipe).unwrap();
    recipe
}

fn z_of(normaliser: &Normaliser, trial: u32, beta: f32) -> f32 {
    let mut z = Pattern::default();
    let run = RunningMoments::new(1);
    assert_eq!(normaliser.normalise(trial, 0, &Pattern(vec![beta]), &run, &mut z).unwrap(), 0);
    z.0[0]
}

#[test]
fn the_running_policy_is_the_pool_of_the_prior_and_the_other_trials() {
    let recipe = with(ZscorePolicy::LeaveCurrentOut);
    let prior = ZscoreTable::new(vec![7.5], 1, vec![0.5], vec![2.0]).unwrap();
    let mut normaliser = Normaliser::new(&recipe, Arc::new(prior));
    assert_eq!(z_of(&normaliser, 0, 2.5), 1.0, "the prior alone");
    let betas = [1.0f32, 3.0, -2.0, 4.0];
    for (trial, beta) in betas.iter().enumerate() {
        normaliser.record(trial as u32, 0, &Pattern(vec![*beta])).unwrap();
    }
    // A pool of ten trials of mean 0.5 and variance 4 with trials 0, 1 and 3: trial 2 is the current one.
    let others = [1.0, 3.0, 4.0];
    let mean = (10.0 * 0.5 + others.iter().sum::<f64>()) / 13.0;
    let squares = 10.0 * (4.0 + 0.25) + others.iter().map(|b| b * b).sum::<f64>();
    let sd = (squares / 13.0 - mean * mean).sqrt();
    let expected = (-2.0 - mean) / sd;
    assert!((f64::from(z_of(&normaliser, 2, -2.0)) - expected).abs() < 1e-6);
    assert_eq!(normaliser.trials(0), 4);
    // A correction replaces what the trial put in; a trial that is not there has nothing to leave out.
    normaliser.record(3, 0, &Pattern(vec![9.0])).unwrap();
    normaliser.record(3, 0, &Pattern(vec![4.0])).unwrap();
    assert!((f64::from(z_of(&normaliser, 2, -2.0)) - expected).abs() < 1e-6);
    normaliser.reset();
    assert_eq!(z_of(&normaliser, 2, 2.5), 1.0);
}

#[test]
fn a_voxel_that_never_varied_in_training_stays_zero_under_every_policy() {
    for policy in [ZscorePolicy::FrozenPerLag, ZscorePolicy::LeaveCurrentOut, ZscorePolicy::NeutralOffset] {
        let recipe = with(policy);
        let mut normaliser = Normaliser::new(&recipe, zscore(&recipe, 2, 0.0));
        for trial in 0..20 {
            normaliser.record(trial, 0, &Pattern(vec![trial as f32, 1.0])).unwrap();
        }
        let mut z = Pattern::default();
        let run = RunningMoments::new(2);
        let without = normaliser.normalise(0, 0, &Pattern(vec![3.0, 4.0]), &run, &mut z).unwrap();
        assert_eq!((without, &z.0[..]), (2, &[0.0, 0.0][..]), "{policy:?}");
    }
}

#[test]
fn a_wrong_lag_or_voxel_count_is_refused_and_named() {
    let recipe = with(ZscorePolicy::LeaveCurrentOut);
    let mut normaliser = Normaliser::new(&recipe, zscore(&recipe, 2, 1.0));
    let wrong = [
        normaliser.record(0, 1, &Pattern::zeros(2)).unwrap_err().to_string(),
        normaliser.record(0, 0, &Pattern::zeros(3)).unwrap_err().to_string(),
    ];
    assert_eq!(wrong[0], "lag row and z-score table disagree in rows: 2 against 1");
    assert_eq!(wrong[1], "beta and z-score table disagree in voxels: 3 against 2");
}

#[test]
fn the_neutral_offset_is_the_response_against_declared_rest() {
    let recipe = with(ZscorePolicy::NeutralOffset);
    let mut normaliser = Normaliser::new(&recipe, zscore(&recipe, 1, 1.0));
    let mut run = RunningMoments::new(1);
    // Rest at 100; stimulation holds the voxel at 102, so that the run's mean is above rest.
    for index in 0..40 {
        let volume = Pattern(vec![if index < 6 { 100.0 } else { 102.0 }]);
        normaliser.volume(1.5 * f64::from(index) + 0.75, &volume).unwrap();
        run.add(&volume).unwrap();
    }
    let mean = run.mean()[0];
    let beta = Pattern(vec![(100.0 * (102.0 - mean) / mean) as f32]);
    let mut z = Pattern::default();
    normaliser.normalise(0, 0, &beta, &run, &mut z).unwrap();
    let expected = 100.0 * 2.0 / mean;
    assert!((f64::from(z.0[0]) - expected).abs() < 1e-5, "{} against {expected}", z.0[0]);
}

/// Mean z over the last ten of forty trials of one category, as a share of the category's true effect. The voxel's
/// betas are 1 for it and 0 on average in training, SD 1.
fn evidence_after_forty(policy: ZscorePolicy) -> f64 {
    let recipe = with(policy);
    let mut normaliser = Normaliser::new(&recipe, zscore(&recipe, 1, 1.0));
    let z = |trial: u32| {
        let beta = 1.0 + 0.5 * if trial.is_multiple_of(2) { 1.0 } else { -1.0 };
        normaliser.record(trial, 0, &Pattern(vec![beta])).unwrap();
        f64::from(z_of(&normaliser, trial, beta))
    };
    let all: Vec<f64> = (0..40).map(z).collect();
    all[30..].iter().sum::<f64>() / 10.0
}

#[test]
fn forty_trials_of_one_category_lose_nothing_under_the_default_and_much_under_a_running_policy() {
    assert_eq!(evidence_after_forty(ZscorePolicy::default()), 1.0, "frozen statistics cannot be bent");
    // With n = 34 others of mean 1 and a prior of 10: mean 0.77, variance (10 + 34 x 1.25)/44 - 0.6 = 0.6, z = 0.3.
    let running = evidence_after_forty(ZscorePolicy::LeaveCurrentOut);
    assert!((0.25..0.35).contains(&running), "{running}");
}
