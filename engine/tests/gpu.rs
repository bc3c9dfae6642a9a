//! The engines on a GPU keep the same promises as all others, and refuse by name where there is none.
//!
//! `cargo xtask gpu` runs this file on a machine with a GPU, and says so when it cannot; see docs/gpu.md.
#![cfg(any(feature = "onnxruntime-cuda", feature = "tensorrt"))]

mod support;

use mindeye_config::{EngineConfig, EngineKind};
use mindeye_engine::{Engine, conformance, start};
use support::{square_network, tiny_network};

/// Set to 1 by `cargo xtask gpu`: a GPU is there, so that nothing may be skipped.
const REQUIRED: &str = "MINDEYE_GPU_REQUIRED";

/// The engine, or `None` after its refusal was held to name it and was printed.
fn engine(kind: EngineKind) -> Option<Box<dyn Engine>> {
    match start(&EngineConfig { kind, cuda_graphs: false, ..EngineConfig::default() }) {
        Ok(engine) => Some(engine),
        Err(refusal) => {
            assert!(refusal.is_unavailable(), "{refusal}");
            assert!(refusal.to_string().contains(&format!("`{kind}`")), "{refusal}");
            assert_ne!(std::env::var(REQUIRED).as_deref(), Ok("1"), "{refusal}");
            eprintln!("skipped: {refusal}");
            None
        }
    }
}

#[cfg(feature = "onnxruntime-cuda")]
#[test]
fn onnxruntime_on_cuda_keeps_the_promises_of_the_seam() {
    let Some(engine) = engine(EngineKind::OnnxruntimeCuda) else { return };
    let dir = tempfile::tempdir().unwrap();
    conformance::check(engine.as_ref(), &tiny_network(dir.path()));
    conformance::check_chain(engine.as_ref(), &square_network(dir.path()));
}

#[cfg(feature = "onnxruntime-cuda")]
#[test]
fn onnxruntime_keeps_them_with_cuda_graphs_too() {
    use mindeye_engine::{CudaOptions, OnnxRuntimeCuda};
    if engine(EngineKind::OnnxruntimeCuda).is_none() {
        return;
    }
    let engine = OnnxRuntimeCuda::start(CudaOptions { cuda_graphs: true, ..CudaOptions::default() }).unwrap();
    let dir = tempfile::tempdir().unwrap();
    conformance::check(&engine, &tiny_network(dir.path()));
    conformance::check_chain(&engine, &square_network(dir.path()));
}

#[cfg(feature = "onnxruntime-cuda")]
#[test]
fn a_buffer_on_the_host_is_refused_by_an_engine_on_a_gpu() {
    use mindeye_engine::{Buffer, EngineError, Place, TensorSpec};
    let Some(engine) = engine(EngineKind::OnnxruntimeCuda) else { return };
    let mut on_host = Buffer::zeros(&TensorSpec::new("x", [3]));
    let refusal = engine.upload(&mut on_host, &[1.0; 3]).unwrap_err();
    let expected = EngineError::Place { buffer: "x f32[3]".into(), found: Place::Host, expected: Place::Cuda(0) };
    assert_eq!(refusal, expected);
}

#[cfg(feature = "tensorrt")]
#[test]
fn tensorrt_for_rtx_keeps_the_promises_of_the_seam() {
    use mindeye_config::Precision;
    use mindeye_engine::{CompileRequest, Target, compile, engine_path};
    let Some(engine) = engine(EngineKind::TensorrtRtx) else { return };
    let dir = tempfile::tempdir().unwrap();
    let target = Target::of_this_machine().unwrap();
    let networks = dir.path().join("networks");
    std::fs::create_dir_all(&networks).unwrap();
    std::fs::create_dir_all(dir.path().join("engines").join(target.key())).unwrap();
    let [tiny, square] = [tiny_network(&networks), square_network(&networks)];
    for network in [&tiny, &square] {
        let out = engine_path(&network.path, target);
        compile(&CompileRequest { graph: &network.path, target, precision: Precision::Fp32, out: &out }).unwrap();
    }
    conformance::check(engine.as_ref(), &tiny);
    conformance::check_chain(engine.as_ref(), &square);
}
