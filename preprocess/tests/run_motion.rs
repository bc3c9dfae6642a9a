//! A run whose head moves: its volumes come to the session reference's mask, by one reading, with every number told.

mod common;
mod motion_support;

use common::zscore;
use mindeye_config::{
    BetaConfig, BetaKind, ConfoundConfig, Confounds, Hrf, HrfConfig, MotionConfig, MotionKind, MotionReference,
    PreprocessConfig,
};
use mindeye_preprocess::conformance::{refusal_changes_nothing, same_bytes_after_reset};
use mindeye_preprocess::motion::{Motion, Rigid, SessionReference, centre_mm};
use mindeye_preprocess::phantom::head;
use mindeye_preprocess::quality::power_displacement_mm;
use mindeye_preprocess::resample::Affine;
use mindeye_preprocess::{
    Event, Grid, Mask, Pattern, PreprocessError, RawVolume, RunPlan, RunPreprocessor, TimedVolume, TrialOutcomes,
    VoxelType,
};
use motion_support::{Scan, axial, grid_of, int16};
use std::sync::Arc;

const TR_S: f64 = 1.5;

fn recipe(against: MotionReference) -> PreprocessConfig {
    let motion = MotionConfig { kind: MotionKind::Rigid, against, ..MotionConfig::default() };
    PreprocessConfig { motion, ..common::recipe(0.0) }
}

/// Where a session's reference and mask lie, as a bundle has them.
struct Bundle {
    scan: Scan,
    mask: Arc<Mask>,
    reference: Arc<SessionReference>,
}

impl Bundle {
    fn new(grid: Grid) -> Self {
        let scan = Scan::new(grid, 70.0);
        let reference = SessionReference { volume: scan.volume_of(&scan.reference), source: "a bundle".into() };
        Self { mask: Arc::new(scan.mask.clone()), reference: Arc::new(reference), scan }
    }

    fn start(&self, recipe: &PreprocessConfig, run_grid: Option<&Grid>) -> Result<RunPreprocessor, PreprocessError> {
        let plan = RunPlan {
            volumes: Some(24),
            reference: Some(self.reference.clone()),
            run_grid: run_grid.cloned(),
            ..RunPlan::default()
        };
        let table = zscore(recipe, self.mask.len(), 1.0);
        RunPreprocessor::planned(recipe, self.mask.clone(), table, TR_S, 16, &plan)
    }
}

/// The head at `pose` (session reference to scanner, RAS+ mm) as the run's grid shows it.
fn acquired(run_grid: &Grid, pose: &Rigid, index: u32) -> Vec<u8> {
    head::acquire(&head::volume(run_grid, pose), 70.0, 5, index)
}

fn feed(run: &mut RunPreprocessor, index: u32, bytes: &[u8]) {
    let raw = int16(bytes);
    run.estimate_motion(&raw).unwrap();
    run.resample(raw).unwrap();
    run.advance(index, f64::from(index) * TR_S).unwrap();
}

fn rms(a: &[f32], b: &[f32]) -> f64 {
    let squares: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    (squares / a.len() as f64).sqrt()
}

