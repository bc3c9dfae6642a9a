//! The recursive GLM equals the batch fit of the kept volumes at every trial and lag, whatever the run went through.

mod common;
mod glm_support;

use common::{mask, raw_f32, zscore};
use glm_support::{Batch, Run, Simulation, Volume, recipe};
use mindeye_config::{
    BetaKind, BetaUnit, Confounds, Drift, DriftConfig, HrfHeight, MotionConfig, MotionKind, NoiseModel,
    PreprocessConfig,
};
use mindeye_preprocess::{
    DoubleGamma, Event, EventChange, MissedReason, RawVolume, RunPlan, RunPreprocessor, TrialBeta, TrialMissed,
    VoxelType,
};

const LAGS_S: [f64; 4] = [4.5, 7.5, 9.0, 12.0];
const PLANNED_S: f64 = 240.0;

fn start(recipe: &PreprocessConfig, run: &Run) -> RunPreprocessor {
    let voxels = run.volumes[0].values.len();
    let plan = RunPlan { volumes: Some((PLANNED_S / run.tr_s) as u32), ..RunPlan::default() };
    RunPreprocessor::planned(recipe, mask(voxels), zscore(recipe, voxels, 1.0), run.tr_s, 32, &plan).unwrap()
}

fn feed(run: &mut RunPreprocessor, volume: &Volume) -> Vec<TrialBeta> {
    let bytes = raw_f32(&volume.values);
    run.resample(RawVolume::new(VoxelType::Float32, volume.values.len() + 2, &bytes).unwrap()).unwrap();
    match volume.censored {
        true => run.advance_censored(volume.index, volume.start_s, volume.motion).unwrap(),
        false => run.advance_with_motion(volume.index, volume.start_s, volume.motion).unwrap(),
    }
    run.due_betas().unwrap()
}

/// Streams a run whose events are all known from the start.
fn stream(recipe: &PreprocessConfig, run: &Run) -> (Vec<TrialBeta>, Vec<TrialMissed>) {
    let mut preprocessor = start(recipe, run);
    for event in &run.events {
        preprocessor.set_event(*event).unwrap();
    }
    let betas = run.volumes.iter().flat_map(|volume| feed(&mut preprocessor, volume)).collect();
    (betas, preprocessor.take_missed())
}

/// Largest difference of any voxel, as a share of the largest beta.
fn difference(ours: &TrialBeta, batch: &[f64]) -> f64 {
    let largest = batch.iter().fold(0.0f64, |most, b| most.max(b.abs()));
    ours.beta.0.iter().zip(batch).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max) / largest
}

/// Holds every beta to the batch fit and returns the largest difference.
fn hold_to_batch(recipe: &PreprocessConfig, run: &Run, betas: &[TrialBeta], missed: &[TrialMissed]) -> f64 {
    let shape = DoubleGamma::GLOVER;
    let batch = Batch { recipe, tr_s: run.tr_s, planned_s: PLANNED_S, shape };
    let mut worst: f64 = 0.0;
    for event in &run.events {
        for (row, lag_s) in recipe.revision_lags_s.iter().enumerate() {
            let due_s = event.onset_s + lag_s - 1e-9;
            let Some(due) = run.volumes.iter().position(|volume| volume.start_s + run.tr_s >= due_s) else { continue };
            let expected = batch.beta(&run.volumes[..=due], &run.events, event.trial);
            let ours = betas.iter().rfind(|beta| beta.trial == event.trial && beta.lag_row == row);
            match (ours, expected) {
                (Some(ours), Some(expected)) => worst = worst.max(difference(ours, &expected)),
                (None, None) => {
                    assert!(missed.iter().any(|missed| missed.trial == event.trial && missed.lag_row == row));
                }
                (ours, expected) => panic!(
                    "trial {} at {lag_s} s: {} here, {} in the batch",
                    event.trial,
                    if ours.is_some() { "a beta" } else { "none" },
                    if expected.is_some() { "a beta" } else { "none" }
                ),
            }
        }
    }
    worst
}

fn with(kind: BetaKind, change: impl FnOnce(&mut PreprocessConfig)) -> PreprocessConfig {
    let mut recipe = recipe(kind, &LAGS_S);
    change(&mut recipe);
    // A file asks for motion where it asks for confounds; these runs hand it in.
    let motion = MotionConfig { kind: MotionKind::Rigid, ..MotionConfig::default() };
    mindeye_config::Checked::check(&PreprocessConfig { motion, ..recipe.clone() }).unwrap();
    recipe
}

