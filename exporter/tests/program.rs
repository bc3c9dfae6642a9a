//! The program's exit statuses and its one line on standard error (contract section 1).

mod common;

use common::{miniature_sizes, model_folder};
use std::path::Path;
use std::process::{Command, Output};

fn export(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mindeye-export")).args(arguments).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn every_refusal_has_its_status_and_one_line_that_names_the_thing() {
    let home = tempfile::tempdir().unwrap();
    let model = home.path().join("model");
    model_folder(&miniature_sizes().backbone, &model, 1);
    let pickle = home.path().join("last.pth");
    std::fs::write(&pickle, b"\x80\x02").unwrap();
    let broken = home.path().join("broken.safetensors");
    std::fs::write(&broken, b"short").unwrap();
    let out = home.path().join("out.onnx");
    let (model, pickle, broken, out) = (text(&model), text(&pickle), text(&broken), text(&out));
    let nowhere = home.path().join("no/where.onnx");

    let cases: [(&[&str], i32, &str); 26] = [
        (&[], 64, "Usage"),
        (&["graph", "backbone", "--model", model], 64, "--out"),
        (&["graph", "backbone", "--model", model, "--out", out, "--batch", "0"], 64, "--batch"),
        (&["graph", "backbone", "--model", "/no/such/file", "--out", out], 64, "/no/such/file: no such file"),
        (&["graph", "backbone", "--model", model, "--out", text(&nowhere)], 64, "no: no such file or folder"),
        (&["graph", "nonsense", "--model", model, "--out", out], 64, "`nonsense` is none of"),
        (&["graph", "backbone", "--model", pickle, "--out", out], 65, "last.pth: a pickle runs code"),
        (&["graph", "backbone", "--model", broken, "--out", out], 65, "broken.safetensors: not a whole safetensors"),
        (
            &["graph", "low-level", "--model", model, "--out", out],
            65,
            "no weights for `low-level`; looked for low_level.safetensors",
        ),
        (&["graph", "unet", "--model", model, "--out", out], 65, "no weights for `unet`; looked for diffusion_pytorch"),
        (&["graph", "taesd-decoder", "--model", model, "--out", out], 65, "or taesd_decoder.safetensors"),
        (
            &["graph", "unet", "--random-init", "demo", "--latent-size", "7", "--out", out],
            64,
            "must be a multiple of 4",
        ),
        (&["graph", "prior", "--random-init", "demo", "--tokens", "7", "--out", out], 64, "--tokens: `prior`"),
        (&["graph", "unet", "--out", out], 64, "--model"),
        (&["bundle", "--checkpoint", model, "--out", out], 65, "model: holds no `mask.nii.gz`"),
        (&["bundle", "--checkpoint", "/no/such/folder", "--out", out], 64, "/no/such/folder: no such file"),
        (&["bundle", "--checkpoint", model, "--seed", "1", "--out", out], 64, "--seed"),
        (&["graph", "backbone", "--subject", "3", "--model", model, "--out", out], 64, "--subject: MindEye1's layout"),
        (&["graph", "backbone", "--tokens", "257", "--model", model, "--out", out], 64, "--tokens: `backbone`"),
        (&["graph", "backbone", "--latent-size", "8", "--model", model, "--out", out], 64, "--latent-size: `backbone`"),
        (&["engine", model], 64, "--target"),
        (&["engine", model, "--target", "sm_89"], 64, "manifest.toml: no such file"),
        (&["engine", model, "--target", "sm_90"], 64, "--target: target `sm_90` is none of sm_86, sm_89, sm_120"),
        (&["inspect", "/no/such.onnx"], 64, "/no/such.onnx: no such file"),
        (&["inspect", broken], 65, "broken.safetensors: not a usable ONNX model"),
        (&["inspect", broken, "--card", "abacus"], 64, "--card: `abacus` is none of rtx-4090"),
    ];
    for (arguments, status, part) in cases {
        let output = export(arguments);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {message}");
        assert!(message.contains(part), "{arguments:?}: {message}");
        let ours = status != 64 || message.starts_with("error: /") || part.contains("none of");
        assert!(!ours || message.lines().count() == 1, "{arguments:?}: {message}");
    }
    assert!(!Path::new(out).exists());
}

#[test]
fn help_and_version_end_well_on_every_verb() {
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["graph", "--help"],
        &["gallery", "--help"],
        &["bundle", "--help"],
        &["engine", "--help"],
        &["inspect", "--help"],
    ] {
        assert_eq!(export(arguments).status.code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn a_graph_is_written_and_reported_to_machines() {
    let home = tempfile::tempdir().unwrap();
    let model = home.path().join("model");
    model_folder(&miniature_sizes().vae_decoder, &model, 1);
    let out = home.path().join("vae.onnx");
    let output =
        export(&["graph", "vae-decoder", "--model", text(&model), "--out", text(&out), "--latent-size", "5", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["inputs"][0]["shape"], serde_json::json!([1, 4, 5, 5]));
    assert_eq!(report["outputs"][0]["shape"], serde_json::json!([1, 3, 20, 20]));
    assert_eq!(report["bytes"], std::fs::metadata(&out).unwrap().len());
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 2, "the model and the graph, nothing hidden");
}
