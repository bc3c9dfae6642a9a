//! Preprocessing in open loop: volumes arrive on a clock that waits for nobody, and each one's delay is what an operator would see.
//!
//! ```text
//! MINDEYE_BENCH_OUT=DIR MINDEYE_NILEARN_PYTHON=V/bin/python cargo bench -p mindeye-benches --bench preprocess
//! ```
//! Two parts: motion + resampling + GLM update of the mask's voxels, at 64x64x36 and 104x104x72; and the GLM alone at 15,724
//! voxels, update and beta by the number of volumes that have come. A Python with `tests/oracle/requirements.txt` times
//! python-rtspm on the very volumes and nilearn's refits at the same size. Writes `DIR/preprocess.json`.
#![allow(clippy::print_stderr, reason = "a program that tells how far it is")]

use mindeye_config::{
    BetaConfig, BetaKind, Clock, ConfoundConfig, Confounds, Drift, DriftConfig, Hrf, HrfConfig, NoiseConfig,
    NoiseModel, PreprocessConfig, SystemClock,
};
use mindeye_preprocess::motion::{Motion, MotionCorrector, MotionSettings, Rigid, centre_mm};
use mindeye_preprocess::phantom::head;
use mindeye_preprocess::resample::Volume;
use mindeye_preprocess::{
    Event, Grid, Mask, Pattern, RawVolume, RunPlan, RunPreprocessor, VoxelType, ZscoreTable, write_bold,
};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const TR_S: f64 = 1.5;
const INTERVAL_S: f64 = 6.0;
const VOXELS: usize = 15_724;
const VOLUMES: u32 = 288;
/// Volumes of a matrix that differ; they come again and again.
const DIFFERENT: u32 = 12;
/// Volumes of an open-loop run, and how fast they come: faster than any scanner.
const ARRIVALS: u32 = 80;
const MATRICES: [(&str, [usize; 3], f64, Duration); 2] = [
    ("64x64x36", [64, 64, 36], 3.0, Duration::from_millis(250)),
    ("104x104x72", [104, 104, 72], 2.0, Duration::from_millis(500)),
];

fn main() {
    let Some(out) = std::env::var_os("MINDEYE_BENCH_OUT") else {
        eprintln!("skipped: MINDEYE_BENCH_OUT names no folder");
        return;
    };
    let clock = SystemClock::start();
    let chains: Vec<Value> = MATRICES.iter().map(|matrix| chain(matrix, clock.as_ref(), Path::new(&out))).collect();
    let glm: serde_json::Map<String, Value> =
        cases().into_iter().map(|(name, recipe)| (name.into(), by_volumes(&recipe, clock.as_ref()))).collect();
    let nilearn = oracle("nilearn_glm.py", &["time"]);
    let figures = json!({
        "what": "preprocessing per volume, milliseconds, one core: (1) open loop, from a volume's scheduled arrival to its update of the GLM; (2) GLM at 15,724 voxels by the number of volumes; peers on the same machine, one after the other. p10 is the least disturbed tenth; processor_ms_mean counts this thread's own time whatever else ran",
        "how": "cargo bench -p mindeye-benches --bench preprocess, MINDEYE_BENCH_OUT and MINDEYE_NILEARN_PYTHON set",
        "open_loop": chains, "glm": glm, "nilearn": nilearn,
        "times_faster_than_nilearn": nilearn_ratio(&glm, &nilearn),
        "machine": { "processor": processor(), "cores": std::thread::available_parallelism().map_or(0, usize::from) },
        "commit": first_line(Command::new("git").args(["rev-parse", "--short", "HEAD"])),
        "load_average": std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
    });
    let path = Path::new(&out).join("preprocess.json");
    std::fs::write(path, format!("{figures:#}\n")).expect("MINDEYE_BENCH_OUT names a folder");
}

/// Motion, resampling and update of one matrix, with python-rtspm's realign and reslice of the same volumes.
fn chain((name, dim, mm, period): &(&str, [usize; 3], f64, Duration), clock: &dyn Clock, out: &Path) -> Value {
    eprintln!("{name}");
    let grid = axial(*dim, *mm);
    let volumes: Vec<Vec<u8>> = (0..DIFFERENT).map(|index| acquired(&grid, index)).collect();
    let mask = posterior(&grid);
    let delays = open_loop(&grid, &mask, &volumes, *period, clock);
    let run = out.join(format!("preprocess-{name}.nii.gz"));
    write_bold(&run, &grid, TR_S, VoxelType::Int16, &volumes).expect("MINDEYE_BENCH_OUT is a folder");
    let peer = oracle("rtspm_bench.py", &["time", &run.display().to_string()]);
    let theirs = peer["total_processor_ms"]["mean"].as_f64();
    let ratio = theirs.zip(delays.processor_ms).map(|(theirs, ours)| theirs / ours);
    json!({ "matrix": name, "mask_voxels": mask.len(), "arrivals": ARRIVALS, "period_ms": period.as_secs_f64() * 1e3,
        "motion_ms": percentiles(&delays.motion), "resample_ms": percentiles(&delays.resample),
        "glm_update_ms": percentiles(&delays.update), "arrival_to_update_ms": percentiles(&delays.whole),
        "processor_ms_mean": delays.processor_ms, "python-rtspm 0.2.18": peer, "times_faster_processor_mean": ratio })
}

