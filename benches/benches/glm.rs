//! The single-trial GLM at the size of NSD's visual cortex: what a volume and a trial cost, with nilearn beside them.
//!
//! A run of 288 volumes of 1.5 s and 15,724 voxels, a trial every 6 s, streamed as the daemon does. Criterion times
//! the update of a volume and the beta of a trial over the whole run; `MINDEYE_BENCH_OUT=DIR` also writes the
//! percentiles of one run to `DIR/glm.json`, and `MINDEYE_NILEARN_PYTHON` names a Python with nilearn 0.14.1
//! whose refits of the same size are timed in the same minute (`tests/oracle/nilearn_glm.py time`).

use criterion::{Criterion, criterion_group, criterion_main};
use mindeye_config::{
    BetaConfig, BetaKind, Clock, ConfoundConfig, Confounds, Drift, DriftConfig, Hrf, HrfConfig, NoiseConfig,
    NoiseModel, PreprocessConfig, SystemClock,
};
use mindeye_preprocess::motion::Motion;
use mindeye_preprocess::{Event, Grid, Mask, RawVolume, RunPlan, RunPreprocessor, VoxelType, ZscoreTable};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

const VOXELS: usize = 15_724;
const VOLUMES: u32 = 288;
const TR_S: f64 = 1.5;
const INTERVAL_S: f64 = 6.0;

/// Every estimate that is timed.
fn cases() -> Vec<(&'static str, PreprocessConfig)> {
    let of = |kind, noise, confounds| PreprocessConfig {
        hrf: HrfConfig { kind: Hrf::Glover, ..HrfConfig::default() },
        drift: DriftConfig { kind: Drift::Cosine, ..DriftConfig::default() },
        confounds: ConfoundConfig { kind: confounds },
        noise: NoiseConfig { model: noise },
        ..PreprocessConfig::new(vec![7.5], BetaConfig { kind, ..BetaConfig::default() })
    };
    use {BetaKind::*, Confounds::*, NoiseModel::*};
    vec![
        ("lss ordinary motion-6", of(Lss, Ordinary, Motion6)),
        ("lss ordinary friston-24", of(Lss, Ordinary, Friston24)),
        ("lss ar1 motion-6", of(Lss, Ar1, Motion6)),
        ("lss ar1 friston-24", of(Lss, Ar1, Friston24)),
        ("lsa ordinary motion-6", of(Lsa, Ordinary, Motion6)),
        ("ridge-lsa ordinary motion-6", of(RidgeLsa, Ordinary, Motion6)),
        ("ridge-lsa ar1 motion-6", of(RidgeLsa, Ar1, Motion6)),
        ("ridge-lsa ar1 friston-24", of(RidgeLsa, Ar1, Friston24)),
    ]
}

/// Raw float32 volumes: noise of 1.4 % on 1000, the same every time.
fn volumes() -> Vec<Vec<u8>> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut noise = || {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    };
    let volume = |_| (0..VOXELS).flat_map(|_| (1000.0 + 48.0 * noise()).to_le_bytes()).collect();
    (0..VOLUMES).map(volume).collect()
}

fn start(recipe: &PreprocessConfig) -> RunPreprocessor {
    let grid =
        Grid { dim: [VOXELS, 1, 1], affine: [[3., 0., 0., 0.], [0., 3., 0., 0.], [0., 0., 3., 0.], [0., 0., 0., 1.]] };
    let mask = Arc::new(Mask::from_voxels(grid, (0..VOXELS as u32).collect()).expect("a row of voxels is a mask"));
    let table = ZscoreTable::new(vec![7.5], VOXELS, vec![0.0; VOXELS], vec![1.0; VOXELS]).expect("finite numbers");
    let plan = RunPlan { volumes: Some(VOLUMES), ..RunPlan::default() };
    let mut run = RunPreprocessor::planned(recipe, mask, Arc::new(table), TR_S, 32, &plan).expect("a checked recipe");
    for trial in 0..((f64::from(VOLUMES) * TR_S - 12.0) / INTERVAL_S) as u32 {
        let onset_s = 9.0 + INTERVAL_S * f64::from(trial) + 0.1 * f64::from(trial % 7);
        run.set_event(Event { trial, onset_s, duration_s: 3.0 }).expect("a finite onset");
    }
    run
}

