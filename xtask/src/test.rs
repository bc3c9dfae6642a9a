//! `cargo xtask test`: every test of the workspace; the last line is `N passed, N failed, N skipped`.

use crate::command;
use crate::failure::{Failure, Result};
use crate::say::Voice;
use crate::setup;
use crate::tally::{Line, Tally};
use crate::workspace::Workspace;
use std::time::Duration;

/// Cold, on two slow cores; this only ends a build or a test that hangs.
const LIMIT: Duration = Duration::from_secs(80 * 60);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Unit tests only: no system tests, no documentation tests.
    #[arg(long)]
    quick: bool,
}

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
    Ok(tally)
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
    cargo.args(["--", "--show-output"]);
    let status = command::each_line("cargo test", &mut cargo, LIMIT, |line| show(tally.read(line), line))?;
    if !status.success() && tally.failed() == 0 {
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
