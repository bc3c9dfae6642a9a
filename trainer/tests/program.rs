//! `calibrate` and `evaluate` from the command line: planted signal is found, noise is not, leaks are refused.

mod support;

use mindeye_trainer::calibrate::RidgeCheckpoint;
use mindeye_trainer::training_folder::TrainingFolder;
use serde_json::Value;
use std::path::{Path, PathBuf};
use support::{fails, noise, participant, succeeds};

struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn at(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn participant(&self, name: &str, seed: u64, noise_level: f32) -> String {
        participant(&self.path(name), seed, noise_level);
        self.at(name)
    }

    fn calibrate(&self, data: &str, out: &str, more: &[&str]) -> Value {
        let out = self.at(out);
        let answer = succeeds(&[&["calibrate", "--data", data, "--out", &out, "--json"], more].concat());
        serde_json::from_str(&answer).unwrap()
    }

    fn evaluate(&self, checkpoint: &str, data: &str, more: &[&str]) -> Value {
        let (checkpoint, out) = (self.at(checkpoint), self.at("report.json"));
        let base = ["evaluate", "--checkpoint", &checkpoint, "--data", data, "--split", "test", "--out", &out];
        succeeds(&[&base, more].concat());
        serde_json::from_str(&std::fs::read_to_string(out).unwrap()).unwrap()
    }
}

fn number(value: &Value, pointer: &str) -> f64 {
    value.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer} in {value}"))
}

const AVERAGED: &str = "/repeats_averaged/image_retrieval/centred";

#[test]
fn a_planted_signal_is_found_both_ways_and_repeats_help() {
    let home = Home::new();
    let data = home.participant("data", 7, 2.0);
    let calibration = home.calibrate(&data, "ridge", &["--direct"]);
    assert_eq!((number(&calibration, "/trials"), number(&calibration, "/images")), (80.0, 40.0));
    let report = home.evaluate("ridge", &data, &[]);
    let top1 = |brains: &str, direction: &str| number(&report, &format!("/{brains}/{direction}/centred/top1/value"));
    for direction in ["image_retrieval", "brain_retrieval"] {
        // Chance is 0.05; the planted signal is strong enough that half of the images are found.
        assert!(top1("repeats_averaged", direction) > 0.5, "{report}");
        assert!(top1("repeats_averaged", direction) >= top1("single_trial", direction), "{direction}");
    }
    assert!(number(&report, &format!("{AVERAGED}/permutation_null/p")) <= 0.001);
    assert_eq!(number(&report, &format!("{AVERAGED}/pool_size")), 20.0);
    assert_eq!(number(&report, &format!("{AVERAGED}/chance")), 0.05);
    assert_eq!(number(&report, "/trials"), 40.0);
    assert_eq!(report["unknown_provenance"], serde_json::json!(["mask", "normalisation"]));
    let page = std::fs::read_to_string(home.path("report.html")).unwrap();
    assert!(page.contains("repeats_averaged.image_retrieval.centred") && page.contains("<svg"));
}

#[test]
fn pure_noise_is_at_chance() {
    let home = Home::new();
    let data = home.participant("data", 7, 1e4);
    home.calibrate(&data, "ridge", &["--direct"]);
    let report = home.evaluate("ridge", &data, &["--permutations", "200"]);
    // Chance 0.05 of 20: four or more right answers of 20 come in 1.6 % of such test sets; the seeds here are fixed.
    assert!(number(&report, &format!("{AVERAGED}/top1/value")) < 0.2, "{report}");
    assert!(number(&report, &format!("{AVERAGED}/permutation_null/p")) > 0.01);
}

#[test]
fn a_second_participant_goes_into_the_first_ones_space() {
    let home = Home::new();
    let (first, second) = (home.participant("first", 7, 2.0), home.participant("second", 99, 2.0));
    home.calibrate(&first, "space", &["--new-shared-space", "20"]);
    let space = home.at("space");
    home.calibrate(&second, "joined", &["--checkpoint", &space]);
    let decoder = |name: &str| std::fs::read(home.path(name).join("shared.safetensors")).unwrap();
    assert_eq!(decoder("space"), decoder("joined"), "one decoder for both");
    let report = home.evaluate("joined", &second, &[]);
    assert!(number(&report, &format!("{AVERAGED}/top1/value")) > 0.5, "{report}");
    let checkpoint = RidgeCheckpoint::open(&home.path("joined")).unwrap();
    assert_eq!((checkpoint.ridge.outputs(), checkpoint.facts.token_shape().outputs()), (20, 24));
    home.calibrate(&second, "direct", &["--direct"]);
    let direct = home.at("direct");
    let message = fails(65, &["calibrate", "--data", &second, "--out", &home.at("x"), "--checkpoint", &direct]);
    assert!(message.contains("kind is `direct`") && message.contains("--new-shared-space"), "{message}");
}

