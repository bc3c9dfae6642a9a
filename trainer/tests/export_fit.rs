//! From `fit` to a bundle: every participant's front-end becomes a graph that gives the trainer's golden answers.
#![cfg(feature = "libtorch")]

#[path = "learning_support/mod.rs"]
mod support;

use mindeye_config::{EngineConfig, ManualClock, Precision};
use mindeye_decode::{Bundle, Decoder, FrontEnd, FrontEndFit};
use mindeye_exporter::bundle::{FromCheckpoint, checkpoint_bundle};
use mindeye_exporter::networks::Dialect;
use mindeye_preprocess::{Grid, Mask, VoxelType, write_volume};
use mindeye_trainer::calibrate::RidgeCheckpoint;
use std::fs;
use std::path::Path;
use support::{TRAIN, VOXELS, assert_done, command, folder, participant, runs};

/// Lays mask, reference and recipe beside the betas of `voxels` voxels.
fn complete(data: &Path, voxels: u32) {
    let affine = [[2.0, 0.0, 0.0, -5.0], [0.0, 2.0, 0.0, -5.0], [0.0, 0.0, 2.0, -5.0], [0.0, 0.0, 0.0, 1.0]];
    let grid = Grid { dim: [8, 8, 8], affine };
    Mask::from_voxels(grid.clone(), (10..10 + voxels).collect()).unwrap().write(&data.join("mask.nii.gz")).unwrap();
    write_volume(&data.join("reference.nii.gz"), &grid, VoxelType::Int16, &[1; 1024]).unwrap();
    fs::write(data.join("preprocess.toml"), include_str!("../../config/preprocess/demo.toml")).unwrap();
    let estimator = format!(
        "beta_unit = \"percent-signal-change\"\n[estimator]\n{}",
        toml::to_string(&recipe().estimator()).unwrap()
    );
    fs::write(data.join("dataset.toml"), estimator).unwrap();
}

fn recipe() -> mindeye_config::PreprocessConfig {
    mindeye_config::from_toml(include_str!("../../config/preprocess/demo.toml"), Path::new("demo")).unwrap()
}

#[test]
fn every_participant_of_a_ridge_start_becomes_a_bundle_that_gives_the_trainer_s_answers() {
    let engine = || mindeye_engine::start(&EngineConfig { threads: 1, ..EngineConfig::default() });
    if let Err(error) = engine() {
        eprintln!("skipped: {error}");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    complete(&folder(home), VOXELS as u32);
    complete(&participant(home, "second", TRAIN, 31, 2), 31);
    let fit =
        ["fit", "--data", "data", "--data", "second", "--model", "model.toml", "--start", "ridge", "--out", "out"];
    assert_done(&command(home, &[&fit[..], &["--epochs", "6", "--batch", "8"]].concat()).output().unwrap());
    let checkpoint = home.join("out");
    for (subject, voxels) in [(0, VOXELS), (1, 31)] {
        let out = home.join(format!("bundle{subject}"));
        let from = FromCheckpoint {
            checkpoint: &checkpoint,
            renderer: None,
            gallery: None,
            precision: Precision::Fp32,
            dialect: Dialect::Portable,
            subject: Some(subject),
        };
        // The exporter holds the graph to the trainer's golden case through ONNX Runtime before the bundle appears.
        let manifest = checkpoint_bundle(&from, &out, &mut |_| {}).unwrap();
        assert!(manifest.note.contains("backbone the trainer's"), "{}", manifest.note);
        assert_eq!(manifest.dimensions.voxels, voxels);
        let bundle = Bundle::open(&out).unwrap();
        bundle.check_estimator().unwrap();
        let (_, report) = Decoder::warm_up(&bundle, engine().unwrap(), ManualClock::new()).unwrap();
        assert!(report.parity_checked(), "{report}");
    }
    let bundle = Bundle::open(&home.join("bundle1")).unwrap();
    for (name, kind) in [("direct", &["--direct"][..]), ("shared", &["--new-shared-space", "12"])] {
        runs(home, &[&["calibrate", "--data", "second", "--out", name], kind].concat());
        a_calibration_answers_in_decode_as_in_the_trainer(&home.join(name), &bundle);
    }
    let first = Bundle::open(&home.join("bundle0")).unwrap();
    let error = FrontEnd::open(&home.join("direct"), &FrontEndFit::of(&first)).unwrap_err().to_string();
    assert!(error.contains("mask.nii.gz: number of voxels 31, the bundle has 40"), "{error}");
}

fn a_calibration_answers_in_decode_as_in_the_trainer(folder: &Path, bundle: &Bundle) {
    let (trainer, served) =
        (RidgeCheckpoint::open(folder).unwrap(), FrontEnd::open(folder, &FrontEndFit::of(bundle)).unwrap());
    assert_eq!(*served.zscore, trainer.zscore);
    let mut draws = mindeye_trainer::Draws::new(5, 0, "patterns");
    let patterns = ndarray::Array2::from_shape_simple_fn((4, 31), || draws.normal() as f32);
    let expected = trainer.tokens(patterns.view()).unwrap();
    for (pattern, expected) in patterns.outer_iter().zip(expected.outer_iter()) {
        let found = served.tokens(&pattern.to_vec());
        let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs() / (1.0 + b.abs())).fold(0.0, f32::max);
        // 1e-4, the bundle's own tolerance: sums of some dozens of float32 products, much larger than what is left of them,
        // in another order.
        assert!(off < 1e-4, "{}: {off:.2e}", folder.display());
    }
}