// 1e-6: betas are f32, whose spacing is 6e-8 of the value; the rest is the condition of the normal equations, squared,
// times 1e-16. AR(1) as well unless a ρ lies within rounding of a hundredth and falls on the other side, which moves a
// beta by some 1e-3: the issue allows 1e-4 and no such case is among these.
const ORDINARY: f64 = 1e-6;
const AR1: f64 = 1e-4;

#[test]
fn recursive_equals_batch_at_every_trial_and_lag() {
    let run = Simulation::default().run();
    let mut table = Vec::new();
    for kind in [BetaKind::Lss, BetaKind::Lsa, BetaKind::RidgeLsa] {
        let cases = [
            ("cosine, motion-6", with(kind, |_| {})),
            ("cosine, none", with(kind, |r| r.confounds.kind = Confounds::None)),
            ("no drift", with(kind, |r| r.drift.kind = Drift::None)),
            (
                "Legendre",
                with(kind, |r| r.drift = DriftConfig { kind: Drift::Legendre, cutoff_hz: 1.0 / 150.0, ..r.drift }),
            ),
            ("motion-12", with(kind, |r| r.confounds.kind = Confounds::Motion12)),
            ("Friston-24", with(kind, |r| r.confounds.kind = Confounds::Friston24)),
            ("scanner's units, plateau", with(kind, |r| (r.unit, r.hrf.height) = (BetaUnit::None, HrfHeight::Plateau))),
            ("slice reference 0", with(kind, |r| r.slice_reference = 0.0)),
            ("AR(1)", with(kind, |r| r.noise.model = NoiseModel::Ar1)),
            (
                "AR(1), Friston-24",
                with(kind, |r| {
                    r.noise.model = NoiseModel::Ar1;
                    r.confounds.kind = Confounds::Friston24;
                }),
            ),
        ];
        for (name, recipe) in cases {
            let (betas, missed) = stream(&recipe, &run);
            let worst = hold_to_batch(&recipe, &run, &betas, &missed);
            table.push(format!("{kind:?} {name}: {worst:.1e} over {} betas, {} missed", betas.len(), missed.len()));
            let tolerance = if recipe.noise.model == NoiseModel::Ar1 { AR1 } else { ORDINARY };
            assert!(worst < tolerance, "{kind:?} {name}: {worst:e}");
        }
    }
    eprintln!("{}", table.join("\n"));
}

/// What may happen to a run, and the run it leaves.
fn mishaps() -> Vec<(&'static str, Run)> {
    let run = Simulation::default().run();
    let without = |lost: &[u32]| {
        let mut run = run.clone();
        run.volumes.retain(|volume| !lost.contains(&volume.index));
        run
    };
    let mut censored = run.clone();
    for at in [0, 17, 18, 40, 77] {
        censored.volumes[at].censored = true;
        censored.volumes[at].values.fill(-3000.0);
    }
    let mut shifted = run.clone();
    shifted.events.iter_mut().for_each(|event| event.onset_s += 0.75);
    let mut long = run.clone();
    long.events.iter_mut().for_each(|event| event.duration_s = 1.0);
    let mut backwards = run.clone();
    backwards.events.iter_mut().for_each(|event| event.trial = 100 - event.trial);
    let mut jitter = run.clone();
    for (at, volume) in jitter.volumes.iter_mut().enumerate() {
        volume.start_s += 0.4 * ((at * 7 % 5) as f64 - 2.0) / 2.0;
    }
    vec![
        ("onsets half a TR later", shifted),
        ("a clock 0.5 % slow", Simulation { clock: 1.005, ..Simulation::default() }.run()),
        ("a clock 0.5 % fast", Simulation { clock: 0.995, ..Simulation::default() }.run()),
        ("stamps that jitter by 0.4 s", jitter),
        ("first volumes lost", without(&[0, 1, 2])),
        ("gaps", without(&[20, 33, 34, 35, 36, 60, 90])),
        ("censored volumes", censored),
        ("stimuli of 1 s", long),
        ("trial numbers that count down", backwards),
        ("TR 1.0 s", Simulation { tr_s: 1.0, ..Simulation::default() }.run()),
        ("TR 2.0 s", Simulation { tr_s: 2.0, ..Simulation::default() }.run()),
        ("onsets before the first volume", Simulation { first_onset_s: -4.0, ..Simulation::default() }.run()),
        ("a run that outlasts its plan", Simulation { trials: 60, ..Simulation::default() }.run()),
    ]
}

