//! What is wrong with a command line, a configuration or a bundle is said in one line, with the documented status, before
//! a socket opens.

use mindeye_tests::bundle::{copy_bundle, demo_bundle};
use mindeye_tests::http::metrics;
use mindeye_tests::instrument::Setup;
use mindeye_tests::listener::Listener;
use mindeye_tests::phantom_run::PhantomRun;
use mindeye_tests::programs::{Finished, daemon, program, run};
use mindeye_tests::sender::Sender;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// One `error:` line that holds each of `words`, and the status.
fn assert_refused(about: &str, found: &Finished, status: i32, words: &[&str]) {
    assert_eq!(found.status, Some(status), "{about}: {}", found.stderr);
    let errors = found.errors();
    assert_eq!(errors.len(), 1, "{about}: {}", found.stderr);
    for word in words {
        assert!(errors[0].contains(word), "{about}: `{word}` is not in: {}", errors[0]);
    }
    assert!(!found.stderr.contains("listening "), "{about}: a socket was opened: {}", found.stderr);
    assert!(!found.stderr.contains("panicked"), "{about}: {}", found.stderr);
}

#[test]
fn a_wrong_command_line_is_64_and_names_the_argument() {
    let room = tempfile::tempdir().unwrap();
    let bundle = demo_bundle();
    let bundle = bundle.to_str().unwrap();
    let file = room.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    let file = file.to_str().unwrap();
    let mindeye = "mindeye-daemon";
    let cases: [(&str, &[&str], &[&str]); 20] = [
        (mindeye, &[], &["Usage"]),
        (mindeye, &["rum"], &["rum"]),
        (mindeye, &["run"], &["--bundle"]),
        (mindeye, &["run", "--bundle", bundle, "--turbo"], &["--turbo"]),
        (mindeye, &["run", "--bundle", "nowhere/bundle"], &["nowhere/bundle"]),
        (mindeye, &["run", "--bundle", file], &[file]),
        (mindeye, &["run", "--bundle", bundle, "--config", "nowhere/daemon.toml"], &["nowhere/daemon.toml"]),
        (mindeye, &["run", "--bundle", bundle, "--engine", "abacus"], &["abacus", "onnxruntime-cpu"]),
        (mindeye, &["check"], &["--bundle"]),
        (mindeye, &["check", "--bundle", "nowhere/bundle"], &["nowhere/bundle"]),
        (
            mindeye,
            &["replay", "nowhere/run", "--bundle", bundle, "--engine", "mock", "--out", "nowhere/out"],
            &["nowhere/run"],
        ),
        (mindeye, &["replay", file, "--bundle", bundle], &["--out"]),
        (mindeye, &["scanner", "--phantom"], &["--connect"]),
        (mindeye, &["scanner", "--connect", "tcp://127.0.0.1:9"], &["--phantom"]),
        (mindeye, &["scanner", "--connect", "tcp://127.0.0.1:9", "--phantom", "--bold", file], &["--bold"]),
        (mindeye, &["scanner", "--connect", "tcp://127.0.0.1:9", "--phantom", "--speed", "0"], &["--speed"]),
        (mindeye, &["scanner", "--connect", "tcp://127.0.0.1:9", "--phantom", "--run", "a/b"], &["a/b"]),
        (
            mindeye,
            &["scanner", "--connect", "tcp://127.0.0.1:9", "--bold", "nowhere/bold.nii.gz"],
            &["nowhere/bold.nii.gz"],
        ),
        (mindeye, &["bench", "--engine", "mock", "--trials", "1"], &["--bundle"]),
        ("mindeye-export", &["bundle", "--random-init", "huge", "--seed", "1", "--out", "nowhere/out"], &["huge"]),
    ];
    for (name, arguments, words) in cases {
        let found = run(Command::new(program(name)).args(arguments).current_dir(room.path()));
        assert_eq!(found.status, Some(64), "{arguments:?}: {}", found.stderr);
        assert!(words.iter().all(|word| found.stderr.contains(word)), "{arguments:?}: {}", found.stderr);
        assert!(!found.stderr.contains("listening "), "{arguments:?}: {}", found.stderr);
    }
    assert_eq!(fs::read_dir(room.path()).unwrap().count(), 1, "nothing was written");
}

#[test]
fn help_and_version_are_0_on_every_verb() {
    for arguments in [&["--help"][..], &["--version"]] {
        for name in ["mindeye-daemon", "mindeye-export"] {
            let found = run(Command::new(program(name)).args(arguments));
            assert_eq!((found.status, found.stderr.as_str()), (Some(0), ""), "{name} {arguments:?}");
            assert!(!found.stdout.is_empty(), "{name} {arguments:?}");
        }
    }
    for verb in ["run", "check", "replay", "scanner", "bench"] {
        let found = run(daemon(verb).arg("--help"));
        assert_eq!(found.status, Some(0), "{verb}: {}", found.stderr);
        assert!(found.stdout.contains("Usage: mindeye-daemon"), "{verb}: {}", found.stdout);
    }
}

