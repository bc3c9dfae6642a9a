//! A reconstruction can stop after any network run, repeats itself from its noise, and fails by network and step.

mod support;

use mindeye_config::{LowLevelStart, ManualClock, SchedulerConfig, Step, Timings};
use mindeye_decode::effort::{Effort, Work};
use mindeye_decode::{Candidate, Decoder, Network, Progress, Reconstruction};
use mindeye_engine::{FaultKind, MockEngine, MockPlan};
use mindeye_preprocess::Pattern;
use std::sync::Arc;
use std::time::Duration;
use support::{TestBundle, VOXELS, trial_noise};

/// The mock computes no `step` graph, so the solver's update runs on the host. Nor does it predict noise: what it says
/// grows with the timestep. A schedule of few timesteps and little noise keeps the pictures from black and white.
fn bundle(edit: impl FnOnce(&mut SchedulerConfig)) -> TestBundle {
    let mut bundle = TestBundle::write().without(&[Network::Step], false);
    let mut scheduler = SchedulerConfig { train_timesteps: 40, latent_scale: 5.0, ..SchedulerConfig::default() };
    bundle.manifest.dimensions.latent_scale = scheduler.latent_scale;
    edit(&mut scheduler);
    bundle.write_toml("scheduler.toml", &scheduler);
    bundle.relisted()
}

fn warm(bundle: &TestBundle, plan: MockPlan) -> Decoder {
    Decoder::warm_up(&bundle.open().unwrap(), Box::new(MockEngine::new(plan)), ManualClock::new()).unwrap().0
}

fn pattern(start: f32) -> Pattern {
    Pattern((0..VOXELS.len()).map(|i| start + (i as f32).sin()).collect())
}

fn begin(decoder: &Decoder, effort: Effort) -> Reconstruction {
    decoder.begin(&pattern(0.1), effort, trial_noise()).unwrap()
}

/// Steps until all candidates are drawn; the number of steps and the candidates.
fn finish(reconstruction: &mut Reconstruction, decoder: &mut Decoder) -> (usize, Vec<Candidate>) {
    let (mut steps, mut candidates) = (0, Vec::new());
    loop {
        match reconstruction.step(decoder).unwrap() {
            Progress::Working => {}
            Progress::Picture(candidate) => candidates.push(candidate),
            Progress::Finished => return (steps, candidates),
        }
        steps += 1;
    }
}

#[test]
fn a_full_reconstruction_runs_the_papers_steps() {
    let mut decoder = warm(&bundle(|_| ()), MockPlan::default());
    let mut full = begin(&decoder, Effort::Full);
    let expected = [
        (Network::Backbone, 1),
        (Network::Prior, 19),
        (Network::LowLevel, 1),
        (Network::Unet, 17),
        (Network::VaeDecoder, 1),
    ];
    assert_eq!(full.remaining(), Work::of(expected));
    assert_eq!(decoder.offers().work(Effort::Full), Some(Work::of(expected)));
    let (steps, candidates) = finish(&mut full, &mut decoder);
    assert_eq!((steps, candidates.len(), full.steps()), (1 + 19 + 1 + 17 + 1, 1, 17));
    assert_eq!(candidates[0].seed, trial_noise().seed(0));
    assert_eq!((candidates[0].similarity, candidates[0].is_best), (None, true));
    assert_eq!(full.remaining(), Work::default());
    let booked: Vec<Step> = full.timings().iter().map(|(step, _)| step).collect();
    assert_eq!(booked, [Step::Backbone, Step::Prior, Step::LowLevel, Step::Unet, Step::Vae]);
}

#[test]
fn fast_takes_fewer_steps_and_taesd() {
    let mut decoder = warm(&bundle(|_| ()), MockPlan::default());
    let mut fast = begin(&decoder, Effort::Fast);
    let expected = [
        (Network::Backbone, 1),
        (Network::Prior, 7),
        (Network::LowLevel, 1),
        (Network::Unet, 6),
        (Network::TaesdDecoder, 1),
    ];
    assert_eq!(fast.remaining(), Work::of(expected));
    assert_eq!(finish(&mut fast, &mut decoder).0, 16);
}

