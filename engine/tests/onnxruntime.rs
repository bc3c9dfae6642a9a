//! ONNX Runtime keeps the seam's promises, computes the numbers of the graph, and refuses what is not declared.

mod support;

use mindeye_config::{EngineConfig, EngineKind};
use mindeye_engine::{Engine, EngineError, NetworkFile, Side, TensorSpec, conformance, start};
use std::path::PathBuf;
use support::{WEIGHTS, square_network, tiny_network};

/// The engine, or `None` with a line that says why when the library is not set up.
fn engine() -> Option<Box<dyn Engine>> {
    let config = EngineConfig { kind: EngineKind::OnnxruntimeCpu, ..EngineConfig::default() };
    match start(&config) {
        Ok(engine) => Some(engine),
        Err(error @ EngineError::LibraryMissing { .. }) => {
            eprintln!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn onnxruntime_keeps_the_promises_of_the_seam() {
    let Some(engine) = engine() else { return };
    let dir = tempfile::tempdir().unwrap();
    conformance::check(engine.as_ref(), &tiny_network(dir.path()));
    conformance::check_chain(engine.as_ref(), &square_network(dir.path()));
}

#[test]
fn a_graph_computes_its_own_arithmetic() {
    let Some(engine) = engine() else { return };
    let dir = tempfile::tempdir().unwrap();
    let network = tiny_network(dir.path());
    let mut session = engine.open(&network).unwrap();
    let x = [1.0, 0.5, -0.25];
    let mut input = engine.buffer(&network.inputs[0]).unwrap();
    let [mut sum, mut bounded] = [0, 1].map(|i| engine.buffer(&network.outputs[i]).unwrap());
    engine.upload(&mut input, &x).unwrap();
    session.run(&[&input], &mut [&mut sum, &mut bounded]).unwrap();

    let expected = [0, 1].map(|column| (0..3).map(|row| x[row] * WEIGHTS[2 * row + column]).sum::<f32>());
    let mut found = [0.0; 2];
    engine.download(&sum, &mut found).unwrap();
    assert_eq!(found, expected, "each product and sum is exact in f32");
    engine.download(&bounded, &mut found).unwrap();
    for (value, expected) in found.iter().zip(expected.map(f32::tanh)) {
        // 1e-6: the library's tanh is a rational approximation, good to a few units in the last place.
        assert!((value - expected).abs() < 1e-6, "{value} against {expected}");
    }
}

#[test]
fn two_engines_share_the_one_environment_of_the_process() {
    let (Some(one), Some(other)) = (engine(), engine()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let network = tiny_network(dir.path());
    assert!(one.open(&network).is_ok() && other.open(&network).is_ok());
    assert_eq!(one.describe(), other.describe());
    assert!(one.describe().starts_with("onnxruntime-cpu, libonnxruntime.so."), "{}", one.describe());
}

#[test]
fn a_graph_with_other_tensors_than_declared_is_refused_with_both_sides() {
    let Some(engine) = engine() else { return };
    let dir = tempfile::tempdir().unwrap();
    let right = tiny_network(dir.path());
    let renamed = NetworkFile { inputs: vec![TensorSpec::new("voxels", [1, 3])], ..right.clone() };
    let reshaped = NetworkFile { inputs: vec![TensorSpec::new("x", [1, 4])], ..right.clone() };
    let fewer = NetworkFile { outputs: vec![right.outputs[0].clone()], ..right.clone() };
    let cases = [
        (renamed, Side::Input, "voxels f32[1, 3]", "x f32[1, 3]"),
        (reshaped, Side::Input, "x f32[1, 4]", "x f32[1, 3]"),
        (fewer, Side::Output, "sum f32[1, 2]", "sum f32[1, 2]; bounded f32[1, 2]"),
    ];
    for (network, side, declared, found) in cases {
        let refusal = engine.open(&network).err().expect("the interfaces differ");
        let (network, path) = (network.name, network.path);
        let expected = EngineError::Interface { network, path, side, declared: declared.into(), found: found.into() };
        assert_eq!(refusal, expected);
        assert!(!refusal.is_unavailable());
    }
}

#[test]
fn a_file_that_is_missing_or_no_graph_is_refused_in_one_line_with_its_path() {
    let Some(engine) = engine() else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut network = tiny_network(dir.path());
    std::fs::write(&network.path, b"not a graph").unwrap();
    let missing: PathBuf = dir.path().join("missing.onnx");
    for path in [network.path.clone(), missing] {
        network.path = path.clone();
        let refusal = engine.open(&network).err().expect("no graph there");
        let shown = refusal.to_string();
        assert!(matches!(refusal, EngineError::Network { .. }), "{shown}");
        assert!(shown.contains(&path.display().to_string()) && !shown.contains('\n'), "{shown}");
    }
}
