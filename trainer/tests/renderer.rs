//! `mindeye-train fit --part vae|encoder|unet` from pictures to a bundle: losses fall, a pause changes nothing, and ONNX
//! Runtime gives the trainer's golden answers.
#![cfg(feature = "libtorch")]

#[path = "learning_support/mod.rs"]
mod support;

use mindeye_config::Precision;
use mindeye_exporter::bundle::{FromCheckpoint, checkpoint_bundle};
use mindeye_exporter::networks::Dialect;
use std::fs;
use std::path::Path;
use support::{TEST, VALIDATION, add_pictures, assert_done, assert_refused, curve, fit, folder_of};
use tch::Tensor;

const TRAIN: usize = 120;
const PARTS: [(&str, &str); 3] = [
    ("vae", "vae/diffusion_pytorch_model.safetensors"),
    ("encoder", "clip-image/model.safetensors"),
    ("unet", "unet/diffusion_pytorch_model.safetensors"),
];

fn data(home: &Path) {
    folder_of(home, TRAIN);
    add_pictures(home, TRAIN + VALIDATION + TEST);
    fs::write(
        home.join("training.toml"),
        "epochs = 6\nema_decay = 0.5\n[optimiser]\nlearning_rate = 3e-3\nwarmup_epochs = 1.0\n",
    )
    .unwrap();
}

fn fit_part(home: &Path, out: &str, part: &str, more: &[&str]) -> std::process::Output {
    let flags = ["--part", part, "--renderer", "renderer.toml", "--training", "training.toml"];
    fit(home, out, &[&flags[..], more].concat())
}

/// The column `name` of a part's log.
fn column(home: &Path, out: &str, part: &str, name: &str) -> Vec<f64> {
    let lines = curve(home, out, part);
    let at = lines[0].split(',').position(|column| column == name).unwrap_or_else(|| panic!("no {name}: {}", lines[0]));
    lines[1..].iter().map(|line| line.split(',').nth(at).unwrap().parse().unwrap()).collect()
}

#[test]
fn a_small_slice_of_every_part_learns_and_a_pause_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    data(home);
    for (part, weights) in PARTS {
        assert_done(&fit_part(home, "whole", part, &[]));
        assert_done(&fit_part(home, "cut", part, &["--pause-after", "2"]));
        assert_done(&fit_part(home, "cut", part, &["--resume"]));
        assert_eq!(curve(home, "whole", part), curve(home, "cut", part));
        for name in [weights.to_owned(), "golden.safetensors".into(), format!("training/{part}/state.safetensors")] {
            let read = |out: &str| fs::read(home.join(out).join(&name)).unwrap();
            assert!(read("whole") == read("cut"), "{name} differs");
        }
        let loss = column(home, "whole", part, "loss");
        assert!(loss[5] < 0.9 * loss[0], "{part}: {loss:?}");
        let sheet = image::open(home.join(format!("whole/training/{part}/samples.png"))).unwrap();
        assert!(sheet.width() > 16 && sheet.height() > 16);
        let report = fs::read_to_string(home.join(format!("whole/training/{part}/report.html"))).unwrap();
        assert!(!report.contains("Temperature"), "{part} has no phases");
        assert!(report.contains("samples.png") && report.contains("validation pictures"), "{part}");
    }
    let left = TRAIN + VALIDATION; // test images are not among them
    let report = fs::read_to_string(home.join("whole/training/vae/report.html")).unwrap();
    assert!(
        report.contains(&format!("{} training pictures, {} for validation", left - left / 20, left / 20)),
        "{report}"
    );
}

