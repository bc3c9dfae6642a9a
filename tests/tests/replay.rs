//! A recorded run once more: the same betas bit for bit and the same pictures, or a refusal.

use mindeye_tests::engine;
use mindeye_tests::instrument::{Setup, UNHURRIED};
use mindeye_tests::listener::Listener;
use mindeye_tests::programs::{Finished, daemon, run};
use mindeye_tests::record::Record;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A run of `trials` played by the simulated scanner into a daemon; returns its folder in the journal.
fn record_a_run(setup: &Setup, trials: u32) -> PathBuf {
    let instrument = setup.start();
    let mut listener = Listener::connect(&instrument.results);
    let mut scanner = daemon("scanner");
    scanner.args(["--connect", &instrument.volumes, "--phantom", "--speed", "60", "--seed", "2", "--run", "run-1"]);
    let played = run(scanner.args(["--trials", &trials.to_string()]));
    assert_eq!(played.status, Some(0), "{}", played.stderr);
    let _ = listener.finals(trials.into());
    instrument.stop();
    setup.journal().join("simulated").join("run-1")
}

fn replay(setup: &Setup, journal: &Path, out: &Path, decisions: &str) -> Finished {
    let mut command = daemon("replay");
    command.arg(journal).arg("--bundle").arg(&setup.bundle).arg("--config").arg(setup.config_file());
    command.args(["--engine", setup.engine, "--decisions", decisions, "--json", "--out"]).arg(out);
    run(&mut command)
}

/// Shape and values of a float32 `.npy` file (version 1, C order).
fn read_npy(path: &Path) -> (String, Vec<u8>) {
    let bytes = fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8(bytes[10..10 + length].to_vec()).unwrap();
    assert!(header.contains("'<f4'") && header.contains("'fortran_order': False"), "{header}");
    let shape = header.split_once('(').unwrap().1.split_once(')').unwrap().0.to_owned();
    (shape, bytes[10 + length..].to_vec())
}

#[test]
fn recorded_decisions_give_the_recorded_betas_and_pictures() {
    const TRIALS: u32 = 5;
    let room = tempfile::tempdir().unwrap();
    let setup = Setup { config: UNHURRIED.into(), ..Setup::new(room.path()) };
    let journal = record_a_run(&setup, TRIALS);
    let record = Record::read(&journal);
    let before = folder_digest(&journal);

    let out = room.path().join("again");
    let replayed = replay(&setup, &journal, &out, "recorded");
    assert_eq!(replayed.status, Some(0), "{}", replayed.stderr);
    let report: Value = serde_json::from_str(&replayed.stdout).unwrap();
    for (field, expected) in [
        ("betas_different", 0),
        ("pictures_different", 0),
        ("trials", TRIALS),
        ("betas_identical", TRIALS),
        ("pictures_identical", TRIALS),
    ] {
        assert_eq!(report[field], expected, "{field} of {report}");
    }

    let (shape, betas) = read_npy(&out.join("betas.npy"));
    assert_eq!(betas, record.betas.values().flatten().copied().collect::<Vec<u8>>(), "every bit of every beta");
    assert_eq!(shape, format!("{TRIALS}, {}", betas.len() / 4 / TRIALS as usize));
    let answers = fs::read_to_string(out.join("trials.jsonl")).unwrap();
    let answers: Vec<Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for trial in 0..TRIALS {
        let (then, now) = (record.final_of(trial), &answers[trial as usize]);
        let (_, png) = record.published.iter().find(|(json, _)| json == then).unwrap();
        let again = fs::read(out.join(format!("pictures/trial-{trial:04}.png"))).unwrap();
        assert_eq!(&again, png, "the picture of trial {trial} on {}", engine());
        for field in
            ["retrieval", "effort", "products", "seed", "target_scores", "due_s", "picture_sha256", "beta_revision"]
        {
            assert_eq!(now[field], then[field], "{field} of trial {trial}");
        }
    }
    assert_eq!(folder_digest(&journal), before, "a replay leaves the record alone");

    let refused = replay(&setup, &journal, &out, "recorded");
    assert_eq!(refused.status, Some(64), "{}", refused.stderr);
    assert!(refused.errors().len() == 1 && refused.errors()[0].contains(out.to_str().unwrap()), "{}", refused.stderr);

    let live = replay(&setup, &journal, &room.path().join("live"), "live");
    assert_eq!(live.status, Some(0), "{}", live.stderr);
    let report: Value = serde_json::from_str(&live.stdout).unwrap();
    assert_eq!((&report["betas_identical"], &report["betas_different"]), (&TRIALS.into(), &0.into()), "{report}");
    assert_eq!(report["trials"], TRIALS, "{report}");
}

#[test]
fn live_decisions_follow_the_time_that_there_is_now() {
    const TRIALS: u32 = 2;
    let room = tempfile::tempdir().unwrap();
    let setup = Setup { engine: "mock", ..Setup::new(room.path()) };
    let journal = record_a_run(&setup, TRIALS);
    // Played at 60 times the scanner's clock, 12 s are 0.2 s here: less than a network takes.
    let config = "[deadline]\ndeadline_s = 12.0\nguard_ms = 1.0\n[engine]\nmock_delay_ms = 300.0\n";
    let slow = Setup { config: config.into(), ..setup.clone() };
    let efforts = |out: &str, decisions: &str, setup: &Setup| -> Vec<Value> {
        let out = room.path().join(out);
        let replayed = replay(setup, &journal, &out, decisions);
        assert_eq!(replayed.status, Some(0), "{}", replayed.stderr);
        let answers = fs::read_to_string(out.join("trials.jsonl")).unwrap();
        answers.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["effort"].clone()).collect()
    };
    assert_eq!(efforts("then", "recorded", &slow), ["full"; TRIALS as usize], "what it got then");
    assert_eq!(efforts("fast", "live", &setup), ["full"; TRIALS as usize]);
    let hurried = efforts("slow", "live", &slow);
    assert!(hurried.iter().all(|effort| effort != "full"), "no time for a picture: {hurried:?}");
}

