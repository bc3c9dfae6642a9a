//! The stream's residual is that of the batch fit so far, and its z-scores are honest from the first volume on.

mod common;
mod glm_support;

use glm_support::{Qr, Random, Run, Simulation, dot, recipe};
use mindeye_config::{BetaKind, Confounds, PreprocessConfig};
use mindeye_preprocess::conformance::{promised_delay_is_observed, refusal_changes_nothing, same_bytes_after_reset};
use mindeye_preprocess::motion::Motion;
use mindeye_preprocess::{DriftBasis, Pattern, ResidualStream, RunPlan, Stage, StreamOutput, StreamVolume};

const BASELINE_S: [f64; 2] = [0.0, 60.0];
fn plan() -> RunPlan {
    RunPlan { volumes: Some(120), ..RunPlan::default() }
}

fn quiet() -> Run {
    Simulation { trials: 30, amplitude: 0.0, rho: 0.0, voxels: 8, ..Simulation::default() }.run()
}

fn patterns(run: &Run) -> Vec<Pattern> {
    run.volumes.iter().map(|volume| Pattern(volume.values.clone())).collect()
}

fn inputs<'a>(run: &Run, patterns: &'a [Pattern]) -> Vec<StreamVolume<'a>> {
    let of = |(v, pattern): (&glm_support::Volume, &'a Pattern)| StreamVolume {
        index: v.index,
        start_s: v.start_s,
        motion: v.motion,
        pattern,
    };
    run.volumes.iter().zip(patterns).map(of).collect()
}

fn stream(recipe: &PreprocessConfig, run: &Run) -> Vec<StreamOutput> {
    let mut stream = ResidualStream::new(recipe, 8, run.tr_s, &plan(), BASELINE_S).unwrap();
    let patterns = patterns(run);
    let mut one = |input: &StreamVolume<'_>| {
        let mut out = StreamOutput::NotYet;
        stream.process_into(input, &mut out).unwrap();
        out
    };
    inputs(run, &patterns).iter().map(&mut one).collect()
}

/// Studentised residual of the newest of the first `n` volumes, from QR of the nuisance rows.
fn batch_residual(recipe: &PreprocessConfig, run: &Run, n: usize, voxel: usize) -> Option<f64> {
    let drift = DriftBasis::new(&recipe.drift, 120.0 * run.tr_s);
    let in_use = drift.in_use(run.volumes[n - 1].start_s + run.tr_s, n);
    let row = |volume: &glm_support::Volume| {
        let mut row = vec![1.0];
        row.extend(volume.motion.0);
        let mut columns = Vec::new();
        drift.evaluate(volume.start_s + 0.5 * run.tr_s, &mut columns);
        row.extend(&columns[..in_use]);
        row
    };
    let x: Vec<Vec<f64>> = run.volumes[..n].iter().map(row).collect();
    let qr = Qr::new(&x, &vec![0.0; x[0].len()])?;
    let y: Vec<f64> = run.volumes[..n].iter().map(|volume| f64::from(volume.values[voxel])).collect();
    let residual = y[n - 1] - dot(&x[n - 1], &qr.solve(&y));
    Some(residual / (1.0 - qr.leverage(n - 1)).sqrt())
}

#[test]
fn z_scores_are_those_of_the_batch_residuals() {
    let run = quiet();
    let recipe = recipe(BetaKind::Lss, &[7.5]);
    let outputs = stream(&recipe, &run);
    let sampled = |n: usize| run.volumes[n].start_s + 0.75;
    let mut compared = 0;
    for voxel in 0..8 {
        let residuals: Vec<Option<f64>> =
            (0..run.volumes.len()).map(|n| batch_residual(&recipe, &run, n + 1, voxel)).collect();
        let baseline: Vec<f64> =
            (0..residuals.len()).filter(|n| sampled(*n) <= BASELINE_S[1]).filter_map(|n| residuals[n]).collect();
        let mean = baseline.iter().sum::<f64>() / baseline.len() as f64;
        let variance = baseline.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (baseline.len() - 1) as f64;
        for (n, output) in outputs.iter().enumerate() {
            let StreamOutput::Residual { zscored, without_sd } = output else {
                assert!(sampled(n) <= BASELINE_S[1], "volume {n} after the baseline has an output");
                continue;
            };
            let expected = (residuals[n].unwrap() - mean) / variance.sqrt();
            // 1e-4: residuals of some 15 in f32 around a signal of 1000, over an SD of them.
            assert!(
                (f64::from(zscored.0[voxel]) - expected).abs() < 1e-4,
                "volume {n}: {} against {expected}",
                zscored.0[voxel]
            );
            assert_eq!(*without_sd, 0);
            compared += 1;
        }
    }
    assert!(compared > 8 * 60, "{compared}");
}

