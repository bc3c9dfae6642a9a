//! From an ONNX file to the bytes of an engine, with what the builder said on the way.

use crate::compile::{Census, CompileError, CompileRequest, Target};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use trtx::builder::{BuilderConfig, ComputeCapability};
use trtx::{Builder, BuilderFlag, DataType, LayerType, LogHandler, Logger, NetworkDefinition, OnnxParser, Severity};

/// A built engine.
pub(crate) struct Built {
    /// The file to write.
    pub(crate) bytes: Vec<u8>,
    /// Layers of the parsed graph by arithmetic.
    pub(crate) census: Census,
    /// Every line that the builder said.
    pub(crate) said: Vec<String>,
}

/// Parses and compiles `request.graph`; the library must be open. No GPU takes part.
pub(crate) fn build(request: &CompileRequest<'_>) -> Result<Built, CompileError> {
    let lines = Lines::default();
    let graph = |message: &dyn std::fmt::Display| lines.explain(request, message);
    let logger = Logger::new(lines.clone()).map_err(|error| graph(&error))?;
    let mut builder = Builder::new(&logger).map_err(|error| graph(&error))?;
    // Flags of older versions: TensorRT 11 and RTX are strongly typed and of explicit batch always.
    let network = builder.create_network(0).map_err(|error| graph(&error))?;
    let mut parser = OnnxParser::new(network, &logger).map_err(|error| graph(&error))?;
    // By path, not by bytes: weights in a file beside the graph are found from there.
    parser.parse_from_file(text(request.graph)?, VERBOSE).map_err(|error| graph(&error))?;

    let mut config = builder.create_config().map_err(|error| graph(&error))?;
    configure(&mut config, request).map_err(|error| graph(&error))?;
    let network = parser.network_mut();
    let census = census(network).map_err(|error| graph(&error))?;
    let engine = builder.build_serialized_network(network, &mut config).map_err(|error| graph(&error))?;
    Ok(Built { bytes: engine.as_ref().to_vec(), census, said: lines.all() })
}

const VERBOSE: i32 = Severity::Verbose as i32;

fn configure(config: &mut BuilderConfig<'_>, request: &CompileRequest<'_>) -> trtx::Result<()> {
    config.set_nb_compute_capabilities(1)?;
    config.set_compute_capability(capability(request.target), 0)?;
    // fp32 means fp32: TensorFloat-32 rounds products to 10 bits.
    config.clear_flag(BuilderFlag::kTF32);
    Ok(())
}

fn capability(target: Target) -> ComputeCapability {
    match target {
        Target::Sm86 => ComputeCapability::kSM86,
        Target::Sm89 => ComputeCapability::kSM89,
        Target::Sm120 => ComputeCapability::kSM120,
    }
}

/// Convolutions and matrix products by the type of their first input, where nearly all arithmetic is.
fn census(network: &NetworkDefinition<'_>) -> trtx::Result<Census> {
    let mut census = Census::default();
    for layer in network.layers() {
        census.layers += 1;
        let kind = layer.layer_type_dynamic();
        census.softmaxes += usize::from(kind == LayerType::kSOFTMAX);
        if !matches!(kind, LayerType::kCONVOLUTION | LayerType::kDECONVOLUTION | LayerType::kMATRIX_MULTIPLY) {
            continue;
        }
        match layer.input(network, 0)?.data_type(network) {
            DataType::kHALF => census.half_products += 1,
            _ => census.float_products.push(layer.name(network)),
        }
    }
    Ok(census)
}

fn text(path: &Path) -> Result<&str, CompileError> {
    path.to_str().ok_or_else(|| CompileError::Graph {
        path: path.to_path_buf(),
        message: "its path is no UTF-8, which TensorRT wants".into(),
    })
}

/// The builder's log, line by line.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<(Severity, String)>>>);

impl LogHandler for Lines {
    fn log(&self, severity: Severity, message: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((severity, message.trim().to_owned()));
    }
}

impl Lines {
    fn all(&self) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|(_, line)| line.clone()).collect()
    }

    /// The first error that the library logged says more than the call that failed.
    fn explain(&self, request: &CompileRequest<'_>, error: &dyn std::fmt::Display) -> CompileError {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let logged = lines.iter().find(|(severity, _)| *severity <= Severity::Error).map(|(_, line)| line.clone());
        let message = logged.unwrap_or_else(|| error.to_string()).replace('\n', "; ");
        CompileError::Graph { path: request.graph.to_path_buf(), message }
    }
}
