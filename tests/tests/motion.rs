//! A bundle that corrects motion: the head is found wherever it lies, followed, and every number of it is told.

use mindeye_tests::bundle::{copy_with_motion, relist};
use mindeye_tests::engine;
use mindeye_tests::instrument::Setup;
use mindeye_tests::listener::{Heard, Listener};
use mindeye_tests::phantom_run::PhantomRun;
use mindeye_tests::programs::{daemon, run};
use mindeye_tests::sender::Sender;
use serde_json::{Value, json};
use std::path::Path;

const TRIALS: u32 = 4;

fn setup(room: &Path) -> Setup {
    let bundle = room.join("bundle");
    copy_with_motion(&bundle);
    Setup { bundle, ..Setup::new(room) }
}

/// The run as a scanner announces it whose patient lies `shift_mm` (RAS+) from where the bundle's reference has the head.
fn start_elsewhere(phantom: &PhantomRun, shift_mm: [f64; 3]) -> Value {
    let mut start = phantom.start_with_events();
    for (axis, shift_mm) in shift_mm.into_iter().enumerate() {
        let origin = start["affine"][axis][3].as_f64().expect("an affine");
        start["affine"][axis][3] = json!(origin + shift_mm);
    }
    start
}

fn play(setup: &Setup, phantom: &PhantomRun, start: &Value) -> Listener {
    let instrument = setup.start();
    let mut listener = Listener::connect(&instrument.results);
    let sender = Sender::connect(&instrument.volumes);
    sender.accepted(start, None);
    phantom.send(&sender, 0..phantom.volumes.len());
    sender.accepted(&phantom.end(phantom.volumes.len()), None);
    let _ = listener.finals(TRIALS.into());
    instrument.stop();
    listener
}

fn registration(listener: &Listener) -> Value {
    let known = |heard: &&Heard| !heard.json["registration"].is_null();
    let status: Vec<&Heard> = listener.of("status").filter(known).collect();
    status.last().expect("a status with a registration").json["registration"].clone()
}

#[test]
fn a_head_that_lies_elsewhere_is_found_followed_decoded_and_replayed() {
    let room = tempfile::tempdir().unwrap();
    let setup = setup(room.path());
    let phantom = PhantomRun::new("run-1", TRIALS, 1);
    let shift_mm = [5.0, -4.0, 3.0];
    let listener = play(&setup, &phantom, &start_elsewhere(&phantom, shift_mm));

    let registration = registration(&listener);
    assert_eq!((&registration["go"], &registration["objections"]), (&json!(true), &json!([])), "{registration}");
    for (axis, expected_mm) in shift_mm.into_iter().enumerate() {
        // 0.2 mm: the phantom moves by up to 0.1 mm itself, and registration at 3 mm voxels is good to a few hundredths.
        let found_mm = registration["motion"][axis].as_f64().unwrap();
        assert!((found_mm - expected_mm).abs() < 0.2, "axis {axis}: {registration}");
    }
    let volumes: Vec<&Value> = listener.of("volume").map(|heard| &heard.json).collect();
    assert_eq!(volumes[0]["framewise_displacement"], json!(null), "nothing came before the first volume");
    for volume in &volumes[1..] {
        // The phantom's head wanders by 0.1 mm within a run.
        assert!(volume["framewise_displacement"].as_f64().unwrap() < 0.1, "{volume}");
        assert!(volume["motion"].as_array().unwrap().iter().all(|part| part.as_f64().unwrap().abs() < 0.3), "{volume}");
        assert_eq!(volume["motion_converged"], json!(true), "{volume}");
        assert!(volume["timings_ms"]["motion"].as_f64().unwrap() > 0.0, "{volume}");
    }
    for answer in listener.of("trial").filter(|heard| heard.is_final()).map(|heard| &heard.json) {
        assert_eq!(answer["registration_go"], json!(true));
        if engine() != "mock" {
            assert_eq!(answer["target_scores"]["rank"], 1, "{answer}");
        }
    }

    let mut replay = daemon("replay");
    replay.arg(setup.journal().join("ses-1/run-1")).arg("--bundle").arg(&setup.bundle);
    replay.arg("--config").arg(setup.config_file()).args(["--engine", setup.engine, "--json", "--out"]);
    let replayed = run(replay.arg(room.path().join("again")));
    let report: Value = serde_json::from_str(&replayed.stdout).unwrap_or_else(|_| panic!("{}", replayed.stderr));
    assert_eq!((&report["betas_identical"], &report["betas_different"]), (&json!(TRIALS), &json!(0)), "{report}");
}

#[test]
fn a_head_that_does_not_match_is_a_no_go_that_every_result_carries() {
    let room = tempfile::tempdir().unwrap();
    let setup = setup(room.path());
    // Another head: the reference upside down and with other contrast is none that this run could be brought to.
    let reference = setup.bundle.join("reference.nii.gz");
    let bold = mindeye_preprocess::read_bold(&reference).unwrap();
    let voxels: Vec<i16> = bold.volumes[0].chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    let other: Vec<u8> = voxels.iter().rev().map(|voxel| 1100 - voxel.min(&1000)).flat_map(i16::to_le_bytes).collect();
    mindeye_preprocess::write_volume(&reference, &bold.grid, bold.dtype, &other).unwrap();
    relist(&setup.bundle, "reference.nii.gz");

    let phantom = PhantomRun::new("run-1", TRIALS, 1);
    let listener = play(&setup, &phantom, &phantom.start_with_events());
    let registration = registration(&listener);
    assert_eq!(registration["go"], json!(false), "{registration}");
    let words = registration["objections"][0].as_str().expect("an objection in words");
    let degraded = listener.of("status").find(|heard| heard.json["state"] == "degraded").expect("a degraded status");
    let trouble = degraded.json["trouble"].as_str().unwrap();
    assert!(trouble.starts_with("registration is a no-go: ") && trouble.contains(words), "{trouble}");
    let finals: Vec<&Heard> = listener.of("trial").filter(|heard| heard.is_final()).collect();
    assert_eq!(finals.len(), TRIALS as usize, "the run goes on");
    assert!(finals.iter().all(|heard| heard.json["registration_go"] == json!(false)));
}

#[test]
fn a_run_in_which_no_head_can_be_found_is_refused_by_its_axis() {
    let room = tempfile::tempdir().unwrap();
    let instrument = setup(room.path()).start();
    let sender = Sender::connect(&instrument.volumes);
    let mut start = PhantomRun::new("run-1", 1, 1).start();
    start["shape"] = json!([64, 64, 7]);
    sender.send(&start, None);
    let answer = sender.answer();
    assert_eq!((&answer["type"], &answer["reason"]), (&json!("refused"), &json!("geometry")), "{answer}");
    let message = answer["message"].as_str().unwrap();
    assert!(message.contains("7 voxels along z; motion correction needs 8"), "{message}");
}
