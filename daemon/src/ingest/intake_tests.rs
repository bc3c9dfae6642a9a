//! Every judgement of the door, without a socket.

use super::super::GridRule;
use super::*;
use crate::protocol::example_run;
use mindeye_preprocess::VoxelType;
use std::time::Duration;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn seconds(s: u64) -> Moment {
    Moment(s * 1_000_000_000)
}

fn limits() -> Limits {
    Limits {
        session: None,
        grid: GridRule::Masks { grid: example_run("a").grid(), tolerance_mm: 1.0 },
        max_volume_bytes: 1 << 20,
        max_gap: 16,
        idle_run: Duration::from_secs(30),
        event_max_late_s: 5.0,
    }
}

fn header(run: &str, index: u32) -> VolumeHeader {
    VolumeHeader { run: name(run), index, dtype: VoxelType::Float32, shape: [2, 3, 4], acquired_s: None }
}

fn voxels(value: f32) -> Vec<u8> {
    std::iter::repeat_n(value.to_le_bytes(), 24).flatten().collect()
}

fn event(trial: u32, onset_s: f64) -> EventMessage {
    EventMessage {
        run: name("a"),
        event: EventFields { onset_s, duration_s: 3.0, trial, image: None, condition: None },
    }
}

fn open() -> Intake {
    let mut intake = Intake::new(limits());
    intake.run_start(&example_run("a"), seconds(0)).unwrap();
    intake
}

fn put(intake: &mut Intake, index: u32) {
    intake.volume(&header("a", index), &voxels(1.0), seconds(1)).unwrap();
}

#[test]
fn a_run_start_is_refused_for_its_reason() {
    let mut shifted = example_run("b").affine;
    shifted[0][3] += 2.0;
    let twice = vec![event(1, 0.0).event, event(1, 3.0).event];
    let cases = [
        (RunStart { shape: [2, 3, 5], ..example_run("b") }, Reason::Geometry),
        (RunStart { affine: shifted, ..example_run("b") }, Reason::Geometry),
        (RunStart { affine: [[f64::NAN; 4]; 4], ..example_run("b") }, Reason::Malformed),
        (RunStart { tr_s: 0.0, ..example_run("b") }, Reason::Malformed),
        (RunStart { tr_s: f64::NAN, ..example_run("b") }, Reason::Malformed),
        (RunStart { speed: Some(-1.0), ..example_run("b") }, Reason::Malformed),
        (RunStart { expected_volumes: Some(u32::MAX), ..example_run("b") }, Reason::Malformed),
        (RunStart { slice_timing_s: Some(vec![0.0; 3]), ..example_run("b") }, Reason::Malformed),
        (RunStart { shape: [0, 3, 4], ..example_run("b") }, Reason::Malformed),
        (RunStart { shape: [1024, 1024, 1024], ..example_run("b") }, Reason::TooLarge),
        (RunStart { events: twice, ..example_run("b") }, Reason::Malformed),
    ];
    for (start, expected) in cases {
        let refusal = Intake::new(limits()).run_start(&start, seconds(0)).unwrap_err();
        assert_eq!((refusal.reason, refusal.run.as_deref()), (expected, Some("b")), "{}", refusal.message);
    }
}

#[test]
fn a_run_resumes_conflicts_closes_and_gives_way() {
    let mut intake = open();
    put(&mut intake, 0);
    assert_eq!(intake.run_start(&example_run("a"), seconds(2)), Ok(RunStartVerdict::Resume { next_index: 1 }));
    let other = RunStart { tr_s: 2.0, ..example_run("a") };
    assert_eq!(intake.run_start(&other, seconds(2)).unwrap_err().reason, Reason::Conflict);
    assert_eq!(intake.run_start(&example_run("b"), seconds(31)).unwrap_err().reason, Reason::Busy);
    assert_eq!(
        intake.run_start(&example_run("b"), seconds(32)),
        Ok(RunStartVerdict::New),
        "30 s after the last word of run a"
    );
    assert_eq!(intake.volume(&header("a", 1), &voxels(1.0), seconds(33)).unwrap_err().reason, Reason::UnknownRun);
    let end = RunEnd { run: name("b"), volumes: 0 };
    assert_eq!(intake.run_end(&end), Ok(Verdict::New));
    assert_eq!(intake.run_end(&end), Ok(Verdict::Repeat));
    assert_eq!(intake.run_start(&example_run("b"), seconds(34)).unwrap_err().reason, Reason::RunClosed);
    assert_eq!(intake.volume(&header("b", 0), &voxels(1.0), seconds(34)).unwrap_err().reason, Reason::RunClosed);
}