#[test]
fn noise_has_variance_one_after_a_short_baseline() {
    let recipe = recipe(BetaKind::Lss, &[7.5]);
    let mut squares = Vec::new();
    for seed in 0..6 {
        let run = Simulation { seed, trials: 30, amplitude: 0.0, rho: 0.0, voxels: 8, ..Simulation::default() }.run();
        for output in stream(&recipe, &run) {
            if let StreamOutput::Residual { zscored, .. } = output {
                squares.extend(zscored.0.iter().map(|z| f64::from(*z).powi(2)));
            }
        }
    }
    let variance = squares.iter().sum::<f64>() / squares.len() as f64;
    // An SD from the 33 residuals of a baseline gives z a variance of 32/30 on average, and 48 voxels of it a standard
    // error of 0.04; without the leverage it would be 1.5.
    assert!((0.9..1.25).contains(&variance), "{variance}");
}

#[test]
fn the_stream_conforms() {
    let run = quiet();
    let mut patterns = patterns(&run);
    patterns.truncate(60);
    let mut changed = patterns.clone();
    changed[50].0[3] += 300.0;
    let (quiet, disturbed) = (inputs(&run, &patterns), inputs(&run, &changed));
    let quiet: Vec<_> = quiet.iter().collect();
    let disturbed: Vec<_> = disturbed.iter().collect();
    let bytes = |out: &StreamOutput| match out {
        StreamOutput::NotYet => vec![],
        StreamOutput::Residual { zscored, .. } => zscored.to_bytes(),
    };
    let recipe = recipe(BetaKind::Lss, &[7.5]);
    let mut stage = ResidualStream::new(&recipe, 8, run.tr_s, &plan(), BASELINE_S).unwrap();
    let refused = StreamVolume { start_s: f64::NAN, ..*quiet[0] };
    same_bytes_after_reset(&mut stage, &quiet, bytes, StreamOutput::default);
    promised_delay_is_observed(&mut stage, &quiet, &disturbed, 50, bytes, StreamOutput::default);
    refusal_changes_nothing(&mut stage, &quiet, &refused, bytes, StreamOutput::default);
}

#[test]
fn a_constant_voxel_is_counted_and_a_stream_without_a_baseline_is_refused() {
    let recipe = PreprocessConfig {
        confounds: mindeye_config::ConfoundConfig { kind: Confounds::None },
        ..recipe(BetaKind::Lss, &[7.5])
    };
    let mut stage = ResidualStream::new(&recipe, 2, 1.5, &plan(), BASELINE_S).unwrap();
    let mut random = Random::new(3);
    let mut out = StreamOutput::NotYet;
    for index in 0..60 {
        let pattern = Pattern(vec![500.0, 500.0 + 5.0 * random.normal() as f32]);
        let volume = StreamVolume { index, start_s: 1.5 * f64::from(index), motion: Motion::STILL, pattern: &pattern };
        stage.process_into(&volume, &mut out).unwrap();
    }
    let StreamOutput::Residual { zscored, without_sd } = out else { panic!("the baseline is over") };
    assert_eq!((without_sd, zscored.0[0]), (1, 0.0));
    let error = ResidualStream::new(&recipe, 2, 1.5, &plan(), [60.0, 60.0]).err().unwrap().to_string();
    assert_eq!(error, "end of the baseline must be after its begin, found 60");
}

/// The daemon's one call per volume is the stage itself, fed with what the run has.
#[test]
fn a_run_streams_what_the_stage_gives() {
    let run = quiet();
    let recipe = PreprocessConfig {
        stream: mindeye_config::StreamConfig {
            kind: mindeye_config::StreamKind::Residual,
            baseline_s: BASELINE_S,
            lag_s: 5.0,
        },
        ..recipe(BetaKind::Lss, &[7.5])
    };
    let expected = stream(&recipe, &run);
    let (mask, table) = (common::mask(8), common::zscore(&recipe, 8, 1.0));
    let mut live = mindeye_preprocess::RunPreprocessor::planned(&recipe, mask, table, run.tr_s, 32, &plan()).unwrap();
    assert_eq!(live.stream().unwrap(), None, "no volume has come");
    let mut samples = 0;
    for (volume, expected) in run.volumes.iter().zip(expected) {
        let bytes = common::raw_f32(&volume.values);
        let raw = mindeye_preprocess::RawVolume::new(mindeye_preprocess::VoxelType::Float32, 10, &bytes).unwrap();
        live.resample(raw).unwrap();
        live.advance_with_motion(volume.index, volume.start_s, volume.motion).unwrap();
        let sample = live.stream().unwrap().unwrap();
        assert_eq!((sample.index, &sample.output), (volume.index, &expected));
        assert!((sample.shown_s - (volume.start_s + 0.5 * run.tr_s - 5.0)).abs() < 1e-9 /* sums of seconds */);
        assert_eq!(live.stream().unwrap(), None, "once per volume");
        samples += usize::from(expected != StreamOutput::NotYet);
    }
    assert!(samples > 20, "{samples} samples after the baseline");
}
