//! Every rung of the ladder, on an engine that is slowed or broken on purpose; what the deadline cut is drawn afterwards.

use mindeye_daemon::journal::{OUTCOMES_FILE, OutcomeContent, read_outcomes};
use mindeye_tests::eventually;
use mindeye_tests::instrument::Setup;
use mindeye_tests::listener::{Heard, Listener};
use mindeye_tests::phantom_run::PhantomRun;
use mindeye_tests::record::run_folder;
use mindeye_tests::sender::Sender;
use serde_json::{Value, json};
use std::path::Path;

/// Seconds from the due volume's last byte to the deadline, and the guard: room for a machine that does something else at
/// the wrong moment.
const TIMES: &str = "[deadline]\ndeadline_s = 5.0\nguard_ms = 500.0\n";

/// A fault of every run of `network` after warm-up, or of one run.
fn fault(network: &str, run: Option<u64>, kind: &str, ms: f64) -> String {
    let run = run.map_or(String::new(), |run| format!("run = {run}\n"));
    format!("[[engine.mock_fault]]\nnetwork = \"{network}\"\n{run}kind = \"{kind}\"\nms = {ms:.1}\n")
}

fn setup(room: &Path, faults: &[String]) -> Setup {
    let config = format!("{TIMES}[engine]\nmock_delay_ms = 1.0\n{}", faults.concat());
    Setup { engine: "mock", config, ..Setup::new(room) }
}

/// One trial played to its end; everything that was said of it.
fn one_trial(setup: &Setup) -> (Vec<Value>, Vec<Value>) {
    let daemon = setup.start();
    let (mut listener, sender) = (Listener::connect(&daemon.results), Sender::connect(&daemon.volumes));
    let run = PhantomRun::new("run-1", 1, 1);
    sender.accepted(&run.start_with_events(), None);
    run.send(&sender, 0..run.due_volume(0) + 1);
    let _ = listener.final_of(0);
    let of = |topic: &str| listener.of(topic).map(|heard: &Heard| heard.json.clone()).collect();
    (of("trial"), of("status"))
}

#[test]
fn each_rung_is_reached_and_said() {
    let (full, some) = (vec!["retrieval", "blurry", "reconstruction"], vec!["retrieval", "blurry"]);
    let cases = [
        ("all the time in the world", vec![], "full", full.clone(), vec![]),
        // Full would take 20 steps of 0.4 s; what a step takes is learned from the first one.
        ("a UNet too slow for all steps", vec![fault("unet", None, "slow", 400.0)], "fast", full.clone(), vec![]),
        ("a UNet too slow for any", vec![fault("unet", None, "slow", 2500.0)], "blurry", some.clone(), vec![]),
        ("NaN in the middle of full", vec![fault("unet", Some(3), "nan", 0.0)], "fast", full.clone(), vec!["unet"]),
        ("a UNet that fails always", vec![fault("unet", None, "fail", 0.0)], "blurry", some.clone(), vec!["unet"]),
        (
            "nothing but the backbone: diffusion starts from the low-level latent too",
            vec![fault("low-level", None, "fail", 0.0)],
            "retrieval",
            vec!["retrieval"],
            vec!["low-level"],
        ),
        (
            "nothing at all",
            vec![fault("backbone", None, "fail", 0.0), fault("low-level", None, "nan", 0.0)],
            "skipped",
            vec![],
            vec!["backbone", "low-level"],
        ),
    ];
    for (what, faults, effort, products, blamed) in cases {
        let room = tempfile::tempdir().unwrap();
        let (answers, statuses) = one_trial(&setup(room.path(), &faults));
        let last = answers.last().unwrap();
        assert_eq!(
            (&last["effort"], &last["products"], &last["final"]),
            (&json!(effort), &json!(products), &json!(true)),
            "{what}"
        );
        let has_steps = ["full", "fast"].contains(&effort);
        assert_eq!(last["steps"].as_u64().unwrap() > 0, has_steps, "{what}: {last}");
        assert_eq!(last["reason"], if effort == "skipped" { json!("engine") } else { json!(null) }, "{what}");
        let revisions: Vec<u64> = answers.iter().map(|answer| answer["revision"].as_u64().unwrap()).collect();
        assert_eq!(revisions, (0..answers.len() as u64).collect::<Vec<_>>(), "{what}: counted without a hole");
        for network in blamed {
            assert!(any_trouble(&statuses, network), "{what}: the operator hears of {network}");
        }
    }
}

fn any_trouble(statuses: &[Value], network: &str) -> bool {
    statuses.iter().filter_map(|status| status["trouble"].as_str()).any(|trouble| trouble.contains(network))
}

#[test]
fn what_there_is_goes_out_before_a_better_picture_is_begun() {
    let room = tempfile::tempdir().unwrap();
    let (answers, _) = one_trial(&setup(room.path(), &[]));
    let efforts: Vec<&str> = answers.iter().map(|answer| answer["effort"].as_str().unwrap()).collect();
    assert_eq!(efforts.last(), Some(&"full"));
    assert!(efforts.contains(&"blurry"), "{efforts:?}");
}

#[test]
fn a_picture_that_the_deadline_cut_is_drawn_for_the_record_and_shown_to_nobody() {
    let room = tempfile::tempdir().unwrap();
    // One stall, longer than the deadline, in the third UNet run.
    let setup = setup(room.path(), &[fault("unet", Some(3), "slow", 6000.0)]);
    let daemon = setup.start();
    let (mut listener, sender) = (Listener::connect(&daemon.results), Sender::connect(&daemon.volumes));
    let run = PhantomRun::new("run-1", 1, 1);
    run.play(&sender);
    let answer = listener.final_of(0).json;
    assert_eq!((&answer["effort"], &answer["deadline_met"]), (&json!("blurry"), &json!(true)), "{answer}");

    let outcomes = run_folder(&setup.journal(), "run-1").join(OUTCOMES_FILE);
    let archived = eventually("a picture for the record", || {
        let all = read_outcomes(&outcomes).unwrap();
        all.into_iter().find(|outcome| matches!(outcome.content, OutcomeContent::Archive { .. }))
    });
    let OutcomeContent::Archive { trial, effort, steps, beta_revision, .. } = archived.content else { unreachable!() };
    assert_eq!((trial, effort.key(), Value::from(beta_revision)), (0, "full", answer["beta_revision"].clone()));
    assert!(steps > 0 && archived.body.starts_with(b"\x89PNG"), "{steps} steps, {} bytes", archived.body.len());
    // A status that comes after the archive: whatever had been sent before it has been heard.
    let _ = listener.until("a status", |heard| heard.topic == "status");
    assert_eq!(listener.of("trial").last().unwrap().json, answer, "nothing follows a final answer");
}
