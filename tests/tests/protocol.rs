//! The conversation between scanner, daemon and listeners, message by message, as the contract has it.

use mindeye_config::Step;
use mindeye_tests::engine;
use mindeye_tests::http::{get, metrics, post};
use mindeye_tests::instrument::Setup;
use mindeye_tests::listener::Listener;
use mindeye_tests::phantom_run::{PhantomRun, SESSION};
use mindeye_tests::record::{Record, run_folder};
use mindeye_tests::sender::{Sender, header};
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn every_message_is_answered_with_its_own_name() {
    let room = tempfile::tempdir().unwrap();
    let daemon = Setup::new(room.path()).start();
    let sender = Sender::connect(&daemon.volumes);
    let run = PhantomRun::new("run-1", 1, 1);
    let ready = sender.ask(&run.start(), None);
    assert_eq!((&ready["type"], &ready["run"], &ready["next_index"]), (&json!("ready"), &json!("run-1"), &json!(0)));
    assert_eq!(ready["engine"], engine(), "{ready}");
    assert!(ready["bundle"].as_str().is_some_and(|label| label.contains('@')), "{ready}");
    let voxels = &run.volumes[0];
    let cases = [
        (run.event(0), None, json!({"run": "run-1", "trial": 0})),
        (run.volume(0), Some(voxels.as_slice()), json!({"run": "run-1", "index": 0})),
        (run.end(1), None, json!({"run": "run-1", "volumes": 1})),
    ];
    for (message, voxels, echo) in cases {
        assert_eq!(sender.ask(&message, voxels), header("accepted", echo), "{message}");
    }
}

#[test]
fn repeats_are_accepted_again_and_processed_once() {
    let room = tempfile::tempdir().unwrap();
    let setup = Setup::new(room.path());
    let daemon = setup.start();
    let mut listener = Listener::connect(&daemon.results);
    let sender = Sender::connect(&daemon.volumes);
    let run = PhantomRun::new("run-1", 1, 1);
    for next_index in [0, 0] {
        assert_eq!(sender.accepted(&run.start(), None)["next_index"], next_index);
    }
    let volumes = run.volumes.len();
    for _ in 0..3 {
        sender.accepted(&run.event(0), None);
        run.send(&sender, 0..volumes);
    }
    assert_eq!(sender.accepted(&run.start(), None)["next_index"], volumes);
    for _ in 0..2 {
        sender.accepted(&run.end(volumes), None);
    }
    let _ = listener.final_of(0);
    listener.end_of("run-1");
    let http = daemon.http.clone();
    assert_eq!(metrics(&http)["mindeye_volumes_accepted_total"], volumes as f64);
    daemon.stop();
    let indexes: Vec<_> = listener.of("volume").map(|heard| heard.json["index"].as_u64().unwrap()).collect();
    assert_eq!(indexes, (0..volumes as u64).collect::<Vec<_>>());
    let dir = run_folder(&setup.journal(), "run-1");
    let saved = mindeye_daemon::journal::read_run(&dir).unwrap().records.len();
    assert_eq!(saved, 3 + volumes, "start, trial, end and each volume stand in the journal once");
    assert_eq!(Record::read(&dir).betas.len(), 1);
}

#[test]
fn volumes_may_come_before_ready() {
    let room = tempfile::tempdir().unwrap();
    let daemon = Setup::new(room.path()).start();
    let sender = Sender::connect(&daemon.volumes);
    let run = PhantomRun::new("run-1", 1, 1);
    sender.send(&run.start(), None);
    for index in 0..5 {
        sender.send(&run.volume(index), Some(&run.volumes[index]));
    }
    let answers: Vec<Value> = (0..6).map(|_| sender.answer()).collect();
    let kinds: Vec<_> = answers.iter().map(|answer| answer["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ready", "accepted", "accepted", "accepted", "accepted", "accepted"]);
}

