//! `mindeye-preprocess`: a recorded run through the stages of the live one, with derivatives and a report.

mod program;
mod report;

use mindeye_config::{Failure, run_program};
use program::{Arguments, ProgramError};
use std::process::ExitCode;

fn main() -> ExitCode {
    run_program(|arguments: Arguments| {
        program::run(arguments).map_err(|error: ProgramError| Failure::new(error.exit(), error))
    })
}
