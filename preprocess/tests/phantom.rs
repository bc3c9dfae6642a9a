//! The phantom through the whole run: betas look like the responses that were put in, as well as noise allows.

mod common;

use common::recipe;
use mindeye_preprocess::phantom::{Phantom, PhantomConfig, response_pattern, window_gain};
use mindeye_preprocess::{
    Pattern, RawVolume, RunPreprocessor, Stage, TimedVolume, TrialBeta, TrialOutcomes, VoxelType,
};
use std::sync::Arc;

/// All betas of a phantom run, streamed volume by volume; z-scored with mean 0 and SD the expected gain.
fn stream(config: PhantomConfig, baseline_s: f64) -> (Phantom, Vec<TrialBeta>) {
    let recipe = recipe(baseline_s);
    let mut phantom = Phantom::new(config);
    let mask = Arc::new(phantom.mask().clone());
    let gain = window_gain(&recipe, phantom.config().stimulus_s) as f32;
    let zscore = common::zscore(&recipe, mask.len(), gain);
    let tr_s = phantom.config().tr_s;
    let mut run = RunPreprocessor::new(&recipe, mask, zscore, tr_s, 16).unwrap();
    for (event, _) in phantom.events() {
        run.set_event(event).unwrap();
    }
    let mut betas = Vec::new();
    for index in 0..phantom.volume_count() {
        let bytes: Vec<u8> = phantom.volume(index).iter().flat_map(|v| v.to_le_bytes()).collect();
        let raw = RawVolume::new(VoxelType::Int16, phantom.grid().voxel_count(), &bytes).unwrap();
        let mut outcomes = TrialOutcomes::default();
        run.process_into(&TimedVolume { index, start_s: f64::from(index) * tr_s, raw }, &mut outcomes).unwrap();
        assert!(outcomes.missed.is_empty());
        betas.extend(outcomes.betas);
    }
    (phantom, betas)
}

