//! Filters agree with numpy and scipy (`tests/oracle/filters_fixture.py` wrote their answers), and do what their pages say.

mod common;

use common::{raw_f32, zscore};
use mindeye_config::{
    AveragingConfig, DespikeConfig, DespikeKind, PreprocessConfig, SliceTimingConfig, SliceTimingKind, SmoothingConfig,
};
use mindeye_preprocess::conformance::{promised_delay_is_observed, refusal_changes_nothing, same_bytes_after_reset};
use mindeye_preprocess::filters::{KalmanDespike, SliceTimed, SliceTiming, SpatialSmoothing, TemporalAverage};
use mindeye_preprocess::{Grid, Mask, Pattern, PreprocessError, RawVolume, RunPlan, RunPreprocessor, Stage, VoxelType};
use std::sync::Arc;

fn fixture() -> serde_json::Value {
    serde_json::from_str(include_str!("fixtures/filters.json")).unwrap()
}

fn numbers(value: &serde_json::Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn through<S: for<'a> Stage<In<'a> = Pattern, Out = Pattern>>(stage: &mut S, values: &[f32]) -> Vec<f32> {
    let mut out = Pattern::default();
    stage.process_into(&Pattern(values.to_vec()), &mut out).unwrap();
    out.0
}

fn assert_close(found: f32, expected: f64, relative: f64, what: &str) {
    assert!((f64::from(found) - expected).abs() <= relative * expected.abs(), "{what}: {found} against {expected}");
}

#[test]
fn despiking_is_the_filter_of_the_equations() {
    let fixture = fixture();
    let (input, expected) = (numbers(&fixture["despike"]["input"]), numbers(&fixture["despike"]["output"]));
    let mut stage = KalmanDespike::new(1);
    let mut spikes = Vec::new();
    for (t, (z, expected)) in input.iter().zip(&expected).enumerate() {
        // 1e-7: the output is f32; the state is f64.
        assert_close(through(&mut stage, &[*z as f32])[0], *expected, 1e-7, &format!("volume {t}"));
        if stage.spikes() > 0 {
            spikes.push(t);
        }
    }
    assert!(spikes.contains(&40) && spikes.contains(&41) && spikes.contains(&70), "{spikes:?}");
}

#[test]
fn a_lone_spike_is_swallowed_and_a_step_comes_one_volume_late() {
    let noise = |t: usize| 1000.0 + 2.0 * (1.3 * t as f32).sin();
    let course = |bump: &dyn Fn(usize) -> f32| {
        let mut stage = KalmanDespike::new(1);
        (0..60).map(|t| through(&mut stage, &[noise(t) + bump(t)])[0]).collect::<Vec<f32>>()
    };
    let quiet = course(&|_| 0.0);
    let spiky = course(&|t| if t == 40 { 50.0 } else { 0.0 });
    assert_eq!(spiky[40], spiky[39], "the value before stands in");
    assert!((spiky[45] - quiet[45]).abs() < 2.0, "{} against {}", spiky[45], quiet[45]);
    let stepped = course(&|t| if t >= 40 { 50.0 } else { 0.0 });
    assert_eq!(stepped[40], stepped[39], "not believed at once");
    assert!(stepped[41] - stepped[40] > 10.0, "believed the second time: {}", stepped[41]);
}

fn box_grid() -> Grid {
    Grid { dim: [10, 9, 8], affine: [[-3., 0., 0., 15.], [0., 3., 0., -12.], [0., 0., 4., -14.], [0., 0., 0., 1.]] }
}

fn box_value(v: usize) -> f32 {
    ((v * 7919 + v * v * 104_729) % 1009) as f32
}

#[test]
fn smoothing_is_scipys_gaussian_inside_the_mask() {
    let fixture = fixture();
    type Inside = fn(usize) -> bool;
    let cases: [(&str, Inside); 2] = [("whole", |_| true), ("mask", |v| (v * 31) % 5 != 0 && v % 7 != 3)];
    for (name, inside) in cases {
        let voxels: Vec<u32> = (0..720).filter(|v| inside(*v as usize)).collect();
        let mask = Mask::from_voxels(box_grid(), voxels).unwrap();
        let values: Vec<f32> = mask.voxels().iter().map(|v| box_value(*v as usize)).collect();
        let smooth = through(&mut SpatialSmoothing::new(&mask, 7.0), &values);
        for (at, (found, expected)) in smooth.iter().zip(numbers(&fixture["smoothing"][name])).enumerate() {
            // 1e-7: one rounding to f32.
            assert_close(*found, expected, 1e-7, &format!("{name} voxel {at}"));
        }
    }
}

/// The border keeps its level: nothing leaks in from outside, and a constant stays what it is.
#[test]
fn smoothing_leaves_a_constant_alone_and_keeps_apart_what_the_mask_keeps_apart() {
    let mask = Mask::from_voxels(box_grid(), vec![0, 1, 2, 11, 13, 345, 719]).unwrap();
    let mut stage = SpatialSmoothing::new(&mask, 5.0);
    for value in through(&mut stage, &[812.5; 7]) {
        assert_close(value, 812.5, 1e-7 /* one rounding to f32 */, "constant");
    }
    let far = through(&mut stage, &[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 100.0]);
    assert_eq!(far[..5], [0.0; 5], "20 mm away, beyond four SD");
}

/// A straight course is sampled in slices and comes back as it was at the start of each volume, over gaps and whatever
/// slice the voxel moved to.
#[test]
fn slice_timing_is_exact_for_a_straight_course() {
    let course = |seconds: f64| 1000.0 + 3.0 * seconds;
    let mut stage = SliceTiming::new(2);
    let mut out = Pattern::default();
    for (volume, offsets) in [(0, [0.0, 1.2]), (1, [0.0, 1.2]), (2, [0.3, 0.9]), (6, [1.4, 0.0]), (7, [0.1, 1.0])] {
        let start_s = 1.5 * f64::from(volume);
        let acquired_s = offsets.map(|offset| start_s + offset);
        let pattern = Pattern(acquired_s.iter().map(|time| course(*time) as f32).collect());
        stage.process_into(&SliceTimed { pattern: &pattern, start_s, acquired_s: &acquired_s }, &mut out).unwrap();
        let expected = if volume == 0 { acquired_s.map(course) } else { [course(start_s); 2] };
        for (found, expected) in out.0.iter().zip(expected) {
            // 2e-7: inputs and output are f32.
            assert_close(*found, expected, 2e-7, &format!("volume {volume}"));
        }
    }
}

#[test]
fn averaging_is_the_mean_of_the_last_that_came() {
    let mut stage = TemporalAverage::new(3, 1);
    let found: Vec<f32> = [3.0, 9.0, 6.0, 0.0, 30.0].iter().map(|value| through(&mut stage, &[*value])[0]).collect();
    assert_eq!(found, [3.0, 6.0, 6.0, 5.0, 12.0]);
}

fn conforms<S: for<'a> Stage<In<'a> = Pattern, Out = Pattern>>(mut stage: S) {
    let values = |i: usize| Pattern(vec![100.0 + (i * i % 11) as f32, 200.0 - i as f32, 50.0 + (i % 3) as f32]);
    let quiet: Vec<Pattern> = (0..12).map(values).collect();
    let mut disturbed = quiet.clone();
    // Small, so that despiking sees no spike and answers at once.
    disturbed[5].0[1] += 0.5;
    let (quiet, disturbed): (Vec<_>, Vec<_>) = (quiet.iter().collect(), disturbed.iter().collect());
    same_bytes_after_reset(&mut stage, &quiet, Pattern::to_bytes, Pattern::default);
    promised_delay_is_observed(&mut stage, &quiet, &disturbed, 5, Pattern::to_bytes, Pattern::default);
    refusal_changes_nothing(&mut stage, &quiet, &Pattern::zeros(4), Pattern::to_bytes, Pattern::default);
}

#[test]
fn filters_conform() {
    conforms(KalmanDespike::new(3));
    conforms(TemporalAverage::new(4, 3));
    conforms(SpatialSmoothing::new(&common::mask(3), 3.0));
}

#[test]
fn slice_timing_conforms() {
    let mut stage = SliceTiming::new(1);
    let patterns: Vec<Pattern> = [5.0, 7.0, 6.0, 9.0, 4.0].map(|value| Pattern(vec![value])).into();
    let times: Vec<[f64; 1]> = (0..4).map(|i| [1.5 * f64::from(i) + 0.6]).collect();
    let timed = |volume: usize, pattern: usize| SliceTimed {
        pattern: &patterns[pattern],
        start_s: 1.5 * volume as f64,
        acquired_s: &times[volume],
    };
    let inputs: Vec<_> = (0..4).map(|i| timed(i, i)).collect();
    let other = timed(2, 4);
    let quiet: Vec<_> = inputs.iter().collect();
    let mut disturbed = quiet.clone();
    disturbed[2] = &other;
    let refused = SliceTimed { acquired_s: &[], ..timed(1, 1) };
    same_bytes_after_reset(&mut stage, &quiet, Pattern::to_bytes, Pattern::default);
    promised_delay_is_observed(&mut stage, &quiet, &disturbed, 2, Pattern::to_bytes, Pattern::default);
    refusal_changes_nothing(&mut stage, &quiet, &refused, Pattern::to_bytes, Pattern::default);
}

/// A run of two slices on three voxels each.
fn start(recipe: &PreprocessConfig, slice_timing_s: Option<Vec<f64>>) -> Result<RunPreprocessor, PreprocessError> {
    let affine = [[2., 0., 0., 0.], [0., 2., 0., 0.], [0., 0., 2., 0.], [0., 0., 0., 1.]];
    let mask = Arc::new(Mask::from_voxels(Grid { dim: [3, 1, 2], affine }, vec![2, 3, 4]).unwrap());
    let plan = RunPlan { slice_timing_s, ..RunPlan::default() };
    RunPreprocessor::planned(recipe, mask, zscore(recipe, 3, 1.0), 1.5, 16, &plan)
}

fn filtered() -> PreprocessConfig {
    PreprocessConfig {
        slice_reference: 0.0,
        despike: DespikeConfig { kind: DespikeKind::Kalman },
        slice_timing: SliceTimingConfig { kind: SliceTimingKind::Linear },
        smoothing: SmoothingConfig { fwhm_mm: 3.0 },
        averaging: AveragingConfig { volumes: 2 },
        ..common::recipe(0.0)
    }
}

#[test]
fn a_run_filters_in_the_order_of_its_page() {
    let recipe = filtered();
    let mut run = start(&recipe, Some(vec![0.0, 0.75])).unwrap();
    let affine = [[2., 0., 0., 0.], [0., 2., 0., 0.], [0., 0., 2., 0.], [0., 0., 0., 1.]];
    let mask = Mask::from_voxels(Grid { dim: [3, 1, 2], affine }, vec![2, 3, 4]).unwrap();
    let (mut despike, mut timing) = (KalmanDespike::new(3), SliceTiming::new(3));
    let (mut smoothing, mut averaging) = (SpatialSmoothing::new(&mask, 3.0), TemporalAverage::new(2, 3));
    for index in 0..12u32 {
        let spike = if index == 9 { 40.0 } else { 0.0 };
        let values = [100.0 + (index * index % 7) as f32 + spike, 90.0 - index as f32, 95.0 + (index % 3) as f32];
        // Four values with the two that `raw_f32` puts before them: voxels 2 to 5.
        let bytes = raw_f32(&[values[0], values[1], values[2], 1.0]);
        run.resample(RawVolume::new(VoxelType::Float32, 6, &bytes).unwrap()).unwrap();
        let start_s = 1.5 * f64::from(index);
        run.advance(index, start_s).unwrap();
        let mut expected = Pattern(through(&mut despike, &values));
        let acquired_s = [start_s, start_s + 0.75, start_s + 0.75];
        let despiked = expected.clone();
        timing
            .process_into(&SliceTimed { pattern: &despiked, start_s, acquired_s: &acquired_s }, &mut expected)
            .unwrap();
        expected = Pattern(through(&mut smoothing, &expected.0));
        expected = Pattern(through(&mut averaging, &expected.0));
        assert_eq!(*run.volume(), expected, "volume {index}");
        assert_eq!(run.volume_quality().despiked_voxels, despike.spikes(), "volume {index}");
    }
}

#[test]
fn slice_times_that_do_not_fit_are_refused_with_both_sides() {
    let cases = [
        (None, "needs the acquisition time of every slice, and the run has none"),
        (Some(vec![0.0]), "1 times for 2 slices"),
        (Some(vec![0.0, 750.0]), "750 s lies outside a TR of 1.5 s"),
    ];
    for (times, expected) in cases {
        let error = start(&filtered(), times).err().unwrap().to_string();
        assert!(error.contains(expected), "{error} should say {expected}");
    }
}
