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
    let plan = RunPlan { volumes: Some(run.volumes.len() as u32), hrf_index: None };
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

fn estimators() -> Vec<(String, PreprocessConfig)> {
    let of = |kind, noise, alpha: f64| {
        let mut recipe = recipe(kind, &LAGS_S);
        recipe.noise.model = noise;
        recipe.beta.ridge_alpha = alpha;
        recipe
    };
    let mut window = PreprocessConfig::new(LAGS_S.to_vec(), mindeye_config::BetaConfig::default());
    window.beta.window_start_s = 3.0;
    let mut all = vec![("window".to_owned(), window)];
    for (name, noise) in [("", NoiseModel::Ordinary), (" AR(1)", NoiseModel::Ar1)] {
        all.push((format!("LSS{name}"), of(BetaKind::Lss, noise, 0.5)));
        all.push((format!("LSA{name}"), of(BetaKind::Lsa, noise, 0.5)));
        for alpha in std::env::var("ALPHAS").unwrap_or("0.5".into()).split(',') {
            all.push((format!("ridge-LSA {alpha}{name}"), of(BetaKind::RidgeLsa, noise, alpha.parse().unwrap())));
        }
    }
    all
}

/// Interval and TR in seconds, and how much slower than assumed the true response is.
type Condition = (f64, f64, f64);

fn runs(&(interval_s, tr_s, stretch): &Condition) -> [Run; 2] {
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

/// One row per estimator: at each lag, correlation with the truth and between two runs.
fn table(condition: &Condition) -> Vec<(String, Vec<(f64, f64)>)> {
    let runs = runs(condition);
    estimators().into_iter().map(|(name, recipe)| (name, accuracy(&recipe, &runs))).collect()
}

#[expect(clippy::print_stdout, reason = "the table is what the test is run for")]
fn print(condition: &Condition, table: &[(String, Vec<(f64, f64)>)]) {
    let (interval_s, tr_s, stretch) = condition;
    println!("interval {interval_s} s, TR {tr_s} s, response {stretch}");
    for (name, row) in table {
        let cells: Vec<String> = row.iter().map(|(truth, again)| format!("{truth:.3}/{again:.3}")).collect();
        println!("  {name:22} {}", cells.join("  "));
    }
}

/// Ridge-LSA follows the truth at least as well as the other ordinary estimators, at every lag from 4.5 s on: with two or three
/// volumes of a response, and its neighbours overlapping, what is not measured must be held down.
fn assert_ridge_is_best(table: &[(String, Vec<(f64, f64)>)]) {
    let row = |name: &str| &table.iter().find(|(found, _)| found == name).expect("an estimator of the table").1;
    for other in ["window", "LSS", "LSA"] {
        for (lag_s, (ridge, found)) in LAGS_S.iter().zip(row("ridge-LSA 0.5").iter().zip(row(other))) {
            assert!(ridge.0 >= found.0, "at {lag_s} s {other} {} is above ridge-LSA {}", found.0, ridge.0);
        }
    }
}

/// With `MINDEYE_FULL_TABLE` set, the table of the README: 18 conditions in about five minutes.
#[test]
fn ridge_follows_the_truth_best_at_every_lag() {
    let full = std::env::var_os("MINDEYE_FULL_TABLE").is_some();
    let intervals: &[f64] = if full { &[4.0, 6.0] } else { &[6.0] };
    let trs: &[f64] = if full { &[1.0, 1.5, 2.0] } else { &[1.5] };
    let stretches: &[f64] = if full { &[0.8, 1.0, 1.2] } else { &[1.0] };
    for interval_s in intervals {
        for tr_s in trs {
            for stretch in stretches {
                let condition = (*interval_s, *tr_s, *stretch);
                let table = table(&condition);
                print(&condition, &table);
                assert_ridge_is_best(&table);
            }
        }
    }
}
