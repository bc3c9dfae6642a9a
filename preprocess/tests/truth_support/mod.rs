//! How near betas come to the truth of simulated runs, and how near any causal estimate could come.
#![allow(dead_code, reason = "each program uses its own part")]

use crate::common::{mask, raw_f32, zscore};
use crate::glm_support::{Run, Simulation, dot, recipe};
use mindeye_config::{BetaConfig, BetaKind, HrfHeight, MotionConfig, NoiseConfig, NoiseModel, PreprocessConfig};
use mindeye_preprocess::{
    DoubleGamma, RawVolume, Regressor, RunPlan, RunPreprocessor, TrialBeta, VoxelType, ZscoreTable,
};
use std::f64::consts::TAU;
use std::sync::Arc;

pub(crate) const LAGS_S: [f64; 8] = [4.5, 6.0, 7.5, 9.0, 10.5, 12.0, 14.0, 16.0];
/// Row of 12 s, and of the whole run.
pub(crate) const TWELVE: usize = 5;
pub(crate) const WHOLE: usize = LAGS_S.len();
const VOXELS: usize = 100;
const TRIALS: u32 = 60;
/// Trials at either end that no mean includes: the first see a young run, the last an unfinished one.
const EDGE: usize = 5;

/// Betas `[lags + 1][trials][voxels]`, the last row from the whole run; empty where there is none.
pub(crate) type Betas = Vec<Vec<Vec<f32>>>;

/// Streams a run and keeps every beta, z-scored by `table` or as it is.
pub(crate) fn estimate(recipe: &PreprocessConfig, run: &Run, table: Option<&Arc<ZscoreTable>>) -> Betas {
    let voxels = run.volumes[0].values.len();
    let plan = RunPlan { volumes: Some(run.volumes.len() as u32), ..RunPlan::default() };
    let frozen = table.cloned().unwrap_or_else(|| zscore(recipe, voxels, 1.0));
    let mut preprocessor = RunPreprocessor::planned(recipe, mask(voxels), frozen, run.tr_s, 64, &plan).unwrap();
    for event in &run.events {
        preprocessor.set_event(*event).unwrap();
    }
    let rows = recipe.revision_lags_s.len();
    let mut all = vec![vec![Vec::new(); run.events.len()]; rows + 1];
    for volume in &run.volumes {
        let bytes = raw_f32(&volume.values);
        preprocessor.resample(RawVolume::new(VoxelType::Float32, voxels + 2, &bytes).unwrap()).unwrap();
        preprocessor.advance_with_motion(volume.index, volume.start_s, volume.motion).unwrap();
        for mut beta in preprocessor.due_betas().unwrap() {
            preprocessor.zscore(&mut beta);
            let TrialBeta { trial, lag_row, beta, zscored, .. } = beta;
            all[lag_row][trial as usize] = if table.is_some() { zscored.0 } else { beta.0 };
        }
    }
    if recipe.beta.kind != BetaKind::Window {
        for beta in preprocessor.whole_run_betas() {
            all[rows][beta.trial as usize] = beta.beta.0;
        }
    }
    all
}

/// Pearson's r of two columns.
pub(crate) fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (ma, mb) = (mean(a), mean(b));
    let of = |f: &dyn Fn(usize) -> f64| (0..a.len()).map(f).sum::<f64>();
    of(&|i| (a[i] - ma) * (b[i] - mb)) / (of(&|i| (a[i] - ma).powi(2)) * of(&|i| (b[i] - mb).powi(2))).sqrt()
}

/// A mean over voxels and runs, with half its 95 % interval (normal; voxels of a simulation are independent).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mean {
    pub(crate) value: f64,
    pub(crate) half_interval: f64,
}

impl Mean {
    pub(crate) fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let value = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - value).powi(2)).sum::<f64>() / (n - 1.0);
        Self { value, half_interval: 1.96 * (variance / n).sqrt() }
    }
}

/// Correlation over trials, voxel by voxel: what is left of a voxel's signal after z-scoring.
fn over_trials(a: &dyn Fn(usize, usize) -> f64, b: &dyn Fn(usize, usize) -> f64, trials: &[usize]) -> Vec<f64> {
    let of_voxel = |voxel: usize| {
        let column = |f: &dyn Fn(usize, usize) -> f64| trials.iter().map(|t| f(*t, voxel)).collect::<Vec<f64>>();
        correlation(&column(a), &column(b))
    };
    (0..VOXELS).map(of_voxel).collect()
}

/// Two runs that show the same scenes in other orders.
pub(crate) struct Pair(pub(crate) [Run; 2], pub(crate) Simulation);

impl Pair {
    pub(crate) fn new(interval_s: f64, tr_s: f64, stretch: f64, seed: u64) -> Self {
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
        let runs = [2 * seed, 2 * seed + 1].map(|seed| Simulation { seed, ..simulation.clone() }.run());
        Self(runs, simulation)
    }

