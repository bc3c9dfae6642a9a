//! The trainer: from recorded betas to weights, and from weights to honest numbers.
//!
//! ```text
//!   NSD, webdataset, bids, npz ──import──► training folder ──calibrate──► ridge checkpoint ──evaluate──► report
//!                                           trials, betas, targets        (dual form)         (test images, once)
//! ```
//!
//! A training folder ([`training_folder`]) is read strictly; z-scores come from `preprocess` and from training trials
//! only; [`leakage`] refuses what saw test trials. [`ridge`] is the closed-form front-end, [`calibrate`] its program.
//!
//! Deliberately absent: sessions of compiled networks (it asks `decode`), sockets. Not there yet: training by gradient
//! descent (`fit`); bundles without a checkpoint carry random weights (`mindeye-export bundle --random-init`).

pub mod calibrate;
pub mod dataset_write;
pub mod evaluate;
pub mod import;
pub mod leakage;
pub mod ridge;
pub mod training_folder;

/// An output that cannot be made: a wrong command line, or a disk that refused.
pub(crate) fn output_failure(error: dataset_write::OutputError) -> mindeye_config::Failure {
    let exit = if error.is_usage() { mindeye_config::Exit::Usage } else { mindeye_config::Exit::Other };
    mindeye_config::Failure::new(exit, error)
}
