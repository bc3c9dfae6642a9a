//! `graph` from request to file: open, check, draw, write, report.

use crate::ExportError;
use crate::networks::{graph, open};
use crate::onnx::{INLINE_LIMIT, Model, Precision};
use crate::staging::Staging;
use mindeye_config::{Sha256, TensorEntry};
use serde::Serialize;
use std::path::Path;

/// One graph to export.
#[derive(Debug, Clone, Copy)]
pub struct GraphRequest<'a> {
    /// Name of the network.
    pub network: &'a str,
    /// Folder or file with its weights.
    pub model: &'a Path,
    /// The ONNX file to write.
    pub out: &'a Path,
    /// Arithmetic of the graph.
    pub precision: Precision,
    /// Examples that the graph takes at once.
    pub batch: usize,
    /// Side of a VAE's latent, where the configuration should not decide.
    pub latent_side: Option<usize>,
    /// Above this many bytes, weights go into a file of their own.
    pub inline_limit: u64,
}

impl<'a> GraphRequest<'a> {
    /// A graph in float32 for one example.
    #[must_use]
    pub fn new(network: &'a str, model: &'a Path, out: &'a Path) -> Self {
        Self {
            network,
            model,
            out,
            precision: Precision::Fp32,
            batch: 1,
            latent_side: None,
            inline_limit: INLINE_LIMIT,
        }
    }
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GraphReport {
    /// The network.
    pub network: &'static str,
    /// Files written, the model first.
    pub files: Vec<String>,
    /// Their lengths together.
    pub bytes: u64,
    /// Tensors of the network.
    pub tensors: usize,
    /// Numbers in them.
    pub parameters: usize,
    /// Digest of the weights file.
    pub weights_sha256: Sha256,
    /// Inputs of the graph.
    pub inputs: Vec<TensorEntry>,
    /// Outputs of the graph.
    pub outputs: Vec<TensorEntry>,
    /// Tensors of the file that belong to no part of this network, and why that is no error.
    pub set_aside: Vec<String>,
}

/// Exports one graph; `out` appears whole or not at all.
///
/// # Errors
/// Everything that [`ExportError`] can say about weights, settings and files.
pub fn export_graph(request: &GraphRequest<'_>) -> Result<GraphReport, ExportError> {
    if request.precision == Precision::Fp16 {
        let instead = "it writes fp32 graphs".to_owned();
        return Err(ExportError::NotYet { what: "precision `fp16` is".into(), instead });
    }
    let (weights, network) = open(request.network, request.model, request.latent_side)?;
    let state = weights.fit(network.name(), &network.layout(), &network.set_aside())?;
    let source = |source| ExportError::Graph { path: weights.path().to_path_buf(), source };
    let graph = graph(network.as_ref(), &state, request.batch).map_err(source)?;

    let staging = Staging::for_file(request.out)?;
    let model = Model { graph, weights_sha256: weights.sha256(), precision: request.precision };
    let written = model.write(staging.path(), &staging.name(), request.inline_limit)?;
    staging.keep_files(&written.files)?;
    let set_aside = state.set_aside().iter().map(|(what, n)| format!("{n} of `{}*`: {}", what.prefix, what.reason));
    Ok(GraphReport {
        network: network.name(),
        files: written.files,
        bytes: written.bytes,
        tensors: state.keys().count(),
        parameters: state.parameters(),
        weights_sha256: model.weights_sha256,
        inputs: network.inputs(request.batch),
        outputs: network.outputs(request.batch),
        set_aside: set_aside.collect(),
    })
}
