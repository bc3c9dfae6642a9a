//! What a run promises about trials: when they are due, on which volumes they rest, and what gaps and lateness do.

mod common;

use common::{grid, mask, raw_f32, recipe, run, zscore};
use mindeye_config::BetaUnit;
use mindeye_preprocess::{
    Event, EventChange, MissedReason, PreprocessError, RawVolume, RunPreprocessor, TrialBeta, VoxelType,
};

const TR_S: f64 = 1.5;

fn event(trial: u32, onset_s: f64) -> Event {
    Event { trial, onset_s, duration_s: 3.0 }
}

/// Feeds volume `index` with `values`, on time, and returns what became due.
fn feed(run: &mut RunPreprocessor, index: u32, values: &[f32]) -> Vec<TrialBeta> {
    let bytes = raw_f32(values);
    let raw = RawVolume::new(VoxelType::Float32, values.len() + 2, &bytes).unwrap();
    run.resample(raw).unwrap();
    run.advance(index, f64::from(index) * TR_S).unwrap();
    run.due_betas().unwrap()
}

#[test]
fn a_trial_is_due_at_the_first_volume_that_ends_at_or_after_onset_plus_lag() {
    // Onset + 7.5 s, and the volume that ends there or next: volume i ends at 1.5 (i + 1) s.
    let cases = [(9.0, 10), (8.999, 10), (9.001, 11), (0.0, 4), (-3.0, 2)];
    for (onset_s, due_at) in cases {
        let mut run = run(&recipe(0.0), 1, TR_S, 16);
        run.set_event(event(0, onset_s)).unwrap();
        let due: Vec<u32> = (0..20).filter(|i| !feed(&mut run, *i, &[100.0]).is_empty()).collect();
        assert_eq!(due, [due_at], "onset {onset_s} s");
    }
}

#[test]
fn the_beta_is_the_window_mean_minus_the_baseline_over_the_running_mean() {
    // Onset 9 s. Volume i is sampled at 1.5 i + 0.75 s: 9 and 10 lie 5.25 and 6.75 s after it (8 is at 3.75 s, before
    // the window), 4 and 5 lie in the 3 s before it. The mean of volumes 0 to 10 is the divisor.
    let values = [90.0, 100.0, 100.0, 100.0, 98.0, 102.0, 100.0, 100.0, 100.0, 104.0, 106.0f32];
    let mean: f64 = values.iter().map(|v| f64::from(*v)).sum::<f64>() / 11.0;
    let cases = [
        (BetaUnit::PercentSignalChange, 0.0, 100.0 * (105.0 - mean) / mean, 0),
        (BetaUnit::PercentSignalChange, 3.0, 100.0 * (105.0 - 100.0) / mean, 2),
        (BetaUnit::None, 3.0, 5.0, 2),
    ];
    for (unit, baseline_s, expected, baseline_volumes) in cases {
        let recipe = mindeye_config::PreprocessConfig { unit, ..recipe(baseline_s) };
        let mut run = run(&recipe, 1, TR_S, 16);
        run.set_event(event(3, 9.0)).unwrap();
        let due: Vec<TrialBeta> = (0..11).flat_map(|i| feed(&mut run, i, &[values[i as usize]])).collect();
        let [beta] = &due[..] else { panic!("one beta, found {}", due.len()) };
        // 1e-6: betas are f32, whose spacing near 5 is 5e-7.
        assert!((f64::from(beta.beta.0[0]) - expected).abs() < 1e-6, "{} against {expected}", beta.beta.0[0]);
        assert_eq!((beta.trial, beta.lag_row, beta.beta_revision), (3, 0, 0));
        assert_eq!((beta.first_volume, beta.last_volume, beta.volumes_used), (9, 10, 2));
        assert_eq!(beta.baseline_volumes, baseline_volumes);
        assert_eq!(beta.seconds_after_onset, 7.5);
        // s = √2 of {104, 106}, over √2 volumes: 1 in scanner's units.
        let expected_error = if unit == BetaUnit::None { 1.0 } else { 100.0 / mean };
        assert!((f64::from(beta.standard_error.unwrap()) - expected_error).abs() < 1e-6);
    }
}

