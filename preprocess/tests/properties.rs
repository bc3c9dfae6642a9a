//! The streaming estimates equal naive batch computations of the whole run, whatever the gaps and however late the events.

mod common;

use common::{raw_f32, recipe, run};
use mindeye_config::{BetaConfig, BetaKind, BetaUnit, PreprocessConfig};
use mindeye_preprocess::{
    Event, Pattern, RawVolume, RunPreprocessor, RunningMoments, Slot, TrialBeta, VolumeRing, VoxelType,
};
use proptest::prelude::*;

/// Three voxels, so that a mix-up of voxels shows.
const VOXELS: usize = 3;

/// A volume as the batch computation sees it.
#[derive(Debug, Clone)]
struct Volume {
    index: u32,
    start_s: f64,
    values: [f32; VOXELS],
}

/// A trial: onset, corrected onset, and after how many volumes each is told.
#[derive(Debug, Clone)]
struct Trial {
    onset_s: f64,
    told_after: usize,
    correction: Option<(f64, usize)>,
}

fn volumes(tr_s: f64) -> impl Strategy<Value = Vec<Volume>> {
    // Steps of 1 to 4 make gaps of up to 3 volumes; stamps jitter by up to 40 % of a TR.
    let volume = (1u32..=4, -0.2..0.2f64, prop::array::uniform3(-200i16..2000));
    prop::collection::vec(volume, 5..60).prop_map(move |steps| {
        let mut next = 0;
        let at = |(step, jitter, values): (u32, f64, [i16; VOXELS])| {
            let index = next;
            next += step;
            Volume { index, start_s: (f64::from(index) + jitter) * tr_s, values: values.map(f32::from) }
        };
        steps.into_iter().map(at).collect()
    })
}

fn trials() -> impl Strategy<Value = Vec<Trial>> {
    let correction = prop::option::of((-3.0..100.0f64, 0usize..80));
    let trial = (-3.0..100.0f64, 0usize..60, correction).prop_map(|(onset_s, told_after, correction)| Trial {
        onset_s,
        told_after,
        correction: correction.map(|(onset_s, later)| (onset_s, told_after + later)),
    });
    prop::collection::vec(trial, 1..8)
}

fn recipes() -> impl Strategy<Value = PreprocessConfig> {
    let lags = prop::collection::btree_set(50u32..160, 1..4);
    let percent = any::<bool>();
    (lags, 0.0..5.0f64, 0.5..8.0f64, prop_oneof![Just(0.0), 0.5..8.0f64], 0.0..=1.0f64, percent).prop_map(
        |(lags, window_start_s, length_s, baseline_s, slice_reference, percent)| PreprocessConfig {
            revision_lags_s: lags.into_iter().map(|tenths| f64::from(tenths) / 10.0).collect(),
            slice_reference,
            unit: if percent { BetaUnit::PercentSignalChange } else { BetaUnit::None },
            beta: BetaConfig {
                kind: BetaKind::Window,
                window_start_s,
                window_end_s: window_start_s + length_s,
                baseline_s,
                ..BetaConfig::default()
            },
            ..recipe(0.0)
        },
    )
}

/// What the whole run says about a trial at a lag, computed from scratch: `None` if it is not due or has no volume.
fn naive_beta(
    volumes: &[Volume],
    recipe: &PreprocessConfig,
    tr_s: f64,
    onset_s: f64,
    lag_s: f64,
) -> Option<[f64; VOXELS]> {
    let due = volumes.iter().position(|v| v.start_s + tr_s >= onset_s + lag_s - 1e-9)?;
    let known = &volumes[..=due];
    let mean_of = |from_s: f64, to_s: f64, voxel: usize| {
        let chosen: Vec<f64> = known
            .iter()
            .filter(|v| (from_s..=to_s).contains(&(v.start_s + recipe.slice_reference * tr_s - onset_s)))
            .map(|v| f64::from(v.values[voxel]))
            .collect();
        (!chosen.is_empty()).then(|| chosen.iter().sum::<f64>() / chosen.len() as f64)
    };
    let mut betas = [0.0; VOXELS];
    for (voxel, beta) in betas.iter_mut().enumerate() {
        let mean = mean_of(f64::NEG_INFINITY, f64::INFINITY, voxel).expect("the due volume is known");
        let response = mean_of(recipe.beta.window_start_s - 1e-9, recipe.beta.window_end_s + 1e-9, voxel)?;
        let baseline = mean_of(-recipe.beta.baseline_s - 1e-9, -1e-9 - f64::EPSILON, voxel).unwrap_or(mean);
        let scale = if recipe.unit == BetaUnit::None { 1.0 } else { 100.0 / mean };
        *beta = if mean == 0.0 && recipe.unit != BetaUnit::None { 0.0 } else { scale * (response - baseline) };
    }
    Some(betas)
}