#[test]
fn a_gap_is_visible_everywhere_and_never_filled() {
    let room = tempfile::tempdir().unwrap();
    let setup = Setup::new(room.path());
    let daemon = setup.start();
    let mut listener = Listener::connect(&daemon.results);
    let sender = Sender::connect(&daemon.volumes);
    let run = PhantomRun::new("run-1", 6, 1);
    sender.accepted(&run.start_with_events(), None);
    let last = run.volumes.len();
    // The first trial's window holds what is sampled 13 to 17 s into the run, volumes 9 and 10.
    let (first_gap, second_gap) = (8..10, last - 17..last - 1);
    run.send(&sender, 0..first_gap.start);
    run.send(&sender, first_gap.end..second_gap.start);
    run.send(&sender, second_gap.end..last);
    let answer = sender.ask(&run.volume(9), Some(&run.volumes[9]));
    assert_eq!(answer["reason"], "index", "{answer}");
    let _ = listener.until("the last volume", |heard| heard.topic == "volume" && heard.json["index"] == last - 1);
    let seen: Vec<_> =
        listener.of("volume").map(|heard| (heard.json["index"].clone(), heard.json["gap_before"].clone())).collect();
    let expected: Vec<_> = (0..last)
        .filter(|index| !first_gap.contains(index) && !second_gap.contains(index))
        .map(|index| match index {
            10 => (json!(index), json!(2)),
            _ if index == last - 1 => (json!(index), json!(16)),
            _ => (json!(index), json!(0)),
        })
        .collect();
    assert_eq!(seen, expected);
    assert_eq!(metrics(&daemon.http)["mindeye_volume_gaps_total"], 18.0);
    let evidence = listener.final_of(0).json["evidence"].clone();
    assert_eq!(evidence["volumes_used"], 1, "volume 10 is left: {evidence}");
}

#[test]
fn a_trial_whose_volumes_are_all_lost_is_skipped_and_says_why() {
    let room = tempfile::tempdir().unwrap();
    let daemon = Setup::new(room.path()).start();
    let mut listener = Listener::connect(&daemon.results);
    let sender = Sender::connect(&daemon.volumes);
    let run = PhantomRun::new("run-1", 2, 1);
    sender.accepted(&run.start_with_events(), None);
    run.send(&sender, 0..9);
    run.send(&sender, 11..run.volumes.len());
    sender.accepted(&run.end(run.volumes.len()), None);
    let answers =
        listener.finals(2).into_iter().map(|heard| (heard.json["effort"].clone(), heard.json["reason"].clone()));
    let expected = [(json!("skipped"), json!("no_volumes")), (json!("full"), Value::Null)];
    assert_eq!(answers.collect::<Vec<_>>(), expected);
}

#[test]
fn a_trial_that_the_run_does_not_live_to_see_is_skipped_and_says_why() {
    let room = tempfile::tempdir().unwrap();
    let daemon = Setup::new(room.path()).start();
    let mut listener = Listener::connect(&daemon.results);
    let sender = Sender::connect(&daemon.volumes);
    let run = PhantomRun::new("run-1", 1, 1);
    sender.accepted(&run.start_with_events(), None);
    run.send(&sender, 0..5);
    sender.accepted(&run.end(5), None);
    let answer = listener.final_of(0).json;
    assert_eq!((&answer["effort"], &answer["reason"]), (&json!("skipped"), &json!("run_ended")), "{answer}");
}

#[test]
fn a_sender_that_comes_back_is_told_where_to_go_on() {
    let room = tempfile::tempdir().unwrap();
    let daemon = Setup::new(room.path()).start();
    let run = PhantomRun::new("run-1", 1, 1);
    let first = Sender::connect(&daemon.volumes);
    first.accepted(&run.start_with_events(), None);
    run.send(&first, 0..7);
    drop(first);
    let second = Sender::connect(&daemon.volumes);
    assert_eq!(second.accepted(&run.start_with_events(), None)["next_index"], 7);
    run.send(&second, 5..9);
    assert_eq!(second.accepted(&run.start_with_events(), None)["next_index"], 9);
}

