//! Simulated runs with known trial amplitudes, and the batch fit that a recursive one must equal: plain matrices, QR.
#![allow(dead_code, reason = "each test file uses its own part")]

use mindeye_config::{
    BetaConfig, BetaKind, BetaUnit, ConfoundConfig, Confounds, Drift, DriftConfig, Hrf, HrfConfig, HrfHeight,
    NoiseModel, PreprocessConfig,
};
use mindeye_preprocess::motion::Motion;
use mindeye_preprocess::{DoubleGamma, DriftBasis, Event, Regressor};
use std::f64::consts::TAU;

/// A recipe with Glover's response, cosines, motion and white noise.
pub(crate) fn recipe(kind: BetaKind, lags_s: &[f64]) -> PreprocessConfig {
    PreprocessConfig {
        hrf: HrfConfig { kind: Hrf::Glover, height: HrfHeight::Peak },
        drift: DriftConfig { kind: Drift::Cosine, ..DriftConfig::default() },
        confounds: ConfoundConfig { kind: Confounds::Motion6 },
        ..PreprocessConfig::new(lags_s.to_vec(), BetaConfig { kind, ..BetaConfig::default() })
    }
}

/// Random numbers by counter: the same on every machine.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x6a09_e667_f3bc_c909)
    }

    /// In 0..1.
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal.
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (TAU * self.uniform()).cos()
    }
}

/// What is simulated.
#[derive(Debug, Clone)]
pub(crate) struct Simulation {
    pub(crate) seed: u64,
    pub(crate) voxels: usize,
    pub(crate) tr_s: f64,
    pub(crate) trials: u32,
    pub(crate) interval_s: f64,
    /// Every interval is off by up to this much.
    pub(crate) jitter_s: f64,
    pub(crate) first_onset_s: f64,
    pub(crate) stimulus_s: f64,
    /// True response: Glover's, stretched.
    pub(crate) stretch: f64,
    /// SD of a trial's amplitude over voxels, percent; the mean is half of it.
    pub(crate) amplitude: f64,
    pub(crate) sfnr: f64,
    /// Autocorrelation of the noise.
    pub(crate) rho: f64,
    pub(crate) drift_percent: f64,
    /// Percent per mm of motion.
    pub(crate) motion_percent: f64,
    /// The scanner's clock against the nominal one: 1.005 is 0.5 % slow.
    pub(crate) clock: f64,
    /// Scenes that trials show, each as often, in an order that follows from the seed.
    pub(crate) scenes: u32,
    /// What each trial shows instead, if not empty.
    pub(crate) order: Vec<u32>,
}

impl Default for Simulation {
    fn default() -> Self {
        Self {
            seed: 1,
            voxels: 24,
            tr_s: 1.5,
            trials: 30,
            interval_s: 5.0,
            jitter_s: 1.0,
            first_onset_s: 12.0,
            stimulus_s: 3.0,
            stretch: 1.0,
            amplitude: 1.0,
            sfnr: 70.0,
            rho: 0.4,
            drift_percent: 1.0,
            motion_percent: 0.5,
            clock: 1.0,
            scenes: u32::MAX,
            order: Vec::new(),
        }
    }
}

/// A volume as a batch computation sees it.
#[derive(Debug, Clone)]
pub(crate) struct Volume {
    pub(crate) index: u32,
    pub(crate) start_s: f64,
    pub(crate) motion: Motion,
    pub(crate) censored: bool,
    pub(crate) values: Vec<f32>,
}

/// A simulated run.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) tr_s: f64,
    pub(crate) events: Vec<Event>,
    /// What each trial showed.
    pub(crate) scenes: Vec<u32>,
    /// True amplitudes, `[trials][voxels]`, percent at the peak.
    pub(crate) truth: Vec<Vec<f64>>,
    pub(crate) volumes: Vec<Volume>,
}