/// Another day, the head 6 mm and 7 degrees elsewhere, on a tilted grid of other voxels whose x runs to the left.
#[test]
fn a_run_on_any_grid_comes_to_the_mask_of_another_session() {
    let bundle = Bundle::new(axial([64, 64, 44], 3.0));
    let tilt = Motion([2.0, 5.0, -3.0, 0.15, -0.1, 0.1]).about([0.0; 3]);
    let mut straight = axial([70, 66, 46], 3.0);
    (straight.affine[0][0], straight.affine[0][3]) = (-straight.affine[0][0], -straight.affine[0][3]);
    let run_grid = grid_of([70, 66, 46], Affine::of_grid(&straight).then(tilt.affine()));
    let placed = Motion([4.0, -3.0, 3.0, 0.08, -0.05, 0.07]).about(centre_mm(&run_grid));
    let moved = Motion([0.8, -0.6, 0.5, 0.01, -0.012, 0.009]).about(centre_mm(&run_grid));
    let bytes = [acquired(&run_grid, &placed, 0), acquired(&run_grid, &placed.then(&moved), 1)];
    let expected = bundle.scan.mask_values(&bundle.scan.reference);
    for against in [MotionReference::FirstVolume, MotionReference::Session] {
        let mut run = bundle.start(&recipe(against), Some(&run_grid)).unwrap();
        assert_eq!(run.registration(), None, "nothing has come");
        feed(&mut run, 0, &bytes[0]);
        let registration = run.registration().unwrap().clone();
        assert!(registration.go && registration.objections.is_empty(), "{registration:?}");
        assert_eq!(registration.reference, "a bundle");
        let still = rms(&run.volume().0, &expected);
        feed(&mut run, 1, &bytes[1]);
        let quality = run.volume_quality();
        let motion = quality.motion.unwrap();
        if against == MotionReference::FirstVolume {
            let truth = moved.motion(centre_mm(&run_grid));
            let off = power_displacement_mm(&motion, &truth);
            // 0.1 mm in Power's sum of six: 0.02 mm and 0.0002 rad each is noise at SFNR 70.
            assert!(off < 0.1, "{motion:?} against {truth:?}");
        }
        // Power's displacement of the second motion alone, to the same 0.1 mm.
        let true_fd = power_displacement_mm(&Motion::STILL, &moved.motion(centre_mm(&run_grid)));
        let fd = quality.framewise_displacement_mm.unwrap();
        assert!((fd - true_fd).abs() < 0.15, "{against:?}: {fd} against {true_fd}");
        assert_eq!((quality.converged, quality.volumes_since), (Some(true), Some(1)));
        // Noise of both volumes (20) and of reading between voxels at edges; a head that is not followed leaves 130.
        let after = rms(&run.volume().0, &expected);
        assert!(still < 50.0 && after < 50.0, "{against:?}: {still} and {after} of scanner's units");
    }
}

#[test]
fn without_a_reference_the_mask_lies_on_the_first_volume() {
    let bundle = Bundle::new(axial([36, 36, 24], 6.0));
    let recipe = recipe(MotionReference::FirstVolume);
    let table = zscore(&recipe, bundle.mask.len(), 1.0);
    let mut run = RunPreprocessor::new(&recipe, bundle.mask.clone(), table, TR_S, 16).unwrap();
    feed(&mut run, 0, &bundle.scan.reference);
    assert_eq!(run.registration(), None);
    let off = rms(&run.volume().0, &bundle.scan.mask_values(&bundle.scan.reference));
    // 0.5 of 1,000: the first volume is read where it lies, but for the rounding of its own estimate (1e-5 mm).
    assert!(off < 0.5, "{off}");
}

/// The caller that does not ask for motion gets it all the same, and the same bytes.
#[test]
fn resample_alone_estimates_too() {
    let bundle = Bundle::new(axial([36, 36, 24], 6.0));
    let recipe = recipe(MotionReference::FirstVolume);
    let volumes: Vec<_> = (0..4).map(|i| bundle.scan.volume(head::wander(3, 2 * i), i)).collect();
    let (mut asked, mut silent) = (bundle.start(&recipe, None).unwrap(), bundle.start(&recipe, None).unwrap());
    for (index, bytes) in (0u32..).zip(&volumes) {
        feed(&mut asked, index, bytes);
        silent.resample(int16(bytes)).unwrap();
        silent.advance(index, f64::from(index) * TR_S).unwrap();
        assert_eq!(silent.volume(), asked.volume(), "volume {index}");
        assert_eq!(silent.volume_quality(), asked.volume_quality(), "volume {index}");
    }
}

#[test]
fn runs_side_by_side_on_threads_give_the_bytes_of_one_alone() {
    let bundle = Bundle::new(axial([36, 36, 24], 6.0));
    let volumes: Vec<_> = (0..4).map(|i| bundle.scan.volume(head::wander(3, 2 * i), i)).collect();
    let bytes = || {
        let mut run = bundle.start(&recipe(MotionReference::FirstVolume), None).unwrap();
        let mut bytes = Vec::new();
        for (index, volume) in (0u32..).zip(&volumes) {
            feed(&mut run, index, volume);
            bytes.extend(run.volume().to_bytes());
        }
        bytes
    };
    let alone = bytes();
    let together: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(bytes)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(together.iter().all(|bytes| *bytes == alone));
}

