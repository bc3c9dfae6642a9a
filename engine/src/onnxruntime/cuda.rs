//! ONNX Runtime on an NVIDIA GPU: tensors stay in device memory, bound where they lie, from one session to the next.
//!
//! The CUDA provider is obeyed or refused: neither a provider that does not start nor a node without a CUDA kernel falls
//! back to the CPU. It computes on the stream of the engine's [`Device`], as all transfers do. With CUDA graphs a run is
//! captured once for each set of addresses and replayed afterwards, which spares the launch of some thousand kernels.
//!
//! What has run on which card: `docs/gpu.md`.

mod binding;

use super::check_interface;
use super::library::{Library, Source, one_line};
use crate::cuda::{Device, while_nobody_captures};
use crate::seam::check_bindings;
use crate::{Buffer, Engine, EngineError, NetworkFile, Session, Side, TensorSpec};
use binding::Bound;
use mindeye_config::{EngineKind, Precision};
use ort::ep::ArenaExtendStrategy;
use ort::ep::cuda::ConvAlgorithmSearch;
use std::sync::Arc;

const KIND: EngineKind = EngineKind::OnnxruntimeCuda;
const SOURCE: Source = Source {
    kind: KIND,
    library: "onnxruntime-gpu/lib/libonnxruntime.so",
    remedy: "cargo xtask setup --with onnxruntime-cuda",
};

/// Which GPU, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CudaOptions {
    /// Number of the GPU.
    pub device: usize,
    /// Whether runs are captured and replayed as CUDA graphs.
    pub cuda_graphs: bool,
}

/// ONNX Runtime's CUDA provider.
pub struct OnnxRuntimeCuda {
    library: Library,
    device: Arc<Device>,
    options: CudaOptions,
}

impl OnnxRuntimeCuda {
    /// Opens GPU and library.
    ///
    /// # Errors
    /// [`EngineError::NoDevice`], [`EngineError::LibraryMissing`] or [`EngineError::LibraryUnusable`].
    pub fn start(options: CudaOptions) -> Result<Self, EngineError> {
        let device = Device::open(KIND, options.device)?;
        Ok(Self { library: SOURCE.open()?, device, options })
    }

    /// Memory as it is asked for: an arena that doubles may hold twice what a network needs, and a bundle has ten.
    fn compile(&self, network: &NetworkFile) -> ort::Result<ort::session::Session> {
        ort::session::Session::builder(&self.library.environment)?
            .with_execution_providers([self.provider(network.precision).build().error_on_failure()])?
            .with_disable_cpu_fallback()?
            .with_intra_threads(1)?
            .with_deterministic_compute(true)?
            .with_device_allocated_initializers()?
            .commit_from_file(&network.path)
    }

    /// Equal bytes from session to session want a convolution algorithm that is not chosen by a stopwatch, and fp32 to
    /// mean fp32 (TensorFloat-32 rounds products to 10 bits). In half precision the same switch would keep convolutions
    /// off the tensor cores altogether, and its products have 11 bits anyway.
    fn provider(&self, precision: Precision) -> ort::ep::CUDA {
        let number = i32::try_from(self.device.number()).unwrap_or(i32::MAX);
        let provider = ort::ep::CUDA::default()
            .with_device_id(number)
            .with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic)
            .with_tf32(precision == Precision::Fp16)
            .with_arena_extend_strategy(ArenaExtendStrategy::SameAsRequested)
            .with_prefer_nhwc(true)
            .with_fuse_conv_bias(true)
            .with_cuda_graph(self.options.cuda_graphs);
        binding::on_stream_of(provider, &self.device)
    }
}

impl Engine for OnnxRuntimeCuda {
    fn kind(&self) -> EngineKind {
        KIND
    }

    fn describe(&self) -> String {
        let graphs = if self.options.cuda_graphs { "CUDA graphs" } else { "no CUDA graphs" };
        format!("{KIND}, {}, {}, {graphs}", self.library.description, self.device.describe())
    }

    fn open(&self, network: &NetworkFile) -> Result<Box<dyn Session>, EngineError> {
        let refused = |error: ort::Error| EngineError::Network {
            network: network.name.clone(),
            path: network.path.clone(),
            message: one_line(&error),
        };
        let shared = while_nobody_captures();
        let session = self.compile(network).map_err(refused)?;
        drop(shared);
        check_interface(network, Side::Input, &network.inputs, session.inputs())?;
        check_interface(network, Side::Output, &network.outputs, session.outputs())?;
        let bound = Bound::new(session, Arc::clone(&self.device), self.options.cuda_graphs).map_err(refused)?;
        Ok(Box::new(CudaSession { network: network.clone(), bound }))
    }

    fn buffer(&self, spec: &TensorSpec) -> Result<Buffer, EngineError> {
        self.device.buffer(spec)
    }

    fn upload(&self, buffer: &mut Buffer, values: &[f32]) -> Result<(), EngineError> {
        self.device.upload(buffer, values)
    }

    fn download(&self, buffer: &Buffer, values: &mut [f32]) -> Result<(), EngineError> {
        self.device.download(buffer, values)
    }

    fn copy(&self, from: &Buffer, to: &mut Buffer) -> Result<(), EngineError> {
        self.device.copy(from, to)
    }
}

struct CudaSession {
    network: NetworkFile,
    bound: Bound,
}

impl Session for CudaSession {
    fn inputs(&self) -> &[TensorSpec] {
        &self.network.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.network.outputs
    }

    fn run(&mut self, inputs: &[&Buffer], outputs: &mut [&mut Buffer]) -> Result<(), EngineError> {
        check_bindings(&self.network, inputs, outputs)?;
        self.bound.run(&self.network, inputs, outputs)
    }
}
