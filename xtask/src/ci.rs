//! `cargo xtask ci`: every check before a merge, with what each took and the first that failed.

use crate::clock::Stopwatch;
use crate::command;
use crate::failure::{Failure, Result};
use crate::interrupt;
use crate::invariants;
use crate::say::Voice;
use crate::setup;
use crate::workspace::Workspace;
use std::process::Command;
use std::time::Duration;

/// One step, cold, on two slow cores; this only ends one that hangs.
const LIMIT: Duration = Duration::from_secs(90 * 60);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Leaves out the demo (and its release build).
    #[arg(long)]
    fast: bool,
    /// Runs only these steps.
    #[arg(long, value_name = "STEP", value_parser = STEPS)]
    only: Vec<String>,
}

/// Quick ones first.
const STEPS: [&str; 6] = ["format", "architecture", "lints", "docs", "tests", DEMO];
const DEMO: &str = "demo";

/// What is compiled for a GPU and needs none to be read.
const CUDA: [&str; 6] = ["-p", "mindeye-engine", "-p", "mindeye-benches", "--features", CUDA_FEATURES];
const CUDA_FEATURES: &str = "mindeye-engine/onnxruntime-cuda,mindeye-benches/onnxruntime-cuda";

/// A step and how it went.
struct Outcome {
    name: &'static str,
    seconds: f64,
    failure: Option<Failure>,
}

/// Runs all steps, also after a failure, so that one run tells all.
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    setup::run(workspace, Voice::Spoken)?;
    let mut outcomes = Vec::new();
    for name in steps(arguments) {
        if interrupt::asked() {
            return Err(Failure::other("ci: interrupted"));
        }
        eprintln!("\nci: {name}");
        let watch = Stopwatch::start();
        let failure = step(workspace, name).err();
        outcomes.push(Outcome { name, seconds: watch.seconds(), failure });
    }
    eprint!("\n{}", table(&outcomes));
    verdict(&outcomes)
}

fn steps(arguments: &Arguments) -> Vec<&'static str> {
    let is_wanted = |step: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == step);
    STEPS.into_iter().filter(|step| is_wanted(step) && !(arguments.fast && *step == DEMO)).collect()
}

fn step(workspace: &Workspace, name: &str) -> Result<()> {
    match name {
        "format" => cargo(&mut workspace.cargo(&["fmt", "--all", "--check"])),
        "architecture" => invariants::check(workspace),
        "lints" => {
            lint(workspace, &["--workspace"])?;
            lint(workspace, &CUDA)
        }
        "docs" => cargo(workspace.cargo(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-Dwarnings")),
        "tests" => chore(workspace, &["test"]),
        _ => chore(workspace, &["demo", "--headless", "--trials", "3", "--json"]),
    }
}

fn lint(workspace: &Workspace, what: &[&str]) -> Result<()> {
    let mut clippy = workspace.cargo(&["clippy", "--locked", "--all-targets"]);
    cargo(clippy.args(what).args(["--", "-D", "warnings"]))
}

fn cargo(command: &mut Command) -> Result<()> {
    let verb = command.get_args().next().unwrap_or_default().to_string_lossy().into_owned();
    command::finish(&format!("cargo {verb}"), command, LIMIT)
}

/// Another verb of ours, as the user would run it.
fn chore(workspace: &Workspace, arguments: &[&str]) -> Result<()> {
    let ourselves = std::env::current_exe().map_err(|error| Failure::other(format!("cannot find myself: {error}")))?;
    let name = format!("cargo xtask {}", arguments.join(" "));
    command::finish(&name, workspace.program(ourselves).args(arguments), LIMIT)
}

fn table(outcomes: &[Outcome]) -> String {
    let row = |outcome: &Outcome| {
        let verdict = if outcome.failure.is_some() { "FAILED" } else { "ok" };
        format!("{:<14} {:>8.1} s  {verdict}\n", outcome.name, outcome.seconds)
    };
    outcomes.iter().map(row).collect()
}

fn verdict(outcomes: &[Outcome]) -> Result<()> {
    match outcomes.iter().find_map(|outcome| Some((outcome.name, outcome.failure.as_ref()?))) {
        Some((name, failure)) => Err(Failure::other(format!("ci: {name} failed: {}", failure.message))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(name: &'static str, failure: Option<&str>) -> Outcome {
        Outcome { name, seconds: 1.25, failure: failure.map(Failure::other) }
    }

    #[test]
    fn first_failure_is_named_and_the_table_shows_all() {
        let outcomes =
            [outcome("format", None), outcome("lints", Some("cargo clippy: status 101")), outcome("docs", Some("x"))];
        assert_eq!(verdict(&outcomes).unwrap_err().message, "ci: lints failed: cargo clippy: status 101");
        assert_eq!(table(&outcomes).lines().filter(|line| line.ends_with("FAILED")).count(), 2);
        assert!(verdict(&outcomes[..1]).is_ok());
    }

    #[test]
    fn fast_leaves_out_the_demo_alone() {
        let of = |fast, only: &[&str]| steps(&Arguments { fast, only: only.iter().map(ToString::to_string).collect() });
        assert_eq!(of(false, &[]), STEPS);
        assert_eq!([of(true, &[]).as_slice(), &[DEMO]].concat(), STEPS);
        assert_eq!(of(false, &["docs", "format"]), ["format", "docs"]);
    }
}