    /// Correlation with the truth, and between the runs: of each row of betas, each voxel.
    pub(crate) fn accuracy(&self, recipe: &PreprocessConfig) -> Vec<(Vec<f64>, Vec<f64>)> {
        let runs = &self.0;
        let betas = [estimate(recipe, &runs[0], None), estimate(recipe, &runs[1], None)];
        let rows = if recipe.beta.kind == BetaKind::Window { WHOLE } else { WHOLE + 1 };
        let middle: Vec<usize> = (EDGE..TRIALS as usize - EDGE).collect();
        let again = |t: usize| runs[1].scenes.iter().position(|scene| *scene == runs[0].scenes[t]).unwrap();
        let both: Vec<usize> = middle.iter().copied().filter(|t| middle.contains(&again(*t))).collect();
        let of_row = |row: usize| {
            let with_truth = |which: usize| {
                let beta = |t: usize, v: usize| f64::from(betas[which][row][t][v]);
                over_trials(&beta, &|t, v| runs[which].truth[t][v], &middle)
            };
            let first = |t: usize, v: usize| f64::from(betas[0][row][t][v]);
            let second = |t: usize, v: usize| f64::from(betas[1][row][again(t)][v]);
            ([with_truth(0), with_truth(1)].concat(), over_trials(&first, &second, &both))
        };
        (0..rows).map(of_row).collect()
    }

    /// The bound of every lag and of the whole run, first run's times.
    pub(crate) fn bound(&self) -> Vec<f64> {
        bound(&self.0[0], &self.1)
    }
}

/// The highest correlation with the truth that any linear estimate from the volumes up to each lag can have.
///
/// The observer knows the true response, the noise's autocorrelation, and the variances of amplitudes, drift and motion
/// that the simulation draws from; a voxel's data are then Gaussian but for the phase of its drift, amplitude a_k has
/// posterior variance σ² − σ⁴ hᵀC⁻¹h, C the covariance of the volumes so far and h the response in them, and
/// r = √(σ² hᵀC⁻¹h). The factor of the first t volumes is the first t rows of the whole run's.
fn bound(run: &Run, simulation: &Simulation) -> Vec<f64> {
    let shape = DoubleGamma { stretch: simulation.stretch, ..DoubleGamma::GLOVER };
    let response = Regressor::new(shape, simulation.stimulus_s, HrfHeight::Peak);
    let sampled: Vec<f64> = run.volumes.iter().map(|volume| volume.start_s + 0.5 * run.tr_s).collect();
    let heights: Vec<Vec<f64>> =
        run.events.iter().map(|event| sampled.iter().map(|t| response.at(t - event.onset_s)).collect()).collect();
    let lower = cholesky(&covariance(run, simulation, &sampled, &heights));
    let variance = simulation.amplitude.powi(2);
    let explained: Vec<Vec<f64>> = heights.iter().map(|h| forward(&lower, h)).collect();
    let of_lag = |lag_s: f64| {
        let of_trial = |trial: usize| {
            let due_s = run.events[trial].onset_s + lag_s - 1e-9;
            let due = run.volumes.iter().position(|v| v.start_s + run.tr_s >= due_s).unwrap_or(run.volumes.len() - 1);
            (variance * dot(&explained[trial][..=due], &explained[trial][..=due])).sqrt()
        };
        let trials = EDGE..run.events.len() - EDGE;
        trials.clone().map(of_trial).sum::<f64>() / trials.len() as f64
    };
    LAGS_S.into_iter().chain([f64::INFINITY]).map(of_lag).collect()
}

/// Percent squared; the constant is as good as unknown.
fn covariance(run: &Run, simulation: &Simulation, sampled: &[f64], heights: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let noise = (100.0 / simulation.sfnr).powi(2);
    let entry = |i: usize, j: usize| {
        let moved = |at: usize| run.volumes[at].motion.0[0] - run.volumes[at].motion.0[2];
        let drift = 0.5 * simulation.drift_percent.powi(2) * (TAU * (sampled[i] - sampled[j]) / 200.0).cos();
        let active: f64 = heights.iter().map(|h| h[i] * h[j]).sum();
        let apart = i.abs_diff(j) as i32;
        let motion = simulation.motion_percent.powi(2) * moved(i) * moved(j);
        noise * simulation.rho.powi(apart) + drift + motion + simulation.amplitude.powi(2) * active + 1e4
    };
    (0..sampled.len()).map(|i| (0..=i).map(|j| entry(i, j)).collect()).collect()
}

/// L of C = L Lᵀ from the lower triangle of C.
fn cholesky(matrix: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut lower: Vec<Vec<f64>> = Vec::new();
    for (i, row) in matrix.iter().enumerate() {
        let mut new: Vec<f64> = Vec::with_capacity(i + 1);
        for (j, entry) in row.iter().enumerate().take(i) {
            new.push((entry - dot(&new, &lower[j][..j])) / lower[j][j]);
        }
        let left = row[i] - dot(&new, &new);
        assert!(left > 0.0, "a covariance with white noise in it is positive definite");
        new.push(left.sqrt());
        lower.push(new);
    }
    lower
}

