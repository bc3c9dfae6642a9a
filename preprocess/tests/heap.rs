//! A run holds what it says it holds: nothing grows from volume to volume but the stated history of a GLM.

#![expect(unsafe_code, reason = "an allocator that counts can only be written with it")]

mod common;
mod motion_support;

use common::zscore;
use mindeye_config::{
    AveragingConfig, BetaConfig, BetaKind, ConfoundConfig, Confounds, DespikeConfig, DespikeKind, Drift, DriftConfig,
    Hrf, HrfConfig, MotionConfig, MotionKind, PreprocessConfig, SmoothingConfig,
};
use mindeye_preprocess::phantom::head;
use mindeye_preprocess::{Event, RunPlan, RunPreprocessor};
use motion_support::{Scan, axial, int16};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

thread_local! {
    /// Bytes that this thread holds more than when it began.
    static HELD: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, with this thread's bytes counted.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: isize) {
    // While a thread ends its cell is gone; nobody measures it then.
    let _ = HELD.try_with(|held| held.set(held.get() + bytes));
}

// SAFETY: every call goes to the system's allocator with the arguments that came, and counting allocates nothing: the cell
// is constant-initialised and has no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: `at` came from `alloc` above with this `layout`, as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }
}

const TR_S: f64 = 1.5;
const VOLUMES: u32 = 96;
/// The first volume, the ring and the first trials have come by then.
const WARM: u32 = 40;

fn window() -> PreprocessConfig {
    PreprocessConfig {
        motion: MotionConfig { kind: MotionKind::Rigid, ..MotionConfig::default() },
        despike: DespikeConfig { kind: DespikeKind::Kalman },
        smoothing: SmoothingConfig { fwhm_mm: 8.0 },
        averaging: AveragingConfig { volumes: 3 },
        ..common::recipe(3.0)
    }
}

fn glm() -> PreprocessConfig {
    PreprocessConfig {
        beta: BetaConfig { kind: BetaKind::RidgeLsa, ..BetaConfig::default() },
        hrf: HrfConfig { kind: Hrf::Glover, ..HrfConfig::default() },
        drift: DriftConfig { kind: Drift::Cosine, ..DriftConfig::default() },
        confounds: ConfoundConfig { kind: Confounds::Motion6 },
        ..window()
    }
}

/// Bytes held, and bytes stated, after each volume.
fn held(recipe: &PreprocessConfig) -> Vec<(isize, usize)> {
    let scan = Scan::new(axial([36, 36, 24], 6.0), 70.0);
    let (mask, table) = (Arc::new(scan.mask.clone()), zscore(recipe, scan.mask.len(), 1.0));
    let volumes: Vec<Vec<u8>> = (0..8).map(|i| scan.volume(head::wander(3, i), i)).collect();
    let plan = RunPlan { volumes: Some(VOLUMES), ..RunPlan::default() };
    let mut run = RunPreprocessor::planned(recipe, mask, table, TR_S, 16, &plan).unwrap();
    for trial in 0..20 {
        run.set_event(Event { trial, onset_s: 3.0 + 6.0 * f64::from(trial), duration_s: 3.0 }).unwrap();
    }
    let mut held = Vec::with_capacity(VOLUMES as usize);
    for index in 0..VOLUMES {
        let raw = int16(&volumes[index as usize % volumes.len()]);
        run.estimate_motion(&raw).unwrap();
        run.resample(raw).unwrap();
        run.advance(index, f64::from(index) * TR_S).unwrap();
        for mut beta in run.due_betas().unwrap() {
            run.zscore(&mut beta);
        }
        assert!(run.take_missed().is_empty());
        held.push((HELD.get(), run.memory_bytes()));
    }
    held
}

#[test]
fn a_run_of_windows_grows_by_nothing() {
    let held = held(&window());
    let (warm, end) = (held[WARM as usize].0, held.last().unwrap().0);
    assert_eq!(end - warm, 0, "bytes over {} volumes", VOLUMES - WARM);
}

#[test]
fn a_glm_grows_by_its_design_rows_alone() {
    let held = held(&glm());
    let (warm, end) = (held[WARM as usize], held.last().unwrap());
    let stated = end.1 as isize - warm.1 as isize;
    // A design row has an entry of 16 bytes for each of 10 nuisance columns and the trials under way (5 at 6 s), and a
    // list's room for twice as many: 512 bytes per volume, and 64 for its place in the list.
    let rows = 576 * (VOLUMES - WARM) as isize;
    assert!(end.0 - warm.0 <= stated + rows, "{} bytes, {stated} stated and {rows} of rows", end.0 - warm.0);
    let pattern = 4 * Scan::new(axial([36, 36, 24], 6.0), 70.0).mask.len() as isize;
    assert!(rows < pattern * (VOLUMES - WARM) as isize / 4, "the bound would not see a pattern kept per volume");
}
