//! Exit statuses and the one line on standard error, the same for every program.

use clap::Parser;
use std::process::ExitCode;

/// Why a program stops, as the shell sees it (sysexits.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 64: the command line or a configuration file is wrong, or a named file does not exist.
    Usage,
    /// 65: input data, weights or a bundle are wrong.
    Data,
    /// 69: a device, library or peer is missing.
    Unavailable,
    /// 1: anything else.
    Other,
}

impl Exit {
    /// The status itself.
    #[must_use]
    pub fn status(self) -> u8 {
        match self {
            Self::Usage => 64,
            Self::Data => 65,
            Self::Unavailable => 69,
            Self::Other => 1,
        }
    }
}

/// A message for the user with the status that goes with it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The status.
    pub exit: Exit,
    /// One line: the thing, the place, both sides.
    pub message: String,
}

impl Failure {
    /// Wraps `error` (with its causes) under `exit`.
    pub fn new(exit: Exit, error: impl std::fmt::Display) -> Self {
        Self { exit, message: error.to_string().replace('\n', "; ") }
    }

    /// Status 64.
    pub fn usage(error: impl std::fmt::Display) -> Self {
        Self::new(Exit::Usage, error)
    }

    /// Status 65.
    pub fn data(error: impl std::fmt::Display) -> Self {
        Self::new(Exit::Data, error)
    }

    /// Status 69.
    pub fn unavailable(error: impl std::fmt::Display) -> Self {
        Self::new(Exit::Unavailable, error)
    }

    /// Status 1.
    pub fn other(error: impl std::fmt::Display) -> Self {
        Self::new(Exit::Other, error)
    }
}

/// Parses the command line; clap's own status 2 becomes 64, `--help` and `--version` stay 0.
///
/// # Errors
/// The status with which the program should end; the message is already printed.
pub fn parse_command_line<A: Parser>() -> Result<A, ExitCode> {
    A::try_parse().map_err(|error| {
        // Nothing is left to tell the user when even standard error is gone.
        let _ = error.print();
        if error.use_stderr() { ExitCode::from(Exit::Usage.status()) } else { ExitCode::SUCCESS }
    })
}

/// The life of a program: parse, run, and one line on standard error when it fails.
pub fn run_program<A: Parser>(run: impl FnOnce(A) -> Result<(), Failure>) -> ExitCode {
    let arguments = match parse_command_line() {
        Ok(arguments) => arguments,
        Err(status) => return status,
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.exit.status())
        }
    }
}