#[test]
fn test_trials_change_nothing_in_a_checkpoint() {
    let home = Home::new();
    let data = home.participant("data", 7, 2.0);
    home.calibrate(&data, "before", &["--direct", "--least-reliability", "0.1"]);
    let mut voxels: ndarray::Array2<f32> = ndarray_npy::read_npy(home.path("data/voxels.npy")).unwrap();
    (0..120).filter(|trial| trial % 60 >= 40).for_each(|trial| voxels.row_mut(trial).mapv_inplace(|v| 3.0 * v + 5.0));
    ndarray_npy::write_npy(home.path("data/voxels.npy"), &voxels).unwrap();
    home.calibrate(&data, "after", &["--direct", "--least-reliability", "0.1"]);
    for file in ["ridge.safetensors", "zscore.safetensors", "ridge.toml", "train_images.txt"] {
        let read = |name: &str| std::fs::read(home.path(name).join(file)).unwrap();
        assert_eq!(read("before"), read("after"), "{file}");
    }
}

#[test]
fn saved_predictions_are_measured_like_the_model_that_made_them() {
    let home = Home::new();
    let data = home.participant("data", 7, 2.0);
    home.calibrate(&data, "ridge", &["--direct"]);
    let own = home.evaluate("ridge", &data, &[]);
    let checkpoint = RidgeCheckpoint::open(&home.path("ridge")).unwrap();
    let folder = TrainingFolder::open(Path::new(&data)).unwrap();
    let rows: Vec<usize> = (0..120).filter(|trial| trial % 60 >= 40).collect();
    let z = mindeye_trainer::training_folder::zscored_rows(folder.voxels(), &rows, &checkpoint.zscore).unwrap();
    let tokens = checkpoint.tokens(z.view()).unwrap();
    ndarray_npy::write_npy(home.path("tokens.npy"), &tokens).unwrap();
    let (tokens, out, other) = (home.at("tokens.npy"), home.at("saved.json"), home.at("report.json"));
    succeeds(&["evaluate", "--predictions", &tokens, "--data", &data, "--out", &out, "--against", &other]);
    let saved: Value = serde_json::from_str(&std::fs::read_to_string(out).unwrap()).unwrap();
    for brains in ["single_trial", "repeats_averaged"] {
        assert_eq!(own[brains]["image_retrieval"], saved[brains]["image_retrieval"], "{brains}");
    }
    assert_eq!(number(&saved, "/minus_other/single_trial.image_retrieval.raw/value"), 0.0);

    ndarray_npy::write_npy(home.path("short.npy"), &noise(1, 39, 24)).unwrap();
    let short = home.at("short.npy");
    let message = fails(65, &["evaluate", "--predictions", &short, "--data", &data, "--out", &other]);
    assert!(message.contains("must be [40 test trials, 8, 3], found [39, 24]"), "{message}");
}

