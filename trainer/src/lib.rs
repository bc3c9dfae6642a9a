//! From single-trial betas to weights: MindEye's networks trained, checked and written as checkpoints.
//!
//! ```text
//!   training folder ─► Examples ─► Part (mindeye | low-level) ─► losses ─► AdamW ─► checkpoint folder
//!   betas, targets     z-scored     networks of libtorch                            weights, golden answers, log, report
//! ```
//! Everything that needs libtorch is in [`learning`] (feature `libtorch`); lists of tensors, schedules, random draws,
//! files and reports are plain Rust. Types of `tch` appear in no other crate.
//!
//! Deliberately absent: sessions of compiled networks, sockets, the teachers and picture encoders whose features are
//! input files.

pub mod checkpoint;
mod error;
mod examples;
#[cfg(feature = "libtorch")]
pub mod learning;
mod mixing;
pub mod networks;
mod random;
mod report;
mod schedule;
pub mod training_folder;

pub use error::{CONVERSION, TrainError};
pub use examples::{Example, Examples};
pub use mixing::Mixing;
pub use random::Draws;
pub use report::{EpochRow, Facts, Log, training_report};
pub use schedule::{CyclePoint, OneCycle, Phase, cosine_alphas_cumprod};
