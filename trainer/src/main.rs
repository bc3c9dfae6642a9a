//! `mindeye-train`: one command line, one failure line.

mod cli;

use mindeye_config::run_program;
use std::process::ExitCode;

fn main() -> ExitCode {
    run_program::<cli::Cli>(cli::run)
}