#[test]
fn a_volume_is_refused_for_its_reason_and_changes_nothing() {
    let mut nan = voxels(1.0);
    nan[20..24].copy_from_slice(&f32::NAN.to_le_bytes());
    let cases: [(VolumeHeader, Vec<u8>, Reason); 8] = [
        (header("x", 1), voxels(1.0), Reason::UnknownRun),
        (VolumeHeader { dtype: VoxelType::Int16, ..header("a", 1) }, voxels(1.0), Reason::Dtype),
        (VolumeHeader { shape: [4, 3, 2], ..header("a", 1) }, voxels(1.0), Reason::Geometry),
        (header("a", 1), vec![0; 95], Reason::Size),
        (header("a", 1), Vec::new(), Reason::Size),
        (header("a", 1), nan, Reason::NonFinite),
        (header("a", 18), voxels(1.0), Reason::Index),
        (header("a", 0), voxels(2.0), Reason::Conflict),
    ];
    for (header, bytes, expected) in cases {
        let mut intake = open();
        put(&mut intake, 0);
        let refusal = intake.volume(&header, &bytes, seconds(1)).unwrap_err();
        assert_eq!((refusal.reason, refusal.index), (expected, Some(header.index)), "{}", refusal.message);
        assert_eq!(intake.next_index(), Some(1), "{expected:?}");
        put(&mut intake, 1);
    }
}

#[test]
fn a_gap_is_recorded_and_never_filled() {
    let mut intake = open();
    put(&mut intake, 0);
    let verdict = intake.volume(&header("a", 17), &voxels(1.0), seconds(1)).unwrap();
    assert_eq!(verdict, VolumeVerdict::New { gap_before: 16, start_s: 25.5, nominal: true });
    assert_eq!(intake.volume(&header("a", 5), &voxels(1.0), seconds(1)).unwrap_err().reason, Reason::Index);
    assert_eq!(intake.volume(&header("a", 17), &voxels(1.0), seconds(1)), Ok(VolumeVerdict::Repeat));
}

#[test]
fn what_could_not_be_saved_is_wanted_again_but_not_processed_twice() {
    let mut intake = open();
    put(&mut intake, 0);
    put(&mut intake, 1);
    intake.mark_unsaved(&name("a"), 0);
    assert_eq!(intake.run_start(&example_run("a"), seconds(2)), Ok(RunStartVerdict::Resume { next_index: 0 }));
    assert_eq!(intake.volume(&header("a", 0), &voxels(1.0), seconds(2)), Ok(VolumeVerdict::SaveAgain));
    assert_eq!(intake.volume(&header("a", 0), &voxels(1.0), seconds(2)), Ok(VolumeVerdict::Repeat));
}

#[test]
fn events_may_be_told_repeated_and_corrected_until_they_are_late() {
    let mut intake = open();
    assert_eq!(intake.event(&event(0, 0.0), seconds(1)), Ok(Verdict::New));
    assert_eq!(intake.event(&event(0, 0.0), seconds(1)), Ok(Verdict::Repeat));
    (0..4).for_each(|index| put(&mut intake, index));
    // The run stands at 6.0 s: an onset of 1.0 s is 5.0 s ago, the last moment to tell it.
    assert_eq!(intake.event(&event(1, 1.0), seconds(1)), Ok(Verdict::New));
    assert_eq!(intake.event(&event(2, 0.9), seconds(1)).unwrap_err().reason, Reason::LateEvent);
    assert_eq!(intake.event(&event(0, 3.0), seconds(1)).unwrap_err().reason, Reason::LateEvent, "trial 0 began at 0 s");
    assert_eq!(intake.event(&event(0, 0.0), seconds(1)), Ok(Verdict::Repeat), "repeats are idempotent at any time");
    assert_eq!(intake.event(&event(3, f64::INFINITY), seconds(1)).unwrap_err().reason, Reason::Malformed);
}

#[test]
fn a_stopped_door_opens_no_run() {
    let mut intake = Intake::new(limits());
    intake.set_stopped(true);
    assert_eq!(intake.run_start(&example_run("a"), seconds(0)).unwrap_err().reason, Reason::NotReady);
    intake.set_stopped(false);
    assert_eq!(intake.run_start(&example_run("a"), seconds(0)), Ok(RunStartVerdict::New));
}

#[test]
fn a_configured_session_is_held_to() {
    let mut intake = Intake::new(Limits { session: Some(name("other")), ..limits() });
    assert_eq!(intake.run_start(&example_run("a"), seconds(0)).unwrap_err().reason, Reason::Conflict);
}