#[test]
fn a_wrong_configuration_is_64_and_names_file_key_and_value() {
    let room = tempfile::tempdir().unwrap();
    let cases: [(&str, &[&str]); 16] = [
        ("[volumes\n", &["daemon.toml"]),
        ("[volumes]\nrings = 3\n", &["volumes", "rings"]),
        ("[graphics]\n", &["graphics"]),
        ("[volumes]\nmax_gap = \"many\"\n", &["volumes.max_gap"]),
        ("[volumes]\nmax_gap = -1\n", &["volumes.max_gap"]),
        ("[volumes]\nmax_volume_mib = 4096\n", &["volumes.max_volume_mib", "4096"]),
        ("[volumes]\nring_volumes = 0\n", &["volumes.ring_volumes"]),
        ("[deadline]\ndecode_after_s = nan\n", &["deadline.decode_after_s"]),
        ("[deadline]\ndecode_after_s = 6.0\n", &["deadline.decode_after_s", "6 s", "7.5 s"]),
        ("[deadline]\ndeadline_s = 0.01\n", &["deadline.deadline_s", "20 ms", "0.01 s"]),
        ("[deadline]\ndeadline_s = 0.0\n", &["deadline.deadline_s"]),
        ("[deadline]\ndeadline_s = 9000.0\n", &["deadline.deadline_s", "beyond any run", "9000 s"]),
        ("[deadline]\nbudget = \"nowhere.toml\"\n", &["nowhere.toml"]),
        ("[trial]\ncandidates = 65\n", &["trial.candidates", "64", "65"]),
        ("[engine]\nkind = \"abacus\"\n", &["engine.kind", "abacus"]),
        ("[trial]\nevent_max_late_s = 9.0\n", &["trial.event_max_late_s", "9", "7.5"]),
    ];
    for (config, words) in cases {
        let setup = Setup { config: config.into(), engine: "mock", ..Setup::new(room.path()) };
        assert_refused(config, &run(&mut setup.command()), 64, words);
    }
    assert!(!room.path().join("journal").exists(), "nothing was written");
}

#[test]
fn a_wrong_bundle_is_65_and_names_the_file_and_both_sides() {
    type Harm = fn(&Path);
    let cases: [(&str, Harm, &[&str]); 8] = [
        (
            "a byte of a network",
            |b| change_byte(&b.join("networks/backbone.onnx")),
            &["networks/backbone.onnx", "sha256"],
        ),
        ("a byte of the mask", |b| change_byte(&b.join("mask.nii.gz")), &["mask.nii.gz", "sha256"]),
        ("half a golden case", |b| truncate(&b.join("golden.safetensors")), &["golden.safetensors", "bytes"]),
        ("no schedule", |b| fs::remove_file(b.join("scheduler.toml")).unwrap(), &["scheduler.toml"]),
        ("one file too many", |b| fs::write(b.join("notes.txt"), "mine").unwrap(), &["notes.txt"]),
        ("no manifest", |b| fs::remove_file(b.join("manifest.toml")).unwrap(), &["manifest.toml"]),
        (
            "another format",
            |b| edit(&b.join("manifest.toml"), "mindeye-bundle/1", "mindeye-bundle/9"),
            &["manifest.toml", "mindeye-bundle/9"],
        ),
        (
            "another number of voxels",
            |b| edit(&b.join("manifest.toml"), "voxels = 4476", "voxels = 4477"),
            &["4476", "4477"],
        ),
    ];
    let room = tempfile::tempdir().unwrap();
    for (about, harm, words) in cases {
        let bundle = room.path().join(about.replace(' ', "-"));
        copy_bundle(&demo_bundle(), &bundle);
        harm(&bundle);
        let setup = Setup { bundle, engine: "mock", ..Setup::new(room.path()) };
        assert_refused(about, &run(&mut setup.command()), 65, words);
        assert_refused(about, &run(&mut check(&setup)), 65, words);
    }
}

/// The recipe is the bundle's own, so another estimator means a manifest that says so.
#[test]
fn betas_made_differently_are_refused_unless_allowed_and_then_every_result_says_so() {
    let room = tempfile::tempdir().unwrap();
    let bundle = room.path().join("bundle");
    copy_bundle(&demo_bundle(), &bundle);
    edit(&bundle.join("manifest.toml"), "repeats_averaged = 1", "repeats_averaged = 3");
    let setup = Setup { bundle, ..Setup::new(room.path()) };
    let words = ["repeats_averaged", "here 1", "in training 3", "allow_estimator_mismatch"];
    assert_refused("three repeats averaged", &run(&mut setup.command()), 65, &words);
    assert_refused("three repeats averaged", &run(&mut check(&setup)), 65, &words);

    let config = format!("allow_estimator_mismatch = true\n{}", setup.config);
    let daemon = Setup { config, ..setup }.start();
    let mut listener = Listener::connect(&daemon.results);
    PhantomRun::new("run-1", 1, 1).play(&Sender::connect(&daemon.volumes));
    let _ = listener.final_of(0);
    for heard in listener.of("trial").chain(listener.of("status")) {
        let label = heard.json["estimator_mismatch"].as_str();
        assert!(label.is_some_and(|label| label.contains("repeats_averaged")), "{}", heard.json);
    }
}