fn correlations(phantom: &Phantom, betas: &[TrialBeta]) -> Vec<f64> {
    let scenes = phantom.events();
    let truth = |beta: &TrialBeta| response_pattern(scenes[beta.trial as usize].1, phantom.mask());
    betas.iter().map(|beta| beta.zscored.correlation(&truth(beta)).unwrap()).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn smallest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn quiet() -> PhantomConfig {
    PhantomConfig { sfnr: f64::INFINITY, drift_percent: 0.0, motion_mm: 0.0, ..PhantomConfig::default() }
}

// The bounds below follow from the double gamma of a 3 s stimulus, peak 1. A trial's window holds the volumes sampled
// 5.25 and 6.75 s after onset: mean height g = 0.909. The trials 6, 12 and 18 s before add o = 0.160, -0.089 and -0.027
// of their own independent responses. Two volumes of SFNR 70 leave noise of n = (100/70)/√2 = 1.010 percent. So
// r = g / √(g² + Σo² + n²) = 0.663 with noise and 0.980 without.

#[test]
fn without_noise_a_beta_is_its_response_and_what_neighbouring_trials_leave() {
    let (phantom, betas) = stream(quiet(), 0.0);
    let r = correlations(&phantom, &betas);
    assert_eq!(r.len(), 60);
    // Measured 0.966, smallest 0.937. Below 0.980 because the running mean of a young run holds single responses.
    assert!(mean(&r) > 0.95 && smallest(&r) > 0.92, "mean {}, smallest {}", mean(&r), smallest(&r));
}

#[test]
fn trials_far_apart_and_without_noise_are_recovered_with_the_expected_gain() {
    let (phantom, betas) = stream(PhantomConfig { interval_s: 45.0, trials: 8, ..quiet() }, 3.0);
    let r = correlations(&phantom, &betas);
    // Measured 0.9992: what is missing is rounding to whole scanner's units, 0.03 % against a response of 1 %.
    assert!(smallest(&r) > 0.998, "smallest {}", smallest(&r));
    for beta in &betas {
        let truth = response_pattern(phantom.events()[beta.trial as usize].1, phantom.mask());
        let product = |a: &Pattern, b: &Pattern| a.0.iter().zip(&b.0).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        let slope = product(&beta.zscored, &truth) / product(&truth, &truth);
        // 1.081 = 0.909/0.840: two samples near the peak against the mean over the window; 0.01 for rounding.
        assert!((slope - 1.081).abs() < 0.01, "trial {}: z = {slope} x response", beta.trial);
    }
}

#[test]
fn with_noise_drift_and_motion_the_correlation_is_what_the_noise_allows() {
    let (phantom, betas) = stream(PhantomConfig::default(), 0.0);
    let r = correlations(&phantom, &betas);
    // Measured 0.647, smallest 0.609. 0.03 below the 0.663 of the equation: 0.014 as without noise, the rest for edges
    // and drift. A single r over 4,000 voxels has a standard error of (1 − r²)/√4000 = 0.009; 6 of it below the mean.
    assert!((0.633..0.68).contains(&mean(&r)), "mean {}", mean(&r));
    assert!(smallest(&r) > 0.58, "smallest {}", smallest(&r));
}

#[test]
fn every_beta_is_closest_to_its_own_scene() {
    let (phantom, betas) = stream(PhantomConfig { trials: 20, ..PhantomConfig::default() }, 0.0);
    let scenes: Vec<Pattern> = (0..300).map(|scene| response_pattern(scene, phantom.mask())).collect();
    for (beta, (_, shown)) in betas.iter().zip(phantom.events()) {
        let r: Vec<f64> = scenes.iter().map(|scene| beta.zscored.correlation(scene).unwrap()).collect();
        let best = (0..r.len()).max_by(|a, b| r[*a].total_cmp(&r[*b])).unwrap();
        assert_eq!(best as u32, shown, "trial {}", beta.trial);
    }
}

#[test]
fn at_six_seconds_a_local_baseline_costs_more_than_it_gives() {
    // The 3 s before an onset hold the peak of the trial before and double the noise: the equation gives 0.502 then.
    // Measured 0.505 against 0.647. The demo's recipe takes the run's mean for this reason.
    let r = [0.0, 3.0].map(|baseline_s| {
        let (phantom, betas) = stream(PhantomConfig { trials: 20, ..PhantomConfig::default() }, baseline_s);
        mean(&correlations(&phantom, &betas))
    });
    assert!(r[0] > r[1] + 0.1, "run's mean {}, local baseline {}", r[0], r[1]);
}

#[test]
fn a_volume_has_the_same_bytes_in_any_order_and_other_bytes_for_another_seed() {
    let mut forwards = Phantom::new(PhantomConfig::default());
    let mut backwards = Phantom::new(PhantomConfig::default());
    let mut other = Phantom::new(PhantomConfig { seed: 2, ..PhantomConfig::default() });
    let indices = [0, 7, 15, 16];
    let first: Vec<_> = indices.iter().map(|i| forwards.volume(*i)).collect();
    let mut second: Vec<_> = indices.iter().rev().map(|i| backwards.volume(*i)).collect();
    second.reverse();
    assert!(first == second, "order must not matter");
    assert!(first[0] != other.volume(0) && first[0] != first[1]);
    assert_ne!(forwards.events(), other.events(), "the order of scenes follows the seed");
}

#[test]
fn every_scene_is_shown_once_before_any_comes_again() {
    let phantom = Phantom::new(PhantomConfig { trials: 25, scenes: 10, ..PhantomConfig::default() });
    let shown: Vec<u32> = phantom.events().iter().map(|(_, scene)| *scene).collect();
    for round in [&shown[..10], &shown[10..20]] {
        let mut sorted = round.to_vec();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..10).collect::<Vec<_>>());
    }
    assert_ne!(shown[..10], shown[10..20]);
    let (first, last) = (phantom.events()[0].0, phantom.events()[24].0);
    assert_eq!((first.onset_s, last.onset_s, phantom.volume_count()), (9.0, 153.0, 110));
}

#[test]
fn the_brain_has_the_signal_to_noise_that_was_asked_for() {
    let mut phantom =
        Phantom::new(PhantomConfig { drift_percent: 0.0, motion_mm: 0.0, trials: 0, ..PhantomConfig::default() });
    let mut moments = mindeye_preprocess::RunningMoments::new(phantom.mask().len());
    let mut pattern = Pattern::default();
    for index in 0..60 {
        let bytes: Vec<u8> = phantom.volume(index).iter().flat_map(|v| v.to_le_bytes()).collect();
        let raw = RawVolume::new(VoxelType::Int16, phantom.grid().voxel_count(), &bytes).unwrap();
        phantom.mask().gather(raw, &mut pattern).unwrap();
        moments.add(&pattern).unwrap();
    }
    // 70 within 5 %: an SD from 60 volumes is 1.3 % low on average in 1/SD, folds average out, the region's rim is darker.
    let sfnr = moments.mean_sfnr().unwrap();
    assert!((66.5..73.5).contains(&sfnr), "{sfnr}");
}
