//! Graphs become engines ahead of time: [`compile`] needs no GPU, gives the same bytes each time, and reports what it made.
//!
//! ```text
//!   G.onnx[.data] ──key: graph, library, target, precision──► engine there already? ──► its report
//!                                                                  │ no
//!                                              parse, build, check ▼
//!                                         N.engine, then N.engine.json (the report), each by one rename
//! ```
//!
//! TensorRT is strongly typed: arithmetic is what the graph says, so `precision` is a claim about the graph, and one that
//! is not true is refused.

mod error;
#[cfg(feature = "tensorrt")]
mod log;
mod report;
mod store;
mod target;

pub use error::CompileError;
pub use report::{Census, CompileReport, EngineIdentity, Memory};
#[cfg(feature = "tensorrt")]
pub(crate) use store::find_engine;
pub use store::{engine_path, report_path};
pub use target::Target;

use crate::EngineError;
use mindeye_config::{EngineKind, Precision};
use std::path::Path;

/// One engine to compile.
#[derive(Debug, Clone, Copy)]
pub struct CompileRequest<'a> {
    /// The ONNX file; weights of `G.onnx` above 2 GiB lie beside it as `G.onnx.data`.
    pub graph: &'a Path,
    /// The GPU it is for.
    pub target: Target,
    /// The arithmetic that the graph is said to have.
    pub precision: Precision,
    /// The engine to write; its folder must exist, its report is written beside it.
    pub out: &'a Path,
}

/// Compiles one engine, or finds it compiled; `out` is written whole or not at all.
///
/// # Errors
/// [`CompileError`] naming the graph; [`CompileError::Engine`] when feature, library or driver is missing.
pub fn compile(request: &CompileRequest<'_>) -> Result<CompileReport, CompileError> {
    #[cfg(feature = "tensorrt")]
    {
        with_library(request)
    }
    #[cfg(not(feature = "tensorrt"))]
    {
        let _ = request;
        Err(not_in_this_build().into())
    }
}

#[cfg(feature = "tensorrt")]
fn with_library(request: &CompileRequest<'_>) -> Result<CompileReport, CompileError> {
    use crate::tensorrt::{Library, build};
    let identity = EngineIdentity::of(request, &Library::open()?.identity())?;
    if let Some(report) = store::find(request.out, &identity) {
        return Ok(CompileReport { reused: true, ..report });
    }
    let built = build(request)?;
    built.census.agrees_with(request)?;
    let report = CompileReport::new(identity, &built.bytes, built.census, &built.said);
    store::keep(request.out, &built.bytes, &report)?;
    Ok(report)
}

#[cfg_attr(feature = "tensorrt", expect(dead_code, reason = "the feature is in this build"))]
fn not_in_this_build() -> EngineError {
    EngineError::NotInThisBuild { kind: EngineKind::TensorrtRtx, feature: "tensorrt" }
}