#[test]
fn a_volume_sampled_at_the_onset_is_not_baseline() {
    // Sampled at its start, volume 6 falls on the onset at 9 s; volumes 4 and 5, at 6 and 7.5 s, are the 3 s before.
    let recipe = mindeye_config::PreprocessConfig { slice_reference: 0.0, ..recipe(3.0) };
    let mut run = run(&recipe, 1, TR_S, 16);
    run.set_event(event(0, 9.0)).unwrap();
    let due: Vec<TrialBeta> = (0..11).flat_map(|i| feed(&mut run, i, &[100.0])).collect();
    assert_eq!(due[0].baseline_volumes, 2);
}

#[test]
fn every_revision_lag_adds_volumes_and_counts_revisions() {
    let recipe = mindeye_config::PreprocessConfig { revision_lags_s: vec![6.0, 7.5, 10.5], ..recipe(0.0) };
    let mut run = run(&recipe, 1, TR_S, 16);
    run.set_event(event(0, 9.0)).unwrap();
    let due: Vec<TrialBeta> = (0..16).flat_map(|i| feed(&mut run, i, &[100.0 + i as f32])).collect();
    let seen: Vec<_> =
        due.iter().map(|b| (b.lag_row, b.lag_s, b.beta_revision, b.last_volume, b.volumes_used)).collect();
    // The window closes 8 s after onset: volume 11 is sampled at 8.25 s, so the last lag adds nothing.
    assert_eq!(seen, [(0, 6.0, 0, 9, 1), (1, 7.5, 1, 10, 2), (2, 10.5, 2, 10, 2)]);
    assert_eq!(due[0].standard_error, None, "one volume has no spread");
}

#[test]
fn trials_due_together_come_in_trial_then_lag_order() {
    let recipe = mindeye_config::PreprocessConfig { revision_lags_s: vec![6.0, 7.5], ..recipe(0.0) };
    let mut run = run(&recipe, 1, TR_S, 32);
    for i in 0..20 {
        feed(&mut run, i, &[100.0]);
    }
    for (trial, onset_s) in [(7, 6.0), (2, 12.0), (4, 9.0)] {
        assert_eq!(run.set_event(event(trial, onset_s)).unwrap(), EventChange::New);
    }
    let order: Vec<_> = run.due_betas().unwrap().iter().map(|b| (b.trial, b.lag_row)).collect();
    assert_eq!(order, [(2, 0), (2, 1), (4, 0), (4, 1), (7, 0), (7, 1)]);
    assert!(run.due_betas().unwrap().is_empty(), "each once");
}

#[test]
fn a_late_event_gets_the_bytes_of_a_timely_one() {
    let volume = |i: u32| [100.0 + (i * i % 7) as f32, 50.0 - (i % 5) as f32];
    let mut timely = run(&recipe(3.0), 2, TR_S, 32);
    timely.set_event(event(0, 9.0)).unwrap();
    let mut late = run(&recipe(3.0), 2, TR_S, 32);
    let on_time: Vec<TrialBeta> = (0..25).flat_map(|i| feed(&mut timely, i, &volume(i))).collect();
    for i in 0..25 {
        feed(&mut late, i, &volume(i));
    }
    late.set_event(event(0, 9.0)).unwrap();
    assert_eq!(late.due_betas().unwrap(), on_time);
}

#[test]
fn a_correction_estimates_again_and_goes_on_counting() {
    let recipe = mindeye_config::PreprocessConfig { revision_lags_s: vec![6.0, 7.5], ..recipe(0.0) };
    let mut run = run(&recipe, 1, TR_S, 32);
    run.set_event(event(0, 9.0)).unwrap();
    let first: Vec<TrialBeta> = (0..14).flat_map(|i| feed(&mut run, i, &[(i * i) as f32])).collect();
    assert_eq!(run.set_event(event(0, 9.0)).unwrap(), EventChange::Same);
    assert!(run.due_betas().unwrap().is_empty());
    assert_eq!(run.set_event(event(0, 7.5)).unwrap(), EventChange::Corrected);
    let again = run.due_betas().unwrap();
    let revisions: Vec<_> = first.iter().chain(&again).map(|b| (b.lag_row, b.beta_revision, b.last_volume)).collect();
    assert_eq!(revisions, [(0, 0, 9), (1, 1, 10), (0, 2, 8), (1, 3, 9)]);
}