/// Time of each volume's update, and of each beta.
fn stream(recipe: &PreprocessConfig, volumes: &[Vec<u8>], clock: &dyn Clock) -> (Vec<Duration>, Vec<Duration>) {
    let mut run = start(recipe);
    let (mut updates, mut betas) = (Vec::new(), Vec::new());
    for (index, bytes) in volumes.iter().enumerate() {
        let raw = RawVolume::new(VoxelType::Float32, VOXELS, bytes).expect("a volume of its mask");
        run.resample(raw).expect("finite voxels");
        let motion = Motion(std::array::from_fn(|axis| 0.01 * ((index * (axis + 3)) as f64 * 0.37).sin()));
        let before = clock.now();
        run.advance_with_motion(index as u32, index as f64 * TR_S, motion).expect("volumes in order");
        let updated = clock.now();
        let due = black_box(run.due_betas().expect("checked parts"));
        let estimated = clock.now();
        updates.push(updated.since(before));
        if !due.is_empty() {
            betas.push(estimated.since(updated) / due.len() as u32);
        }
    }
    (updates, betas)
}

/// Sum of `iterations` of the durations that runs yield.
fn sum_of(iterations: u64, mut durations: impl FnMut() -> Vec<Duration>) -> Duration {
    let mut left = iterations;
    let mut sum = Duration::ZERO;
    while left > 0 {
        for duration in durations().into_iter().take(left as usize) {
            sum += duration;
            left -= 1;
        }
    }
    sum
}

fn glm(criterion: &mut Criterion) {
    let (volumes, clock) = (volumes(), SystemClock::start());
    let mut group = criterion.benchmark_group("glm 15724 voxels");
    group.sample_size(10).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    for (name, recipe) in cases() {
        group.bench_function(format!("{name}: update"), |bencher| {
            bencher.iter_custom(|n| sum_of(n, || stream(&recipe, &volumes, clock.as_ref()).0));
        });
        group.bench_function(format!("{name}: beta"), |bencher| {
            bencher.iter_custom(|n| sum_of(n, || stream(&recipe, &volumes, clock.as_ref()).1));
        });
    }
    group.finish();
}

/// One run of each case, percentiles in milliseconds, and nilearn's.
fn report(_: &mut Criterion) {
    let Some(out) = std::env::var_os("MINDEYE_BENCH_OUT") else { return };
    let (volumes, clock) = (volumes(), SystemClock::start());
    let mut rows = serde_json::Map::new();
    for (name, recipe) in cases() {
        let (updates, betas) = stream(&recipe, &volumes, clock.as_ref());
        rows.insert(
            name.into(),
            serde_json::json!({ "update_ms": percentiles(updates), "beta_ms": percentiles(betas) }),
        );
    }
    let size = serde_json::json!({ "voxels": VOXELS, "volumes": VOLUMES, "tr_s": TR_S, "interval_s": INTERVAL_S });
    let figures = serde_json::json!({ "size": size, "ours": rows, "nilearn": nilearn() });
    let path = std::path::Path::new(&out).join("glm.json");
    std::fs::write(&path, format!("{figures:#}\n")).expect("MINDEYE_BENCH_OUT names a folder");
}

fn percentiles(mut durations: Vec<Duration>) -> serde_json::Value {
    durations.sort();
    let at = |share: f64| durations[((durations.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    serde_json::json!({ "p50": at(0.5), "p95": at(0.95), "max": at(1.0) })
}

/// What the oracle says of nilearn's refits; null without a Python for it.
fn nilearn() -> serde_json::Value {
    let Some(python) = std::env::var_os("MINDEYE_NILEARN_PYTHON") else { return serde_json::Value::Null };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/oracle/nilearn_glm.py");
    let output = std::process::Command::new(python).arg(script).arg("time").output();
    let output = output.expect("MINDEYE_NILEARN_PYTHON names a program");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{script}: {error}"))
}

criterion_group!(benches, glm, report);
criterion_main!(benches);
