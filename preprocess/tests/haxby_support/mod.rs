//! Haxby's eight categories decoded volume by volume from a stream: what a causal policy leaves of them.
//!
//! One slice of one subject (40x20x1, 530 voxels, TR 2.5 s), 12 runs of 121 volumes, blocks of 9 volumes of one category with
//! rest between. Motion correction is off: the grid has one slice. Labels are 2 volumes late for the haemodynamic delay
//! and rest is left out. Each volume is one event of [`RunPreprocessor`] whose window ends with it, so nothing of a
//! later volume can enter.
#![allow(dead_code, reason = "each program uses its own part")]

use mindeye_config::{BetaConfig, BetaUnit, PreprocessConfig, ZscoreConfig, ZscorePolicy};
use mindeye_preprocess::{Event, Mask, RawVolume, RunPreprocessor, ZscoreTable, read_bold};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) const TR_S: f64 = 2.5;
const RUNS: usize = 12;
const VOLUMES: usize = 121;
/// Volumes from a label to the response to it: 5 s.
const DELAY: usize = 2;
const CATEGORIES: [&str; 8] = ["bottle", "cat", "chair", "face", "house", "scissors", "scrambledpix", "shoe"];
/// Runs 1 to 8 of the publication; the others are test.
pub(crate) const TRAINING: std::ops::Range<usize> = 0..8;
pub(crate) const TEST: std::ops::Range<usize> = 8..12;

/// What of a volume is decoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Policy {
    /// Whose mean is the offset: the run's so far, or its declared rest so far.
    pub(crate) offset: ZscorePolicy,
    /// The mean of this many volumes, the newest last.
    pub(crate) volumes: usize,
    /// Ridge of the classifier, times voxels.
    pub(crate) ridge: f64,
}

/// The recording.
pub(crate) struct Haxby {
    mask: Arc<Mask>,
    volumes: Vec<Vec<u8>>,
    voxel_type: mindeye_preprocess::VoxelType,
    /// Category of each volume, the delay included; `None` for rest.
    labels: Vec<Option<usize>>,
}

/// A volume's z-scores with its label and block.
pub(crate) struct Sample {
    pub(crate) z: Vec<f64>,
    pub(crate) label: usize,
    pub(crate) run: usize,
    /// Number of its block in the recording.
    pub(crate) block: usize,
}

pub(crate) fn folder() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    std::env::var_os("MINDEYE_SHARED_DATA").map_or_else(beside, PathBuf::from).join("haxby_pymvpa")
}

impl Haxby {
    /// `None` where the recording is not beside the repository.
    pub(crate) fn read() -> Option<Self> {
        let folder = folder();
        if !folder.join("bold.nii.gz").exists() {
            return None;
        }
        let bold = read_bold(&folder.join("bold.nii.gz")).unwrap();
        let mask = Arc::new(Mask::read(&folder.join("mask.nii.gz")).unwrap());
        let text = std::fs::read_to_string(folder.join("attributes_literal.txt")).unwrap();
        let shown: Vec<Option<usize>> =
            text.lines().map(|line| CATEGORIES.iter().position(|c| line.starts_with(c))).collect();
        let label = |at: usize| if at % VOLUMES < DELAY { None } else { shown[at - DELAY] };
        let labels = (0..RUNS * VOLUMES).map(label).collect();
        Some(Self { mask, volumes: bold.volumes, voxel_type: bold.dtype, labels })
    }

    /// The samples of `runs`, streamed.
    pub(crate) fn samples(
        &self,
        policy: Policy,
        runs: std::ops::Range<usize>,
        table: Option<&Arc<ZscoreTable>>,
    ) -> Vec<Sample> {
        runs.flat_map(|run| self.stream(policy, run, table)).collect()
    }

    fn stream(&self, policy: Policy, run: usize, table: Option<&Arc<ZscoreTable>>) -> Vec<Sample> {
        let span_s = policy.volumes as f64 * TR_S;
        let beta = BetaConfig { window_start_s: 0.0, window_end_s: span_s, ..BetaConfig::default() };
        let recipe = PreprocessConfig {
            unit: BetaUnit::None,
            zscore: ZscoreConfig { policy: policy.offset, neutral_s: self.rest_s(run), ..ZscoreConfig::default() },
            ..PreprocessConfig::new(vec![span_s], beta)
        };
        let voxels = self.mask.len();
        let as_it_is =
            || Arc::new(ZscoreTable::new(vec![span_s], voxels, vec![0.0; voxels], vec![1.0; voxels]).unwrap());
        let table = table.cloned().unwrap_or_else(as_it_is);
        let mut preprocessor = RunPreprocessor::new(&recipe, self.mask.clone(), table, TR_S, 32).unwrap();
        let mut samples = Vec::new();
        for index in 0..VOLUMES {
            let onset_s = (index as f64 + 1.0) * TR_S - span_s;
            preprocessor.set_event(Event { trial: index as u32, onset_s, duration_s: span_s }).unwrap();
            let raw =
                RawVolume::new(self.voxel_type, self.mask.grid().voxel_count(), &self.volumes[run * VOLUMES + index]);
            preprocessor.resample(raw.unwrap()).unwrap();
            preprocessor.advance(index as u32, index as f64 * TR_S).unwrap();
            for mut beta in preprocessor.due_betas().unwrap() {
                preprocessor.zscore(&mut beta);
                samples.extend(self.labelled(run, index, beta.zscored.0.iter().map(|z| f64::from(*z)).collect()));
            }
        }
        samples
    }