impl Simulation {
    pub(crate) fn run(&self) -> Run {
        let mut random = Random::new(self.seed);
        let events = self.events(&mut random);
        let scenes = self.scenes(&mut random);
        let truth: Vec<Vec<f64>> = scenes.iter().map(|scene| self.amplitudes(*scene)).collect();
        let end_s = events.last().map_or(0.0, |event| event.onset_s) + 16.0;
        let shape = DoubleGamma { stretch: self.stretch, ..DoubleGamma::GLOVER };
        let response = Regressor::new(shape, self.stimulus_s, HrfHeight::Peak);
        let phases: Vec<f64> = (0..self.voxels).map(|_| random.uniform()).collect();
        let baseline: Vec<f64> = (0..self.voxels).map(|_| 600.0 + 800.0 * random.uniform()).collect();
        let pull: Vec<f64> = (0..self.voxels).map(|_| random.normal()).collect();
        let mut noise: Vec<f64> = (0..self.voxels).map(|_| random.normal()).collect();
        let mut motion = [0.0; 6];
        let mut volumes = Vec::new();
        for index in 0..(end_s / (self.tr_s * self.clock)) as u32 {
            let start_s = f64::from(index) * self.tr_s * self.clock;
            let sampled_s = start_s + 0.5 * self.tr_s;
            for (axis, parameter) in motion.iter_mut().enumerate() {
                *parameter += random.normal() * if axis < 3 { 0.02 } else { 0.0004 };
            }
            let heights: Vec<f64> = events.iter().map(|event| response.at(sampled_s - event.onset_s)).collect();
            let value = |voxel: usize| {
                let active: f64 =
                    heights.iter().zip(&truth).filter(|(h, _)| **h != 0.0).map(|(h, t)| h * t[voxel]).sum();
                let drift = (TAU * (sampled_s / 200.0 + phases[voxel])).sin() + sampled_s / end_s;
                let moved = pull[voxel] * (motion[0] - motion[2]);
                let percent = active + self.drift_percent * drift + self.motion_percent * moved;
                (baseline[voxel] * (1.0 + percent / 100.0 + noise[voxel] / self.sfnr)) as f32
            };
            let values = (0..self.voxels).map(value).collect();
            volumes.push(Volume { index, start_s, motion: Motion(motion), censored: false, values });
            let fresh = (1.0 - self.rho * self.rho).sqrt();
            noise.iter_mut().for_each(|n| *n = self.rho * *n + fresh * random.normal());
        }
        Run { tr_s: self.tr_s, events, scenes, truth, volumes }
    }

    fn events(&self, random: &mut Random) -> Vec<Event> {
        let mut onset_s = self.first_onset_s;
        let mut events = Vec::new();
        for trial in 0..self.trials {
            events.push(Event { trial, onset_s, duration_s: self.stimulus_s });
            onset_s += self.interval_s + self.jitter_s * (2.0 * random.uniform() - 1.0);
        }
        events
    }

    fn scenes(&self, random: &mut Random) -> Vec<u32> {
        if !self.order.is_empty() {
            return self.order.clone();
        }
        let mut scenes: Vec<u32> = (0..self.trials).map(|trial| trial % self.scenes).collect();
        for at in (1..scenes.len()).rev() {
            scenes.swap(at, (random.uniform() * (at + 1) as f64) as usize);
        }
        scenes
    }

    /// Amplitudes depend on scene and voxel alone, so that two seeds show the same scenes.
    fn amplitudes(&self, scene: u32) -> Vec<f64> {
        let mut random = Random::new(0xacce55 + u64::from(scene));
        (0..self.voxels).map(|_| self.amplitude * (0.5 + random.normal())).collect()
    }
}

/// The batch fit: what a recursive estimate must equal.
pub(crate) struct Batch<'a> {
    pub(crate) recipe: &'a PreprocessConfig,
    pub(crate) tr_s: f64,
    pub(crate) planned_s: f64,
    pub(crate) shape: DoubleGamma,
}