#[test]
fn a_gap_over_the_window_misses_the_trial_and_a_partial_gap_says_what_is_left() {
    // (volumes that never come, volumes left in the window 9, 10 or why there is none)
    let cases =
        [(vec![9], Ok((10, 1))), (vec![10], Ok((9, 1))), (vec![9, 10, 11], Err(MissedReason::NoVolumeInWindow))];
    for (lost, expected) in cases {
        let mut run = run(&recipe(0.0), 1, TR_S, 16);
        run.set_event(event(0, 9.0)).unwrap();
        let came = (0..16).filter(|i| !lost.contains(i));
        let betas: Vec<TrialBeta> = came.flat_map(|i| feed(&mut run, i, &[100.0])).collect();
        let missed = run.take_missed();
        match expected {
            Ok((last, used)) => {
                assert_eq!((betas[0].last_volume, betas[0].volumes_used), (last, used), "lost {lost:?}");
                assert!(missed.is_empty());
            }
            Err(reason) => {
                assert!(betas.is_empty(), "lost {lost:?}");
                assert_eq!((missed.len(), missed[0].trial, missed[0].reason), (1, 0, reason));
                assert!(run.take_missed().is_empty(), "told once");
            }
        }
    }
}

#[test]
fn volumes_that_left_the_ring_miss_the_trial_instead_of_bending_it() {
    // A ring of 6 volumes of 1.5 s. After volume 15 it holds 10 to 15: an onset at 9 s needs volume 9, one at 10.5 s
    // needs volumes 10 and 11.
    let cases = [(9.0, false), (10.5, true)];
    for (onset_s, remembered) in cases {
        let mut run = run(&recipe(0.0), 1, TR_S, 6);
        for i in 0..16 {
            feed(&mut run, i, &[100.0]);
        }
        run.set_event(event(0, onset_s)).unwrap();
        assert_eq!(!run.due_betas().unwrap().is_empty(), remembered, "onset {onset_s}");
        let reasons: Vec<_> = run.take_missed().iter().map(|m| m.reason).collect();
        assert_eq!(reasons, if remembered { vec![] } else { vec![MissedReason::VolumesForgotten] });
    }
}

#[test]
fn a_due_volume_that_left_the_ring_is_not_replaced_by_a_later_one() {
    // TR 3 s, lag 4.5 s, onset 10.5 s: due at volume 4, which ends at 15 s and is sampled before the window opens.
    // Volume 5 lies inside the window but came after the lag: it must not stand in.
    let recipe = mindeye_config::PreprocessConfig { revision_lags_s: vec![4.5], ..recipe(0.0) };
    let mut run = run(&recipe, 1, 3.0, 3);
    let bytes = raw_f32(&[100.0]);
    for index in 0..8 {
        run.resample(RawVolume::new(VoxelType::Float32, 3, &bytes).unwrap()).unwrap();
        run.advance(index, 3.0 * f64::from(index)).unwrap();
    }
    run.set_event(event(0, 10.5)).unwrap();
    assert!(run.due_betas().unwrap().is_empty());
    assert_eq!(run.take_missed()[0].reason, MissedReason::VolumesForgotten);
}

#[test]
fn a_voxel_whose_estimate_is_not_finite_gives_zero_and_is_counted() {
    // A voxel of zeros has no percentage; a swing over the whole of f32 does not fit into f32.
    let cases = [(BetaUnit::PercentSignalChange, 0.0, 0.0), (BetaUnit::None, f32::MIN, f32::MAX)];
    for (unit, before, inside) in cases {
        let volume = |i: u32| [if i < 9 { before } else { inside }, 100.0];
        let mut run = run(&mindeye_config::PreprocessConfig { unit, ..recipe(3.0) }, 2, TR_S, 16);
        run.set_event(event(0, 9.0)).unwrap();
        let mut due: Vec<TrialBeta> = (0..11).flat_map(|i| feed(&mut run, i, &volume(i))).collect();
        let beta = &mut due[0];
        assert_eq!((beta.voxels_without_beta, &beta.beta.0[..]), (1, &[0.0, 0.0][..]), "{unit:?}");
        assert_eq!(beta.standard_error, Some(0.0), "{unit:?}: the other voxel stands still");
        assert_eq!(run.zscore(beta), 0);
        assert_eq!(beta.zscored, beta.beta, "mean 0 and SD 1 change nothing");
    }
}

