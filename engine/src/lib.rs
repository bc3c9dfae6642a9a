//! The one seam to compiled networks: an [`Engine`] opens a network file as a [`Session`] over named [`Buffer`]s.
//!
//! ```text
//!   EngineConfig ──start()──► Engine ──open(NetworkFile)──► Session
//!                               │                             │
//!              upload, download, copy ──► Buffer ◄──── run(inputs, outputs)
//! ```
//!
//! A kind named in the configuration is obeyed or refused, never replaced by another. The mock is compiled always and
//! held to the same [`conformance`] suite as the libraries; it computes a fixed linear map instead of the network.
//! Shapes are static and every tensor that crosses the seam is float32, whatever precision a graph has inside.
//!
//! Deliberately absent: knowledge of MindEye (voxels, tokens, pictures), a clock, retries, and any fallback.

pub mod conformance;

mod buffer;
mod compile;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(not(feature = "cuda"))]
#[path = "cuda/absent.rs"]
mod cuda;
mod error;
mod mock;
mod network;
mod onnxruntime;
mod seam;
#[cfg(feature = "tensorrt")]
mod tensorrt;

pub use buffer::{Buffer, Place};
pub use compile::{
    Census, CompileError, CompileReport, CompileRequest, EngineIdentity, Memory, Target, compile, engine_path,
    report_path,
};
pub use error::{EngineError, Side};
pub use mock::{Fault, FaultKind, MockEngine, MockPlan};
pub use network::{NetworkFile, TensorSpec};
pub use onnxruntime::OnnxRuntime;
#[cfg(feature = "onnxruntime-cuda")]
pub use onnxruntime::cuda::{CudaOptions, OnnxRuntimeCuda};
pub use seam::{Engine, Session};
#[cfg(feature = "tensorrt")]
pub use tensorrt::TensorrtRtx;

use mindeye_config::{EngineConfig, EngineKind};

/// Starts the engine of the kind that `config` names, on the first GPU if it needs one.
///
/// # Errors
/// [`EngineError::NotInThisBuild`] and [`EngineError::NotInThisVersion`] for a kind that was not compiled in,
/// [`EngineError::NoDevice`] without its GPU, [`EngineError::LibraryMissing`] or [`EngineError::LibraryUnusable`] when its
/// library cannot be loaded; all are `is_unavailable()`.
pub fn start(config: &EngineConfig) -> Result<Box<dyn Engine>, EngineError> {
    match config.kind {
        EngineKind::Mock => Ok(Box::new(MockEngine::new(MockPlan::of(config)))),
        EngineKind::OnnxruntimeCpu => Ok(Box::new(OnnxRuntime::on_cpu(config.threads)?)),
        EngineKind::OnnxruntimeCuda => start_cuda(config),
        EngineKind::TensorrtRtx => start_rtx(),
        kind @ EngineKind::Tensorrt => Err(EngineError::NotInThisVersion { kind }),
    }
}

#[cfg(feature = "onnxruntime-cuda")]
fn start_cuda(config: &EngineConfig) -> Result<Box<dyn Engine>, EngineError> {
    Ok(Box::new(OnnxRuntimeCuda::start(CudaOptions { device: 0, cuda_graphs: config.cuda_graphs })?))
}

#[cfg(not(feature = "onnxruntime-cuda"))]
fn start_cuda(_: &EngineConfig) -> Result<Box<dyn Engine>, EngineError> {
    Err(EngineError::NotInThisBuild { kind: EngineKind::OnnxruntimeCuda, feature: "onnxruntime-cuda" })
}

#[cfg(feature = "tensorrt")]
fn start_rtx() -> Result<Box<dyn Engine>, EngineError> {
    Ok(Box::new(TensorrtRtx::start(0)?))
}

#[cfg(not(feature = "tensorrt"))]
fn start_rtx() -> Result<Box<dyn Engine>, EngineError> {
    Err(EngineError::NotInThisBuild { kind: EngineKind::TensorrtRtx, feature: "tensorrt" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_outside_this_build_or_machine_is_refused_by_name_and_never_replaced() {
        for kind in [EngineKind::OnnxruntimeCuda, EngineKind::TensorrtRtx, EngineKind::Tensorrt] {
            let refusal = match start(&EngineConfig { kind, ..EngineConfig::default() }) {
                Ok(engine) => {
                    assert_eq!(engine.kind(), kind, "started, on a machine that has all it needs");
                    continue;
                }
                Err(refusal) => refusal,
            };
            assert!(refusal.is_unavailable(), "{refusal}");
            assert!(refusal.to_string().contains(&format!("`{kind}`")), "{refusal}");
        }
    }

    #[test]
    fn the_mock_starts_without_any_library() {
        let engine = start(&EngineConfig { kind: EngineKind::Mock, ..EngineConfig::default() }).unwrap();
        assert_eq!(engine.kind(), EngineKind::Mock);
    }
}