impl Batch<'_> {
    /// β of `trial` in every voxel, unit of the recipe, from the kept of `volumes`; `None` if they do not determine it.
    pub(crate) fn beta(&self, volumes: &[Volume], events: &[Event], trial: u32) -> Option<Vec<f64>> {
        let (x, ridge) = self.design(volumes, events, trial)?;
        let qr = Qr::new(&x, &ridge)?;
        let kept: Vec<&Volume> = volumes.iter().filter(|volume| !volume.censored).collect();
        let voxels = kept[0].values.len();
        let of_voxel = |voxel: usize| -> Option<f64> {
            let y: Vec<f64> = kept.iter().map(|volume| f64::from(volume.values[voxel])).collect();
            let mean = y.iter().sum::<f64>() / y.len() as f64;
            let demeaned: Vec<f64> = y.iter().map(|y| y - mean).collect();
            let scale = if self.recipe.unit == BetaUnit::None { 1.0 } else { 100.0 / mean };
            Some(scale * self.last_coefficient(&x, &ridge, &qr, &demeaned)?)
        };
        (0..voxels).map(of_voxel).collect()
    }

    fn last_coefficient(&self, x: &[Vec<f64>], ridge: &[f64], qr: &Qr, y: &[f64]) -> Option<f64> {
        let b = qr.solve(y);
        if self.recipe.noise.model == NoiseModel::Ordinary {
            return b.last().copied();
        }
        let e: Vec<f64> = x.iter().zip(y).map(|(x, y)| y - dot(x, &b)).collect();
        let rho = nilearn_rho(&e);
        let whiten = |t: usize, now: f64, before: f64| if t == 0 { now } else { now - rho * before };
        let whitened =
            |t: usize| -> Vec<f64> { (0..x[t].len()).map(|c| whiten(t, x[t][c], x[t.saturating_sub(1)][c])).collect() };
        let wx: Vec<Vec<f64>> = (0..x.len()).map(whitened).collect();
        let wy: Vec<f64> = (0..y.len()).map(|t| whiten(t, y[t], y[t.saturating_sub(1)])).collect();
        Qr::new(&wx, ridge)?.solve(&wy).last().copied()
    }

    /// Rows [nuisance, others, this trial] and the penalty of each column.
    pub(crate) fn design(&self, volumes: &[Volume], events: &[Event], trial: u32) -> Option<(Vec<Vec<f64>>, Vec<f64>)> {
        let kept: Vec<usize> = (0..volumes.len()).filter(|at| !volumes[*at].censored).collect();
        let end_s = volumes.last()?.start_s + self.tr_s;
        let drift = DriftBasis::new(&self.recipe.drift, self.planned_s);
        let has_prior = self.recipe.beta.kind == BetaKind::RidgeLsa && self.recipe.beta.ridge_drift > 0.0;
        let in_use = if has_prior { drift.columns() } else { drift.in_use(end_s, kept.len()) };
        let duration_s = events.first()?.duration_s;
        assert!(events.iter().all(|event| event.duration_s == duration_s), "one duration per simulation");
        let regressor = Regressor::new(self.shape, duration_s, self.recipe.hrf.height);
        let height = |event: &Event, volume: &Volume| {
            regressor.at(volume.start_s + self.recipe.slice_reference * self.tr_s - event.onset_s)
        };
        let columns: Vec<(u32, Vec<f64>)> = events
            .iter()
            .map(|event| (event.trial, kept.iter().map(|at| height(event, &volumes[*at])).collect()))
            .filter(|(_, column): &(u32, Vec<f64>)| column.iter().any(|x| *x != 0.0))
            .collect();
        let probe = &columns.iter().find(|(number, _)| *number == trial)?.1;
        let others: Vec<&Vec<f64>> = columns.iter().filter(|(number, _)| *number != trial).map(|(_, c)| c).collect();
        let row = |(t, at): (usize, &usize)| {
            let mut row = vec![1.0];
            row.extend(self.confounds(volumes, *at));
            let mut cosines = Vec::new();
            drift.evaluate(volumes[*at].start_s + 0.5 * self.tr_s, &mut cosines);
            row.extend(&cosines[..in_use]);
            match self.recipe.beta.kind {
                BetaKind::Lss if others.is_empty() => {}
                BetaKind::Lss => row.push(others.iter().map(|column| column[t]).sum()),
                _ => row.extend(others.iter().map(|column| column[t])),
            }
            row.push(probe[t]);
            row
        };
        let rows: Vec<Vec<f64>> = kept.iter().enumerate().map(row).collect();
        let mut ridge = vec![0.0; rows[0].len()];
        if self.recipe.beta.kind == BetaKind::RidgeLsa {
            let beta = &self.recipe.beta;
            let trials = ridge.len() - others.len() - 1;
            let motion = self.confounds(volumes, 0).len();
            for (column, penalty) in ridge[1..1 + motion].iter_mut().enumerate() {
                *penalty = beta.ridge_motion_mm2 / if column % 6 < 3 { 1.0 } else { 2500.0 };
            }
            ridge[1 + motion..trials].fill(beta.ridge_drift);
            ridge[trials..].fill(beta.ridge_alpha * self.energy(events[0].duration_s));
        }
        Some((rows, ridge))
    }

    fn energy(&self, duration_s: f64) -> f64 {
        let regressor = Regressor::new(self.shape, duration_s, self.recipe.hrf.height);
        (0..1000).map(|i| regressor.at((f64::from(i) + 0.5) * self.tr_s).powi(2)).sum()
    }

    fn confounds(&self, volumes: &[Volume], at: usize) -> Vec<f64> {
        let (now, before) = (volumes[at].motion.0, volumes[at.saturating_sub(1)].motion.0);
        let squared = |motion: [f64; 6]| motion.map(|r| r * r).to_vec();
        match self.recipe.confounds.kind {
            Confounds::None => vec![],
            Confounds::Motion6 => now.to_vec(),
            Confounds::Motion12 => [now.to_vec(), (0..6).map(|i| now[i] - before[i]).collect()].concat(),
            Confounds::Friston24 => [now.to_vec(), squared(now), before.to_vec(), squared(before)].concat(),
        }
    }
}