#[test]
fn estimated_motion_is_the_confound() {
    let bundle = Bundle::new(axial([36, 36, 24], 6.0));
    let glm = PreprocessConfig {
        beta: BetaConfig { kind: BetaKind::RidgeLsa, ..BetaConfig::default() },
        hrf: HrfConfig { kind: Hrf::Spm, ..HrfConfig::default() },
        confounds: ConfoundConfig { kind: Confounds::Motion6 },
        ..recipe(MotionReference::FirstVolume)
    };
    let betas = |told: &dyn Fn(Motion) -> Option<Motion>| {
        let mut run = bundle.start(&glm, None).unwrap();
        run.set_event(Event { trial: 0, onset_s: 9.0, duration_s: 3.0 }).unwrap();
        let mut due = Vec::new();
        let mut probe = bundle.start(&glm, None).unwrap();
        for index in 0..14 {
            let bytes = bundle.scan.volume(head::wander(3, 2 * index), index);
            feed(&mut probe, index, &bytes);
            run.resample(int16(&bytes)).unwrap();
            match told(probe.volume_quality().motion.unwrap()) {
                None => run.advance(index, f64::from(index) * TR_S).unwrap(),
                Some(motion) => run.advance_with_motion(index, f64::from(index) * TR_S, motion).unwrap(),
            }
            due.extend(run.due_betas().unwrap());
        }
        due.remove(0).beta
    };
    let estimated = betas(&|_| None);
    assert_eq!(estimated, betas(&Some));
    assert_ne!(estimated, betas(&|_| Some(Motion::STILL)));
}

#[test]
fn a_volume_whose_motion_does_not_settle_is_labelled_and_counted() {
    let bundle = Bundle::new(axial([36, 36, 24], 6.0));
    let mut impatient = recipe(MotionReference::FirstVolume);
    (impatient.motion.iterations, impatient.motion.tolerance_mm) = (1, 1e-9);
    let mut run = bundle.start(&impatient, None).unwrap();
    for index in 0..3 {
        feed(&mut run, index, &bundle.scan.volume(head::wander(3, 4 * index + 1), index));
    }
    assert_eq!(run.volume_quality().converged, Some(false));
    assert!(run.volume_quality().motion.is_some() && run.moments().volumes() == 3, "it is in the run");
}

#[test]
fn displacement_goes_on_over_a_gap() {
    let bundle = Bundle::new(axial([36, 36, 24], 6.0));
    let recipe = recipe(MotionReference::FirstVolume);
    let (mut whole, mut broken) = (bundle.start(&recipe, None).unwrap(), bundle.start(&recipe, None).unwrap());
    let volume = |i: u32| bundle.scan.volume(head::wander(3, 2 * i), i);
    (0..6).for_each(|i| feed(&mut whole, i, &volume(i)));
    [0, 1, 5].into_iter().for_each(|i| feed(&mut broken, i, &volume(i)));
    let (whole, broken) = (whole.volume_quality(), broken.volume_quality());
    assert_eq!((broken.volumes_since, whole.volumes_since), (Some(4), Some(1)));
    // 0.02 mm: the estimate of volume 5 started elsewhere and stopped within its tolerance of 0.01 mm.
    let same = power_displacement_mm(&whole.motion.unwrap(), &broken.motion.unwrap());
    assert!(same < 0.02 && broken.framewise_displacement_mm.is_some(), "{same} mm");
}

#[test]
fn a_wrong_head_is_a_no_go_in_words_and_the_run_goes_on() {
    let bundle = Bundle::new(axial([36, 36, 24], 6.0));
    let larger = axial([36, 36, 24], 6.8);
    let mut run = bundle.start(&recipe(MotionReference::FirstVolume), Some(&larger)).unwrap();
    feed(&mut run, 0, &bundle.scan.reference);
    let registration = run.registration().unwrap();
    assert!(!registration.go, "{registration:?}");
    assert!(registration.objections[0].contains("correlate by"), "{registration:?}");
}

fn outcome_bytes(outcomes: &TrialOutcomes) -> Vec<u8> {
    outcomes.betas.iter().flat_map(|beta| beta.beta.to_bytes()).collect()
}

#[test]
fn a_run_with_motion_conforms_and_a_refused_first_volume_leaves_no_trace() {
    let bundle = Bundle::new(axial([36, 36, 24], 6.0));
    let mut stage = bundle.start(&recipe(MotionReference::FirstVolume), None).unwrap();
    stage.set_event(Event { trial: 0, onset_s: 1.5, duration_s: 3.0 }).unwrap();
    let bytes: Vec<Vec<u8>> = (0..8).map(|i| bundle.scan.volume(head::wander(3, 2 * i), i)).collect();
    let timed = |i: usize, start_s: f64| TimedVolume { index: i as u32, start_s, raw: int16(&bytes[i]) };
    let volumes: Vec<_> = (0..8).map(|i| timed(i, TR_S * i as f64)).collect();
    let inputs: Vec<_> = volumes.iter().collect();
    same_bytes_after_reset(&mut stage, &inputs, outcome_bytes, TrialOutcomes::default);
    // Its head lies elsewhere, and it comes at no time: had it become the first volume, all would be read elsewhere.
    refusal_changes_nothing(&mut stage, &inputs, &timed(7, f64::NAN), outcome_bytes, TrialOutcomes::default);
}

