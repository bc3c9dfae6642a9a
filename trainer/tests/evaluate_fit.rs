//! What `fit` made, measured: by libtorch and by its exported graph, several seeds as one, participants each for themselves.
#![cfg(feature = "libtorch")]

mod learning_support;

use learning_support::{TRAIN, assert_done, assert_refused, command, curve, fit, folder, participant, runs};
use mindeye_exporter::{GraphRequest, export_graph};
use mindeye_trainer::evaluate::{FittedCheckpoint, FittedRequest, TokenChoice};
use ndarray::Array2;
use serde_json::Value;
use std::fs;
use std::path::Path;

fn report(home: &Path, name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(home.join(name)).unwrap()).unwrap()
}

fn number(value: &Value, pointer: &str) -> f64 {
    value.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer} in {value}"))
}

const AVERAGED: &str = "/repeats_averaged/image_retrieval/centred";

#[test]
fn trainings_that_differ_by_their_seed_are_measured_as_one_beside_a_ridge() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    folder(home);
    for seed in ["1", "2", "3"] {
        assert_done(&fit(home, &format!("s{seed}"), &["--epochs", "10", "--start", "ridge", "--seed", seed]));
    }
    runs(home, &["calibrate", "--direct", "--data", "data", "--out", "ridge"]);
    let small = ["--permutations", "50", "--data", "data"];
    runs(home, &[&["evaluate", "--checkpoint", "ridge", "--out", "ridge.json"], &small[..]].concat());
    let seeds = ["--checkpoint", "s1", "--checkpoint", "s2", "--checkpoint", "s3"];
    let more = ["--against", "ridge.json", "--out", "fit.json"];
    runs(home, &[&["evaluate"], &seeds[..], &small, &more].concat());

    let found = report(home, "fit.json");
    let models = found["models"].as_array().unwrap();
    let top1 = |model: &Value| number(model, "/top1/repeats_averaged.image_retrieval.centred");
    let each: Vec<f64> = models.iter().map(top1).collect();
    let mean = each.iter().sum::<f64>() / 3.0;
    assert_eq!(each.len(), 3);
    // 1e-12: sums of three fractions in another order.
    assert!((number(&found, &format!("{AVERAGED}/top1/value")) - mean).abs() < 1e-12, "{each:?}");
    assert!(number(&found, &format!("{AVERAGED}/sd_over_models")) >= 0.0);
    let (ours, theirs) = (mean, number(&report(home, "ridge.json"), &format!("{AVERAGED}/top1/value")));
    let difference = number(&found, "/minus_other/repeats_averaged.image_retrieval.centred/value");
    assert!((difference - (ours - theirs)).abs() < 1e-12, "{difference} of {ours} and {theirs}");
    assert_eq!(found["leakage"], serde_json::json!([]));
    assert!(fs::read_to_string(home.join("fit.html")).unwrap().contains("mean of 3 trainings"));
}

#[test]
fn a_network_that_learned_from_test_images_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let data = folder(home);
    assert_done(&fit(home, "out", &["--epochs", "1"]));
    let table = fs::read_to_string(data.join("trials.tsv")).unwrap();
    fs::write(data.join("trials.tsv"), table.replace("image003\ttrain", "image003\ttest")).unwrap();
    let evaluate = ["evaluate", "--checkpoint", "out", "--data", "data", "--out", "r.json"];
    let refused = command(home, &evaluate).output().unwrap();
    assert_refused(&refused, 65, &["learned from 1 of the 5 test images, first `image003`"]);
    runs(home, &[&evaluate[..], &["--allow-leakage"]].concat());
    assert_eq!(report(home, "r.json")["leakage"][0]["leak"], "learned");

    fs::write(data.join("dataset.toml"), "beta_unit = \"none\"\n[provenance]\nmask_chosen_with = \"all\"\n").unwrap();
    assert_refused(&fit(home, "x", &["--epochs", "1"]), 65, &["the mask of dataset.toml saw test trials"]);
    assert_done(&fit(home, "x", &["--epochs", "1", "--allow-leakage"]));
}

#[test]
fn libtorch_and_the_exported_graph_give_the_same_tokens() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    folder(home);
    assert_done(&fit(home, "out", &["--epochs", "2"]));
    let (checkpoint, graph) = (home.join("out"), home.join("backbone.onnx"));
    export_graph(&GraphRequest::new("backbone", &checkpoint, &graph)).unwrap();
    let open = |graph| {
        let (participant, tokens) = (0, TokenChoice::Projector);
        FittedCheckpoint::open(FittedRequest { checkpoint: &checkpoint, participant, tokens, graph, device: "cpu" })
    };
    let mut torch = open(None).unwrap();
    let mut onnx = match open(Some(graph.as_path())) {
        Err(error) if error.exit() == mindeye_config::Exit::Unavailable => {
            eprintln!("skipped: {error}");
            return;
        }
        opened => opened.unwrap(),
    };
    let mut draws = mindeye_trainer::Draws::new(3, 0, "patterns");
    let patterns = Array2::from_shape_simple_fn((5, learning_support::VOXELS), || draws.normal() as f32);
    let (ours, theirs) = (torch.tokens(patterns.view()).unwrap(), onnx.tokens(patterns.view()).unwrap());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let off = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs() / (1.0 + b.abs())).fold(0.0, f32::max);
        // 1e-4, the bundle's own tolerance: two libraries in float32.
        assert!(off < 1e-4, "{off:.2e}");
    }
}

