//! Bundles: networks, goldens, gallery and recipe in one folder, listed with their digests in `manifest.toml`.

mod golden;
mod manifest;
mod planted;
mod random_init;
mod sizes;

pub use golden::{GoldenCase, golden_case, golden_input};
pub use random_init::{RandomInit, random_init_bundle, random_init_bundle_with_progress};
pub use sizes::Sizes;