#[derive(Default)]
struct Delays {
    motion: Vec<Duration>,
    resample: Vec<Duration>,
    update: Vec<Duration>,
    whole: Vec<Duration>,
    /// Mean processor time per volume: what the work takes whoever else uses the machine.
    processor_ms: Option<f64>,
}

/// Each volume's steps, and the delay from its scheduled arrival: what came before it delays it too.
fn open_loop(grid: &Grid, mask: &Mask, volumes: &[Vec<u8>], period: Duration, clock: &dyn Clock) -> Delays {
    let raw = |n: usize| RawVolume::new(VoxelType::Int16, grid.voxel_count(), &volumes[n]).expect("made to size");
    let reference = Volume::from_raw(grid.clone(), raw(0)).expect("finite");
    let settings = MotionSettings::default();
    let mut corrector = MotionCorrector::new(&reference, grid, mask, Rigid::IDENTITY, settings).expect("a head");
    let recipe = recipe(BetaKind::Lss, NoiseModel::Ordinary, Confounds::Motion6);
    let mut run = start(&recipe, mask.len());
    let (mut pattern, mut delays) = (Pattern::zeros(mask.len()), Delays::default());
    let (begin, processor_before) = (clock.now(), processor_time());
    for index in 0..ARRIVALS {
        let due = period * index;
        std::thread::sleep(due.saturating_sub(clock.now().since(begin)));
        let started = clock.now();
        let estimate = corrector.estimate(raw((index % DIFFERENT) as usize)).expect("a head");
        let estimated = clock.now();
        corrector.resample_into(&estimate.rigid, &mut pattern);
        let bytes: Vec<u8> = pattern.0.iter().flat_map(|value| value.to_le_bytes()).collect();
        run.resample(RawVolume::new(VoxelType::Float32, mask.len(), &bytes).expect("to size")).expect("finite");
        let resampled = clock.now();
        run.advance_with_motion(index, f64::from(index) * TR_S, estimate.motion).expect("volumes in order");
        let updated = clock.now();
        delays.motion.push(estimated.since(started));
        delays.resample.push(resampled.since(estimated));
        delays.update.push(updated.since(resampled));
        delays.whole.push(updated.since(begin).saturating_sub(due));
    }
    let used = processor_time().zip(processor_before).map(|(after, before)| ms(after - before));
    delays.processor_ms = used.map(|used| used / f64::from(ARRIVALS));
    delays
}

/// RAS+, the grid's centre at 0 mm.
fn axial(dim: [usize; 3], mm: f64) -> Grid {
    let row = |axis: usize| {
        let mut row = [0.0; 4];
        (row[axis], row[3]) = (mm, -mm * (dim[axis] as f64 - 1.0) / 2.0);
        row
    };
    Grid { dim, affine: [row(0), row(1), row(2), [0., 0., 0., 1.]] }
}

fn acquired(grid: &Grid, index: u32) -> Vec<u8> {
    let pose = head::wander(7, index).about(centre_mm(grid));
    head::acquire(&head::volume(grid, &pose), 70.0, 7, index)
}

/// The posterior part of the brain: what a visual decoder reads.
fn posterior(grid: &Grid) -> Mask {
    let [nx, ny, _] = grid.dim;
    let y_mm = |voxel: u32| {
        let voxel = voxel as usize;
        grid.to_mm([voxel % nx, voxel / nx % ny, voxel / (nx * ny)].map(|n| n as f64))[1]
    };
    let voxels: Vec<u32> = head::brain_voxels(grid).into_iter().filter(|voxel| y_mm(*voxel) < -20.0).collect();
    // About as many at any matrix, over the same region.
    let every = (voxels.len() / VOXELS).max(1);
    Mask::from_voxels(grid.clone(), voxels.into_iter().step_by(every).collect())
        .expect("the grid holds the back of the head")
}

fn recipe(kind: BetaKind, noise: NoiseModel, confounds: Confounds) -> PreprocessConfig {
    PreprocessConfig {
        hrf: HrfConfig { kind: Hrf::Glover, ..HrfConfig::default() },
        drift: DriftConfig { kind: Drift::Cosine, ..DriftConfig::default() },
        confounds: ConfoundConfig { kind: confounds },
        noise: NoiseConfig { model: noise },
        ..PreprocessConfig::new(vec![7.5], BetaConfig { kind, ..BetaConfig::default() })
    }
}

fn cases() -> Vec<(&'static str, PreprocessConfig)> {
    use {BetaKind::*, Confounds::*, NoiseModel::*};
    vec![
        ("lss ordinary motion-6", recipe(Lss, Ordinary, Motion6)),
        ("lss ordinary friston-24", recipe(Lss, Ordinary, Friston24)),
        ("lss ar1 motion-6", recipe(Lss, Ar1, Motion6)),
        ("lss ar1 friston-24", recipe(Lss, Ar1, Friston24)),
        ("lsa ordinary motion-6", recipe(Lsa, Ordinary, Motion6)),
        ("ridge-lsa ordinary motion-6", recipe(RidgeLsa, Ordinary, Motion6)),
        ("ridge-lsa ar1 motion-6", recipe(RidgeLsa, Ar1, Motion6)),
    ]
}

