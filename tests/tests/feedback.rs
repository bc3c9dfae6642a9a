//! The number that is fed back: the exact quantity that the session fixed, or none.

use mindeye_tests::http::get;
use mindeye_tests::instrument::{Setup, UNHURRIED};
use mindeye_tests::listener::{Heard, Listener};
use mindeye_tests::phantom_run::{PhantomRun, SESSION};
use mindeye_tests::programs::run;
use mindeye_tests::sender::Sender;
use serde_json::{Value, json};
use std::path::Path;

const TRIALS: u32 = 4;

/// A session that rewards what the phantom's first trial shows, after `more` lines of `[session.feedback]`.
fn setup(room: &Path, head: &str, target: &str, more: &str) -> Setup {
    let session = format!("[session]\nsession = \"{SESSION}\"\nparticipant = \"sub-1\"\n");
    let feedback = format!("[session.feedback]\ntargets = [\"{target}\"]\nlag_s = 7.5\n{more}");
    Setup { config: format!("{head}{session}{feedback}"), ..Setup::new(room) }
}

fn shown_first(run: &PhantomRun) -> String {
    run.events[0]["image"].as_str().expect("a phantom's trial shows something").to_owned()
}

/// Plays the run, and returns each trial's feedback message with what the page's address says at that time.
fn played(setup: &Setup, phantom: &PhantomRun) -> Vec<(Value, u16, String)> {
    let daemon = setup.start();
    let (mut listener, sender) = (Listener::connect(&daemon.results), Sender::connect(&daemon.volumes));
    assert_eq!(get(&daemon.http, "/api/v1/feedback").0, 204, "no run yet");
    sender.accepted(&phantom.start_with_events(), None);
    let mut heard = Vec::new();
    let mut begin = 0;
    for trial in 0..TRIALS as usize {
        let due = phantom.due_volume(trial);
        phantom.send(&sender, begin..due + 1);
        begin = due + 1;
        let is_its = |heard: &Heard| heard.topic == "feedback" && heard.trial() == trial as u64;
        let message = listener.until("its feedback", is_its).json;
        let (status, body) = get(&daemon.http, "/api/v1/feedback");
        heard.push((message, status, body));
    }
    heard
}

#[test]
fn each_trial_gives_its_number_and_the_target_stands_out() {
    let room = tempfile::tempdir().unwrap();
    let phantom = PhantomRun::new("run-1", TRIALS, 1);
    let heard = played(&setup(room.path(), UNHURRIED, &shown_first(&phantom), ""), &phantom);
    for (message, status, body) in &heard {
        let value = message["value"].as_f64().unwrap_or_else(|| panic!("{message}"));
        assert_eq!((*status, body.parse::<f64>().unwrap()), (200, value), "the address says the same number");
        assert_eq!((&message["missing"], &message["raw"]), (&json!(null), &json!(value)));
    }
    if mindeye_tests::engine() != "mock" {
        let values: Vec<f64> = heard.iter().map(|(message, ..)| message["value"].as_f64().unwrap()).collect();
        assert!(values[1..].iter().all(|other| values[0] > other + 0.2), "{values:?}");
    }
}

#[test]
fn a_baseline_gives_no_number_and_neither_does_an_engine_that_is_late() {
    let phantom = PhantomRun::new("run-1", TRIALS, 1);
    let target = shown_first(&phantom);
    let late = "[deadline]\ndeadline_s = 0.5\n[engine]\nmock_delay_ms = 900.0\n";
    let cases = [
        (UNHURRIED, "baseline_trials = 2\n", ["baseline", "baseline", "", ""], None),
        (late, "", ["not_in_time"; TRIALS as usize], Some("mock")),
    ];
    for (head, more, missing, engine) in cases {
        let room = tempfile::tempdir().unwrap();
        let mut setup = setup(room.path(), head, &target, more);
        setup.engine = engine.unwrap_or(setup.engine);
        for ((message, status, body), missing) in played(&setup, &phantom).iter().zip(missing) {
            let expected = if missing.is_empty() { json!(null) } else { json!(missing) };
            assert_eq!(message["missing"], expected, "{message}");
            assert_eq!(message["value"].is_null(), !missing.is_empty(), "{message}");
            assert_eq!((*status, body.is_empty()), if missing.is_empty() { (200, false) } else { (204, true) });
        }
    }
}

#[test]
fn what_the_bundle_cannot_feed_back_is_refused_at_the_start() {
    let cases = [
        ("no-such-scene", "", "session.feedback.targets names `no-such-scene`, which is not among the gallery's 300"),
        ("scene-001", "against = [\"scene-001\"]\n", "`scene-001` stands in `targets` too"),
        ("scene-001", "baseline_trials = 1\n", "one trial has no SD"),
    ];
    for (target, more, expected) in cases {
        let room = tempfile::tempdir().unwrap();
        let ended = run(&mut setup(room.path(), UNHURRIED, target, more).command());
        assert_eq!(ended.status, Some(64), "{}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{} should say {expected}", ended.stderr);
    }
    let room = tempfile::tempdir().unwrap();
    let mut setup = setup(room.path(), UNHURRIED, "scene-001", "");
    setup.config = setup.config.replace("lag_s = 7.5", "lag_s = 5.0");
    let ended = run(&mut setup.command());
    assert!(ended.stderr.contains("session.feedback.lag_s = 5, but the bundle estimates at [7.5]"), "{}", ended.stderr);
}

#[test]
fn a_stalled_renderer_changes_no_number() {
    let phantom = PhantomRun::new("run-1", TRIALS, 1);
    let target = shown_first(&phantom);
    let fast = "[deadline]\ndeadline_s = 2.0\n[engine]\nmock_delay_ms = 1.0\n";
    let stalled = format!("{fast}[[engine.mock_fault]]\nnetwork = \"unet\"\nkind = \"slow\"\nms = 10000.0\n");
    let series = [fast, &stalled].map(|head| {
        let room = tempfile::tempdir().unwrap();
        let setup = Setup { engine: "mock", ..setup(room.path(), head, &target, "smoothing_trials = 2\n") };
        let heard = played(&setup, &phantom);
        heard.into_iter().map(|(message, ..)| message.to_string()).collect::<Vec<_>>()
    });
    assert_eq!(series[0], series[1], "byte for byte");
    assert!(series[0].iter().all(|message| message.contains("\"missing\":null")), "{series:?}");
}