#[test]
fn an_engine_that_is_not_there_is_69_and_named() {
    let room = tempfile::tempdir().unwrap();
    for engine in ["onnxruntime-cuda", "tensorrt-rtx", "tensorrt"] {
        let setup = Setup { engine, ..Setup::new(room.path()) };
        assert_refused(engine, &run(&mut setup.command()), 69, &[engine]);
    }
    let setup = Setup { engine: "onnxruntime-cpu", ..Setup::new(room.path()) };
    let found = run(setup.command().env("MINDEYE_RUNTIME_DIR", room.path()));
    assert_refused("no library", &found, 69, &["onnxruntime"]);
}

#[test]
fn an_address_in_use_is_69_and_named() {
    let room = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let tcp = format!("tcp://{address}");
    for (flag, address) in [("--bind", &tcp), ("--publish", &tcp), ("--http", &address)] {
        let setup = Setup { engine: "mock", ..Setup::new(room.path()) };
        let mut command = daemon("run");
        command.args(["--engine", "mock", flag, address]).arg("--bundle").arg(&setup.bundle);
        for (other, free) in
            [("--bind", "tcp://127.0.0.1:0"), ("--publish", "tcp://127.0.0.1:0"), ("--http", "127.0.0.1:0")]
        {
            if other != flag {
                command.args([other, free]);
            }
        }
        assert_refused(flag, &run(command.arg("--journal").arg(setup.journal())), 69, &[address]);
    }
    for address in ["tcp://nowhere:x", "127.0.0.1:5560"] {
        let setup = Setup { engine: "mock", volumes: address.into(), ..Setup::new(room.path()) };
        assert_refused(address, &run(&mut setup.command()), 69, &[address]);
    }
}

#[test]
fn a_check_says_everything_and_opens_no_socket() {
    let room = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let setup = Setup::new(room.path());
    // Every address is taken: whoever opens a socket fails.
    let tcp = format!("tcp://{address}");
    let found = run(check(&setup).args(["--json", "--bind", &tcp, "--publish", &tcp, "--http", &address]));
    assert_eq!(found.status, Some(0), "{}", found.stderr);
    let findings: serde_json::Value = serde_json::from_str(&found.stdout).unwrap();
    let networks = findings["networks"].as_array().unwrap().len();
    assert_eq!(networks, 10 + 2, "every network of the method, and two graphs of its loops: {findings}");
    assert!(!setup.journal().exists(), "nothing was written");
}

#[test]
fn a_results_file_that_cannot_be_written_is_64_and_one_that_can_gets_every_trial_message() {
    let room = tempfile::tempdir().unwrap();
    let setup = Setup { engine: "mock", ..Setup::new(room.path()) };
    let found = run(setup.command().args(["--results-file", "nowhere/results.jsonl"]).current_dir(room.path()));
    assert_refused("no such folder", &found, 64, &["nowhere/results.jsonl"]);

    let file = room.path().join("results.jsonl");
    let daemon = Setup { flags: vec!["--results-file".into(), file.clone().into()], ..setup }.start();
    let mut listener = Listener::connect(&daemon.results);
    PhantomRun::new("run-1", 2, 1).play(&Sender::connect(&daemon.volumes));
    let _ = listener.finals(2);
    daemon.stop();
    let lines = fs::read_to_string(file).unwrap();
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(listener.of("trial").map(|heard| &heard.json).eq(&lines), "the file has what was sent, in order");
}

#[test]
fn a_fresh_daemon_counts_from_zero() {
    let room = tempfile::tempdir().unwrap();
    let daemon = Setup { engine: "mock", ..Setup::new(room.path()) }.start();
    let metrics = metrics(&daemon.http);
    for counter in ["mindeye_volumes_accepted_total", "mindeye_volume_gaps_total", "mindeye_deadlines_missed_total"] {
        assert_eq!(metrics.get(counter), Some(&0.0), "{counter}");
    }
}

fn check(setup: &Setup) -> Command {
    let mut command = daemon("check");
    command.args(["--engine", setup.engine]).arg("--config").arg(setup.config_file());
    command.arg("--bundle").arg(&setup.bundle).arg("--journal").arg(setup.journal());
    command
}

fn change_byte(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn truncate(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{} has no `{from}`", path.display());
    fs::write(path, text.replace(from, to)).unwrap();
}
