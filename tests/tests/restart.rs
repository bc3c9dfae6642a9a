//! A daemon killed at the worst moment (SIGKILL) and started again goes on as if nothing had happened, or says what did.

use mindeye_tests::instrument::{Instrument, Setup};
use mindeye_tests::listener::Listener;
use mindeye_tests::phantom_run::PhantomRun;
use mindeye_tests::record::{Record, run_folder};
use mindeye_tests::sender::Sender;
use serde_json::json;
use std::path::Path;

const TRIALS: u32 = 5;

fn the_run() -> PhantomRun {
    PhantomRun::new("run-1", TRIALS, 3)
}

fn uninterrupted(room: &Path, run: &PhantomRun) -> Record {
    let setup = Setup::new(room);
    let daemon = setup.start();
    let mut listener = Listener::connect(&daemon.results);
    run.play(&Sender::connect(&daemon.volumes));
    let _ = listener.finals(TRIALS.into());
    daemon.stop();
    Record::read(&run_folder(&setup.journal(), &run.run))
}

fn kill(daemon: Instrument) {
    daemon.program.kill();
}

/// The record's final answers without what depends on when, not on what.
fn finals(record: &Record) -> Vec<serde_json::Value> {
    let timeless = |trial| {
        let mut answer = record.final_of(trial).clone();
        for field in ["timings_ms", "onset_to_publish_s", "revision"] {
            answer.as_object_mut().unwrap().remove(field).expect(field);
        }
        answer
    };
    (0..TRIALS).map(timeless).collect()
}

/// What of the run a daemon has when it is killed.
enum Killed {
    /// So many volumes were accepted.
    After(usize),
    /// So many volumes were accepted, and five more were on their way.
    During(usize),
    /// So many volumes were accepted, and the last of them made this trial's answer final.
    AfterAnswer(usize, u64),
}

#[test]
fn betas_and_answers_are_those_of_an_uninterrupted_run() {
    let run = the_run();
    let reference = uninterrupted(tempfile::tempdir().unwrap().path(), &run);
    assert_eq!(reference.betas.len(), TRIALS as usize);
    let due = run.due_volume(2) + 1;
    let cases = [
        ("before the first volume", Killed::After(0)),
        ("between two trials", Killed::After(due - 2)),
        ("with a trial due and not yet answered", Killed::After(due)),
        ("with volumes on their way", Killed::During(due - 3)),
        ("with an answer just out", Killed::AfterAnswer(due, 2)),
        ("before the end is told", Killed::After(run.volumes.len())),
    ];
    for (about, killed) in cases {
        let room = tempfile::tempdir().unwrap();
        let setup = Setup::new(room.path());
        let accepted = play_and_kill(&setup, &run, &killed);

        let daemon = setup.start();
        let mut listener = Listener::connect(&daemon.results);
        let sender = Sender::connect(&daemon.volumes);
        let ready = sender.accepted(&run.start_with_events(), None);
        let next = ready["next_index"].as_u64().unwrap() as usize;
        let on_their_way = if matches!(killed, Killed::During(_)) { 5 } else { 0 };
        assert!((accepted..=accepted + on_their_way).contains(&next), "killed {about}: {accepted} accepted, {ready}");
        run.send(&sender, next..run.volumes.len());
        sender.accepted(&run.end(run.volumes.len()), None);
        listener.end_of(&run.run);
        daemon.stop();
        assert!(listener.of("status").all(|heard| heard.json["trouble"].is_null()), "killed {about}");
        let record = Record::read(&run_folder(&setup.journal(), &run.run));
        assert_eq!(record.betas, reference.betas, "killed {about}");
        assert_eq!(record.windows, reference.windows, "killed {about}");
        assert_eq!(finals(&record), finals(&reference), "killed {about}");
        if let Killed::AfterAnswer(_, trial) = killed {
            assert!(listener.of("trial").all(|heard| heard.trial() != trial), "killed {about}: answered twice");
        }
    }
}