/// Streams `volumes`, telling each trial when it says, and returns all betas in the order in which they came.
fn stream(run: &mut RunPreprocessor, volumes: &[Volume], trials: &[Trial]) -> Vec<TrialBeta> {
    let mut betas = Vec::new();
    let tell = |run: &mut RunPreprocessor, trial: usize, onset_s: f64| {
        run.set_event(Event { trial: trial as u32, onset_s, duration_s: 1.0 }).unwrap();
    };
    for after in 0..=volumes.len() + 200 {
        for (number, trial) in trials.iter().enumerate() {
            if trial.told_after == after {
                tell(run, number, trial.onset_s);
            }
            if let Some((onset_s, _)) = trial.correction.filter(|(_, told_after)| *told_after == after) {
                tell(run, number, onset_s);
            }
        }
        betas.extend(run.due_betas().unwrap());
        if let Some(volume) = volumes.get(after) {
            feed(run, volume);
            betas.extend(run.due_betas().unwrap());
        }
    }
    betas
}

fn feed(run: &mut RunPreprocessor, volume: &Volume) {
    let bytes = raw_f32(&volume.values);
    run.resample(RawVolume::new(VoxelType::Float32, VOXELS + 2, &bytes).unwrap()).unwrap();
    run.advance(volume.index, volume.start_s).unwrap();
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * (1.0 + a.abs().max(b.abs()))
}