#[test]
fn what_saw_test_trials_is_refused_unless_allowed() {
    let home = Home::new();
    let data = home.participant("data", 7, 2.0);
    home.calibrate(&data, "ridge", &["--direct"]);
    let (ridge, out) = (home.at("ridge"), home.at("leak.json"));
    let evaluate = ["evaluate", "--checkpoint", &ridge, "--data", &data, "--out", &out];
    let facts = home.path("ridge/ridge.toml");
    let clean = std::fs::read_to_string(&facts).unwrap();
    let images = std::fs::read_to_string(home.path("ridge/train_images.txt")).unwrap();
    let zscore = std::fs::read(home.path("ridge/zscore.safetensors")).unwrap();

    std::fs::write(&facts, clean.replace("chosen_on = \"train\"", "chosen_on = \"all\"")).unwrap();
    assert!(fails(65, &evaluate).contains("the choice of alpha or epoch of the checkpoint saw test trials"));
    std::fs::write(&facts, clean).unwrap();
    std::fs::write(home.path("ridge/train_images.txt"), images.clone() + "img55\n").unwrap();
    assert!(fails(65, &evaluate).contains("learned from 1 of the 20 test images, first `img55`"));
    std::fs::write(home.path("ridge/train_images.txt"), images).unwrap();
    let folder = TrainingFolder::open(Path::new(&data)).unwrap();
    let all: Vec<usize> = (0..120).collect();
    let of_all = mindeye_trainer::training_folder::fit_zscore(&folder, &all).unwrap();
    of_all.write(&home.path("ridge/zscore.safetensors")).unwrap();
    assert!(fails(65, &evaluate).contains("zscore.safetensors has the mean and SD of all trials"));
    succeeds(&[&evaluate[..], &["--allow-leakage"]].concat());
    let report: Value = serde_json::from_str(&std::fs::read_to_string(&out).unwrap()).unwrap();
    assert_eq!(report["leakage"][0]["leak"], "zscore");
    std::fs::write(home.path("ridge/zscore.safetensors"), zscore).unwrap();

    let trials = std::fs::read_to_string(home.path("data/trials.tsv")).unwrap();
    let cases = [
        ("100\timg40\ttest", "100\timg40\ttrain", "1 images are in the split `train` and in `test`, first `img40`"),
        (
            "61\timg01\ttrain\tses1",
            "1\timg01\ttrain\tses0",
            "rows 1 and 61 are the same trial (session ses0, run run-1, trial 1)",
        ),
    ];
    for (from, to, expected) in cases {
        std::fs::write(home.path("data/trials.tsv"), trials.replace(from, to)).unwrap();
        let message = fails(65, &evaluate);
        assert!(message.contains(expected), "{message} should say {expected}");
    }
    std::fs::write(home.path("data/trials.tsv"), &trials).unwrap();
    let mut voxels: ndarray::Array2<f32> = ndarray_npy::read_npy(home.path("data/voxels.npy")).unwrap();
    let copy = voxels.row(3).to_owned();
    voxels.row_mut(45).assign(&copy);
    ndarray_npy::write_npy(home.path("data/voxels.npy"), &voxels).unwrap();
    assert!(fails(65, &evaluate).contains("rows 3 and 45 are the same trial (equal betas), train and test"));
}

#[test]
fn reconstructions_are_scored_against_the_pictures() {
    let home = Home::new();
    let data = home.participant("data", 7, 2.0);
    home.calibrate(&data, "ridge", &["--direct"]);
    std::fs::create_dir(home.path("data/images")).unwrap();
    std::fs::create_dir(home.path("made")).unwrap();
    for image in 40..60 {
        let values = noise(image, 3, 64);
        let pixel = |x: u32, y: u32| {
            let at = (8 * y + x) as usize;
            image::Rgb([0, 1, 2].map(|c| (127.0 + 100.0 * values[[c, at]]) as u8))
        };
        let picture = image::RgbImage::from_fn(8, 8, pixel);
        picture.save(home.path(&format!("data/images/img{image}.png"))).unwrap();
        picture.save(home.path(&format!("made/img{image}.png"))).unwrap();
    }
    let made = home.at("made");
    let report = home.evaluate("ridge", &data, &["--reconstructions", &made]);
    for metric in ["pixcorr", "ssim"] {
        // 1e-9: a picture against itself.
        assert!((number(&report, &format!("/reconstruction/{metric}/value")) - 1.0).abs() < 1e-9);
    }
    std::fs::remove_file(home.path("made/img47.png")).unwrap();
    let (ridge, out) = (home.at("ridge"), home.at("r.json"));
    let message =
        fails(65, &["evaluate", "--checkpoint", &ridge, "--data", &data, "--out", &out, "--reconstructions", &made]);
    assert!(message.contains("img47.png"), "{message}");
}

