//! The order of things, tried on a daemon and a scanner that are shell scripts.

use super::*;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

/// A workspace whose `mindeye-daemon` is a script: `daemon` and `scanner` are what its two verbs do.
struct Stage {
    folder: TempDir,
    workspace: Workspace,
}

impl Stage {
    fn new(daemon: &str, scanner: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::within(folder.path());
        let binary = workspace.release_binary("mindeye-daemon");
        fs::create_dir_all(binary.parent().unwrap()).unwrap();
        let here = folder.path().display();
        let script = format!(
            "#!/bin/sh\nhere={here}\nverb=$1\necho \"$@\" >> $here/called\n\
             final() {{ echo \"{{\\\"final\\\":true,\\\"trial\\\":$1,\\\"effort\\\":\\\"full\\\"}}\" >> $(cat $here/results); }}\n\
             listen() {{ echo 'listening volumes=tcp://127.0.0.1:1 results=tcp://127.0.0.1:2 http=127.0.0.1:3' >&2; }}\n\
             stay() {{ echo $$ > $here/pid; trap 'exit 0' TERM; while :; do sleep 0.02; done; }}\n\
             while [ $# -gt 1 ]; do if [ \"$1\" = --results-file ]; then echo \"$2\" > $here/results; fi; shift; done\n\
             case $verb in\nrun) {daemon};;\nscanner) {scanner};;\nesac\n"
        );
        fs::write(&binary, script).unwrap();
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder, workspace }
    }

    fn start(&self, trials: u32) -> Result<Session> {
        Session::start(&self.workspace, Path::new("/the/bundle"), plan(trials))
    }

    fn called(&self) -> String {
        fs::read_to_string(self.folder.path().join("called")).unwrap()
    }

    fn daemon_lives(&self) -> bool {
        let pid = fs::read_to_string(self.folder.path().join("pid")).unwrap();
        Path::new("/proc").join(pid.trim()).exists()
    }
}

fn plan(trials: u32) -> Plan {
    Plan { trials, speed: 4.0, seed: 9, audience: Audience::Machine }
}

#[test]
fn good_run_goes_from_sockets_to_results() {
    let stage = Stage::new("listen; stay", "final 0; final 1; final 2");
    let mut session = stage.start(3).unwrap();
    assert_eq!(session.page(), "127.0.0.1:3");
    assert_eq!(session.run_scanner(plan(3)).unwrap(), End::ScannerDone);
    session.wait_for_results(plan(3)).unwrap();
    assert!(stage.daemon_lives());
    session.stop();
    assert!(!stage.daemon_lives());
    assert_eq!(report::count_finals(session.results()), 3);
}

#[test]
fn programs_are_called_as_the_contract_has_it() {
    let stage = Stage::new("listen; stay", "true");
    stage.start(3).unwrap().run_scanner(plan(3)).unwrap();
    let called = stage.called();
    let (run, scanner) = called.trim().split_once('\n').unwrap();
    assert!(run.starts_with("run --bundle /the/bundle --journal "), "{run}");
    let sockets = "--bind tcp://127.0.0.1:0 --publish tcp://127.0.0.1:0 --http 127.0.0.1:0 --results-file ";
    assert!(run.contains(sockets), "{run}");
    assert_eq!(scanner, "scanner --connect tcp://127.0.0.1:1 --phantom --trials 3 --speed 4 --seed 9");
}

#[test]
fn daemon_that_refuses_to_start_is_quoted_with_its_status() {
    let stage = Stage::new("echo 'error: bundle is broken' >&2; exit 65", "true");
    let failure = stage.start(3).err().unwrap();
    assert_eq!(failure.status, crate::failure::DATA);
    assert!(failure.message.contains("daemon ended with status 65: error: bundle is broken"), "{}", failure.message);
}

#[test]
fn scanner_that_fails_is_quoted_and_the_daemon_is_stopped() {
    let stage = Stage::new("listen; stay", "echo 'error: refused' >&2; exit 1");
    let mut session = stage.start(3).unwrap();
    let failure = session.run_scanner(plan(3)).unwrap_err();
    assert!(failure.message.contains("scanner ended with status 1: error: refused"), "{}", failure.message);
    drop(session);
    assert!(!stage.daemon_lives());
}

#[test]
fn daemon_that_dies_under_way_ends_the_run() {
    let stage = Stage::new("listen; sleep 0.3; echo 'error: out of luck' >&2; exit 7", "sleep 600");
    let failure = stage.start(3).unwrap().run_scanner(plan(3)).unwrap_err();
    assert!(failure.message.contains("daemon ended with status 7: error: out of luck"), "{}", failure.message);
}

#[test]
fn listening_line_is_found_whatever_stands_before_it() {
    let expected = Listening { volumes: "tcp://127.0.0.1:5560".into(), http: "127.0.0.1:8080".into() };
    let line = "listening volumes=tcp://127.0.0.1:5560 results=tcp://127.0.0.1:5561 http=127.0.0.1:8080";
    assert_eq!(parse_listening(line), Some(expected.clone()));
    assert_eq!(parse_listening(&format!("12:00:01 INFO {line}")), Some(expected));
}

#[test]
fn other_lines_are_not_the_listening_line() {
    for line in ["", "listening", "listening http=127.0.0.1:8080", "volumes=a http=b", "warming up"] {
        assert_eq!(parse_listening(line), None, "{line}");
    }
}

#[test]
fn machine_run_has_a_limit_that_shrinks_with_speed() {
    let plan = |audience, speed| Plan { speed, audience, ..plan(3) };
    assert_eq!(scanner_limit(plan(Audience::Machine, 4.0)), Duration::from_secs(180 + 24));
    assert_eq!(scanner_limit(plan(Audience::Person, 4.0)), Duration::MAX);
}
