//! `cargo xtask`: the project's own chores, from the libraries a fresh clone needs to the checks before a merge.
//!
//! ```text
//! setup ──► demo     runs what a user sees: scanner, daemon, page
//!      ├──► test     runs every test, and counts what was skipped and why
//!      └──► ci       format, lints, docs, architecture, test, demo
//! ```
//!
//! No product code and no dependency on it, so that this builds on a bare clone.

mod ci;
mod clock;
mod command;
mod demo;
mod failure;
mod fetch;
mod gpu;
mod interrupt;
mod invariants;
mod oracle;
mod pins;
mod say;
mod setup;
mod tally;
mod test;
mod unpack;
mod workspace;

use clap::{Parser, Subcommand};
use failure::{Failure, Result};
use std::process::ExitCode;
use workspace::Workspace;

/// The project's own chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Fetches the run-time libraries of runtime.toml into .runtime/ (quick when they are there).
    Setup(setup::Arguments),
    /// Runs a simulated scanner into the daemon, and shows its page (or prints a report).
    Demo(demo::Arguments),
    /// Runs every test; the last line is `N passed, N failed, N skipped`.
    Test(test::Arguments),
    /// Runs every check before a merge: format, lints, docs, architecture, tests, demo.
    Ci(ci::Arguments),
    /// Runs the scripts of tests/oracle in a Python environment of their own.
    Oracle(oracle::Arguments),
    /// Trains, bundles and scores on a data set (not in this version yet).
    Evaluate(Later),
    /// Checks the engines on this machine's GPU, or packs what a machine out of reach needs for it.
    Gpu(gpu::Arguments),
    /// Makes the archive of release binaries (not in this version yet).
    Dist(Later),
}

/// Takes any arguments: the verb does not exist yet, and that is what its user should read.
#[derive(clap::Args)]
struct Later {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    arguments: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = match CommandLine::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return explain(&error),
    };
    match run(arguments.verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.status)
        }
    }
}

/// Prints clap's message; its own status 2 becomes 64, `--help` and `--version` stay 0.
fn explain(error: &clap::Error) -> ExitCode {
    // Nothing is left to tell the user when even standard error is gone.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(failure::USAGE) } else { ExitCode::SUCCESS }
}

fn run(verb: Verb) -> Result<()> {
    interrupt::listen()?;
    match verb {
        Verb::Evaluate(later) => Err(not_yet("evaluate", "training and its scores", &later)),
        Verb::Dist(later) => Err(not_yet("dist", "release archives", &later)),
        Verb::Setup(arguments) => setup::chore(&Workspace::find()?, &arguments),
        Verb::Gpu(arguments) => gpu::run(&Workspace::find()?, &arguments),
        Verb::Demo(arguments) => demo::run(&Workspace::find()?, &arguments),
        Verb::Test(arguments) => test::run(&Workspace::find()?, &arguments),
        Verb::Ci(arguments) => ci::run(&Workspace::find()?, &arguments),
        Verb::Oracle(arguments) => oracle::run(&Workspace::find()?, &arguments),
    }
}

fn not_yet(verb: &str, what: &str, later: &Later) -> Failure {
    let asked = [&[verb.to_owned()], later.arguments.as_slice()].concat().join(" ");
    Failure::unavailable(format!("not in this version yet: {what} (`cargo xtask {asked}`)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn verbs_of_later_versions_say_so_with_status_69() {
        for verb in ["evaluate", "dist"] {
            let arguments = CommandLine::try_parse_from(["xtask", verb, "--any", "thing"]).unwrap();
            let failure = run(arguments.verb).unwrap_err();
            assert_eq!(failure.status, failure::UNAVAILABLE);
            assert!(failure.message.starts_with("not in this version yet: "), "{}", failure.message);
            assert!(failure.message.contains(&format!("cargo xtask {verb} --any thing")), "{}", failure.message);
        }
    }
}