#[test]
fn gaps_clocks_and_censored_volumes_leave_the_batch_fit_of_the_true_times() {
    for (name, run) in mishaps() {
        for noise in [NoiseModel::Ordinary, NoiseModel::Ar1] {
            let outlasts = run.volumes.last().unwrap().start_s > PLANNED_S + 5.0;
            let kind = BetaKind::Lss;
            // Beyond its plan the batch has the polynomials of the longer plan from the start, as documented: only a
            // Legendre basis, whose span does not depend on the plan, is the same batch before and after.
            let recipe = with(kind, |r| {
                r.noise.model = noise;
                if outlasts {
                    r.drift.kind = Drift::Legendre;
                }
            });
            let (betas, missed) = stream(&recipe, &run);
            let worst = match outlasts {
                false => hold_to_batch(&recipe, &run, &betas, &missed),
                true => beyond_the_plan(&recipe, &run, &betas),
            };
            let tolerance = if noise == NoiseModel::Ar1 { AR1 } else { ORDINARY };
            eprintln!("{name}, {noise:?}: {worst:.1e} over {} betas, {} missed", betas.len(), missed.len());
            assert!(worst < tolerance, "{name}, {noise:?}: {worst:e}");
        }
    }
}

/// The batch with a plan of twice the length, for trials that are due beyond the plan.
fn beyond_the_plan(recipe: &PreprocessConfig, run: &Run, betas: &[TrialBeta]) -> f64 {
    let batch = Batch { recipe, tr_s: run.tr_s, planned_s: 2.0 * PLANNED_S, shape: DoubleGamma::GLOVER };
    let late = betas.iter().filter(|beta| beta.onset_s + beta.lag_s > PLANNED_S + 6.0);
    let differences = late.map(|beta| {
        let due_s = beta.onset_s + beta.lag_s - 1e-9;
        let due = run.volumes.iter().position(|volume| volume.start_s + run.tr_s >= due_s).unwrap();
        difference(beta, &batch.beta(&run.volumes[..=due], &run.events, beta.trial).unwrap())
    });
    differences.fold(0.0, f64::max)
}

/// What of a beta must not depend on when its event came.
fn content(betas: &[TrialBeta]) -> Vec<(u32, usize, u32, u32, Vec<u8>)> {
    let of = |b: &TrialBeta| (b.trial, b.lag_row, b.first_volume, b.last_volume, b.beta.to_bytes());
    let mut all: Vec<_> = betas.iter().map(of).collect();
    all.sort();
    all
}

#[test]
fn late_and_corrected_events_get_the_bytes_of_timely_ones() {
    for kind in [BetaKind::Lss, BetaKind::Lsa, BetaKind::RidgeLsa] {
        for noise in [NoiseModel::Ordinary, NoiseModel::Ar1] {
            let run = Simulation { trials: 12, ..Simulation::default() }.run();
            let recipe = with(kind, |r| r.noise.model = noise);
            let (timely, _) = stream(&recipe, &run);
            let mut preprocessor = start(&recipe, &run);
            let (late, corrected) = (run.events[5], run.events[8]);
            let wrong = Event { onset_s: corrected.onset_s - 2.3, duration_s: 1.0, ..corrected };
            for event in run.events.iter().filter(|event| event.trial != late.trial) {
                preprocessor.set_event(if event.trial == wrong.trial { wrong } else { *event }).unwrap();
            }
            let mut betas = Vec::new();
            for volume in &run.volumes {
                let now_s = volume.start_s + run.tr_s;
                if now_s > late.onset_s + 8.0 && now_s <= late.onset_s + 8.0 + run.tr_s {
                    assert_eq!(preprocessor.set_event(late).unwrap(), EventChange::New);
                }
                if now_s > corrected.onset_s + 5.0 && now_s <= corrected.onset_s + 5.0 + run.tr_s {
                    assert_eq!(preprocessor.set_event(corrected).unwrap(), EventChange::Corrected);
                }
                betas.extend(feed(&mut preprocessor, volume));
            }
            // Betas that were due while the truth was not yet told rest on what was known; all others are the same.
            let told_s = corrected.onset_s + 5.0 + run.tr_s;
            let after = |b: &&TrialBeta| {
                b.onset_s + b.lag_s > told_s || b.trial == late.trial || b.onset_s == corrected.onset_s
            };
            let keep = |betas: &[TrialBeta]| content(&betas.iter().filter(after).cloned().collect::<Vec<_>>());
            let (ours, expected) = (keep(&betas), keep(&timely));
            // The late trial was told before the corrected one, whose wrong onset lies beyond its due volumes.
            let of_late = |all: &[(u32, usize, u32, u32, Vec<u8>)]| {
                all.iter().filter(|b| b.0 == late.trial).cloned().collect::<Vec<_>>()
            };
            assert_eq!(of_late(&ours), of_late(&expected), "{kind:?} {noise:?}: the late trial");
            assert_eq!(ours.len(), expected.len());
            assert!(ours == expected, "{kind:?} {noise:?}: betas after the truth was told");
        }
    }
}