#[test]
fn disorder_is_refused_and_changes_nothing() {
    let mut run = run(&recipe(0.0), 1, TR_S, 16);
    assert!(matches!(run.advance(0, 0.0), Err(PreprocessError::NothingResampled { index: 0 })));
    feed(&mut run, 4, &[100.0]);
    let before = run.moments().clone();
    let bytes = raw_f32(&[500.0]);
    let raw = RawVolume::new(VoxelType::Float32, 3, &bytes).unwrap();
    for (index, start_s) in [(4, 7.5), (3, 7.5), (5, 6.0), (5, 5.0), (5, f64::NAN)] {
        run.resample(raw).unwrap();
        assert!(run.advance(index, start_s).is_err(), "volume {index} at {start_s} s");
    }
    assert_eq!(run.moments(), &before);
    assert_eq!(run.run_time_s(), 7.5);
    assert!(run.set_event(event(0, f64::INFINITY)).is_err());
    assert!(run.set_event(Event { duration_s: -1.0, ..event(0, 1.0) }).is_err());
}

#[test]
fn a_run_refuses_parts_that_do_not_fit_and_names_both_sides() {
    let recipe = recipe(3.0);
    let new = |voxels, tr_s, ring| {
        RunPreprocessor::new(&recipe, mask(5), zscore(&recipe, voxels, 1.0), tr_s, ring).err().map(|e| e.to_string())
    };
    assert_eq!(new(5, TR_S, 8), None);
    let cases = [
        (new(4, TR_S, 8), "z-score table and mask disagree in voxels: 4 against 5"),
        (new(5, 0.0, 8), "tr_s must be positive, found 0"),
        (
            new(5, TR_S, 7),
            "a ring of 7 volumes of 1.5 s is too short: the recipe looks back 10.5 s; set ring_volumes to 8 or more",
        ),
    ];
    for (found, expected) in cases {
        assert_eq!(found.as_deref(), Some(expected));
    }
    let other = mindeye_config::PreprocessConfig { revision_lags_s: vec![9.0], ..recipe.clone() };
    let error = RunPreprocessor::new(&recipe, mask(5), zscore(&other, 5, 1.0), TR_S, 16).err().unwrap().to_string();
    assert_eq!(error, "z-score table and recipe disagree in revision lags in seconds: [9.0] against [7.5]");
}

#[test]
fn a_volume_of_another_grid_is_refused() {
    let mut run = run(&recipe(0.0), 1, TR_S, 16);
    let bytes = raw_f32(&[1.0, 2.0]);
    let raw = RawVolume::new(VoxelType::Float32, grid(4).voxel_count(), &bytes).unwrap();
    let error = run.resample(raw).unwrap_err().to_string();
    assert_eq!(error, "volume and mask disagree in voxels of the grid: 4 against 3");
}

#[test]
fn declared_conditions_that_lean_to_one_are_warned_of_where_the_recipe_counts_them() {
    let silent = &mut run(&recipe(0.0), 1, TR_S, 16);
    assert!((0..40).all(|_| silent.declare_condition(7).unwrap().is_none()), "nothing was declared in the recipe");
    let mut counting = recipe(0.0);
    counting.zscore.policy = mindeye_config::ZscorePolicy::LeaveCurrentOut;
    counting.zscore.conditions = 2;
    let mut run = run(&counting, 1, TR_S, 16);
    let warned = (0..40).find_map(|_| run.declare_condition(1).unwrap()).unwrap();
    assert_eq!((warned.condition, warned.trials), (1, 10));
    let error = run.declare_condition(2).unwrap_err().to_string();
    assert_eq!(error, "declared condition and recipe disagree in conditions, counted from 0: 2 against 2");
}
