//! A build without libtorch says what is lacking, and how to get it.
#![cfg(not(feature = "libtorch"))]

#[path = "learning_support/mod.rs"]
mod support;

use support::{assert_refused, fit, folder};

#[test]
fn fit_names_the_remedy_and_bad_flags_come_first() {
    let home = tempfile::tempdir().unwrap();
    folder(home.path());
    let remedy = "run `cargo xtask setup --with trainer`, then build with `--features libtorch`";
    assert_refused(&fit(home.path(), "out", &[]), 69, &["has no libtorch", remedy]);
    assert_refused(&fit(home.path(), "out", &["--training", "none"]), 64, &["`none` is neither a file nor one of"]);
    assert!(!home.path().join("out").exists());
}
