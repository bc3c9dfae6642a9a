//! Every stage passes the conformance suite; and the suite fails a stage that breaks a promise.

mod common;

use common::{mask, raw_f32, recipe, run, zscore};
use mindeye_preprocess::conformance::{promised_delay_is_observed, refusal_changes_nothing, same_bytes_after_reset};
use mindeye_preprocess::{
    Event, FrozenZscore, Gather, Pattern, PreprocessError, RawVolume, RunningMoments, Stage, TimedVolume,
    TrialOutcomes, VoxelType,
};

/// Volume `i` of three voxels, never the same twice.
fn values(i: usize) -> [f32; 3] {
    [100.0 + (i * i % 11) as f32, 200.0 - i as f32, 50.0 + (i % 3) as f32]
}

fn pattern_conformance<S>(mut stage: S)
where
    S: for<'a> Stage<In<'a> = Pattern, Out = Pattern>,
{
    let quiet: Vec<Pattern> = (0..12).map(|i| Pattern(values(i).to_vec())).collect();
    let mut disturbed = quiet.clone();
    disturbed[5].0[1] += 7.0;
    let (quiet, disturbed): (Vec<_>, Vec<_>) = (quiet.iter().collect(), disturbed.iter().collect());
    let wrong_size = Pattern::zeros(4);
    same_bytes_after_reset(&mut stage, &quiet, Pattern::to_bytes, Pattern::default);
    promised_delay_is_observed(&mut stage, &quiet, &disturbed, 5, Pattern::to_bytes, Pattern::default);
    refusal_changes_nothing(&mut stage, &quiet, &wrong_size, Pattern::to_bytes, Pattern::default);
}

#[test]
fn running_moments_conform() {
    pattern_conformance(RunningMoments::new(3));
}

#[test]
fn frozen_zscore_conforms() {
    pattern_conformance(FrozenZscore::new(zscore(&recipe(0.0), 3, 2.0), 0));
}

#[test]
fn gather_conforms() {
    let mut stage = Gather::new(mask(3));
    let bytes: Vec<Vec<u8>> = (0..6).map(|i| raw_f32(&values(i))).chain([raw_f32(&[9.0; 3])]).collect();
    let raw: Vec<RawVolume<'_>> = bytes.iter().map(|b| RawVolume::new(VoxelType::Float32, 5, b).unwrap()).collect();
    let quiet: Vec<_> = raw[..6].iter().collect();
    let mut disturbed = quiet.clone();
    disturbed[2] = &raw[6];
    let not_finite = raw_f32(&[1.0, f32::NAN, 1.0]);
    let refused = RawVolume::new(VoxelType::Float32, 5, &not_finite).unwrap();
    same_bytes_after_reset(&mut stage, &quiet, Pattern::to_bytes, Pattern::default);
    promised_delay_is_observed(&mut stage, &quiet, &disturbed, 2, Pattern::to_bytes, Pattern::default);
    refusal_changes_nothing(&mut stage, &quiet, &refused, Pattern::to_bytes, Pattern::default);
}

fn outcome_bytes(outcomes: &TrialOutcomes) -> Vec<u8> {
    let mut bytes = format!("{:?}", outcomes.missed).into_bytes();
    for beta in &outcomes.betas {
        bytes.extend(format!("{} {} {}", beta.trial, beta.beta_revision, beta.last_volume).bytes());
        bytes.extend(beta.beta.to_bytes());
        bytes.extend(beta.zscored.to_bytes());
    }
    bytes
}

#[test]
fn a_whole_run_conforms() {
    let mut stage = run(&recipe(3.0), 3, 1.5, 16);
    for trial in 0..3 {
        let onset_s = 9.0 + 6.0 * f64::from(trial);
        stage.set_event(Event { trial, onset_s, duration_s: 3.0 }).unwrap();
    }
    let bytes: Vec<Vec<u8>> = (0..24).map(|i| raw_f32(&values(i))).chain([raw_f32(&[9.0; 3])]).collect();
    let timed = |index: usize, bytes| TimedVolume {
        index: index as u32,
        start_s: 1.5 * index as f64,
        raw: RawVolume::new(VoxelType::Float32, 5, bytes).unwrap(),
    };
    let volumes: Vec<_> = (0..24).map(|i| timed(i, &bytes[i])).collect();
    let quiet: Vec<_> = volumes.iter().collect();
    // Trial 0 is due at volume 10, and rests on it.
    let other = timed(10, &bytes[24]);
    let mut disturbed = quiet.clone();
    disturbed[10] = &other;
    let refused = TimedVolume { index: 0, start_s: f64::NAN, ..volumes[0] };
    same_bytes_after_reset(&mut stage, &quiet, outcome_bytes, TrialOutcomes::default);
    promised_delay_is_observed(&mut stage, &quiet, &disturbed, 10, outcome_bytes, TrialOutcomes::default);
    refusal_changes_nothing(&mut stage, &quiet, &refused, outcome_bytes, TrialOutcomes::default);
}

/// Gives the input of one volume before, but promises no delay; and its reset forgets nothing.
struct Forgetful(Pattern);

impl Stage for Forgetful {
    type In<'a> = Pattern;
    type Out = Pattern;

    fn process_into(&mut self, input: &Pattern, out: &mut Pattern) -> Result<(), PreprocessError> {
        *out = std::mem::replace(&mut self.0, input.clone());
        Ok(())
    }

    fn delay_volumes(&self) -> u32 {
        0
    }

    fn reset(&mut self) {}
}

#[test]
#[should_panic(expected = "same input after reset")]
fn the_suite_sees_a_reset_that_forgets_nothing() {
    let inputs = [Pattern(vec![1.0]), Pattern(vec![2.0])];
    let inputs: Vec<_> = inputs.iter().collect();
    same_bytes_after_reset(&mut Forgetful(Pattern::zeros(1)), &inputs, Pattern::to_bytes, Pattern::default);
}

#[test]
#[should_panic(expected = "first output that differs")]
fn the_suite_sees_a_delay_that_was_not_promised() {
    let quiet = [Pattern(vec![1.0]), Pattern(vec![2.0]), Pattern(vec![2.0])];
    let disturbed = [Pattern(vec![1.0]), Pattern(vec![3.0]), Pattern(vec![2.0])];
    let (quiet, disturbed): (Vec<_>, Vec<_>) = (quiet.iter().collect(), disturbed.iter().collect());
    let mut stage = Forgetful(quiet[2].clone());
    promised_delay_is_observed(&mut stage, &quiet, &disturbed, 1, Pattern::to_bytes, Pattern::default);
}