    fn labelled(&self, run: usize, index: usize, z: Vec<f64>) -> Option<Sample> {
        let at = run * VOLUMES + index;
        let label = self.labels[at]?;
        let starts = |at: &usize| self.labels[*at].is_some() && (*at == 0 || self.labels[at - 1].is_none());
        Some(Sample { z, label, run, block: (0..=at).filter(starts).count() })
    }

    /// Declared rest: run seconds at which no picture's response is expected, by the same delay.
    fn rest_s(&self, run: usize) -> Vec<[f64; 2]> {
        let at_rest = |index: &usize| self.labels[run * VOLUMES + index].is_none();
        (0..VOLUMES).filter(at_rest).map(|index| [index as f64 * TR_S, (index as f64 + 1.0) * TR_S]).collect()
    }

    /// Whether each sample of the test runs is named rightly, trained on `TRAINING` with frozen mean and SD.
    pub(crate) fn test(&self, policy: Policy) -> Vec<(usize, bool)> {
        let training = self.samples(policy, TRAINING, None);
        let (mean, sd) = mean_and_sd(&training.iter().collect::<Vec<_>>());
        let f32s = |values: &[f64]| values.iter().map(|v| *v as f32).collect::<Vec<f32>>();
        let lag_s = vec![policy.volumes as f64 * TR_S];
        let table = Arc::new(ZscoreTable::new(lag_s, mean.len(), f32s(&mean), f32s(&sd)).unwrap());
        let training = self.samples(policy, TRAINING, Some(&table));
        let test = self.samples(policy, TEST, Some(&table));
        let classifier = Classifier::new(&training.iter().collect::<Vec<_>>(), &[policy.ridge]);
        test.iter().map(|sample| (sample.block, classifier[0].name(&sample.z) == sample.label)).collect()
    }
}

/// The policy that names most samples of left-out training runs; test runs are not read.
pub(crate) fn choose(haxby: &Haxby, offsets: &[ZscorePolicy], volumes: &[usize], ridges: &[f64]) -> (Policy, f64) {
    let mut best: Option<(Policy, f64)> = None;
    for (offset, volumes) in offsets.iter().flat_map(|o| volumes.iter().map(move |v| (*o, *v))) {
        let samples = haxby.samples(Policy { offset, volumes, ridge: 0.0 }, TRAINING, None);
        for (ridge, share) in ridges.iter().zip(left_out(&samples, ridges)) {
            if best.is_none_or(|(_, most)| share > most) {
                best = Some((Policy { offset, volumes, ridge: *ridge }, share));
            }
        }
    }
    best.expect("there are policies to choose from")
}

/// Share of samples named rightly when their run is left out, by ridge.
fn left_out(samples: &[Sample], ridges: &[f64]) -> Vec<f64> {
    let mut right = vec![0usize; ridges.len()];
    for run in TRAINING {
        let others: Vec<&Sample> = samples.iter().filter(|sample| sample.run != run).collect();
        let (mean, sd) = mean_and_sd(&others);
        let z = |sample: &Sample| {
            let z = sample.z.iter().zip(&mean).zip(&sd).map(|((z, m), s)| if *s > 0.0 { (z - m) / s } else { 0.0 });
            Sample { z: z.collect(), ..*sample }
        };
        let training: Vec<Sample> = others.into_iter().map(z).collect();
        let classifiers = Classifier::new(&training.iter().collect::<Vec<_>>(), ridges);
        for sample in samples.iter().filter(|sample| sample.run == run).map(z) {
            for (right, classifier) in right.iter_mut().zip(&classifiers) {
                *right += usize::from(classifier.name(&sample.z) == sample.label);
            }
        }
    }
    right.into_iter().map(|right| right as f64 / samples.len() as f64).collect()
}

