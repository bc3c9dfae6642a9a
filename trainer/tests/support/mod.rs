//! Runs the program and looks at its status and its one line; makes training folders small enough to think about.
#![allow(dead_code, reason = "each test file uses its part")]

use mindeye_trainer::ridge::product;
use ndarray::Array2;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mindeye-train")).args(arguments).output().unwrap()
}

/// Runs to status 0; what it said on standard output.
pub(crate) fn succeeds(arguments: &[&str]) -> String {
    let output = run(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs to `status`; the one line that it said on standard error.
pub(crate) fn fails(status: u8, arguments: &[&str]) -> String {
    let output = run(arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(i32::from(status)), "{arguments:?}: {error}");
    error
}

/// Numbers in -1..1 that look random and are always the same.
pub(crate) fn noise(seed: u64, rows: usize, columns: usize) -> Array2<f32> {
    let mut draws = mindeye_decode::metrics::Draws::new(seed);
    Array2::from_shape_fn((rows, columns), |_| (draws.bits() as f64 / 2f64.powi(63) - 1.0) as f32)
}

/// A participant: 60 images, two presentations each, 50 voxels that see 8 tokens of 3 numbers through a matrix of their
/// own. The last 20 images are for testing.
pub(crate) fn participant(folder: &Path, seed: u64, noise_level: f32) {
    const IMAGES: usize = 60;
    let (targets, sees) = (noise(1, IMAGES, 24), noise(seed, 24, 50));
    let seen = product(as_faer(&targets), as_faer(&sees));
    let measured = noise(seed + 1, 2 * IMAGES, 50) * noise_level;
    let voxels = Array2::from_shape_fn((2 * IMAGES, 50), |(trial, voxel)| {
        // An offset and a gain of each voxel, which the z-score must take off.
        (1.0 + voxel as f32) * (seen[[trial % IMAGES, voxel]] + measured[[trial, voxel]]) + 40.0
    });
    std::fs::create_dir_all(folder).unwrap();
    let mut trials = String::from("trial\timage\tsplit\tsession\trun\n");
    for trial in 0..2 * IMAGES {
        let (image, session) = (trial % IMAGES, trial / IMAGES);
        let split = if image < 40 { "train" } else { "test" };
        trials.push_str(&format!("{trial}\timg{image:02}\t{split}\tses{session}\trun-1\n"));
    }
    std::fs::write(folder.join("trials.tsv"), trials).unwrap();
    std::fs::write(folder.join("dataset.toml"), "beta_unit = \"none\"\n").unwrap();
    ndarray_npy::write_npy(folder.join("voxels.npy"), &voxels).unwrap();
    let targets = targets.into_shape_with_order((IMAGES, 8, 3)).unwrap();
    ndarray_npy::write_npy(folder.join("targets.npy"), &targets).unwrap();
}

fn as_faer(x: &Array2<f32>) -> faer::MatRef<'_, f32> {
    faer::MatRef::from_row_major_slice(x.as_slice().unwrap(), x.nrows(), x.ncols())
}