#[test]
fn bad_input_is_refused_by_name_with_the_right_status_and_leaves_nothing() {
    let home = Home::new();
    let data = home.participant("data", 7, 2.0);
    let out = home.at("out");
    let direct = ["calibrate", "--direct", "--data", &data, "--out", &out];
    let refuses = |expected: &str| {
        let message = fails(65, &direct);
        assert!(message.contains(expected), "{message} should say {expected}");
        assert!(!Path::new(&out).exists());
    };
    assert!(fails(64, &["calibrate", "--data", &data, "--out", &out]).contains("--checkpoint"));
    assert!(fails(64, &["calibrate", "--direct", "--data", "/no/folder", "--out", &out]).contains("no such folder"));
    assert!(fails(64, &["calibrate", "--direct", "--data", &data, "--out", &data]).contains("exists already"));
    let voxels: ndarray::Array2<f32> = ndarray_npy::read_npy(home.path("data/voxels.npy")).unwrap();
    let mut lost = voxels.clone();
    lost[[3, 4]] = f32::NAN;
    ndarray_npy::write_npy(home.path("data/voxels.npy"), &lost).unwrap();
    refuses("voxels.npy: row 3, column 4 is NaN");
    ndarray_npy::write_npy(home.path("data/voxels.npy"), &voxels.slice(ndarray::s![..119, ..]).to_owned()).unwrap();
    refuses("must be [trials, voxels] with the 120 trials of trials.tsv, found [119, 50]");
    ndarray_npy::write_npy(home.path("data/voxels.npy"), &voxels.mapv(f64::from)).unwrap();
    refuses("must be a little-endian float32 array");
    ndarray_npy::write_npy(home.path("data/voxels.npy"), &voxels).unwrap();
    ndarray_npy::write_npy(home.path("data/targets.npy"), &noise(1, 59, 24)).unwrap();
    refuses("must be [images, T, D] with the 60 images of trials.tsv, found [59, 24]");
    std::fs::remove_file(home.path("data/targets.npy")).unwrap();
    refuses("targets.npy: no such file");
    let trials = std::fs::read_to_string(home.path("data/trials.tsv")).unwrap();
    std::fs::write(home.path("data/trials.tsv"), trials.replace("\ttrain\t", "\tvalidation\t")).unwrap();
    refuses("no trial has the split `train` (of 120 trials)");
}

#[test]
fn zscores_are_made_for_every_lag_at_which_there_are_betas() {
    let home = Home::new();
    let data = home.participant("data", 7, 2.0);
    let late: ndarray::Array2<f32> = ndarray_npy::read_npy(home.path("data/voxels.npy")).unwrap();
    // An early estimate is the late one, five times as large and off by 3.
    let early = late.mapv(|beta| 5.0 * beta + 3.0);
    let by_lag = ndarray::stack(ndarray::Axis(0), &[early.view(), late.view()]).unwrap();
    ndarray_npy::write_npy(home.path("data/voxels_by_lag.npy"), &by_lag).unwrap();
    let error = fails(65, &["calibrate", "--direct", "--data", &data, "--out", &home.at("x")]);
    assert!(error.contains("voxels_by_lag.npy: must be [lags, trials, voxels]"), "{error}");

    let recipe: mindeye_config::PreprocessConfig =
        mindeye_config::from_toml(include_str!("../../config/preprocess/demo.toml"), Path::new("demo")).unwrap();
    let recipe = mindeye_config::PreprocessConfig { revision_lags_s: vec![4.5, 7.5], ..recipe };
    let facts = format!("beta_unit = \"none\"\n[estimator]\n{}", toml::to_string(&recipe.estimator()).unwrap());
    std::fs::write(home.path("data/dataset.toml"), facts).unwrap();
    home.calibrate(&data, "ridge", &["--direct"]);
    let table = mindeye_preprocess::ZscoreTable::read(&home.path("ridge/zscore.safetensors")).unwrap();
    assert_eq!(table.lags_s(), [4.5, 7.5]);
    for voxel in 0..table.voxels() {
        let (early, late) = ((table.mean(0)[voxel], table.sd(0)[voxel]), (table.mean(1)[voxel], table.sd(1)[voxel]));
        // 1e-4: betas of some hundreds in float32.
        assert!((early.0 - (5.0 * late.0 + 3.0)).abs() < 1e-4 * early.0.abs(), "{voxel}: {early:?} {late:?}");
        assert!((early.1 - 5.0 * late.1).abs() < 1e-4 * early.1, "{voxel}: {early:?} {late:?}");
    }
    ndarray_npy::write_npy(home.path("data/voxels_by_lag.npy"), &(by_lag + 1.0)).unwrap();
    let error = fails(65, &["calibrate", "--direct", "--data", &data, "--out", &home.at("x")]);
    assert!(error.contains("the betas of its last lag are not those of voxels.npy"), "{error}");
}
