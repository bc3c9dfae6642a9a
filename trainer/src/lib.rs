//! The trainer: from recorded betas to weights, and from weights to honest numbers.
//!
//! ```text
//!   NSD, webdataset, bids, npz ──import──► training folder ─┬─ fit ───────► checkpoint (libtorch) ─┬─ evaluate ─► report
//!                                          trials, betas,   └─ calibrate ─► ridge checkpoint ──────┘
//!                                          targets                          (closed form, dual)
//! ```
//!
//! A training folder ([`training_folder`]) is read strictly; z-scores come from `preprocess` and from training trials
//! only; [`leakage`] refuses what saw test trials. [`ridge`] is the closed-form front-end, [`calibrate`] its program.
//! Everything that needs libtorch is in `learning` (feature `libtorch`); lists of tensors, schedules, random draws,
//! files and reports are plain Rust. Types of `tch` appear in no other crate.
//!
//! Deliberately absent: sessions of compiled networks (it asks `decode`), sockets, the teachers and picture encoders whose
//! features are input files.

pub mod calibrate;
pub mod checkpoint;
pub mod dataset_write;
mod error;
pub mod evaluate;
mod examples;
pub mod import;
pub mod leakage;
#[cfg(feature = "libtorch")]
pub mod learning;
mod mixing;
pub mod networks;
mod pictures;
mod random;
mod report;
pub mod ridge;
mod schedule;
pub mod targets;
pub mod training_folder;

pub use error::{CONVERSION, TrainError};
pub use examples::{Example, Examples, Participant, by_participant};
pub use mixing::Mixing;
pub use pictures::{PictureSplit, Pictures};
pub use random::Draws;
pub use report::{EpochRow, Facts, Log, Sheet, training_report};
pub use schedule::{CyclePoint, OneCycle, Phase, cosine_alphas_cumprod};

/// An output that cannot be made: a wrong command line, or a disk that refused.
pub(crate) fn output_failure(error: dataset_write::OutputError) -> mindeye_config::Failure {
    let exit = if error.is_usage() { mindeye_config::Exit::Usage } else { mindeye_config::Exit::Other };
    mindeye_config::Failure::new(exit, error)
}
