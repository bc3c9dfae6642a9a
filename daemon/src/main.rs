//! `mindeye-daemon`: the life of the program on one page.

use mindeye_config::run_program;
use mindeye_daemon::cli::{Cli, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    run_program::<Cli>(run)
}