/// A fault of every run of `network` after warm-up.
fn fault(network: &str, kind: &str, ms: f64) -> String {
    format!("[[engine.mock_fault]]\nnetwork = \"{network}\"\nkind = \"{kind}\"\nms = {ms:.1}\n")
}

/// Played at 60 times the scanner's clock, 300 s are 5 s here.
fn slowed(faults: &[String]) -> String {
    format!("[deadline]\ndeadline_s = 300.0\nguard_ms = 500.0\n[engine]\nmock_delay_ms = 1.0\n{}", faults.concat())
}

#[test]
fn one_recorded_run_shows_each_rung_on_an_engine_that_is_slowed_or_broken() {
    let room = tempfile::tempdir().unwrap();
    let setup = Setup { engine: "mock", ..Setup::new(room.path()) };
    let journal = record_a_run(&setup, 1);
    let cases = [
        ("full", Value::Null, vec![]),
        ("fast", Value::Null, vec![fault("unet", "slow", 400.0)]),
        ("blurry", Value::Null, vec![fault("unet", "slow", 2500.0)]),
        ("retrieval", Value::Null, vec![fault("low-level", "fail", 0.0)]),
        ("skipped", "engine".into(), vec![fault("backbone", "fail", 0.0), fault("low-level", "nan", 0.0)]),
    ];
    for (effort, reason, faults) in cases {
        let slow = Setup { config: slowed(&faults), ..setup.clone() };
        let out = room.path().join(effort);
        let replayed = replay(&slow, &journal, &out, "live");
        assert_eq!(replayed.status, Some(0), "{effort}: {}", replayed.stderr);
        let answer = fs::read_to_string(out.join("trials.jsonl")).unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((&answer["effort"], &answer["reason"]), (&effort.into(), &reason), "{answer}");
        assert_eq!(answer["picture_bytes"] != 0, ["full", "fast", "blurry"].contains(&effort), "{answer}");
    }
}

#[test]
fn what_the_deadline_cut_is_drawn_later_and_labelled() {
    const TRIALS: u32 = 2;
    let room = tempfile::tempdir().unwrap();
    let hurried = Setup { engine: "mock", config: slowed(&[fault("unet", "fail", 0.0)]), ..Setup::new(room.path()) };
    let journal = record_a_run(&hurried, TRIALS);
    let setup = Setup { config: UNHURRIED.into(), ..hurried };
    let archived = |out: &Path, flags: &[&str]| -> Finished {
        let mut command = daemon("replay");
        command.arg(&journal).arg("--bundle").arg(&setup.bundle).args(["--engine", "mock", "--json", "--out"]).arg(out);
        run(command.args(flags))
    };
    let (out, many) = (room.path().join("archive"), room.path().join("many"));
    let done = archived(&out, &["--archive"]);
    assert_eq!(done.status, Some(0), "{}", done.stderr);
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&report["archived"], &report["pictures_different"]), (&TRIALS.into(), &0.into()), "{report}");
    assert!(done.stderr.contains("none of these pictures was live"), "{}", done.stderr);
    let lines = fs::read_to_string(out.join("archive.jsonl")).unwrap();
    for (trial, line) in lines.lines().enumerate() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["live"], &line["trial"]), (&false.into(), &trial.into()), "{line}");
        assert_eq!((&line["effort"], &line["live_effort"]), (&"full".into(), &"blurry".into()), "{line}");
        let png = fs::read(out.join(line["picture"].as_str().unwrap())).unwrap();
        assert_eq!(mindeye_config::sha256_of_bytes(&png).0, line["picture_sha256"], "{line}");
        assert_ne!(
            png,
            fs::read(out.join(format!("pictures/trial-{trial:04}.png"))).unwrap(),
            "the live one is blurry"
        );
    }
    // The paper's way: several candidates, of which the nearest to the retrieval tokens is kept.
    let done = archived(&many, &["--archive", "--candidates", "16"]);
    assert_eq!(done.status, Some(0), "{}", done.stderr);
    let seeds = |out: &Path| -> Vec<Value> {
        let lines = fs::read_to_string(out.join("archive.jsonl")).unwrap();
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["seed"].clone()).collect()
    };
    assert_ne!(seeds(&many), seeds(&out), "of 16 the first is seldom the nearest, twice in a row");
}

#[test]
fn what_is_no_record_is_refused() {
    let room = tempfile::tempdir().unwrap();
    let setup = Setup { engine: "mock", ..Setup::new(room.path()) };
    let (empty, foreign) = (room.path().join("empty"), room.path().join("foreign"));
    fs::create_dir_all(&empty).unwrap();
    fs::create_dir_all(&foreign).unwrap();
    fs::write(foreign.join("input.journal"), "somebody's notes on the session").unwrap();
    let missing = room.path().join("missing");
    for (about, journal, status) in
        [("a folder without journal", &empty, 64), ("no folder", &missing, 64), ("another file", &foreign, 65)]
    {
        let refused = replay(&setup, journal, &room.path().join("out"), "recorded");
        assert_eq!(refused.status, Some(status), "{about}: {}", refused.stderr);
        assert!(
            refused.errors().len() == 1 && refused.errors()[0].contains(journal.to_str().unwrap()),
            "{about}: {}",
            refused.stderr
        );
        assert!(!room.path().join("out").exists(), "{about}: nothing is written");
    }
}

fn folder_digest(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let digest = mindeye_config::sha256_of_file(&path).unwrap().0;
            (path, digest)
        })
        .collect()
}
