//! `engine`: a bundle's networks become TensorRT engines in its `engines/` folder, and the bundle stays the same bundle.
//!
//! A bundle's identity is the digest of its manifest, which seeds all noise. Engines are made of the graphs that the
//! manifest lists, so they are not listed there: `engines/manifest.toml` lists them, and each lies beside a report that
//! names its graph's digest.

use super::engines_table;
use crate::{ExportError, Progress, Step};
use mindeye_config::{BundleManifest, NetworkEntry, Precision};
use mindeye_engine::{CompileReport, CompileRequest, Target, compile, engine_path};
use serde::Serialize;
use std::path::Path;

/// Engines to compile.
#[derive(Debug, Clone, Copy)]
pub struct EngineRequest<'a> {
    /// The bundle.
    pub bundle: &'a Path,
    /// The GPU they are for.
    pub target: Target,
    /// The arithmetic that every graph must have; as the manifest says of each when left out.
    pub precision: Option<Precision>,
}

/// What was compiled.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EnginesReport {
    /// The GPU.
    pub target: Target,
    /// One for each network of the bundle.
    pub engines: Vec<EngineEntry>,
}

/// One engine.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EngineEntry {
    /// The network.
    pub network: String,
    /// Whether it had been compiled before.
    pub reused: bool,
    /// What it is.
    pub report: CompileReport,
}

/// Compiles every network of a bundle, each whole or not at all; engines that are there already stay.
///
/// # Errors
/// A folder that is no bundle, a graph of another arithmetic than asked for, and all that
/// [`CompileError`](mindeye_engine::CompileError) says of graphs, library and feature.
pub fn compile_engines(request: &EngineRequest<'_>, progress: &mut Progress<'_>) -> Result<EnginesReport, ExportError> {
    let manifest = read_manifest(request.bundle)?;
    let mut table = engines_table::read(request.bundle)?;
    let of = manifest.network.len();
    let mut engines = Vec::with_capacity(of);
    for (done, network) in manifest.network.iter().enumerate() {
        let what = format!("{} for {}", network.name, request.target);
        progress(Step { done, of, what: &what });
        let entry = compile_network(request, network)?;
        engines_table::list(&mut table, &network.name, &entry.report);
        engines_table::keep(request.bundle, &table)?;
        engines.push(entry);
    }
    Ok(EnginesReport { target: request.target, engines })
}

/// Networks that `--precision fp16` leaves in float32: the samplers' steps add up a whole trajectory.
const FLOAT32_ALWAYS: [&str; 3] = ["step", "prior-step", "branches"];

fn compile_network(request: &EngineRequest<'_>, network: &NetworkEntry) -> Result<EngineEntry, ExportError> {
    let graph = request.bundle.join(&network.path);
    let out = engine_path(&graph, request.target);
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder).map_err(crate::staging::unwritable(folder))?;
    }
    let asked = request.precision.unwrap_or(network.precision);
    let precision = if FLOAT32_ALWAYS.contains(&network.name.as_str()) { Precision::Fp32 } else { asked };
    let report = compile(&CompileRequest { graph: &graph, target: request.target, precision, out: &out })?;
    Ok(EngineEntry { network: network.name.clone(), reused: report.reused, report })
}

fn read_manifest(bundle: &Path) -> Result<BundleManifest, ExportError> {
    let path = bundle.join("manifest.toml");
    if !path.is_file() {
        return Err(ExportError::NoSuchFile { path });
    }
    Ok(mindeye_config::load(&path)?)
}