#[test]
fn what_remains_falls_by_one_run_with_every_step() {
    let configs: [fn(&mut SchedulerConfig); 3] = [
        |_| (),
        |config| (config.candidates, config.prior.steps) = (3, 100),
        |config| config.low_level_start = LowLevelStart::RoundTrip,
    ];
    for config in configs {
        let mut decoder = warm(&bundle(config), MockPlan::default());
        let mut full = begin(&decoder, Effort::Full);
        let total = |work: Work| Network::ALL.map(|network| work.runs(network)).iter().sum::<u32>();
        let mut left = total(full.remaining());
        loop {
            let progress = full.step(&mut decoder).unwrap();
            left -= 1;
            match progress {
                Progress::Working => assert_eq!(total(full.remaining()), left),
                Progress::Picture(_) => {
                    assert_eq!(left, 0);
                    left = total(full.remaining());
                }
                Progress::Finished => unreachable!("a picture comes before the end"),
            }
            if left == 0 {
                break;
            }
        }
        assert_eq!(full.step(&mut decoder).unwrap(), Progress::Finished);
    }
}

#[test]
fn equal_noise_gives_equal_pictures_also_with_other_work_between_the_steps() {
    let mut decoder = warm(&bundle(|_| ()), MockPlan::default());
    let (_, alone) = finish(&mut begin(&decoder, Effort::Full), &mut decoder);
    let (mut one, mut other) = (begin(&decoder, Effort::Full), begin(&decoder, Effort::Fast));
    let mut interleaved = None;
    while interleaved.is_none() {
        if let Progress::Picture(candidate) = one.step(&mut decoder).unwrap() {
            interleaved = Some(candidate);
        }
        other.step(&mut decoder).unwrap();
        decoder.retrieve(&pattern(3.0), &mut Timings::default()).unwrap();
    }
    assert_eq!(interleaved.as_ref(), alone.first());

    let mut noise = trial_noise();
    noise.trial += 1;
    let mut next_trial = decoder.begin(&pattern(0.1), Effort::Full, noise).unwrap();
    let (_, next_trial) = finish(&mut next_trial, &mut decoder);
    assert_ne!(next_trial[0].picture, alone[0].picture, "the noise is the trial's own");
}

