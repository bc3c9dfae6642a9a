//! `cargo xtask test`: every test of the workspace; the last line is `N passed, N failed, N skipped`.

use crate::command;
use crate::failure::{Failure, Result};
use crate::say::Voice;
use crate::setup;
use crate::tally::{Line, Tally};
use crate::workspace::Workspace;
use std::process::Command;
use std::time::Duration;

/// Cold, on two slow cores; this only ends a build or a test that hangs.
const LIMIT: Duration = Duration::from_secs(80 * 60);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Unit tests only: no system tests, no documentation tests, no libtorch.
    #[arg(long)]
    quick: bool,
}

/// What `cargo xtask setup --with` calls the trainer's libtorch.
const TRAINER: &str = "trainer";

/// Exit status 1, and nothing printed after the closing line, when a test failed.
#[expect(clippy::print_stdout, reason = "the closing line is what scripts read")]
pub(crate) fn run(workspace: &Workspace, arguments: &Arguments) -> Result<()> {
    let tally = tally(workspace, arguments)?;
    println!("\n{}{tally}", tally.details());
    if tally.failed() == 0 { Ok(()) } else { Err(Failure::told()) }
}

fn tally(workspace: &Workspace, arguments: &Arguments) -> Result<Tally> {
    setup::run(workspace, Voice::Spoken)?;
    let mut tally = Tally::default();
    if !arguments.quick
        && let Err(failure) = build_programs(workspace)
    {
        tally.add_breakage(failure.message);
        return Ok(tally);
    }
    run_tests(workspace, arguments, &mut tally)?;
    if !arguments.quick {
        run_trainer_tests(workspace, &mut tally)?;
    }
    Ok(tally)
}

/// The trainer once more with libtorch, which no other crate knows and the default build does without.
fn run_trainer_tests(workspace: &Workspace, tally: &mut Tally) -> Result<()> {
    setup::of_groups(workspace, &[TRAINER.to_owned()], Voice::Spoken)?;
    let package = ["test", "--package", "mindeye-trainer", "--features", "libtorch", "--no-fail-fast"];
    test(&mut workspace.cargo(&package), tally)
}

/// System tests start the programs themselves, and `cargo test` builds only those of the package it tests.
fn build_programs(workspace: &Workspace) -> Result<()> {
    // The whole workspace: the same features as below, so that nothing is built twice.
    let mut cargo = workspace.cargo(&["build", "--workspace", "--bins"]);
    command::finish("cargo build", cargo.stdout(std::io::stderr()), LIMIT)
}

fn run_tests(workspace: &Workspace, arguments: &Arguments, tally: &mut Tally) -> Result<()> {
    let mut cargo = workspace.cargo(&["test", "--workspace", "--no-fail-fast"]);
    if arguments.quick {
        cargo.args(["--lib", "--bins"]);
    }
    test(&mut cargo, tally)
}

fn test(cargo: &mut Command, tally: &mut Tally) -> Result<()> {
    cargo.args(["--", "--show-output"]);
    let failed = tally.failed();
    let status = command::each_line("cargo test", cargo, LIMIT, |line| show(tally.read(line), line))?;
    if !status.success() && tally.failed() == failed {
        tally.add_breakage(format!("cargo test: {}, and no test failed", command::in_words(status)));
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the tests' own output")]
fn show(line: Line, text: &str) {
    if line == Line::Show {
        println!("{text}");
    }
}