#[test]
fn the_whole_run_estimate_is_the_batch_fit_of_all_volumes() {
    let run = Simulation::default().run();
    for kind in [BetaKind::Lss, BetaKind::Lsa] {
        let recipe = with(kind, |_| {});
        let mut preprocessor = start(&recipe, &run);
        run.events.iter().for_each(|event| {
            preprocessor.set_event(*event).unwrap();
        });
        run.volumes.iter().for_each(|volume| drop(feed(&mut preprocessor, volume)));
        let betas = preprocessor.whole_run_betas();
        assert_eq!(betas.len(), run.events.len());
        let batch = Batch { recipe: &recipe, tr_s: run.tr_s, planned_s: PLANNED_S, shape: DoubleGamma::GLOVER };
        for beta in &betas {
            let expected = batch.beta(&run.volumes, &run.events, beta.trial).unwrap();
            assert!(difference(beta, &expected) < ORDINARY, "{kind:?}, trial {}", beta.trial);
        }
    }
}

#[test]
fn each_voxel_of_a_library_is_fitted_with_its_own_response() {
    let run = Simulation { trials: 15, ..Simulation::default() }.run();
    let voxels = run.volumes[0].values.len();
    let index: Vec<u8> = (0..voxels).map(|voxel| (voxel * 7 % DoubleGamma::LIBRARY_SIZE) as u8).collect();
    let recipe = with(BetaKind::Lss, |r| r.hrf.kind = mindeye_config::Hrf::Library);
    let plan = RunPlan {
        volumes: Some((PLANNED_S / run.tr_s) as u32),
        hrf_index: Some(index.clone().into()),
        ..RunPlan::default()
    };
    let mut preprocessor =
        RunPreprocessor::planned(&recipe, mask(voxels), zscore(&recipe, voxels, 1.0), run.tr_s, 32, &plan).unwrap();
    run.events.iter().for_each(|event| {
        preprocessor.set_event(*event).unwrap();
    });
    let betas: Vec<TrialBeta> = run.volumes.iter().flat_map(|volume| feed(&mut preprocessor, volume)).collect();
    let beta = betas.iter().rfind(|beta| beta.trial == 9 && beta.lag_row == 3).unwrap();
    let due = run.volumes.iter().position(|v| v.start_s + run.tr_s >= beta.onset_s + beta.lag_s - 1e-9).unwrap();
    for (voxel, member) in index.iter().enumerate() {
        let shape = DoubleGamma::library(usize::from(*member));
        let batch = Batch { recipe: &recipe, tr_s: run.tr_s, planned_s: PLANNED_S, shape };
        let expected = batch.beta(&run.volumes[..=due], &run.events, 9).unwrap();
        let (ours, expected) = (f64::from(beta.beta.0[voxel]), expected[voxel]);
        assert!(
            (ours - expected).abs() < ORDINARY * (1.0 + expected.abs()),
            "voxel {voxel}: {ours} against {expected}"
        );
    }
}

#[test]
fn an_hrf_index_and_a_recipe_must_want_each_other() {
    let run = |kind, index: Option<Vec<u8>>| {
        let recipe = with(BetaKind::Lss, |r| r.hrf.kind = kind);
        let plan = RunPlan { hrf_index: index.map(Into::into), ..RunPlan::default() };
        let made = RunPreprocessor::planned(&recipe, mask(2), zscore(&recipe, 2, 1.0), 1.5, 32, &plan);
        made.err().map(|error| error.to_string())
    };
    use mindeye_config::Hrf;
    assert_eq!(run(Hrf::Library, Some(vec![0, 19])), None);
    let cases = [
        (run(Hrf::Library, None), "Library against no index"),
        (run(Hrf::Glover, Some(vec![0, 0])), "Glover against an index per voxel"),
        (run(Hrf::Library, Some(vec![0])), "2 voxels against 1 voxels"),
        (run(Hrf::Library, Some(vec![0, 20])), "a library of 20 against 20"),
    ];
    for (found, expected) in cases {
        assert!(found.as_deref().is_some_and(|found| found.ends_with(expected)), "{found:?}");
    }
}

