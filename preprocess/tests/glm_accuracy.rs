//! How well betas find the truth of simulated runs, by estimator, lag, spacing, TR and error of the assumed response.
//!
//! `cargo test --test glm_accuracy -- --nocapture` prints the table of the README.

mod common;
mod glm_support;

use common::{mask, raw_f32, zscore};
use glm_support::{Run, Simulation, recipe};
use mindeye_config::{BetaKind, NoiseModel, PreprocessConfig};
use mindeye_preprocess::{RawVolume, RunPlan, RunPreprocessor, TrialBeta, VoxelType};

const LAGS_S: [f64; 6] = [4.5, 6.0, 7.5, 9.0, 10.5, 12.0];
const VOXELS: usize = 100;
const TRIALS: u32 = 60;
/// Trials at either end that no mean includes: the first see a young run, the last an unfinished one.
const EDGE: usize = 5;

/// Betas `[lags + 1][trials][voxels]`, the last row from the whole run.
type Betas = Vec<Vec<Vec<f32>>>;

fn estimate(recipe: &PreprocessConfig, run: &Run) -> Betas {
    let plan = RunPlan { volumes: Some(run.volumes.len() as u32), ..RunPlan::default() };
    let zscore = zscore(recipe, VOXELS, 1.0);
    let mut preprocessor = RunPreprocessor::planned(recipe, mask(VOXELS), zscore, run.tr_s, 64, &plan).unwrap();
    for event in &run.events {
        preprocessor.set_event(*event).unwrap();
    }
    let mut all = vec![vec![Vec::new(); run.events.len()]; LAGS_S.len() + 1];
    for volume in &run.volumes {
        let bytes = raw_f32(&volume.values);
        preprocessor.resample(RawVolume::new(VoxelType::Float32, VOXELS + 2, &bytes).unwrap()).unwrap();
        preprocessor.advance_with_motion(volume.index, volume.start_s, volume.motion).unwrap();
        for TrialBeta { trial, lag_row, beta, .. } in preprocessor.due_betas().unwrap() {
            all[lag_row][trial as usize] = beta.0;
        }
    }
    if recipe.beta.kind != BetaKind::Window {
        for beta in preprocessor.whole_run_betas() {
            all[LAGS_S.len()][beta.trial as usize] = beta.beta.0;
        }
    }
    all
}

/// Pearson's r of two columns.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    let of = |f: &dyn Fn(usize) -> f64| (0..a.len()).map(f).sum::<f64>();
    of(&|i| (a[i] - ma) * (b[i] - mb)) / (of(&|i| (a[i] - ma).powi(2)) * of(&|i| (b[i] - mb).powi(2))).sqrt()
}

/// Mean over voxels of the correlation over trials: what is left of a voxel's signal after z-scoring.
fn over_trials(a: &dyn Fn(usize, usize) -> f64, b: &dyn Fn(usize, usize) -> f64, trials: &[usize]) -> f64 {
    let of_voxel = |voxel: usize| {
        let column = |f: &dyn Fn(usize, usize) -> f64| trials.iter().map(|t| f(*t, voxel)).collect::<Vec<f64>>();
        correlation(&column(a), &column(b))
    };
    (0..VOXELS).map(of_voxel).sum::<f64>() / VOXELS as f64
}

/// Correlation with the truth, and between two runs that show the same scenes in other orders, per lag.
fn accuracy(recipe: &PreprocessConfig, runs: &[Run; 2]) -> Vec<(f64, f64)> {
    let betas = [estimate(recipe, &runs[0]), estimate(recipe, &runs[1])];
    let middle: Vec<usize> = (EDGE..TRIALS as usize - EDGE).collect();
    let rows = if recipe.beta.kind == BetaKind::Window { LAGS_S.len() } else { LAGS_S.len() + 1 };
    let of_lag = |row: usize| {
        let with_truth = |which: usize| {
            let beta = |t: usize, v: usize| f64::from(betas[which][row][t][v]);
            over_trials(&beta, &|t, v| runs[which].truth[t][v], &middle)
        };
        let again = |t: usize| runs[1].scenes.iter().position(|scene| *scene == runs[0].scenes[t]).unwrap();
        let both: Vec<usize> = middle.iter().copied().filter(|t| middle.contains(&again(*t))).collect();
        let first = |t: usize, v: usize| f64::from(betas[0][row][t][v]);
        let second = |t: usize, v: usize| f64::from(betas[1][row][again(t)][v]);
        ((with_truth(0) + with_truth(1)) / 2.0, over_trials(&first, &second, &both))
    };
    (0..rows).map(of_lag).collect()
}

