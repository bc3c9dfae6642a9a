//! What whole-system tests share: programs, a bundle, a scanner and a listener that speak the protocol by hand, a record
//! reader, a real browser. It holds no product code, and no assertion about speed.
//!
//! Helpers panic where a test would: a program that does not start or an answer that never comes ends the test by name.

pub mod bundle;
pub mod chromium;
pub mod http;
pub mod instrument;
pub mod listener;
pub mod phantom_run;
pub mod programs;
pub mod record;
pub mod sender;
pub mod sources;

use mindeye_config::{SystemClock, runtime_library};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest wait for something that will happen; it only ends a test that hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks every few milliseconds until there is an answer.
///
/// # Panics
/// When there is none within [`PATIENCE`], naming `what`.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let clock = SystemClock::start();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(clock.now().since(mindeye_config::Moment(0)) < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The library's engine where it is installed, else the mock, which is said.
#[must_use]
pub fn engine() -> &'static str {
    if runtime_library("onnxruntime/lib/libonnxruntime.so").is_some() {
        return "onnxruntime-cpu";
    }
    say("no ONNX Runtime found, the mock stands in: `cargo xtask setup` brings it");
    "mock"
}

/// A file of the real data that development has at hand; `None`, said in a line, where they are absent.
#[must_use]
pub fn shared_data(relative: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let dir = std::env::var_os("MINDEYE_SHARED_DATA").map_or_else(beside, PathBuf::from);
    let path = dir.join(relative);
    if path.exists() {
        return Some(path);
    }
    skip(&format!("{relative} is not in the shared data (MINDEYE_SHARED_DATA)"));
    None
}

/// Says that a test, or a part of it, was left out.
pub fn skip(reason: &str) {
    say(&format!("skipped: {reason}"));
}

/// A line for whoever reads the tests' output.
#[expect(clippy::print_stdout, reason = "the test runner shows it")]
pub fn say(line: &str) {
    println!("{line}");
}
