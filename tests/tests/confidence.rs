//! Confidence from end to end: fitted on trials that were held out, carried by the bundle, said live, and never made up.

use mindeye_tests::instrument::Setup;
use mindeye_tests::listener::{Heard, Listener};
use mindeye_tests::phantom_run::PhantomRun;
use mindeye_tests::programs::{Finished, daemon, run};
use mindeye_tests::sender::Sender;
use mindeye_tests::skip;
use serde_json::{Value, json};
use std::path::Path;

fn calibrate(setup: &Setup, out: &Path, held_out: &[&str]) -> Finished {
    let mut command = daemon("calibrate");
    command.args(held_out).arg("--bundle").arg(&setup.bundle).args(["--engine", setup.engine, "--json", "--out"]);
    run(command.arg(out))
}

/// A run of three trials; what was said of them, and the last status.
fn play(setup: &Setup) -> (Vec<Value>, Value) {
    let instrument = setup.start();
    let mut listener = Listener::connect(&instrument.results);
    PhantomRun::new("run-1", 3, 1).play(&Sender::connect(&instrument.volumes));
    let finals = (0..3).map(|trial| listener.final_of(trial).json).collect();
    let counted = |heard: &Heard| heard.topic == "status" && heard.json["score"]["trials"] == 3;
    let status = listener.until("a status that counts all three", counted).json;
    (finals, status)
}

#[test]
fn a_calibrated_bundle_says_how_sure_it_is_and_another_says_that_it_does_not_know() {
    let room = tempfile::tempdir().unwrap();
    let setup = Setup::new(room.path());
    if setup.engine == "mock" {
        skip("the mock's scores mean nothing");
        return;
    }
    let out = room.path().join("calibrated");
    let fitted = calibrate(&setup, &out, &["--phantom", "120"]);
    assert_eq!(fitted.status, Some(0), "{}", fitted.stderr);
    let report: Value = serde_json::from_str(&fitted.stdout).unwrap();
    let assessment = &report["assessment"];
    let error = &assessment["calibration_error"];
    // The goal; 120 trials of a seed of its own, so the figure is the same in every run.
    assert!(error["value"].as_f64().unwrap() <= 0.05, "{error}");
    assert!(assessment["null"]["p"].as_f64().unwrap() < 0.001, "{assessment}");
    assert_eq!((&assessment["trials"], &report["calibration"]["trials"]), (&json!(120), &json!(120)));
    assert_ne!(report["bundle"], report["calibrated"], "another bundle");

    let (finals, status) = play(&Setup { bundle: out, ..setup.clone() });
    for answer in finals {
        let confidence = answer["confidence"].as_f64().unwrap_or_else(|| panic!("{answer}"));
        assert!(confidence > 0.0 && confidence <= 1.0, "{answer}");
        assert!(["given", "abstained", "absent"].contains(&answer["answer"].as_str().unwrap()), "{answer}");
        assert_eq!(answer["bundle"], report["calibrated"]);
    }
    assert_eq!(status["calibration"]["trials"], 120, "{status}");
    let null = &status["score"]["null"];
    assert!(null["p"].as_f64().is_some_and(|p| p > 0.0 && p <= 1.0), "{status}");

    let another = tempfile::tempdir().unwrap();
    let (finals, status) = play(&Setup { room: another.path().to_owned(), ..setup });
    for answer in finals {
        assert_eq!((&answer["confidence"], &answer["answer"]), (&Value::Null, &Value::Null), "{answer}");
    }
    assert_eq!(status["calibration"], Value::Null, "{status}");
}

#[test]
fn recorded_runs_calibrate_too_and_what_cannot_is_refused() {
    let room = tempfile::tempdir().unwrap();
    let setup = Setup::new(room.path());
    if setup.engine == "mock" {
        skip("the mock's scores mean nothing");
        return;
    }
    let instrument = setup.start();
    let mut listener = Listener::connect(&instrument.results);
    let sender = Sender::connect(&instrument.volumes);
    PhantomRun::new("run-1", 6, 5).play(&sender);
    listener.end_of("run-1");
    let mut nameless = PhantomRun::new("run-2", 2, 6);
    nameless.events.iter_mut().for_each(|event| drop(event.as_object_mut().unwrap().remove("image")));
    nameless.play(&sender);
    listener.end_of("run-2");
    instrument.stop();
    let of = |run: &str| mindeye_tests::record::run_folder(&setup.journal(), run).display().to_string();
    let (out, told, untold) = (room.path().join("calibrated"), of("run-1"), of("run-2"));
    let fitted = calibrate(&setup, &out, &[&told]);
    assert_eq!(fitted.status, Some(0), "{}", fitted.stderr);
    let report: Value = serde_json::from_str(&fitted.stdout).unwrap();
    assert_eq!((&report["due"], &report["calibration"]["trials"]), (&json!(6), &json!(6)), "{report}");

    let fresh = room.path().join("fresh");
    let cases: [(&str, &Path, Vec<&str>, i32, &str); 5] = [
        ("a folder that is there", &out, vec![&told], 64, "exists"),
        ("no run", &fresh, vec!["nowhere"], 64, "nowhere"),
        ("neither runs nor phantom", &fresh, vec![], 64, "--phantom"),
        ("a share above 1", &fresh, vec![&told, "--risk", "2"], 64, "--risk"),
        ("nobody said what was shown", &fresh, vec![&untold], 65, "none shows one of the gallery's 300 pictures"),
    ];
    for (what, out, flags, status, words) in cases {
        let refused = calibrate(&setup, out, &flags);
        assert_eq!(refused.status, Some(status), "{what}: {}", refused.stderr);
        assert!(refused.stderr.contains(words), "{what}: {}", refused.stderr);
    }
    assert!(!fresh.exists());
}
