//! `graph` from request to file: open, check, draw, write, report.

use crate::ExportError;
use crate::networks::{Choices, Network, graph, open};
use crate::onnx::{Element, INLINE_LIMIT, Model, Precision};
use crate::staging::Staging;
use crate::weights::StateDict;
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
    /// What weights and configuration leave to the user.
    pub choices: Choices,
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
            choices: Choices::default(),
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
    /// Tensors of the file that the graph does not carry as they are, and why that is no error.
    pub set_aside: Vec<String>,
}

/// Exports one graph; `out` appears whole or not at all.
///
/// # Errors
/// Everything that [`ExportError`] can say about weights, settings and files.
pub fn export_graph(request: &GraphRequest<'_>) -> Result<GraphReport, ExportError> {
    let (weights, network) = open(request.network, request.model, &request.choices)?;
    let state = weights.fit(network.name(), &network.layout(), &network.set_aside())?;
    let source = |source| ExportError::Graph { path: weights.path().to_path_buf(), source };
    let graph = graph(network.as_ref(), &state, request.batch, request.precision).map_err(source)?;
    if graph.arithmetic() == Element::Float16 {
        weights.refuse_beyond_half(&state)?;
    }

    let staging = Staging::for_file(request.out)?;
    let policy = network.islands().policy(request.precision);
    let model = Model { graph, weights_sha256: weights.sha256(), precision: request.precision, policy };
    let written = model.write(staging.path(), &staging.name(), request.inline_limit)?;
    staging.keep_files(&written.files)?;
    Ok(GraphReport {
        network: network.name(),
        files: written.files,
        bytes: written.bytes,
        tensors: state.keys().count(),
        parameters: state.parameters(),
        weights_sha256: model.weights_sha256,
        inputs: network.inputs(request.batch),
        outputs: network.outputs(request.batch),
        set_aside: set_aside(network.as_ref(), &state),
    })
}

/// A line for each group of tensors that the graph does not carry as they are.
fn set_aside(network: &dyn Network, state: &StateDict<'_>) -> Vec<String> {
    let folded = network.folded().into_iter().map(|what| {
        let count = state.keys().filter(|key| what.covers(key)).count();
        (what, count)
    });
    let beside = state.set_aside().iter().cloned();
    beside.chain(folded).map(|(what, n)| format!("{n} of `{}`: {}", what.pattern, what.reason)).collect()
}