proptest! {
    #[test]
    fn welford_equals_two_passes(values in prop::collection::vec(-1e4..1e4f32, 2..80), offset in -1e5..1e5f32) {
        let values: Vec<f32> = values.iter().map(|v| v + offset).collect();
        let mut moments = RunningMoments::new(1);
        for v in &values {
            moments.add(&Pattern(vec![*v])).unwrap();
        }
        let n = values.len() as f64;
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
        let sd = (values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        // 1e-11: 80 additions, each rounded to 1e-16 of numbers up to 1e5; the SD's own scale is at least the spacing of f32.
        prop_assert!(close(moments.mean()[0], mean, 1e-11), "mean {} against {mean}", moments.mean()[0]);
        prop_assert!((moments.sd(0).unwrap() - sd).abs() < 1e-6 + 1e-9 * sd, "sd {:?} against {sd}", moments.sd(0));
    }

    #[test]
    fn window_betas_equal_the_batch_computation(
        recipe in recipes(),
        volumes in volumes(1.5),
        trials in trials(),
    ) {
        let mut run = run(&recipe, VOXELS, 1.5, 1000);
        let betas = stream(&mut run, &volumes, &trials);
        for (number, trial) in trials.iter().enumerate() {
            let onset_s = trial.correction.map_or(trial.onset_s, |(onset_s, _)| onset_s);
            for (row, lag_s) in recipe.revision_lags_s.iter().enumerate() {
                let of_lag = |b: &&TrialBeta| b.trial == number as u32 && b.lag_row == row && b.onset_s == onset_s;
                let ours = betas.iter().rfind(of_lag);
                let batch = naive_beta(&volumes, &recipe, 1.5, onset_s, *lag_s);
                prop_assert_eq!(ours.is_some(), batch.is_some(), "trial {} lag {}", number, lag_s);
                let (Some(ours), Some(batch)) = (ours, batch) else { continue };
                for (a, b) in ours.beta.0.iter().zip(batch) {
                    // A mean within rounding of 0 (1e-9 of the values) has no percentage worth comparing.
                    let comparable = b.abs() < 1e9;
                    // 1e-6: betas are f32, whose spacing is 6e-8 of the value.
                    prop_assert!(!comparable || close(f64::from(*a), b, 1e-6), "{} against {}", a, b);
                }
            }
        }
        prop_assert!(betas.iter().all(|b| b.beta.0.iter().all(|v| v.is_finite())));
    }

    #[test]
    fn revisions_of_a_trial_count_up_from_zero(recipe in recipes(), volumes in volumes(1.5), trials in trials()) {
        let mut run = run(&recipe, VOXELS, 1.5, 1000);
        let betas = stream(&mut run, &volumes, &trials);
        for trial in 0..trials.len() as u32 {
            let revisions: Vec<u32> = betas.iter().filter(|b| b.trial == trial).map(|b| b.beta_revision).collect();
            prop_assert_eq!(&revisions, &(0..revisions.len() as u32).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_same_run_twice_gives_the_same_bytes(recipe in recipes(), volumes in volumes(0.8), trials in trials()) {
        let twice = [0, 1].map(|_| stream(&mut run(&recipe, VOXELS, 0.8, 1000), &volumes, &trials));
        let bytes = |betas: &[TrialBeta]| betas.iter().map(|b| b.beta.to_bytes()).collect::<Vec<_>>();
        prop_assert_eq!(bytes(&twice[0]), bytes(&twice[1]));
        prop_assert_eq!(&twice[0], &twice[1]);
    }

    #[test]
    fn every_voxel_type_gives_the_same_betas(
        values in prop::collection::vec(prop::array::uniform3(0i16..2000), 12..40),
        onset_s in 0.0..8.0f64,
    ) {
        let recipe = recipe(3.0);
        let of_type = |dtype: VoxelType| {
            let mut run = run(&recipe, VOXELS, 1.5, 16);
            run.set_event(Event { trial: 0, onset_s, duration_s: 1.0 }).unwrap();
            let mut betas = Vec::new();
            for (index, values) in values.iter().enumerate() {
                let bytes: Vec<u8> = [0, 0].iter().chain(values).flat_map(|v| encode(*v, dtype)).collect();
                run.resample(RawVolume::new(dtype, VOXELS + 2, &bytes).unwrap()).unwrap();
                run.advance(index as u32, 1.5 * index as f64).unwrap();
                betas.extend(run.due_betas().unwrap());
            }
            betas
        };
        let reference = of_type(VoxelType::Int16);
        prop_assert_eq!(reference.len(), usize::from(values.len() as f64 * 1.5 >= onset_s + 7.5));
        for dtype in VoxelType::ALL {
            prop_assert_eq!(&of_type(dtype), &reference);
        }
    }

    #[test]
    fn the_shortest_ring_that_is_allowed_forgets_nothing_that_is_needed(
        recipe in recipes(),
        tr_s in 0.4..3.0f64,
        onsets in prop::collection::vec(-3.0..60.0f64, 1..8),
    ) {
        let needed = (1..).find(|n| {
            mindeye_preprocess::RunPreprocessor::new(&recipe, common::mask(VOXELS), common::zscore(&recipe, VOXELS, 1.0), tr_s, *n).is_ok()
        });
        let mut run = run(&recipe, VOXELS, tr_s, needed.unwrap());
        for (trial, onset_s) in onsets.iter().enumerate() {
            run.set_event(Event { trial: trial as u32, onset_s: *onset_s, duration_s: 1.0 }).unwrap();
        }
        for index in 0..(80.0 / tr_s) as u32 {
            feed(&mut run, &Volume { index, start_s: f64::from(index) * tr_s, values: [1.0, 2.0, 3.0] });
            run.due_betas().unwrap();
            let forgotten = run.take_missed().into_iter().find(|m| m.reason == mindeye_preprocess::MissedReason::VolumesForgotten);
            prop_assert_eq!(forgotten, None);
        }
    }

    #[test]
    fn the_ring_holds_the_end_of_the_run_with_its_gaps(steps in prop::collection::vec(1u32..30, 0..40), capacity in 1usize..12) {
        let mut ring = VolumeRing::new(capacity);
        let mut all: Vec<(u32, bool)> = Vec::new();
        let mut next = 0;
        for step in steps {
            let index = next + step - 1;
            ring.push_gap(next..index);
            ring.push_volume(index, f64::from(index), &Pattern(vec![index as f32]), &[f64::from(index)]);
            all.extend((next..index).map(|i| (i, false)).chain([(index, true)]));
            next = index + 1;
            let kept = all.len().saturating_sub(capacity);
            let seen: Vec<(u32, bool)> = ring.slots().map(|slot| (slot.index, slot.volume.is_some())).collect();
            prop_assert_eq!(&seen, &all[kept..]);
            let forgotten = all[..kept].iter().rfind(|(_, came)| *came).map(|(index, _)| f64::from(*index));
            prop_assert_eq!(ring.forgotten_start_s(), forgotten);
            prop_assert!(ring.slots().all(holds_its_own_index));
        }
    }
}

/// Storage is used again: a slot must not show another volume's numbers.
fn holds_its_own_index(slot: &Slot) -> bool {
    slot.volume.as_ref().is_none_or(|volume| {
        let index = f64::from(slot.index);
        volume.start_s == index && volume.pattern.0 == [index as f32] && volume.mean_so_far == [index]
    })
}

fn encode(value: i16, dtype: VoxelType) -> Vec<u8> {
    match dtype {
        VoxelType::Int16 => value.to_le_bytes().to_vec(),
        VoxelType::Uint16 => (value as u16).to_le_bytes().to_vec(),
        VoxelType::Float32 => f32::from(value).to_le_bytes().to_vec(),
        VoxelType::Float64 => f64::from(value).to_le_bytes().to_vec(),
    }
}