/// A run over a row of voxels, a trial every 6 s, all known from the start.
fn start(recipe: &PreprocessConfig, voxels: usize) -> RunPreprocessor {
    let grid = axial([voxels, 1, 1], 3.0);
    let mask = Arc::new(Mask::from_voxels(grid, (0..voxels as u32).collect()).expect("a row of voxels is a mask"));
    let table = ZscoreTable::new(vec![7.5], voxels, vec![0.0; voxels], vec![1.0; voxels]).expect("finite numbers");
    let plan = RunPlan { volumes: Some(VOLUMES), ..RunPlan::default() };
    let mut run = RunPreprocessor::planned(recipe, mask, Arc::new(table), TR_S, 32, &plan).expect("a checked recipe");
    for trial in 0..((f64::from(VOLUMES) * TR_S - 12.0) / INTERVAL_S) as u32 {
        let onset_s = 9.0 + INTERVAL_S * f64::from(trial) + 0.1 * f64::from(trial % 7);
        run.set_event(Event { trial, onset_s, duration_s: 3.0 }).expect("a finite onset");
    }
    run
}

/// Update and beta by quarter of a run.
fn by_volumes(recipe: &PreprocessConfig, clock: &dyn Clock) -> Value {
    let mut run = start(recipe, VOXELS);
    let (mut updates, mut betas) = (vec![Vec::new(); 4], vec![Vec::new(); 4]);
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for index in 0..VOLUMES {
        let noise = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            1000.0 + 48.0 * ((state >> 40) as f32 / (1u64 << 24) as f32 - 0.5)
        };
        let bytes: Vec<u8> = std::iter::repeat_with(noise).take(VOXELS).flat_map(f32::to_le_bytes).collect();
        run.resample(RawVolume::new(VoxelType::Float32, VOXELS, &bytes).expect("to size")).expect("finite");
        let motion = Motion(std::array::from_fn(|axis| 0.01 * (f64::from(index) * (axis as f64 + 3.0) * 0.37).sin()));
        let before = clock.now();
        run.advance_with_motion(index, f64::from(index) * TR_S, motion).expect("volumes in order");
        let updated = clock.now();
        let due = run.due_betas().expect("checked parts").len() as u32;
        let quarter = (4 * index / VOLUMES) as usize;
        updates[quarter].push(updated.since(before));
        if due > 0 {
            betas[quarter].push(clock.now().since(updated) / due);
        }
    }
    let rows = (0..4).map(|quarter| {
        json!({ "volumes_until": (quarter as u32 + 1) * VOLUMES / 4, "update_ms": percentiles(&updates[quarter]),
            "beta_ms": percentiles(&betas[quarter]) })
    });
    json!({ "by_quarter": rows.collect::<Vec<_>>(), "update_ms": percentiles(&updates.concat()),
        "beta_ms": percentiles(&betas.concat()) })
}

/// nilearn's refit from images of its 40th trial over our median beta.
fn nilearn_ratio(glm: &serde_json::Map<String, Value>, nilearn: &Value) -> Value {
    let of = |ours: &str, theirs: &str| {
        let refit = nilearn["milliseconds"][theirs]["trial 40"].as_f64();
        refit.zip(glm[ours]["beta_ms"]["p50"].as_f64()).map(|(refit, beta)| refit / beta)
    };
    json!({
        "lss ordinary motion-6": of("lss ordinary motion-6", "first_level_model ols"),
        "lss ar1 motion-6": of("lss ar1 motion-6", "first_level_model ar1"),
    })
}

fn percentiles(durations: &[Duration]) -> Value {
    let mut sorted = durations.to_vec();
    sorted.sort();
    let at = |share: f64| sorted.get((sorted.len().saturating_sub(1) as f64 * share) as usize).map(|d| ms(*d));
    json!({ "p10": at(0.1), "p50": at(0.5), "p95": at(0.95), "max": at(1.0) })
}

/// Processor time of this thread so far, as Linux counts it; `None` elsewhere.
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// Milliseconds, to the microsecond.
fn ms(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}

/// What an oracle's script prints; null without a Python for it.
fn oracle(script: &str, arguments: &[&str]) -> Value {
    let Some(python) = std::env::var_os("MINDEYE_NILEARN_PYTHON") else { return Value::Null };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/oracle").join(script);
    let output = Command::new(python).arg(&script).args(arguments).output().expect("MINDEYE_NILEARN_PYTHON runs");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{}: {error}", script.display()))
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find(|line| line.starts_with("model name"));
    model.and_then(|line| line.split(':').nth(1)).unwrap_or("?").trim().into()
}

fn first_line(command: &mut Command) -> String {
    let output = command.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    output.unwrap_or_default().lines().next().unwrap_or("?").into()
}