#[test]
fn five_parts_in_one_folder_make_a_bundle_whose_graphs_give_the_golden_answers() {
    if let Err(error) = mindeye_engine::OnnxRuntime::on_cpu(1) {
        eprintln!("skipped: {error}");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    data(home);
    for (part, _) in PARTS {
        assert_done(&fit_part(home, "out", part, &["--epochs", "1"]));
    }
    assert_done(&fit(home, "out", &["--epochs", "1"]));
    assert_done(&fit(home, "out", &["--epochs", "1", "--part", "low-level"]));
    let out = home.join("out");
    let from = FromCheckpoint {
        checkpoint: &out,
        renderer: Some(&out),
        gallery: None,
        precision: Precision::Fp32,
        dialect: Dialect::Portable,
        subject: None,
    };
    // The bundle holds every graph to its golden case on ONNX Runtime, and does not come about where one is missed.
    let manifest = checkpoint_bundle(&from, &home.join("bundle"), &mut |_| {}).unwrap();
    let ours = "Golden cases: step the plain f64 reference's; \
                backbone, prior, low-level, unet, vae-decoder, vae-encoder, clip-image the trainer's.";
    assert!(manifest.note.contains(ours), "{}", manifest.note);
    let config = fs::read_to_string(out.join("vae/config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["scaling_factor"].as_f64().unwrap(), manifest.dimensions.latent_scale);
    // A golden case that the weights do not give is noticed.
    assert_done(&fit_part(home, "other", "vae", &["--epochs", "1", "--seed", "9"]));
    let name = "vae/diffusion_pytorch_model.safetensors";
    fs::copy(home.join("other").join(name), out.join(name)).unwrap();
    assert!(checkpoint_bundle(&from, &home.join("bundle2"), &mut |_| {}).is_err());
}

#[test]
fn accumulated_batches_and_bfloat16_are_the_same_training_but_for_rounding() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    data(home);
    let key = "m.decoder.conv_out.weight";
    let first = |out: &str, more: &[&str]| {
        assert_done(&fit_part(home, out, "vae", &[&["--epochs", "1"], more].concat()));
        let state = Tensor::read_safetensors(home.join(out).join("training/vae/state.safetensors")).unwrap();
        let (_, moment) = state.into_iter().find(|(name, _)| name == key).unwrap();
        (column(home, out, "vae", "loss")[0], moment.norm().double_value(&[]))
    };
    // The latents' noise is drawn batch by batch, so that halves see other noise than the whole.
    fs::write(home.join("training.toml"), "[optimiser]\nlearning_rate = 3e-3\n[vae]\nkl_weight = 0.0\n").unwrap();
    let whole = first("whole", &["--batch", "8"]);
    let halves = first("halves", &["--batch", "4", "--accumulate", "2"]);
    let rounded = first("rounded", &["--batch", "8", "--precision", "bf16"]);
    let ratio = |one: f64, other: f64| one / other - 1.0;
    // 3 %: noise of the latents; a roundings of products is 4e-3, over 15 updates.
    assert!(ratio(halves.0, whole.0).abs() < 0.03, "{halves:?} {whole:?}");
    assert!(rounded.0 != whole.0 && ratio(rounded.0, whole.0).abs() < 0.03, "{rounded:?} {whole:?}");
    // 30 %: the mean gradient, noise again; gradients that were summed and not averaged would be 100 % off.
    assert!(ratio(halves.1, whole.1).abs() < 0.3, "{halves:?} {whole:?}");
}

#[test]
fn what_a_part_lacks_is_told() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    data(home);
    let refuse = |status, part: &str, parts: &[&str], more: &[&str]| {
        assert_refused(&fit_part(home, "out", part, more), status, parts);
    };
    refuse(69, "unet", &["vae/diffusion_pytorch_model.safetensors", "not there", "train `--part vae`"], &[]);
    refuse(64, "vae", &["--precision", "fp16 is for CUDA devices"], &["--precision", "fp16"]);
    for part in ["vae", "encoder", "unet"] {
        refuse(64, part, &[&format!("--data: 2 folders, but the part {part} learns from one")], &["--data", "data"]);
    }
    refuse(69, "vae", &["device `cuda:99` is not there"], &["--device", "cuda:99"]);
    assert_done(&fit_part(home, "out", "vae", &["--epochs", "1"]));
    refuse(69, "unet", &["clip-image/model.safetensors", "train `--part encoder`"], &[]);
    fs::write(
        home.join("renderer.toml"),
        support::RENDERER
            .replace("[8, 16]", "[8, 16, 16, 16, 16]")
            .replace("[true, false]", "[true, false, false, false, false]"),
    )
    .unwrap();
    refuse(64, "unet", &["--renderer", "5 levels cannot halve a latent of side 8"], &[]);
}
