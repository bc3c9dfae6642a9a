//! An engine that is too slow costs products, never the deadline and never the next trial.

use mindeye_tests::eventually;
use mindeye_tests::http::metrics;
use mindeye_tests::instrument::Setup;
use mindeye_tests::listener::{Heard, Listener};
use mindeye_tests::phantom_run::PhantomRun;
use mindeye_tests::record::{Record, run_folder};
use mindeye_tests::sender::Sender;
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// Seconds from the due volume's last byte to the deadline.
const DEADLINE_S: f64 = 2.0;
/// Final answers leave this long before it, a fifth of the time, which is the most that the daemon keeps: room for a
/// machine that does something else at the wrong moment.
const GUARD_MS: f64 = 400.0;

fn slow(room: &Path, each_network_takes_ms: f64) -> Setup {
    let config = format!(
        "[deadline]\ndeadline_s = {DEADLINE_S:.1}\nguard_ms = {GUARD_MS:.1}\n[engine]\nmock_delay_ms = {each_network_takes_ms:.1}\n"
    );
    Setup { engine: "mock", config, ..Setup::new(room) }
}

/// Plays until `trial` is due, and returns its final answer, which must be there by the deadline.
fn trial(run: &PhantomRun, trial: usize, sender: &Sender, listener: &mut Listener) -> Heard {
    let begin = if trial == 0 { 0 } else { run.due_volume(trial - 1) + 1 };
    let due = run.due_volume(trial);
    run.send(sender, begin..due);
    let sent = listener.now();
    run.send(sender, due..due + 1);
    let answer = listener.final_of(trial as u64);
    let took = answer.at.since(sent);
    assert!(took < Duration::from_secs_f64(DEADLINE_S), "trial {trial} took {took:?}: {}", answer.json);
    answer
}

#[test]
fn an_engine_slower_than_the_deadline_gives_empty_answers_in_time() {
    let room = tempfile::tempdir().unwrap();
    let setup = slow(room.path(), 2500.0);
    let daemon = setup.start();
    let (mut listener, sender) = (Listener::connect(&daemon.results), Sender::connect(&daemon.volumes));
    let run = PhantomRun::new("run-1", 3, 1);
    sender.accepted(&run.start_with_events(), None);
    for number in 0..3 {
        let answer = trial(&run, number, &sender, &mut listener).json;
        let found =
            ["effort", "reason", "deadline_met", "products", "picture_bytes"].map(|field| answer[field].clone());
        let expected = [json!("skipped"), json!("late"), json!(false), json!([]), json!(0)];
        assert_eq!(found, expected, "{answer}");
        assert!(answer["retrieval"].as_array().is_some_and(Vec::is_empty), "{answer}");
    }
    let metrics = metrics(&daemon.http);
    assert_eq!(metrics["mindeye_trials_total{effort=\"skipped\"}"], 3.0);
    assert_eq!(metrics["mindeye_deadlines_missed_total"], 3.0);

    // What the engine finishes afterwards goes to the record, and to nobody's screen.
    let dir = run_folder(&setup.journal(), "run-1");
    let late = eventually("a product after its trial's end", || Record::read(&dir).late.first().cloned());
    assert_eq!(late, (0, "retrieval".to_owned()));
    sender.accepted(&run.end(run.volumes.len()), None);
    let record = Record::read(&dir);
    assert_eq!(record.betas.len(), 3, "betas do not wait for the engine");
    for number in 0..3 {
        assert_eq!(record.final_of(number)["revision"], 0, "one publication each");
        assert_eq!(listener.of("trial").filter(|heard| heard.trial() == u64::from(number)).count(), 1);
    }
}

#[test]
fn an_engine_with_time_for_a_list_but_not_for_a_picture_gives_the_list() {
    let room = tempfile::tempdir().unwrap();
    // List at 0.9 s; the picture would take two networks, 1.8 s, and the guard begins at 1.6 s.
    let daemon = slow(room.path(), 900.0).start();
    let (mut listener, sender) = (Listener::connect(&daemon.results), Sender::connect(&daemon.volumes));
    let run = PhantomRun::new("run-1", 3, 1);
    sender.accepted(&run.start_with_events(), None);
    for number in 0..3 {
        let answer = trial(&run, number, &sender, &mut listener).json;
        let found =
            ["effort", "reason", "deadline_met", "products", "picture_bytes"].map(|field| answer[field].clone());
        assert_eq!(found, [json!("retrieval"), json!(null), json!(true), json!(["retrieval"]), json!(0)], "{answer}");
    }
    let metrics = metrics(&daemon.http);
    assert_eq!(metrics["mindeye_trials_total{effort=\"retrieval\"}"], 3.0);
    assert_eq!(metrics["mindeye_deadlines_missed_total"], 0.0);
}