#[test]
fn a_correction_in_time_gives_the_beta_of_an_event_told_right_from_the_start() {
    let room = tempfile::tempdir().unwrap();
    let setup = Setup::new(room.path());
    let daemon = setup.start();
    let sender = Sender::connect(&daemon.volumes);
    let right = PhantomRun::new("right", 1, 1);
    let last = right.volumes.len();
    let mut wrong_event = right.event(0);
    wrong_event["onset_s"] = json!(6.0);
    // 5 volumes end at 7.5 s: both onsets, 6 and 9 s, are less than 5 s old.
    for (run, told) in [
        ("right", vec![right.event(0)]),
        ("corrected", vec![wrong_event.clone(), right.event(0)]),
        ("wrong", vec![wrong_event]),
    ] {
        let run = right.named(run);
        sender.accepted(&run.start(), None);
        run.send(&sender, 0..5);
        for mut event in told {
            event["run"] = json!(run.run);
            sender.accepted(&event, None);
        }
        run.send(&sender, 5..last);
        sender.accepted(&run.end(last), None);
    }
    daemon.stop();
    let record = |run| Record::read(&run_folder(&setup.journal(), run));
    let [right, corrected, wrong] = ["right", "corrected", "wrong"].map(record);
    assert_eq!(right.betas, corrected.betas);
    assert_eq!(right.windows, corrected.windows);
    assert_ne!(right.windows, wrong.windows, "an onset of 6 s means earlier volumes");
    assert_eq!((&right.final_of(0)["due_s"], &wrong.final_of(0)["due_s"]), (&json!(16.5), &json!(13.5)));
}

#[test]
fn stamps_of_the_scanner_beat_index_times_tr_and_results_say_which() {
    let room = tempfile::tempdir().unwrap();
    let daemon = Setup::new(room.path()).start();
    let mut listener = Listener::connect(&daemon.results);
    let sender = Sender::connect(&daemon.volumes);
    let run = PhantomRun::new("run-1", 1, 1);
    for (name, step_s, clock, due_s) in
        [("nominal", None, "nominal", 16.5), ("stamped", Some(1.6), "acquisition", 17.5)]
    {
        let run = run.named(name);
        sender.accepted(&run.start_with_events(), None);
        for (index, voxels) in run.volumes.iter().enumerate() {
            let mut volume = run.volume(index);
            if let Some(step_s) = step_s {
                // The scanner's clock began long before.
                volume["acquired_s"] = json!(50_000.0 + step_s * index as f64);
            }
            sender.accepted(&volume, Some(voxels));
        }
        sender.accepted(&run.end(run.volumes.len()), None);
        let answer = listener.until("the trial", |heard| heard.is_final() && heard.json["run"] == name).json;
        assert_eq!(answer["clock"], clock, "{answer}");
        // Onset 9 s + 7.5 s: with 1.6 s steps the first volume to end at or after 16.5 s is number 10, at 16 + 1.5 s.
        let found_s = answer["due_s"].as_f64().unwrap();
        assert!((found_s - due_s).abs() < 1e-6, "{name}: due at {found_s} s, expected {due_s} s");
        assert!(
            listener.of("volume").filter(|heard| heard.json["run"] == name).all(|heard| heard.json["clock"] == clock)
        );
    }
}

#[test]
fn a_message_of_ten_thousand_frames_is_one_refusal() {
    let room = tempfile::tempdir().unwrap();
    let daemon = Setup::new(room.path()).start();
    let (stranger, sender) = (Sender::connect(&daemon.volumes), Sender::connect(&daemon.volumes));
    let run = PhantomRun::new("run-1", 1, 1);
    let mut frames = vec![vec![0; 100]; 10_000];
    frames[0] = run.volume(0).to_string().into_bytes();
    stranger.send_frames(&frames);
    let answer = stranger.answer();
    assert_eq!((&answer["reason"], &answer["index"]), (&json!("malformed"), &json!(0)), "{answer}");
    sender.accepted(&run.start(), None);
    run.send(&sender, 0..1);
}