#[test]
fn each_candidate_has_its_own_noise_and_the_nearest_is_the_best() {
    let mut decoder = warm(&bundle(|config| config.candidates = 5), MockPlan::default());
    let (_, candidates) = finish(&mut begin(&decoder, Effort::Full), &mut decoder);
    assert_eq!(candidates.iter().map(|c| c.candidate).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    for (i, candidate) in candidates.iter().enumerate() {
        let before: Vec<f64> = candidates[..i].iter().map(|c| c.similarity.unwrap()).collect();
        let nearest = before.iter().all(|similarity| candidate.similarity.unwrap() > *similarity);
        assert_eq!(candidate.is_best, nearest, "candidate {i} after {before:?}: {:?}", candidate.similarity);
        assert!(candidates[..i].iter().all(|c| c.picture != candidate.picture), "candidate {i}");
    }
    let (_, fast) = finish(&mut begin(&decoder, Effort::Fast), &mut decoder);
    assert_eq!(fast.len(), 1, "no time for several");
}

#[test]
fn without_clip_the_first_candidate_stays_the_best() {
    let written = bundle(|config| config.candidates = 2).without(&[Network::ClipImage], false);
    let mut decoder = warm(&written, MockPlan::default());
    let (_, candidates) = finish(&mut begin(&decoder, Effort::Full), &mut decoder);
    assert_eq!(candidates.iter().map(|c| (c.similarity, c.is_best)).collect::<Vec<_>>(), [(None, true), (None, false)]);
}

#[test]
fn without_a_low_level_network_all_steps_are_walked_from_noise() {
    let written = bundle(|_| ()).without(&[Network::LowLevel], false);
    let mut decoder = warm(&written, MockPlan::default());
    let mut full = begin(&decoder, Effort::Full);
    assert_eq!(full.remaining().runs(Network::Unet), 20);
    finish(&mut full, &mut decoder);
    assert_eq!(full.steps(), 20);
}

#[test]
fn the_start_from_the_blurry_picture_changes_the_picture_and_needs_its_networks() {
    let round_trip = |config: &mut SchedulerConfig| config.low_level_start = LowLevelStart::RoundTrip;
    let mut direct = warm(&bundle(|_| ()), MockPlan::default());
    let mut round = warm(&bundle(round_trip), MockPlan::default());
    let (_, one) = finish(&mut begin(&direct, Effort::Full), &mut direct);
    let (_, other) = finish(&mut begin(&round, Effort::Full), &mut round);
    assert_ne!(one[0].picture, other[0].picture);

    let decoder = warm(&bundle(round_trip).without(&[Network::VaeEncoder], false), MockPlan::default());
    let refusal = decoder.begin(&pattern(0.1), Effort::Full, trial_noise()).err().unwrap().to_string();
    assert_eq!(refusal, "this bundle makes no reconstruction: it has no vae-encoder");
    assert!(decoder.begin(&pattern(0.1), Effort::Fast, trial_noise()).is_ok(), "fast starts directly");
}

#[test]
fn a_unet_of_one_branch_runs_twice_where_it_is_guided() {
    let mut written = bundle(|config| config.guided_share = 0.5);
    let unet = written.manifest.network.iter_mut().find(|network| network.name == "unet").unwrap();
    unet.inputs.iter_mut().chain(&mut unet.outputs).for_each(|tensor| tensor.shape[0] = 1);
    written.write_golden();
    let mut decoder = warm(&written.relisted(), MockPlan::default());
    let mut full = begin(&decoder, Effort::Full);
    // 17 steps, the first 9 guided: 9 x 2 + 8.
    assert_eq!(full.remaining().runs(Network::Unet), 26);
    finish(&mut full, &mut decoder);
}

#[test]
fn a_failure_names_network_and_step_and_the_next_trial_decodes() {
    let cases = [
        ("backbone", 1, FaultKind::Fail, "network `backbone` failed to run: planned fault at run 1"),
        (
            "prior",
            3,
            FaultKind::NotANumber,
            "step 3 of 19 of `prior`: network `prior`: output `predicted_tokens` is NaN at element 0",
        ),
        (
            "unet",
            17,
            FaultKind::NotANumber,
            "step 17 of 17 of `unet`: network `unet`: output `noise_prediction` is NaN at element 0",
        ),
        ("unet", 5, FaultKind::Fail, "step 5 of 17 of `unet`: network `unet` failed to run: planned fault at run 5"),
        ("vae-decoder", 1, FaultKind::NotANumber, "network `vae-decoder`: output `image` is NaN at element 0"),
    ];
    let written = bundle(|_| ());
    for (network, run, fault, expected) in cases {
        let mut decoder = warm(&written, MockPlan::default().with_fault(network, run, fault));
        let mut failing = begin(&decoder, Effort::Full);
        let error = loop {
            match failing.step(&mut decoder) {
                Ok(Progress::Working) => {}
                Ok(other) => panic!("{network}: {other:?}"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.to_string(), expected);
        assert_eq!(failing.step(&mut decoder).unwrap(), Progress::Finished, "an error ends it");
        assert_eq!(finish(&mut begin(&decoder, Effort::Fast), &mut decoder).1.len(), 1, "{network}: the next trial");
    }
}

#[test]
fn the_decoder_learns_what_a_run_of_each_network_takes() {
    let clock = ManualClock::new();
    let hand = Arc::clone(&clock);
    let plan = MockPlan::slow_by_ms(10.0).with_fault("unet", 4, FaultKind::Slow(Duration::from_millis(500)));
    let engine = MockEngine::new(plan).waiting_by(move |delay| hand.advance(delay));
    let (mut decoder, _) = Decoder::warm_up(&bundle(|_| ()).open().unwrap(), Box::new(engine), clock).unwrap();
    let mut full = begin(&decoder, Effort::Full);
    finish(&mut full, &mut decoder);
    let ms = Duration::from_millis;
    assert_eq!(decoder.times().typical(Network::Unet), ms(10));
    assert_eq!(decoder.times().ceiling(Network::Unet), ms(510), "17 runs: the slowest is the slowest twentieth");
    assert_eq!(full.timings().get(Step::Unet), Some(ms(17 * 10 + 500)));
    assert_eq!(full.timings().get(Step::Prior), Some(ms(190)));
}