/// Returns how many volumes were accepted for certain.
fn play_and_kill(setup: &Setup, run: &PhantomRun, killed: &Killed) -> usize {
    let daemon = setup.start();
    let mut listener = Listener::connect(&daemon.results);
    let sender = Sender::connect(&daemon.volumes);
    sender.accepted(&run.start_with_events(), None);
    let (Killed::After(accepted) | Killed::During(accepted) | Killed::AfterAnswer(accepted, _)) = *killed;
    run.send(&sender, 0..accepted);
    match *killed {
        Killed::After(_) => {}
        Killed::During(_) => {
            (accepted..accepted + 5).for_each(|index| sender.send(&run.volume(index), Some(&run.volumes[index])));
        }
        Killed::AfterAnswer(_, trial) => {
            let _ = listener.final_of(trial);
        }
    }
    kill(daemon);
    accepted
}

#[test]
fn a_scanner_that_noticed_nothing_just_sends_its_next_volume() {
    let run = the_run();
    let reference = uninterrupted(tempfile::tempdir().unwrap().path(), &run);
    let room = tempfile::tempdir().unwrap();
    let setup = Setup::new(room.path());
    let half = run.volumes.len() / 2;
    play_and_kill(&setup, &run, &Killed::After(half));
    let daemon = setup.start();
    let sender = Sender::connect(&daemon.volumes);
    // The last accepted one again, in case its answer was lost.
    run.send(&sender, half - 1..run.volumes.len());
    sender.accepted(&run.end(run.volumes.len()), None);
    daemon.stop();
    assert_eq!(Record::read(&run_folder(&setup.journal(), &run.run)).betas, reference.betas);
}

#[test]
fn a_trial_whose_deadline_passed_meanwhile_is_skipped_because_of_the_restart() {
    let room = tempfile::tempdir().unwrap();
    // Three networks at 0.7 s each: warming up again takes longer than the deadline, so it has passed for certain.
    let config = "[deadline]\ndeadline_s = 1.0\n[engine]\nmock_delay_ms = 700.0\n".into();
    let setup = Setup { engine: "mock", config, ..Setup::new(room.path()) };
    let run = the_run();
    let due = run.due_volume(0) + 1;
    let daemon = setup.start();
    let sender = Sender::connect(&daemon.volumes);
    sender.accepted(&run.start_with_events(), None);
    run.send(&sender, 0..due);
    kill(daemon);

    let daemon = setup.start();
    let sender = Sender::connect(&daemon.volumes);
    assert_eq!(sender.accepted(&run.start_with_events(), None)["next_index"], due);
    sender.accepted(&run.end(due), None);
    daemon.stop();
    let record = Record::read(&run_folder(&setup.journal(), &run.run));
    let answer = record.final_of(0);
    let found = ["effort", "reason", "deadline_met", "products"].map(|field| answer[field].clone());
    assert_eq!(found, [json!("skipped"), json!("restart"), json!(false), json!([])], "{answer}");
    assert_eq!(record.betas.len(), 1, "its beta is there all the same");
    for trial in 1..TRIALS {
        assert_eq!(record.final_of(trial)["reason"], "run_ended", "no other trial was due");
    }
}

#[test]
fn a_run_that_has_ended_stays_ended() {
    let room = tempfile::tempdir().unwrap();
    let setup = Setup::new(room.path());
    let run = the_run();
    let daemon = setup.start();
    let sender = Sender::connect(&daemon.volumes);
    sender.accepted(&run.start_with_events(), None);
    sender.accepted(&run.end(0), None);
    kill(daemon);
    let daemon = setup.start();
    let sender = Sender::connect(&daemon.volumes);
    assert_eq!(sender.ask(&run.start_with_events(), None)["reason"], "run_closed");
    sender.accepted(&run.named("run-2").start(), None);
}