#[test]
fn what_cannot_be_followed_is_refused_by_name() {
    let bundle = Bundle::new(axial([36, 36, 24], 6.0));
    let (first, session) = (recipe(MotionReference::FirstVolume), recipe(MotionReference::Session));
    let thin = axial([36, 36, 7], 6.0);
    let mut flat = axial([36, 36, 24], 6.0);
    flat.affine[2] = flat.affine[1];
    let table = zscore(&session, bundle.mask.len(), 1.0);
    let alone = RunPreprocessor::new(&session, bundle.mask.clone(), table, TR_S, 16);
    let cases = [
        (bundle.start(&first, Some(&thin)), "the run has 7 voxels along z; motion correction needs 8 or more"),
        (bundle.start(&first, Some(&flat)), "the run has a grid without an inside"),
        (bundle.start(&common::recipe(0.0), Some(&thin)), "[36, 36, 7] against [36, 36, 24]"),
        (alone, "compares volumes with a session reference, and there is none"),
    ];
    for (made, expected) in cases {
        let error = made.err().unwrap().to_string();
        assert!(error.contains(expected), "{error} should say {expected}");
    }
}

#[test]
fn a_voxel_that_is_not_finite_is_refused_wherever_it_lies() {
    let bundle = Bundle::new(axial([36, 36, 24], 6.0));
    let mut run = bundle.start(&recipe(MotionReference::FirstVolume), None).unwrap();
    let mut values: Vec<f32> = bundle.reference.volume.values().to_vec();
    values[3] = f32::NAN;
    let bytes = Pattern(values).to_bytes();
    let raw = RawVolume::new(VoxelType::Float32, bundle.scan.grid.voxel_count(), &bytes).unwrap();
    assert!(matches!(run.estimate_motion(&raw), Err(PreprocessError::NonFinite { voxel: 3, .. })));
    assert!(matches!(run.advance(0, 0.0), Err(PreprocessError::NothingResampled { index: 0 })));
}

/// Prints what each step of a volume takes, for the README: `--ignored --nocapture what_a_volume_costs`.
#[test]
#[ignore = "prints a table and holds nothing"]
fn what_a_volume_costs() {
    use mindeye_config::{Drift, DriftConfig, SystemClock};
    for (dim, mm) in [([64, 64, 36], 3.0), ([104, 104, 72], 2.0)] {
        let bundle = Bundle::new(axial(dim, mm));
        let glm = PreprocessConfig {
            beta: BetaConfig { kind: BetaKind::RidgeLsa, ..BetaConfig::default() },
            hrf: HrfConfig { kind: Hrf::Glover, ..HrfConfig::default() },
            drift: DriftConfig { kind: Drift::Cosine, ..DriftConfig::default() },
            confounds: ConfoundConfig { kind: Confounds::Motion6 },
            ..recipe(MotionReference::FirstVolume)
        };
        let mut run = bundle.start(&glm, None).unwrap();
        let volumes: Vec<_> = (0..12).map(|i| bundle.scan.volume(head::wander(3, i), i)).collect();
        let clock = SystemClock::start();
        let mut steps: Vec<[f64; 3]> = Vec::new();
        for index in 0..36u32 {
            let raw = int16(&volumes[index as usize % 12]);
            let mut since = clock.now();
            let mut lap = || {
                let now = clock.now();
                let taken = now.since(since).as_secs_f64() * 1000.0;
                since = now;
                taken
            };
            run.estimate_motion(&raw).unwrap();
            let motion = lap();
            run.resample(raw).unwrap();
            let resample = lap();
            run.advance(index, f64::from(index) * TR_S).unwrap();
            steps.push([motion, resample, lap()]);
        }
        eprintln!("{dim:?}, {} voxels: first volume {:.1?} ms", bundle.mask.len(), steps.remove(0));
        for (name, step) in ["motion", "resample", "advance"].into_iter().zip(0..) {
            let mut times: Vec<f64> = steps.iter().map(|times| times[step]).collect();
            times.sort_by(f64::total_cmp);
            eprintln!("  {name}: median {:.2} ms, p95 {:.2} ms", times[17], times[33]);
        }
    }
}
