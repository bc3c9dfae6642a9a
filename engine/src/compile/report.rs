//! What was compiled: which graph, for which GPU, in which arithmetic, and how much memory it wants.

use super::{CompileError, CompileRequest, Target, store};
use mindeye_config::{Precision, Sha256};
use serde::{Deserialize, Serialize};

/// An engine compiled from these is the same engine; from others it is another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineIdentity {
    /// Digest of the ONNX file, and of its `.data` file where there is one.
    pub graph_sha256: Sha256,
    /// Version and digest of the library.
    pub library: String,
    /// The GPU.
    pub target: Target,
    /// The arithmetic.
    pub precision: Precision,
}

/// Layers of the parsed graph by arithmetic.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Census {
    /// All layers, before fusion.
    pub layers: usize,
    /// Softmaxes, one for each attention block.
    pub softmaxes: usize,
    /// Convolutions and matrix products of 16-bit floats.
    pub half_products: usize,
    /// Names of those of any other type.
    pub float_products: Vec<String>,
}

/// Bytes on the GPU that an engine wants, as its builder said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// Weights.
    pub weights: Option<u64>,
    /// Activations.
    pub activations: Option<u64>,
    /// Largest intermediate result that did not stay inside a fused kernel.
    pub scratch: Option<u64>,
}

/// What an engine is; kept beside it as `<engine>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompileReport {
    /// What it was compiled from.
    #[serde(flatten)]
    pub identity: EngineIdentity,
    /// Digest of the engine file.
    pub engine_sha256: Sha256,
    /// Its length.
    pub engine_bytes: u64,
    /// Its layers.
    pub census: Census,
    /// Attention blocks that the builder recognised, of as many as there are softmaxes. What of a block stays in one kernel,
    /// `memory.scratch` tells: the scores of 4,096 x 4,096 positions and 8 heads would be 268 MB an example.
    pub fused_attention: usize,
    /// Its memory.
    pub memory: Memory,
    /// Whether this compile found the engine there already.
    #[serde(skip)]
    pub reused: bool,
}

impl EngineIdentity {
    /// Of the engine that `request` asks for, compiled with `library`.
    ///
    /// # Errors
    /// [`CompileError::Unreadable`].
    pub fn of(request: &CompileRequest<'_>, library: &str) -> Result<Self, CompileError> {
        Ok(Self {
            graph_sha256: store::graph_digest(request.graph)?,
            library: library.to_owned(),
            target: request.target,
            precision: request.precision,
        })
    }
}

#[cfg(feature = "tensorrt")]
impl CompileReport {
    /// Of `engine`, whose builder said `said`.
    pub(crate) fn new(identity: EngineIdentity, engine: &[u8], census: Census, said: &[String]) -> Self {
        use super::log;
        let (engine_sha256, engine_bytes) = (mindeye_config::sha256_of_bytes(engine), engine.len() as u64);
        let (fused_attention, memory) = (log::fused_attention(said), log::memory(said));
        Self { identity, engine_sha256, engine_bytes, census, fused_attention, memory, reused: false }
    }
}

#[cfg(feature = "tensorrt")]
impl Census {
    /// All products are of the type asked for: fp16 that came out as fp32 is an error, not a slow engine.
    ///
    /// # Errors
    /// [`CompileError::Precision`] with the first product of another type.
    pub(crate) fn agrees_with(&self, request: &CompileRequest<'_>) -> Result<(), CompileError> {
        let floats = self.float_products.len();
        let (others, first) = match request.precision {
            Precision::Fp16 => (floats, self.float_products.first().cloned()),
            Precision::Fp32 => (self.half_products, Some("one of 16-bit floats".to_owned())),
        };
        let Some(first) = first.filter(|_| others > 0) else { return Ok(()) };
        let (path, asked, all) = (request.graph.to_path_buf(), request.precision, floats + self.half_products);
        Err(CompileError::Precision { path, asked, others, all, first })
    }
}
