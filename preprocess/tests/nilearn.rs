//! The GLM against nilearn 0.14.1, number by number: response shapes, drift counts, ordinary and AR(1) betas.
//!
//! Needs `MINDEYE_NILEARN_PYTHON`, a Python with `tests/oracle/requirements.txt` installed; says `skipped:` without.

mod common;
mod glm_support;

use common::{mask, raw_f32, zscore};
use glm_support::{Batch, Simulation, recipe};
use mindeye_config::{BetaKind, BetaUnit, Drift, DriftConfig, HrfHeight, NoiseModel, PreprocessConfig};
use mindeye_preprocess::{
    DoubleGamma, DriftBasis, RawVolume, Regressor, RunPlan, RunPreprocessor, TrialBeta, VoxelType,
};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

/// nilearn's SPM response has 0.167 where SPM has 1/6.
const NILEARN_SPM: DoubleGamma = DoubleGamma { ratio: 0.167, ..DoubleGamma::SPM };

/// What the oracle answers, or `None` without one.
fn oracle(verb: &str, request: &Value) -> Option<Value> {
    let Some(python) = std::env::var_os("MINDEYE_NILEARN_PYTHON") else {
        eprintln!("skipped: MINDEYE_NILEARN_PYTHON names no Python with nilearn");
        return None;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/oracle/nilearn_glm.py");
    let child = Command::new(python).args([script, verb]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    child.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the oracle failed");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn constants_and_regressors_are_nilearn_s() {
    let (t_r, oversampling, onset, duration) = (1.5, 50, 10.3, 3.0);
    let frames: Vec<f64> = (0..60).map(|i| (f64::from(i) + 0.5) * t_r).collect();
    let over = [50, 500];
    let request = json!({ "t_r": t_r, "oversampling": oversampling, "frame_times": frames, "onset": onset,
        "duration": duration, "regressor_oversampling": over });
    let Some(answer) = oracle("hrf", &request) else { return };
    for (name, shape) in [("spm", NILEARN_SPM), ("glover", DoubleGamma::GLOVER)] {
        let theirs = numbers(&answer["kernels"][name]);
        // nilearn's grid: linspace(0, 32, n), shifted by one step, normalised to unit sum.
        let dt = t_r / f64::from(oversampling);
        let at = |i: usize| 32.0 * i as f64 / (theirs.len() - 1) as f64 - dt;
        let ours: Vec<f64> = (0..theirs.len()).map(|i| shape.density(at(i))).collect();
        let sum: f64 = ours.iter().sum();
        let ours: Vec<f64> = ours.iter().map(|h| h / sum).collect();
        let difference = largest_difference(&ours, &theirs);
        // 1e-13: both are double gammas in f64; values are up to 0.006.
        assert!(difference < 1e-13, "{name}: kernels differ by {difference:e}");
        // Ours is exact at any time; nilearn samples the stimulus and the kernel. Its kernel lies one step late, so
        // at TR/50 it errs by up to 0.03 s times the steepest slope, 0.2 per second, and at TR/500 by a tenth
        // of that; below it we cut what is less than a thousandth of the peak.
        let regressor = Regressor::new(shape, duration, HrfHeight::Plateau);
        let ours: Vec<f64> = frames.iter().map(|t| regressor.at(t - onset)).collect();
        for (steps, bound) in over.into_iter().zip([0.012, 0.0025]) {
            let difference = largest_difference(&ours, &numbers(&answer["regressors"][name][steps.to_string()]));
            eprintln!("{name} at TR/{steps}: regressors differ by {difference:.1e}");
            assert!(difference < bound, "{name} at TR/{steps}: {difference:e}");
        }
    }
}

#[test]
fn the_number_of_cosines_is_nilearn_s() {
    let volumes: Vec<usize> = (2..400).collect();
    for (t_r, high_pass) in [(1.5, 0.01), (1.0, 0.01), (2.0, 1.0 / 128.0)] {
        let request = json!({ "t_r": t_r, "high_pass": high_pass, "volumes": volumes });
        let Some(answer) = oracle("cosines", &request) else { return };
        let config = DriftConfig { kind: Drift::Cosine, cutoff_hz: high_pass, planned_s: 400.0 * t_r };
        let basis = DriftBasis::new(&config, config.planned_s);
        for (n, theirs) in volumes.iter().zip(answer.as_array().unwrap()) {
            let ours = basis.in_use(*n as f64 * t_r, *n);
            assert_eq!(ours as u64, theirs.as_u64().unwrap(), "{n} volumes of {t_r} s at {high_pass} Hz");
        }
    }
}

#[test]
fn betas_are_nilearn_s_fit_of_our_design() {
    let run = Simulation { trials: 20, voxels: 40, ..Simulation::default() }.run();
    let mut table = Vec::new();
    for kind in [BetaKind::Lss, BetaKind::Lsa] {
        for (noise, name, tolerance) in [(NoiseModel::Ordinary, "ols", 1e-6), (NoiseModel::Ar1, "ar1", 1e-4)] {
            let mut recipe = PreprocessConfig { unit: BetaUnit::None, ..recipe(kind, &[7.5, 12.0]) };
            recipe.noise.model = noise;
            let batch = Batch { recipe: &recipe, tr_s: run.tr_s, planned_s: 240.0, shape: DoubleGamma::GLOVER };
            let betas = stream(&recipe, &run);
            let case = |beta: &TrialBeta| {
                let due_s = beta.onset_s + beta.lag_s - 1e-9;
                let due = run.volumes.iter().position(|volume| volume.start_s + run.tr_s >= due_s).unwrap();
                let (design, _) = batch.design(&run.volumes[..=due], &run.events, beta.trial).unwrap();
                let data: Vec<&Vec<f32>> = run.volumes[..=due].iter().map(|volume| &volume.values).collect();
                json!({ "design": design, "data": data, "noise_model": name })
            };
            let Some(answer) = oracle("fit", &betas.iter().map(case).collect()) else { return };
            let difference = |(ours, theirs): (&TrialBeta, &Value)| {
                let theirs = numbers(theirs);
                let largest = theirs.iter().fold(0.0f64, |most, b| most.max(b.abs()));
                let ours: Vec<f64> = ours.beta.0.iter().map(|b| f64::from(*b)).collect();
                largest_difference(&ours, &theirs) / largest
            };
            let worst = betas.iter().zip(answer.as_array().unwrap()).map(difference).fold(0.0, f64::max);
            table.push(format!("{kind:?} {name}: {worst:.1e} of the largest beta over {} betas", betas.len()));
            // Betas are f32, whose spacing is 6e-8; nilearn's pseudo-inverse is as exact as our normal equations.
            assert!(worst < tolerance, "{kind:?} {name}: {worst:e}");
        }
    }
    eprintln!("{}", table.join("\n"));
}

fn stream(recipe: &PreprocessConfig, run: &glm_support::Run) -> Vec<TrialBeta> {
    let voxels = run.volumes[0].values.len();
    let plan = RunPlan { volumes: Some((240.0 / run.tr_s) as u32), ..RunPlan::default() };
    let zscore = zscore(recipe, voxels, 1.0);
    let mut preprocessor = RunPreprocessor::planned(recipe, mask(voxels), zscore, run.tr_s, 32, &plan).unwrap();
    for event in &run.events {
        preprocessor.set_event(*event).unwrap();
    }
    let mut betas = Vec::new();
    for volume in &run.volumes {
        let bytes = raw_f32(&volume.values);
        preprocessor.resample(RawVolume::new(VoxelType::Float32, voxels + 2, &bytes).unwrap()).unwrap();
        preprocessor.advance_with_motion(volume.index, volume.start_s, volume.motion).unwrap();
        betas.extend(preprocessor.due_betas().unwrap());
    }
    betas
}
