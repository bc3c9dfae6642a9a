//! The verb `engine`: every network of a demo bundle compiles, and the bundle stays the same bundle.

#[cfg(feature = "tensorrt")]
use mindeye_config::sha256_of_file;
use mindeye_exporter::{RandomInit, Size, random_init_bundle};
use std::path::Path;
use std::process::{Command, Output};

fn demo_bundle(out: &Path) -> Vec<String> {
    let manifest = random_init_bundle(&RandomInit::of(Size::Demo, 1), out).unwrap();
    manifest.network.into_iter().map(|network| network.name).collect()
}

fn engine(bundle: &Path, arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_mindeye-export"));
    program.arg("engine").arg(bundle).args(["--target", "sm_89", "--json"]).args(arguments).output().unwrap()
}

#[cfg(not(feature = "tensorrt"))]
#[test]
fn without_the_feature_the_verb_names_it_and_writes_no_engine() {
    let home = tempfile::tempdir().unwrap();
    let bundle = home.path().join("bundle");
    demo_bundle(&bundle);
    let output = engine(&bundle, &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.contains("engine `tensorrt-rtx` is not in this build; build with the feature `tensorrt`"), "{said}");
    assert!(!bundle.join("engines/sm_89/backbone.engine").exists());
}

/// The third reader of every graph, after onnx.checker and ONNX Runtime.
#[cfg(feature = "tensorrt")]
#[test]
fn tensorrt_reads_and_compiles_every_network_of_a_demo_bundle_and_the_bundle_stays_the_same() {
    let home = tempfile::tempdir().unwrap();
    let bundle = home.path().join("bundle");
    let networks = demo_bundle(&bundle);
    let identity = || sha256_of_file(&bundle.join("manifest.toml")).unwrap();
    let before = identity();

    let output = engine(&bundle, &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(69) && said.contains("cargo xtask setup --with tensorrt") {
        eprintln!("skipped: {said}");
        return;
    }
    assert!(output.status.success(), "{said}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let engines = report["engines"].as_array().unwrap();
    assert_eq!(engines.iter().map(|engine| engine["network"].as_str().unwrap()).collect::<Vec<_>>(), networks);
    for (engine, network) in engines.iter().zip(&networks) {
        let census = &engine["report"]["census"];
        assert_eq!(engine["report"]["fused_attention"], census["softmaxes"], "{network}: {engine}");
        let file = bundle.join(format!("engines/sm_89/{network}.engine"));
        assert_eq!(engine["report"]["engine_sha256"], sha256_of_file(&file).unwrap().to_string());
        assert!(file.with_extension("engine.json").is_file());
    }
    assert_eq!(identity(), before);

    let again: serde_json::Value = serde_json::from_slice(&engine(&bundle, &[]).stdout).unwrap();
    assert!(again["engines"].as_array().unwrap().iter().all(|engine| engine["reused"] == true), "{again}");

    let output = engine(&bundle, &["--precision", "fp16"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(65), "{said}");
    assert!(said.contains("backbone.onnx: asked for Fp16, but"), "{said}");
}