/// ρ as nilearn 0.14.1 computes and cuts it.
fn nilearn_rho(e: &[f64]) -> f64 {
    let n = e.len() as f64;
    let zero: f64 = e.iter().map(|e| e * e).sum::<f64>() / n;
    let one: f64 = e.windows(2).map(|e| e[0] * e[1]).sum::<f64>() / (n - 1.0);
    let rho = (100.0 * one / zero).trunc();
    if rho.is_finite() { rho.clamp(-99.0, 99.0) / 100.0 } else { 0.0 }
}

/// min ‖y − Xb‖² + Σ ridgeᵢ bᵢ² by Gram-Schmidt, twice for good measure; columns that depend on those before get 0.
pub(crate) struct Qr {
    /// Q, column by column; zeros for dependent columns. Rows beyond those of X are the ridge's.
    q: Vec<Vec<f64>>,
    r: Vec<Vec<f64>>,
    independent: Vec<bool>,
}

impl Qr {
    /// `None` if the last column depends on the others, or if less than one degree of freedom is left.
    pub(crate) fn new(x: &[Vec<f64>], ridge: &[f64]) -> Option<Self> {
        let p = ridge.len();
        let mut columns: Vec<Vec<f64>> = (0..p).map(|j| x.iter().map(|row| row[j]).collect()).collect();
        for (j, penalty) in ridge.iter().enumerate().filter(|(_, penalty)| **penalty > 0.0) {
            for (k, column) in columns.iter_mut().enumerate() {
                column.push(if j == k { penalty.sqrt() } else { 0.0 });
            }
        }
        let mut qr = Self { q: Vec::new(), r: vec![vec![0.0; p]; p], independent: Vec::new() };
        for (j, column) in columns.into_iter().enumerate() {
            qr.add_column(j, column);
        }
        // Degrees of freedom: rows less the trace of the hat matrix, whose factor is the part of Q that X fills.
        let fitted: f64 = qr.q.iter().map(|q| dot(&q[..x.len()], &q[..x.len()])).sum();
        (qr.independent[p - 1] && x.len() as f64 - fitted >= 1.0 - 1e-9).then_some(qr)
    }

    fn add_column(&mut self, j: usize, mut column: Vec<f64>) {
        let before = dot(&column, &column);
        for _ in 0..2 {
            for (i, q) in self.q.iter().enumerate() {
                let share = dot(q, &column);
                self.r[i][j] += share;
                column.iter_mut().zip(q).for_each(|(c, q)| *c -= share * q);
            }
        }
        let left = dot(&column, &column);
        let independent = left > 1e-9 * before && before > 0.0;
        self.r[j][j] = left.sqrt();
        let scale = if independent { 1.0 / left.sqrt() } else { 0.0 };
        self.q.push(column.into_iter().map(|c| scale * c).collect());
        self.independent.push(independent);
    }

    /// How much of a row's own datum its fit follows.
    pub(crate) fn leverage(&self, row: usize) -> f64 {
        self.q.iter().map(|q| q[row] * q[row]).sum()
    }

    /// R's last diagonal: one over the root of the last coefficient's variance in units of the noise's.
    pub(crate) fn last_diagonal(&self) -> f64 {
        self.r[self.q.len() - 1][self.q.len() - 1]
    }

    pub(crate) fn solve(&self, y: &[f64]) -> Vec<f64> {
        let p = self.q.len();
        let mut b = vec![0.0; p];
        for j in (0..p).rev().filter(|j| self.independent[*j]) {
            let known: f64 = (j + 1..p).map(|k| self.r[j][k] * b[k]).sum();
            b[j] = (dot(&self.q[j], y) - known) / self.r[j][j];
        }
        b
    }
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
