//! The record of a run: two append-only files, each with one writer, whose torn tail is found and cut at the next start.
//!
//! ```text
//!   DIR/<session>/<run>/input.journal      run_start, volumes, events, commands, arrival times   (written by `InputWriter`)
//!   DIR/<session>/<run>/outcomes.journal   betas, publications                                    (written by the publisher)
//! ```

mod file;
mod input;
mod outcome;
mod record;

pub use file::{AppendFile, JournalError, read_records};
pub use input::{InputContent, InputRecord, RecordedRun, find_open_run, read_run};
pub use outcome::{Outcome, OutcomeContent, read_outcomes, recorded_bundle};
pub use record::{Record, encode_record};

use mindeye_config::Name;
use std::path::{Path, PathBuf};

/// Name of the input file in a run's folder.
pub const INPUT_FILE: &str = "input.journal";
/// Name of the outcomes file in a run's folder.
pub const OUTCOMES_FILE: &str = "outcomes.journal";

/// Folder of one run.
#[must_use]
pub fn run_dir(journal: &Path, session: &Name, run: &Name) -> PathBuf {
    journal.join(session.as_str()).join(run.as_str())
}