fn window() -> PreprocessConfig {
    let mut window = PreprocessConfig::new(LAGS_S.to_vec(), mindeye_config::BetaConfig::default());
    window.beta.window_start_s = 3.0; // so that every TR here has a volume in it at 4.5 s
    window
}

fn estimators() -> Vec<(&'static str, PreprocessConfig)> {
    let of = |kind, noise| {
        let mut recipe = recipe(kind, &LAGS_S);
        recipe.noise.model = noise;
        recipe
    };
    vec![
        ("window", window()),
        ("LSS", of(BetaKind::Lss, NoiseModel::Ordinary)),
        ("LSA", of(BetaKind::Lsa, NoiseModel::Ordinary)),
        ("ridge-LSA", of(BetaKind::RidgeLsa, NoiseModel::Ordinary)),
        ("LSS AR(1)", of(BetaKind::Lss, NoiseModel::Ar1)),
        ("ridge-LSA AR(1)", of(BetaKind::RidgeLsa, NoiseModel::Ar1)),
    ]
}

fn runs(interval_s: f64, tr_s: f64, stretch: f64) -> [Run; 2] {
    let simulation = Simulation {
        voxels: VOXELS,
        trials: TRIALS,
        scenes: TRIALS,
        interval_s,
        jitter_s: 0.0,
        tr_s,
        stretch,
        ..Simulation::default()
    };
    [1, 2].map(|seed| Simulation { seed, ..simulation.clone() }.run())
}

/// One row of the README's table.
fn row(name: &str, accuracy: &[(f64, f64)]) -> String {
    let cells: Vec<String> = accuracy.iter().map(|(r, again)| format!("{r:.2} {again:.2}")).collect();
    format!("| {name} | {} |", cells.join(" | "))
}

#[test]
#[ignore = "prints the README's table; minutes"]
fn table() {
    for interval_s in [4.0, 6.0] {
        for tr_s in [1.0, 1.5, 2.0] {
            for stretch in [0.8, 1.0, 1.2] {
                eprintln!("every {interval_s} s, TR {tr_s} s, response x {stretch}");
                let runs = runs(interval_s, tr_s, stretch);
                for (name, recipe) in estimators() {
                    eprintln!("{}", row(name, &accuracy(&recipe, &runs)));
                }
            }
        }
    }
}

#[test]
fn the_default_is_the_best_at_every_lag_and_gains_until_the_end() {
    for (interval_s, tr_s, stretch) in [(6.0, 1.5, 1.0), (4.0, 1.5, 1.0), (6.0, 1.5, 1.2), (6.0, 2.0, 0.8)] {
        let runs = runs(interval_s, tr_s, stretch);
        let all: Vec<Vec<(f64, f64)>> = estimators()[..4].iter().map(|(_, recipe)| accuracy(recipe, &runs)).collect();
        for (row, lag_s) in LAGS_S.iter().enumerate().skip(2) {
            let best = all.iter().map(|rows| rows[row].0).fold(0.0, f64::max);
            let ridge = all[3][row].0;
            // 0.01 is the bound; lags below 7.5 s, where no estimate decodes, are left out.
            assert!(ridge > best - 0.01, "{interval_s} s, TR {tr_s}, x {stretch}, {lag_s} s: {ridge} against {best}");
        }
        let (twelve, whole) = (all[3][5].0, all[3][6].0);
        eprintln!("every {interval_s} s, TR {tr_s}, x {stretch}: 12 s gives {:.2} of the whole run", twelve / whole);
    }
}
