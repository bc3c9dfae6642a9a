//! `graph` from request to file: open, check, draw, write, report.

mod engine;
mod engines_table;

pub use engine::{EngineEntry, EngineRequest, EnginesReport, compile_engines};

use crate::ExportError;
use crate::bundle::{Size, checked_sizes, digest_of_seed};
use crate::networks::{Choices, Dialect, Network, check_choices, graph_in, open};
use crate::onnx::{INLINE_LIMIT, Model, Precision};
use crate::staging::Staging;
use crate::weights::{StateDict, Weights};
use mindeye_config::{Sha256, TensorEntry};
use serde::Serialize;
use std::path::Path;

/// Where a graph's weights come from.
#[derive(Debug, Clone, Copy)]
pub enum Origin<'a> {
    /// A folder or file.
    Model(&'a Path),
    /// A seed, for a network of demo or published size.
    Random(Size, u64),
}

/// One graph to export.
#[derive(Debug, Clone, Copy)]
pub struct GraphRequest<'a> {
    /// Name of the network.
    pub network: &'a str,
    /// Its weights.
    pub origin: Origin<'a>,
    /// The ONNX file to write.
    pub out: &'a Path,
    /// Arithmetic of the graph.
    pub precision: Precision,
    /// Whose operators it may use.
    pub dialect: Dialect,
    /// Examples that the graph takes at once.
    pub batch: usize,
    /// What weights and configuration leave to the user.
    pub choices: Choices,
    /// Above this many bytes, weights go into a file of their own.
    pub inline_limit: u64,
}

impl<'a> GraphRequest<'a> {
    /// A graph in float32 for one example of the weights at `model`.
    #[must_use]
    pub fn new(network: &'a str, model: &'a Path, out: &'a Path) -> Self {
        Self {
            network,
            origin: Origin::Model(model),
            out,
            precision: Precision::Fp32,
            dialect: Dialect::Portable,
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
    match request.origin {
        Origin::Model(model) => {
            let (weights, network) = open(request.network, model, &request.choices)?;
            let state = fitted(&weights, network.as_ref(), request.precision)?;
            write_graph(request, network.as_ref(), &state, (weights.path(), weights.sha256()))
        }
        Origin::Random(size, seed) => {
            let network = random_network(request.network, size, &request.choices)?;
            let state = StateDict::random(&network.layout(), seed);
            let digest = digest_of_seed(network.name(), seed);
            write_graph(request, network.as_ref(), &state, (Path::new("random weights"), digest))
        }
    }
}

/// The tensors of `network` in `weights`, checked for a graph of `precision`.
///
/// # Errors
/// Tensors that are not the network's, or that half precision cannot hold.
pub(crate) fn fitted<'w>(
    weights: &'w Weights,
    network: &dyn Network,
    precision: Precision,
) -> Result<StateDict<'w>, ExportError> {
    let state = weights.fit(network.name(), &network.layout(), &network.set_aside())?;
    if network.islands().arithmetic(precision) == Precision::Fp16 {
        weights.refuse_beyond_half(&state)?;
    }
    Ok(state)
}

fn write_graph(
    request: &GraphRequest<'_>,
    network: &dyn Network,
    state: &StateDict<'_>,
    (origin, weights_sha256): (&Path, Sha256),
) -> Result<GraphReport, ExportError> {
    let source = |source| ExportError::Graph { path: origin.to_path_buf(), source };
    let graph = graph_in(request.dialect, network, state, request.batch, request.precision).map_err(source)?;
    let staging = Staging::for_file(request.out)?;
    let model = Model::new(graph, network, state, request.precision, weights_sha256);
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
        set_aside: set_aside(network, state),
    })
}

/// The network called `name` of a bundle of `size`.
fn random_network(name: &str, size: Size, choices: &Choices) -> Result<Box<dyn Network>, ExportError> {
    check_choices(name, choices)?;
    let model = size.model();
    let sizes = checked_sizes(&model, model.voxels, size)?.with(choices)?;
    let network = sizes.into_network(name);
    network.ok_or_else(|| ExportError::Flag { flag: "<network>", message: format!("`{name}` has no random weights") })
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
