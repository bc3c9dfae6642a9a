//! The simulated scanner waits for its daemon, survives its daemon, and ends in good order.

use mindeye_tests::instrument::Setup;
use mindeye_tests::listener::Listener;
use mindeye_tests::programs::{Program, daemon, run};
use mindeye_tests::record::Record;
use std::net::TcpListener;
use std::process::Command;

const TRIALS: u32 = 4;
/// The phantom goes on for 12 s after its last onset, at 9 + 3 x 6 s: 39 s at a TR of 1.5 s.
const VOLUMES: usize = 26;

/// An address that nobody listens on now, so that a daemon may come, go, and come back there.
fn free_address() -> String {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port();
    format!("tcp://127.0.0.1:{port}")
}

fn scanner(address: &str, speed: &str) -> Command {
    let mut command = daemon("scanner");
    command.args(["--connect", address, "--phantom", "--trials", &TRIALS.to_string(), "--run", "run-1"]);
    command.args(["--speed", speed]);
    command
}

fn summary(said: &[String]) -> &str {
    said.iter().find(|line| line.contains("volumes and")).expect("a summary")
}

#[test]
fn a_daemon_that_comes_later_gets_the_whole_run() {
    let room = tempfile::tempdir().unwrap();
    let setup = Setup { volumes: free_address(), ..Setup::new(room.path()) };
    let mut scanner = Program::start(&mut scanner(&setup.volumes, "60"));
    scanner.line("playing ");
    let daemon = setup.start();
    let mut listener = Listener::connect(&daemon.results);
    let (status, said) = scanner.finish();
    assert_eq!(status, Some(0), "{said:#?}");
    assert!(summary(&said).starts_with(&format!("{VOLUMES} volumes and {TRIALS} events accepted")), "{said:#?}");
    let answers = listener.finals(TRIALS.into());
    assert!(answers.iter().all(|heard| heard.json["effort"] == "full"));
}

fn record(setup: &Setup) -> Record {
    Record::read(&setup.journal().join("simulated/run-1"))
}

#[test]
fn a_daemon_that_is_killed_and_comes_back_gets_the_rest_and_the_same_betas() {
    let room = tempfile::tempdir().unwrap();
    let undisturbed = Setup::new(room.path());
    let daemon = undisturbed.start();
    assert_eq!(run(&mut scanner(&daemon.volumes, "100")).status, Some(0));
    daemon.stop();
    let reference = record(&undisturbed);

    let room = tempfile::tempdir().unwrap();
    let setup = Setup { volumes: free_address(), ..Setup::new(room.path()) };
    let daemon = setup.start();
    let mut listener = Listener::connect(&daemon.results);
    // 26 volumes in 3 s: the kill comes in the middle.
    let scanner = Program::start(&mut scanner(&setup.volumes, "13"));
    let _ = listener.until("volume 9", |heard| heard.topic == "volume" && heard.json["index"] == 9);
    daemon.program.kill();

    let daemon = setup.start();
    let mut later = Listener::connect(&daemon.results);
    let (status, said) = scanner.finish();
    assert_eq!(status, Some(0), "{said:#?}");
    let _ = later.final_of(u64::from(TRIALS) - 1);
    daemon.stop();
    let recorded = mindeye_daemon::journal::read_run(&setup.journal().join("simulated/run-1")).unwrap();
    let indexes: Vec<u32> = recorded
        .records
        .iter()
        .filter_map(|(record, _)| match &record.content {
            mindeye_daemon::journal::InputContent::Volume(volume) => Some(volume.index),
            _ => None,
        })
        .collect();
    assert_eq!(indexes, (0..VOLUMES as u32).collect::<Vec<_>>(), "every volume once, none missing");
    assert!(recorded.has_ended());
    assert_eq!(record(&setup).betas, reference.betas);
}

#[test]
fn a_scanner_whose_daemon_never_comes_gives_up_and_says_where() {
    let address = free_address();
    let given_up = run(scanner(&address, "1").args(["--patience-s", "0.5"]));
    assert_eq!(given_up.status, Some(69), "{}", given_up.stderr);
    assert!(given_up.errors().len() == 1 && given_up.errors()[0].contains(&address), "{}", given_up.stderr);
}

#[test]
fn a_scanner_that_is_refused_says_why() {
    let room = tempfile::tempdir().unwrap();
    let daemon = Setup::new(room.path()).start();
    let played = run(&mut scanner(&daemon.volumes, "100"));
    assert_eq!(played.status, Some(0), "{}", played.stderr);
    let refused = run(&mut scanner(&daemon.volumes, "100"));
    assert_eq!(refused.status, Some(65), "{}", refused.stderr);
    assert!(refused.errors().len() == 1 && refused.errors()[0].contains("run_closed"), "{}", refused.stderr);
}
