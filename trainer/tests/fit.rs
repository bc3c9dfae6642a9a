//! `mindeye-train fit` from folder to checkpoint: it learns, it can be killed, what it writes can be exported.
#![cfg(feature = "libtorch")]

#[path = "learning_support/mod.rs"]
mod support;

use mindeye_exporter::networks::{Choices, open};
use mindeye_exporter::reference::Array;
use mindeye_exporter::weights::Weights;
use std::fs;
use std::path::Path;
use std::time::Duration;
use support::{MODEL, assert_done, assert_refused, curve, fit, fit_command, folder, folder_of};

fn bytes(home: &Path, name: &str) -> Vec<u8> {
    fs::read(home.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The training's own numbers are the same: weights, state, log.
fn assert_same_training(home: &Path, one: &str, other: &str, part: &str, weights: &str) {
    assert_eq!(curve(home, one, part), curve(home, other, part));
    for name in [weights.to_owned(), "golden.safetensors".into(), format!("training/{part}/state.safetensors")] {
        assert!(bytes(home, &format!("{one}/{name}")) == bytes(home, &format!("{other}/{name}")), "{name} differs");
    }
}

#[test]
fn planted_answers_are_learned_and_the_checkpoint_is_complete() {
    let home = tempfile::tempdir().unwrap();
    folder_of(home.path(), 160);
    let options = "epochs = 30\n[optimiser]\nlearning_rate = 3e-3\n[dropout]\nfirst = 0.1\nblocks = 0.0\n";
    fs::write(home.path().join("training.toml"), options).unwrap();
    let output = fit(home.path(), "out", &["--training", "training.toml", "--json"]);
    assert_done(&output);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    // Chance is 1/8 in each direction; four hits or more of eight happen by chance in 1 of 90 tries, in both directions
    // in far fewer. A trainer whose pairs, gradients or z-scores are mixed up stays at chance.
    for direction in ["val_image_retrieval", "val_brain_retrieval"] {
        let retrieval = answer["last_epoch"][direction].as_f64().unwrap();
        assert!(retrieval >= 0.5, "{answer}");
    }
    let rows = curve(home.path(), "out", "mindeye");
    assert_eq!(rows.len(), 31, "a header and 30 epochs");
    for name in ["model.safetensors", "model.toml", "zscore.safetensors", "golden.safetensors"] {
        assert!(home.path().join("out").join(name).is_file(), "{name}");
    }
    let report = String::from_utf8(bytes(home.path(), "out/training/mindeye/report.html")).unwrap();
    assert!(report.contains("160 training images, 8 for validation, 40 voxels; 30 of 30 epochs done."), "{report}");
}

#[test]
fn the_ridge_start_chooses_its_gate_and_resumes_as_well() {
    let home = tempfile::tempdir().unwrap();
    folder_of(home.path(), 160);
    let flags = &["--start", "ridge", "--epochs", "3"][..];
    assert_done(&fit(home.path(), "whole", flags));
    assert_done(&fit(home.path(), "cut", &[flags, &["--pause-after", "1"]].concat()));
    assert_done(&fit(home.path(), "cut", &[flags, &["--resume"]].concat()));
    assert_same_training(home.path(), "whole", "cut", "mindeye", "model.safetensors");
    let header = &curve(home.path(), "whole", "mindeye")[0];
    assert!(header.ends_with(",val_gate"), "{header}");
    let other = fit(home.path(), "cut", &["--epochs", "3", "--resume"]);
    assert_refused(&other, 65, &["`start = \"mindeye1\"` now, `start = \"ridge\"` when it was begun"]);
}

#[test]
fn paused_and_resumed_is_the_same_training_with_every_option() {
    let home = tempfile::tempdir().unwrap();
    folder(home.path());
    let options = "epochs = 6\naccumulate = 2\nema_decay = 0.9\n[contrastive]\nmixco_target = \"clean\"\n";
    fs::write(home.path().join("training.toml"), options).unwrap();
    for (part, weights) in [("mindeye", "model.safetensors"), ("low-level", "low_level.safetensors")] {
        let flags = ["--part", part, "--training", "training.toml"];
        let (whole, cut) = (format!("whole-{part}"), format!("cut-{part}"));
        assert_done(&fit(home.path(), &whole, &flags));
        assert_done(&fit(home.path(), &cut, &[&flags[..], &["--pause-after", "3"]].concat()));
        assert_eq!(curve(home.path(), &cut, part).len(), 4);
        assert_done(&fit(home.path(), &cut, &[&flags[..], &["--resume"]].concat()));
        assert_same_training(home.path(), &whole, &cut, part, weights);
    }
}

#[test]
fn killed_and_resumed_is_the_same_training() {
    let home = tempfile::tempdir().unwrap();
    folder(home.path());
    let flags = ["--epochs", "40"];
    assert_done(&fit(home.path(), "whole", &flags));
    let mut child = fit_command(home.path(), "cut", &flags).stderr(std::process::Stdio::null()).spawn().unwrap();
    while curve(home.path(), "cut", "mindeye").len() < 4 && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap(); // SIGKILL
    child.wait().unwrap();
    let epochs = curve(home.path(), "cut", "mindeye").len() - 1;
    assert!(epochs < 40, "it was killed on the way");
    assert_done(&fit(home.path(), "cut", &["--epochs", "40", "--resume"]));
    assert_same_training(home.path(), "whole", "cut", "mindeye", "model.safetensors");
}

#[test]
fn a_disk_that_fills_leaves_the_last_checkpoint_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    folder(home.path());
    let flags = ["--epochs", "3"];
    assert_done(&fit(home.path(), "whole", &flags));
    assert_done(&fit(home.path(), "cut", &[&flags[..], &["--pause-after", "1"]].concat()));
    let files =
        ["model.safetensors", "golden.safetensors", "training/mindeye/state.safetensors", "training/mindeye/log.csv"];
    let all = || files.map(|name| bytes(home.path(), &format!("cut/{name}")));
    let before = all();
    // A limit of 4 KiB on the size of a file stands for the full disk: writing fails part of the way.
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$@\"";
    let fit_again = fit_command(home.path(), "cut", &["--epochs", "3", "--resume"]);
    let mut limited = std::process::Command::new("sh");
    limited.current_dir(home.path()).args(["-c", script, "sh"]).arg(fit_again.get_program()).args(fit_again.get_args());
    assert_refused(&limited.output().unwrap(), 1, &["safetensors: cannot be written, and what was there is as it was"]);
    assert!(all() == before, "nothing changed");
    assert_done(&fit(home.path(), "cut", &["--epochs", "3", "--resume"]));
    assert_same_training(home.path(), "whole", "cut", "mindeye", "model.safetensors");
}

#[test]
fn the_exporter_reads_the_checkpoint_and_gives_its_golden_answers() {
    let home = tempfile::tempdir().unwrap();
    folder(home.path());
    let out = home.path().join("out");
    assert_done(&fit(home.path(), "out", &["--epochs", "2"]));
    assert_done(&fit(home.path(), "out", &["--epochs", "2", "--part", "low-level"]));
    let golden = Weights::open(&out.join("golden.safetensors")).unwrap();
    for name in ["backbone", "prior", "low-level"] {
        let (weights, network) = open(name, &out, &Choices::default()).unwrap();
        let state = weights.fit(network.name(), &network.layout(), &network.set_aside()).unwrap();
        let number = |entry: &mindeye_config::TensorEntry| {
            let tensor = golden.float_tensor(&format!("{name}/{}", entry.name)).unwrap();
            Array::new(&entry.shape, tensor.values().map(f64::from).collect())
        };
        let inputs: Vec<Array> = network.inputs(1).iter().map(number).collect();
        let answers = network.reference(&state, &inputs);
        for (entry, answer) in network.outputs(1).iter().zip(answers) {
            let ours = number(entry);
            assert_eq!(ours.shape, answer.shape, "{name}/{}", entry.name);
            let off = ours.values.iter().zip(&answer.values).map(|(a, b)| (a - b).abs() / (1.0 + b.abs()));
            // 1e-4, the bundle's own tolerance: float32 here, float64 there.
            let off = off.fold(0.0, f64::max);
            assert!(off < 1e-4, "{name}/{}: {off:.2e}", entry.name);
        }
    }
}

#[test]
fn what_cannot_be_trained_on_is_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    let data = folder(home.path());
    let table = fs::read_to_string(data.join("trials.tsv")).unwrap();
    let refuse = |status, parts: &[&str], more: &[&str]| assert_refused(&fit(home.path(), "out", more), status, parts);

    fs::write(data.join("trials.tsv"), table.replace("\ttrain\t", "\ttest\t")).unwrap();
    refuse(65, &["trials.tsv", "no trial has the split `train`"], &[]);
    fs::write(data.join("trials.tsv"), &table).unwrap();

    let voxels: ndarray::Array2<f32> = ndarray_npy::read_npy(data.join("voxels.npy")).unwrap();
    let mut broken = voxels.clone();
    broken[[3, 5]] = f32::NAN;
    ndarray_npy::write_npy(data.join("voxels.npy"), &broken).unwrap();
    refuse(65, &["voxels.npy", "row 3", "column 5", "NaN"], &[]);
    ndarray_npy::write_npy(data.join("voxels.npy"), &voxels).unwrap();

    fs::write(home.path().join("model.toml"), MODEL.replace("tokens = 3", "tokens = 17")).unwrap();
    refuse(65, &["targets.npy", "[3, 8]", "[17, 8]"], &[]);
    fs::write(home.path().join("model.toml"), MODEL).unwrap();
    refuse(65, &["data", "two pictures"], &["--part", "vae"]);
    refuse(69, &["cuda:99"], &["--device", "cuda:99"]);
    fs::write(data.join("last.pth"), b"\x80\x02").unwrap();
    refuse(65, &["convert it offline"], &["--from", "data/last.pth"]);
    fs::remove_file(data.join("targets.npy")).unwrap();
    refuse(69, &["targets.npy", "not there"], &[]);
    fs::remove_file(data.join("latents.npy")).unwrap();
    refuse(69, &["latents.npy", "not there"], &["--part", "low-level"]);
}

#[test]
fn another_training_is_not_resumed_and_not_written_over() {
    let home = tempfile::tempdir().unwrap();
    folder(home.path());
    assert_done(&fit(home.path(), "out", &["--epochs", "2", "--pause-after", "1"]));
    assert_refused(&fit(home.path(), "out", &["--epochs", "2"]), 64, &["holds a training; add --resume"]);
    let other = fit(home.path(), "out", &["--epochs", "2", "--resume", "--seed", "5"]);
    assert_refused(&other, 65, &["`seed = 5` now, `seed = 42` when it was begun"]);
    assert_refused(
        &fit(home.path(), "none", &["--resume"]),
        64,
        &["none/training/mindeye/state.safetensors: no such file"],
    );
}