#[test]
fn each_trial_has_one_final_answer_by_its_deadline_and_every_field_of_the_contract() {
    let room = tempfile::tempdir().unwrap();
    // One TR is the default; 5 s leave room for whatever else two cores do.
    let setup = Setup { config: "[deadline]\ndeadline_s = 5.0\n".into(), ..Setup::new(room.path()) };
    let daemon = setup.start();
    let mut listener = Listener::connect(&daemon.results);
    let sender = Sender::connect(&daemon.volumes);
    let run = PhantomRun::new("run-1", 3, 1);
    sender.accepted(&run.start_with_events(), None);
    let mut next = 0;
    for trial in 0..3 {
        let due = run.due_volume(trial);
        run.send(&sender, next..due);
        let sent = listener.now();
        run.send(&sender, due..due + 1);
        let answer = listener.final_of(trial as u64);
        assert!(answer.at.since(sent) < Duration::from_secs(5), "trial {trial} is late: {}", answer.json);
        assert_eq!(answer.json["deadline_met"], true, "{}", answer.json);
        next = due + 1;
    }
    sender.accepted(&run.end(next), None);
    let receipt = json!({"trial": 2, "revision": 1, "sha256": "0".repeat(64), "t_presented": 12.5});
    assert_eq!(post(&daemon.http, "/api/v1/shown", &receipt).0, 202);
    let _ = listener.until("the receipt", |heard| heard.topic == "shown");
    assert_eq!(get(&daemon.http, "/api/v1/feedback").0, 204);
    assert_eq!(
        serde_json::from_str::<Value>(&get(&daemon.http, "/api/v1/latest").1).unwrap(),
        listener.final_of(2).json
    );
    daemon.stop();

    for heard in &listener.heard {
        let fields = fields(&heard.topic);
        for (field, kind) in fields {
            let value = heard.json.get(field).unwrap_or_else(|| panic!("`{field}` is missing in {}", heard.json));
            assert!(kind.fits(value), "`{field}` of topic {} should be {kind:?}, is {value}", heard.topic);
        }
    }
    let of_trial = |trial: u64| listener.of("trial").filter(move |heard| heard.trial() == trial);
    let record = Record::read(&run_folder(&setup.journal(), "run-1"));
    for trial in 0..3 {
        let heard: Vec<&Value> = of_trial(trial).map(|heard| &heard.json).collect();
        assert_eq!(heard, record.publications(trial as u32), "what was sent is what was written");
        let answer = record.final_of(trial as u32);
        assert_eq!(answer["products"], json!(["retrieval", "blurry", "reconstruction"]), "{answer}");
        assert_eq!((&answer["effort"], &answer["pool_size"]), (&json!("full"), &json!(300)));
        assert_eq!(answer["retrieval"].as_array().unwrap().len(), 5, "{answer}");
        for (place, item) in answer["retrieval"].as_array().unwrap().iter().enumerate() {
            assert_eq!(item["rank"], place + 1, "{answer}");
            assert!(item["id"].is_string() && item["score"].is_f64(), "{answer}");
        }
        for step in answer["timings_ms"].as_object().unwrap().keys() {
            assert!(Step::ALL.iter().any(|known| known.key() == step), "{step} is no step of the contract");
        }
    }
    for heard in listener.of("trial") {
        let picture = &heard.picture;
        assert_eq!(heard.json["picture_bytes"], picture.len());
        let sha256 = (!picture.is_empty()).then(|| mindeye_config::sha256_of_bytes(picture));
        assert_eq!(heard.json["picture_sha256"], json!(sha256));
        assert_eq!(picture.is_empty(), heard.json["effort"] == "retrieval");
        assert!(picture.is_empty() || picture.starts_with(b"\x89PNG\r\n\x1a\n"));
    }
}