#[test]
fn too_few_volumes_miss_the_trial_and_constant_voxels_give_zero() {
    // Six motion columns, a constant and the trial are eight: with an onset at 3 s and a TR of 1.5 s, seven volumes
    // have come at 7.5 s and ten at 12 s.
    let mut run =
        Simulation { first_onset_s: 3.0, trials: 3, interval_s: 20.0, jitter_s: 0.0, ..Simulation::default() }.run();
    for volume in &mut run.volumes {
        (volume.values[3], volume.values[4]) = (0.0, 500.0);
    }
    let (betas, missed) = stream(&with(BetaKind::Lss, |_| {}), &run);
    let reasons: Vec<_> = missed.iter().map(|missed| (missed.trial, missed.lag_row, missed.reason)).collect();
    assert_eq!(reasons[..2], [(0, 0, MissedReason::DesignNotDetermined), (0, 1, MissedReason::DesignNotDetermined)]);
    for beta in &betas {
        assert_eq!((beta.beta.0[3], beta.voxels_without_beta), (0.0, 1), "no percentage of zero");
        assert_eq!(beta.beta.0[4], 0.0, "a voxel that stands still has no response");
        assert!(beta.beta.0.iter().all(|b| b.is_finite()));
    }
}

#[test]
fn the_standard_error_is_the_textbook_s() {
    // Against σ̂² (XᵀX)⁻¹ of the batch: the variance of the last coefficient is 1/R², R the last diagonal of QR.
    let run = Simulation { rho: 0.0, ..Simulation::default() }.run();
    let recipe = with(BetaKind::Lss, |r| r.unit = BetaUnit::None);
    let (betas, _) = stream(&recipe, &run);
    let batch = Batch { recipe: &recipe, tr_s: run.tr_s, planned_s: PLANNED_S, shape: DoubleGamma::GLOVER };
    let beta = betas.iter().rfind(|beta| beta.trial == 20 && beta.lag_row == 3).unwrap();
    let due = run.volumes.iter().position(|v| v.start_s + run.tr_s >= beta.onset_s + beta.lag_s - 1e-9).unwrap();
    let (x, ridge) = batch.design(&run.volumes[..=due], &run.events, 20).unwrap();
    let qr = glm_support::Qr::new(&x, &ridge).unwrap();
    let of_voxel = |voxel: usize| {
        let y: Vec<f64> = run.volumes[..=due].iter().map(|volume| f64::from(volume.values[voxel])).collect();
        let b = qr.solve(&y);
        let residual: f64 = x.iter().zip(&y).map(|(x, y)| (y - glm_support::dot(x, &b)).powi(2)).sum();
        (residual / (x.len() - ridge.len()) as f64).sqrt() / qr.last_diagonal()
    };
    let expected = (0..24).map(of_voxel).sum::<f64>() / 24.0;
    let found = f64::from(beta.standard_error.unwrap());
    // 1e-6: the mean is reported in f32.
    assert!((found / expected - 1.0).abs() < 1e-6, "{found} against {expected}");
}

#[test]
fn the_same_run_after_reset_gives_the_same_bytes() {
    use mindeye_preprocess::Stage;
    let run = Simulation { trials: 8, ..Simulation::default() }.run();
    let recipe = with(BetaKind::Lss, |r| r.noise.model = NoiseModel::Ar1);
    let mut preprocessor = start(&recipe, &run);
    run.events.iter().for_each(|event| {
        preprocessor.set_event(*event).unwrap();
    });
    let twice = [0, 1].map(|_| {
        let betas: Vec<TrialBeta> = run.volumes.iter().flat_map(|volume| feed(&mut preprocessor, volume)).collect();
        preprocessor.reset();
        betas
    });
    assert!(!twice[0].is_empty());
    assert_eq!(twice[0], twice[1]);
}

#[test]
fn memory_is_what_the_documentation_says() {
    // 160 planned volumes of 24 voxels in f32, and (1 + 6 + 4 cosines + 1 + 30 trials) columns in f64.
    let run = Simulation::default().run();
    let mut preprocessor = start(&with(BetaKind::Lss, |_| {}), &run);
    run.events.iter().for_each(|event| {
        preprocessor.set_event(*event).unwrap();
    });
    let before = preprocessor.memory_bytes();
    assert_eq!(before, 160 * 24 * 4 + 42 * 24 * 8);
    run.volumes.iter().for_each(|volume| drop(feed(&mut preprocessor, volume)));
    assert_eq!(preprocessor.memory_bytes(), before, "nothing grows over a planned run");
}
