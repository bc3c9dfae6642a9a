//! The example in `docs/examples` is run as its reader would: another language, another ZeroMQ binding, no code of ours.

use mindeye_tests::instrument::Setup;
use mindeye_tests::programs::run;
use mindeye_tests::skip;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn the_python_example_plays_a_run_and_prints_its_trials() {
    let Some(python) = python() else {
        return skip("no python3 with pyzmq and numpy (MINDEYE_PYTHON, or .runtime/oracle-venv)");
    };
    let room = tempfile::tempdir().unwrap();
    let daemon = Setup::new(room.path()).start();
    let played = run(Command::new(python)
        .arg(root().join("docs/examples/pyzmq_client.py"))
        .args([&daemon.volumes, &daemon.results]));
    assert_eq!(played.status, Some(0), "{}", played.stderr);
    let lines: Vec<&str> = played.stdout.lines().collect();
    assert!(lines[0].starts_with("ready: "), "{}", played.stdout);
    assert_eq!(lines.len(), 4, "{}", played.stdout);
    for trial in 0..3 {
        let begins = format!("trial {trial}: full, ");
        assert!(lines.iter().any(|line| line.starts_with(&begins) && line.contains("scene-")), "{}", played.stdout);
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace").to_owned()
}

fn python() -> Option<PathBuf> {
    let named = std::env::var_os("MINDEYE_PYTHON").map(PathBuf::from);
    let python = named.unwrap_or_else(|| root().join(".runtime/oracle-venv/bin/python3"));
    let found = python.exists() && run(Command::new(&python).args(["-c", "import zmq, numpy"])).status == Some(0);
    found.then_some(python)
}
