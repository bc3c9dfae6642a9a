//! Why a chore stops: one line for the user and the exit status of sysexits.h that goes with it.
//!
//! The same as `mindeye-config`'s `Failure`, which this crate must not depend on.

use std::fmt::Display;
use std::io;
use std::path::Path;

/// The command line or a configuration file is wrong.
pub(crate) const USAGE: u8 = 64;
/// Input data are wrong: what was fetched is not what is pinned.
pub(crate) const DATA: u8 = 65;
/// A tool, library or peer is missing.
pub(crate) const UNAVAILABLE: u8 = 69;
/// Anything else.
pub(crate) const OTHER: u8 = 1;

pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// A message for the user with its exit status.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) status: u8,
    /// One line: the thing, the place, both sides. Empty where everything has been said already.
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(status: u8, message: impl Display) -> Self {
        Self { status, message: message.to_string().trim_end().replace('\n', "; ") }
    }

    pub(crate) fn usage(message: impl Display) -> Self {
        Self::new(USAGE, message)
    }

    pub(crate) fn data(message: impl Display) -> Self {
        Self::new(DATA, message)
    }

    pub(crate) fn unavailable(message: impl Display) -> Self {
        Self::new(UNAVAILABLE, message)
    }

    pub(crate) fn other(message: impl Display) -> Self {
        Self::new(OTHER, message)
    }

    /// A failure whose story is on the screen already.
    pub(crate) fn told() -> Self {
        Self::other("")
    }

    pub(crate) fn print(&self) {
        if !self.message.is_empty() {
            eprintln!("error: {}", self.message);
        }
    }
}

/// Turns an I/O error into a failure that names the action and the path: `.map_err(doing("read", path))`.
pub(crate) fn doing(action: &str, path: &Path) -> impl FnOnce(io::Error) -> Failure {
    move |error| Failure::other(format!("cannot {action} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_is_one_line() {
        assert_eq!(Failure::other("first\nsecond\n").message, "first; second");
    }

    #[test]
    fn io_error_names_action_and_path() {
        let error = std::fs::read("/no/such/file").map_err(doing("read", Path::new("/no/such/file"))).unwrap_err();
        assert!(error.message.starts_with("cannot read /no/such/file: No such file"), "{}", error.message);
    }
}
