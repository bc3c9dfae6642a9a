//! Bundles: networks, goldens, gallery and recipe in one folder, listed with their digests in `manifest.toml`.

mod carried;
mod checkpoint;
mod gallery;
mod golden;
mod loop_graphs;
mod manifest;
mod parts;
mod planted;
mod random_init;
mod runtime;
mod sizes;
mod written;

pub use checkpoint::{FromCheckpoint, checkpoint_bundle};
pub use golden::{GoldenCase, golden_case, golden_input};
pub use loop_graphs::write_loop_graphs;
pub use random_init::{RandomInit, random_init_bundle, random_init_bundle_with_progress};
pub(crate) use random_init::{checked_sizes, digest_of_seed};
pub use sizes::{Size, Sizes};
