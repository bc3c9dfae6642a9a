//! What every program shares: exit statuses, a clock that tests own, and the place of run-time libraries.

use mindeye_config::{Clock, Exit, Failure, ManualClock, Moment, RUNTIME_DIR_VARIABLE, SystemClock, runtime_library};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

#[test]
fn failures_end_with_the_statuses_of_the_contract_and_one_line() {
    let cases = [
        (Failure::usage("a\nb"), Exit::Usage, 64),
        (Failure::data("a\nb"), Exit::Data, 65),
        (Failure::unavailable("a\nb"), Exit::Unavailable, 69),
        (Failure::other("a\nb"), Exit::Other, 1),
    ];
    for (failure, exit, status) in cases {
        assert_eq!((failure.exit, failure.exit.status()), (exit, status));
        assert_eq!(failure.to_string(), "a; b");
    }
}

#[test]
fn manual_clock_stands_still_until_it_is_moved() {
    let clock = ManualClock::new();
    let before = clock.now();
    assert_eq!((before, clock.now()), (Moment(0), Moment(0)));
    clock.advance(Duration::from_millis(1500));
    assert_eq!(clock.now(), before + Duration::from_millis(1500));
    assert_eq!(clock.now().since(before), Duration::from_millis(1500));
    // Exact: 1.5 is a sum of powers of two.
    assert_eq!(clock.unix_s(), 1.5);
}

#[test]
fn time_between_moments_is_never_negative_and_never_wraps() {
    let (early, late) = (Moment(5), Moment(9));
    assert_eq!(early.since(late), Duration::ZERO);
    assert_eq!(early - Duration::from_secs(1), Moment(0));
    assert_eq!(late + Duration::MAX, Moment(u64::MAX));
}

#[test]
fn system_clock_does_not_go_back() {
    let clock = SystemClock::start();
    let first = clock.now();
    assert!(clock.now() >= first);
}

const LIBRARY: &str = "testlib/lib/libtest.so";

/// Looks for a library where the parent test tells it to: the environment of a running test must not be changed.
#[test]
fn child_looks_for_a_library() {
    if std::env::var_os("MINDEYE_TEST_CHILD").is_some() {
        eprintln!("\nfound {:?}", runtime_library(LIBRARY));
    }
}

fn found_with(runtime_dir: &Path) -> String {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_looks_for_a_library", "--nocapture"])
        .env("MINDEYE_TEST_CHILD", "1")
        .env(RUNTIME_DIR_VARIABLE, runtime_dir)
        .output()
        .unwrap();
    let said = String::from_utf8(child.stderr).unwrap();
    said.lines().find_map(|line| line.strip_prefix("found ")).unwrap_or_else(|| panic!("{said}")).to_owned()
}

#[test]
fn libraries_come_from_the_named_folder_and_from_no_other() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(found_with(folder.path()), "None", "the variable names a folder without it");
    let library = folder.path().join(LIBRARY);
    std::fs::create_dir_all(library.parent().unwrap()).unwrap();
    std::fs::write(&library, "").unwrap();
    assert_eq!(found_with(folder.path()), format!("{:?}", Some(library)));
}