#[test]
fn participants_of_different_masks_share_a_model_and_are_measured_each_for_themselves() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    folder(home);
    participant(home, "second", TRAIN, 31, 2);
    let both = ["fit", "--data", "data", "--data", "second", "--model", "model.toml", "--epochs", "10", "--batch", "8"];
    let ridge = |out| [&both[..], &["--start", "ridge", "--out", out]].concat();
    runs(home, &ridge("out"));
    let header = &curve(home, "out", "mindeye")[0];
    assert!(
        header.ends_with(
            "val_gate,val_image_retrieval_0,val_brain_retrieval_0,val_image_retrieval_1,val_brain_retrieval_1"
        ),
        "{header}"
    );
    for file in ["zscore.safetensors", "golden.safetensors", "training_record.toml", "train_images.txt"] {
        assert!(home.join("out/participants/1").join(file).is_file(), "{file}");
    }
    for (number, data) in [("0", "data"), ("1", "second")] {
        let tokens = ["--tokens", "backbone", "--participant", number];
        runs(home, &[&["evaluate", "--checkpoint", "out", "--data", data, "--out", "r.json"], &tokens[..]].concat());
        // Four test images, chance 0.25; voxels are a linear image of tokens and a little noise, and the start is a ridge.
        assert!(number_at(home) >= 0.75, "participant {number}: {}", number_at(home));
    }
    // Paused and gone on with is the same training.
    runs(home, &[&ridge("cut")[..], &["--pause-after", "4"]].concat());
    runs(home, &[&ridge("cut")[..], &["--resume"]].concat());
    assert_eq!(
        fs::read(home.join("out/model.safetensors")).unwrap(),
        fs::read(home.join("cut/model.safetensors")).unwrap()
    );

    let refuse = |status, parts: &[&str], more: &[&str]| {
        let refused = command(home, &[&both[..], &["--out", "x"], more].concat()).output().unwrap();
        assert_refused(&refused, status, parts);
    };
    refuse(64, &["mindeye1 has no front-ends for 2 participants; --start ridge has"], &[]);
    refuse(64, &["2 folders", "one participant's"], &["--part", "low-level"]);
    let wrong = ["evaluate", "--checkpoint", "out", "--participant", "2", "--data", "data", "--out", "r.json"];
    assert_refused(&command(home, &wrong).output().unwrap(), 64, &["participants/2", "no such file or folder"]);

    // What one keeps for testing, the other may not learn from: they share the model.
    let table = fs::read_to_string(home.join("second/trials.tsv")).unwrap();
    fs::write(home.join("second/trials.tsv"), table.replace("image003\ttrain", "image003\ttest")).unwrap();
    refuse(65, &["image `image003` is test here and train in data/trials.tsv"], &["--start", "ridge"]);
}

fn number_at(home: &Path) -> f64 {
    number(&report(home, "r.json"), &format!("{AVERAGED}/top1/value"))
}

#[test]
fn a_further_participant_is_calibrated_into_the_trained_model_in_closed_form() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    folder(home);
    participant(home, "second", TRAIN, 31, 2);
    participant(home, "third", TRAIN, 50, 3);
    let both = ["fit", "--data", "data", "--data", "second", "--model", "model.toml", "--epochs", "10", "--batch", "8"];
    runs(home, &[&both[..], &["--start", "ridge", "--out", "shared"]].concat());
    runs(home, &["calibrate", "--checkpoint", "shared", "--data", "third", "--out", "third-in-shared"]);
    let tokens = ["--tokens", "backbone", "--checkpoint", "third-in-shared"];
    runs(home, &[&["evaluate", "--data", "third", "--out", "r.json"], &tokens[..]].concat());
    // Four test images, chance 0.25; voxels are a linear image of tokens and a little noise.
    assert!(number_at(home) >= 0.75, "{}", number_at(home));
    // The shared part is the trained one, byte for byte, and the exporter reads the whole strictly.
    let read = |checkpoint: &str| {
        let bytes = fs::read(home.join(checkpoint).join("model.safetensors")).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let own = file.tensors().into_iter().filter(|(key, _)| !key.starts_with("voxel2clip.ridge."));
        own.map(|(key, view)| (key, view.data().to_vec())).collect::<std::collections::BTreeMap<_, _>>()
    };
    assert!(read("shared") == read("third-in-shared"));
    let (checkpoint, graph) = (home.join("third-in-shared"), home.join("third.onnx"));
    let report = export_graph(&GraphRequest::new("backbone", &checkpoint, &graph)).unwrap();
    assert_eq!(report.inputs[0].shape, [1, 50]);
    assert!(home.join("third-in-shared/ridge.safetensors").is_file(), "the dual form is kept");
    let images = fs::read_to_string(home.join("third-in-shared/train_images.txt")).unwrap();
    assert!(images.lines().any(|image| image == "image024"), "what the shared model was validated on counts as seen");

    assert_done(&fit(home, "mindeye1", &["--epochs", "1"]));
    let refused = ["calibrate", "--checkpoint", "mindeye1", "--data", "third", "--out", "x"];
    assert_refused(&command(home, &refused).output().unwrap(), 65, &["a shared space comes from `fit --start ridge`"]);
}
