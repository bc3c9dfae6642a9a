//! `mindeye-participants`: one command line, one failure line.

use mindeye_config::run_program;
use mindeye_participants::program::{Cli, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    run_program::<Cli>(run)
}