fn mean_and_sd(samples: &[&Sample]) -> (Vec<f64>, Vec<f64>) {
    let n = samples.len() as f64;
    let mean: Vec<f64> = (0..samples[0].z.len()).map(|v| samples.iter().map(|s| s.z[v]).sum::<f64>() / n).collect();
    let variance = |v: usize| samples.iter().map(|s| (s.z[v] - mean[v]).powi(2)).sum::<f64>() / n;
    let sd = (0..mean.len()).map(|v| variance(v).sqrt()).collect();
    (mean, sd)
}

/// Ridge regression to eight indicators; the largest names the category.
struct Classifier {
    /// `[voxels][8]`.
    weights: Vec<[f64; 8]>,
}

impl Classifier {
    /// One for each ridge: (ZᵀZ + ridge V) W = Zᵀ(Y − Ȳ).
    fn new(samples: &[&Sample], ridges: &[f64]) -> Vec<Self> {
        let voxels = samples[0].z.len();
        let mut share = [0.0; 8];
        samples.iter().for_each(|sample| share[sample.label] += 1.0 / samples.len() as f64);
        let (mut gram, mut moments) = (vec![vec![0.0; voxels]; voxels], vec![[0.0; 8]; voxels]);
        for sample in samples {
            for (i, z) in sample.z.iter().enumerate() {
                gram[i][..=i].iter_mut().zip(&sample.z).for_each(|(g, other)| *g += z * other);
                for (category, moment) in moments[i].iter_mut().enumerate() {
                    *moment += z * (f64::from(u8::from(category == sample.label)) - share[category]);
                }
            }
        }
        let solve = |ridge: &f64| Self { weights: solve(gram.clone(), ridge * voxels as f64, moments.clone()) };
        ridges.iter().map(solve).collect()
    }

    fn name(&self, z: &[f64]) -> usize {
        let score = |category: usize| self.weights.iter().zip(z).map(|(w, z)| w[category] * z).sum::<f64>();
        (0..8).max_by(|a, b| score(*a).total_cmp(&score(*b))).expect("there are eight")
    }
}

/// X of (A + λI) X = B by Cholesky; A's lower triangle counts.
fn solve(mut a: Vec<Vec<f64>>, ridge: f64, mut x: Vec<[f64; 8]>) -> Vec<[f64; 8]> {
    let n = a.len();
    for i in 0..n {
        a[i][i] += ridge;
        let (above, rest) = a.split_at_mut(i);
        let row = &mut rest[0];
        for j in 0..i {
            let known: f64 = row[..j].iter().zip(&above[j]).map(|(a, b)| a * b).sum();
            row[j] = (row[j] - known) / above[j][j];
        }
        row[i] = (row[i] - row[..i].iter().map(|l| l * l).sum::<f64>()).sqrt();
    }
    for (i, row) in a.iter().enumerate() {
        let (known, rest) = x.split_at_mut(i);
        for (l, known) in row.iter().zip(known.iter()) {
            rest[0].iter_mut().zip(known).for_each(|(x, k)| *x -= l * k);
        }
        rest[0].iter_mut().for_each(|x| *x /= row[i]);
    }
    for (i, row) in a.iter().enumerate().rev() {
        let (above, from_i) = x.split_at_mut(i);
        from_i[0].iter_mut().for_each(|x| *x /= row[i]);
        for (l, above) in row.iter().zip(above) {
            above.iter_mut().zip(&from_i[0]).for_each(|(x, known)| *x -= l * known);
        }
    }
    x
}

/// Share of right answers with its 95 % interval, blocks drawn 2,000 times with replacement: volumes of one block are
/// not independent.
pub(crate) fn block_bootstrap(answers: &[(usize, bool)], mut uniform: impl FnMut() -> f64) -> (f64, [f64; 2]) {
    let mut blocks: Vec<(f64, f64)> = Vec::new();
    let mut newest = None;
    for (block, right) in answers {
        if newest != Some(block) {
            blocks.push((0.0, 0.0));
            newest = Some(block);
        }
        let last = blocks.len() - 1;
        blocks[last].0 += f64::from(u8::from(*right));
        blocks[last].1 += 1.0;
    }
    let share = |drawn: &[(f64, f64)]| drawn.iter().map(|b| b.0).sum::<f64>() / drawn.iter().map(|b| b.1).sum::<f64>();
    let mut drawn: Vec<f64> = (0..2000)
        .map(|_| share(&blocks.iter().map(|_| blocks[(uniform() * blocks.len() as f64) as usize]).collect::<Vec<_>>()))
        .collect();
    drawn.sort_by(f64::total_cmp);
    (share(&blocks), [drawn[50], drawn[1949]])
}