fn forward(lower: &[Vec<f64>], b: &[f64]) -> Vec<f64> {
    let mut z: Vec<f64> = Vec::with_capacity(b.len());
    for (row, b) in lower.iter().zip(b) {
        let i = z.len();
        z.push((b - dot(&z, &row[..i])) / row[i]);
    }
    z
}

/// The recipe that ships for a real session, at the study's lags.
pub(crate) fn preset() -> PreprocessConfig {
    let text = include_str!("../../../config/preprocess/ridge-lsa.toml");
    PreprocessConfig {
        revision_lags_s: LAGS_S.to_vec(),
        motion: MotionConfig::default(),
        ..toml::from_str(text).unwrap()
    }
}

/// Every estimate of the study: name and recipe. The last is the default.
pub(crate) fn estimators() -> Vec<(&'static str, PreprocessConfig)> {
    let of = |kind, noise| {
        let mut recipe = recipe(kind, &LAGS_S);
        recipe.noise.model = noise;
        recipe
    };
    let mut window = PreprocessConfig::new(LAGS_S.to_vec(), BetaConfig::default());
    window.beta.window_start_s = 3.0; // so that every TR here has a volume in it at 4.5 s
    vec![
        ("window", window),
        ("LSS", of(BetaKind::Lss, NoiseModel::Ordinary)),
        ("LSA", of(BetaKind::Lsa, NoiseModel::Ordinary)),
        ("ridge-LSA", PreprocessConfig { noise: NoiseConfig::default(), ..preset() }),
        ("LSS AR(1)", of(BetaKind::Lss, NoiseModel::Ar1)),
        ("ridge-LSA AR(1)", preset()),
    ]
}

/// What forty trials of one category in a row leave of its evidence, under frozen statistics per voxel and lag.
///
/// Two categories, 20 + 60 trials: in one run all mixed, in the other the trials 20 to 59 are all of category 0. Evidence is
/// the projection of the z-scores on the difference of the two categories' true patterns; statistics are those of a
/// third, mixed run. Returned per lag: mean evidence of category 0 among trials 30 to 59 of the blocked run over that of
/// the mixed run.
pub(crate) fn evidence_left(recipe: &PreprocessConfig, interval_s: f64, seeds: std::ops::Range<u64>) -> Vec<f64> {
    let lags = recipe.revision_lags_s.len();
    let (mut mixed, mut blocked) = (vec![0.0; lags], vec![0.0; lags]);
    for seed in seeds {
        let order =
            |blocked: bool| (0..80).map(|t| if blocked && (20..60).contains(&t) { 0 } else { t % 4 / 2 }).collect();
        let run = |seed, order: Vec<u32>| {
            Simulation { seed, order, voxels: VOXELS, trials: 80, interval_s, jitter_s: 0.0, ..Simulation::default() }
                .run()
        };
        let table = Arc::new(frozen(recipe, &estimate(recipe, &run(3 * seed, order(false)), None)));
        let tally = |run: &Run, sums: &mut Vec<f64>| {
            let trial_of = |scene: u32| run.scenes.iter().position(|s| *s == scene).unwrap();
            let (a, b) = (&run.truth[trial_of(0)], &run.truth[trial_of(1)]);
            let difference: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
            for (row, of_lag) in estimate(recipe, run, Some(&table)).iter().take(lags).enumerate() {
                let zs: Vec<&Vec<f32>> = (30..60).filter(|t| run.scenes[*t] == 0).map(|t| &of_lag[t]).collect();
                let project = |z: &&Vec<f32>| z.iter().zip(&difference).map(|(z, d)| f64::from(*z) * d).sum::<f64>();
                sums[row] += zs.iter().map(project).sum::<f64>() / zs.len() as f64;
            }
        };
        tally(&run(3 * seed + 1, order(false)), &mut mixed);
        tally(&run(3 * seed + 1, order(true)), &mut blocked);
    }
    blocked.iter().zip(&mixed).map(|(blocked, mixed)| blocked / mixed).collect()
}

/// Mean and SD of a run's betas, per lag and voxel.
fn frozen(recipe: &PreprocessConfig, betas: &Betas) -> ZscoreTable {
    let lags = recipe.revision_lags_s.len();
    let (mut means, mut sds) = (Vec::new(), Vec::new());
    for row in &betas[..lags] {
        for voxel in 0..VOXELS {
            let values: Vec<f64> = row.iter().filter(|b| !b.is_empty()).map(|b| f64::from(b[voxel])).collect();
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let variance = values.iter().map(|b| (b - mean).powi(2)).sum::<f64>() / values.len() as f64;
            means.push(mean as f32);
            sds.push(variance.sqrt() as f32);
        }
    }
    ZscoreTable::new(recipe.revision_lags_s.clone(), VOXELS, means, sds).unwrap()
}