/// What a field may hold.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Bool,
    /// A whole number from 0.
    Whole,
    Number,
    /// From 0 to 1.
    Share,
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// So many numbers.
    Numbers(usize),
    List,
    Table,
    /// true, false or "unknown".
    TrueFalseUnknown,
    OrNull(&'static Kind),
}

impl Kind {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Bool => value.is_boolean(),
            Self::Whole => value.is_u64(),
            Self::Number => value.is_number(),
            Self::Share => value.as_f64().is_some_and(|share| (0.0..=1.0).contains(&share)),
            Self::Text => value.is_string(),
            Self::Word(words) => value.as_str().is_some_and(|word| words.contains(&word)),
            Self::Numbers(count) => {
                value.as_array().is_some_and(|all| all.len() == count && all.iter().all(Value::is_number))
            }
            Self::List => value.is_array(),
            Self::Table => value.is_object(),
            Self::TrueFalseUnknown => value.is_boolean() || value == "unknown",
            Self::OrNull(kind) => value.is_null() || kind.fits(value),
        }
    }
}

/// The contract's fields of a topic, section 4. Motion is null until it is estimated; a trial before it is due has no
/// verdict on its deadline.
fn fields(topic: &str) -> Vec<(&'static str, Kind)> {
    use Kind::{Bool, List, Number, Numbers, OrNull, Share, Table, Text, TrueFalseUnknown, Whole, Word};
    const EFFORTS: Kind = Word(&["full", "fast", "blurry", "retrieval", "skipped"]);
    const STATES: Kind = Word(&["starting", "ready", "running", "catching_up", "degraded", "stopped"]);
    match topic {
        "volume" => vec![
            ("session", Text),
            ("run", Text),
            ("index", Whole),
            ("motion", OrNull(&Numbers(6))),
            ("framewise_displacement", OrNull(&Number)),
            ("timings_ms", Table),
            ("gap_before", Whole),
        ],
        "trial" => vec![
            ("session", Text),
            ("run", Text),
            ("trial", Whole),
            ("revision", Whole),
            ("beta_revision", Whole),
            ("final", Bool),
            ("products", List),
            ("effort", EFFORTS),
            ("steps", Whole),
            ("evidence", Table),
            ("deadline_met", OrNull(&Bool)),
            ("due_s", Number),
            ("onset_to_publish_s", Number),
            ("timings_ms", Table),
            ("retrieval", List),
            ("pool_size", Whole),
            ("pool_contains_stimulus", TrueFalseUnknown),
            ("chance", Share),
            ("confidence", OrNull(&Share)),
            ("target_scores", OrNull(&Table)),
            ("bundle", Text),
            ("engine", Text),
            ("seed", Whole),
            ("picture_bytes", Whole),
            ("picture_sha256", OrNull(&Text)),
        ],
        "status" => vec![
            ("state", STATES),
            ("session", OrNull(&Text)),
            ("run", OrNull(&Text)),
            ("next_index", Whole),
            ("queue_depth", Whole),
            ("engine", Text),
            ("bundle", Text),
        ],
        "shown" => vec![("trial", Whole), ("revision", Whole), ("sha256", Text), ("t_presented", Number)],
        other => panic!("topic `{other}` is not of this version"),
    }
}

#[test]
fn results_belong_to_the_session_and_the_run_that_was_announced() {
    let room = tempfile::tempdir().unwrap();
    let daemon = Setup::new(room.path()).start();
    let mut listener = Listener::connect(&daemon.results);
    let run = PhantomRun::new("run-7", 1, 1);
    run.play(&Sender::connect(&daemon.volumes));
    let answer = listener.final_of(0).json;
    assert_eq!((&answer["session"], &answer["run"]), (&json!(SESSION), &json!("run-7")));
}
