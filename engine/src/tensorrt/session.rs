//! TensorRT for RTX on an RTX card: engines that were compiled ahead of time, run on device memory.
//!
//! An engine is found where `mindeye-export engine` puts it, and only run if its report says that it was compiled from
//! this very graph, by this library, for this GPU. The first run after a start compiles kernels for the card at hand,
//! which warm-up does before the first volume.
//!
//! Compiled, not run: no GPU has executed this file yet (`docs/gpu.md`).
#![expect(unsafe_code, reason = "addresses of device memory and a stream cross to the library")]

use super::library::Library;
use crate::compile::{Target, find_engine};
use crate::cuda::Device;
use crate::seam::check_bindings;
use crate::{Buffer, Engine, EngineError, NetworkFile, Session, Side, TensorSpec};
use mindeye_config::EngineKind;
use std::sync::{Arc, OnceLock};
use trtx::{CudaEngine, DataType, ExecutionContext, LogHandler, Logger, Runtime, Severity, TensorIOMode};

const KIND: EngineKind = EngineKind::TensorrtRtx;

/// The library keeps a pointer to its logger, so that one lives as long as the process.
static LOGGER: OnceLock<Logger> = OnceLock::new();

/// TensorRT for RTX.
pub struct TensorrtRtx {
    library: Library,
    device: Arc<Device>,
    target: Target,
}

impl TensorrtRtx {
    /// Opens GPU number `device` and the library.
    ///
    /// # Errors
    /// [`EngineError::NoDevice`] without a GPU that it compiles for, [`EngineError::LibraryMissing`] or
    /// [`EngineError::LibraryUnusable`].
    pub fn start(device: usize) -> Result<Self, EngineError> {
        let device = Device::open(KIND, device)?;
        let target = Target::of_device(&device)?;
        Ok(Self { library: Library::open()?, device, target })
    }

    fn load(&self, network: &NetworkFile) -> Result<Loaded, EngineError> {
        let refused = |message: String| EngineError::Network {
            network: network.name.clone(),
            path: network.path.clone(),
            message: message.replace('\n', "; "),
        };
        let identity = self.library.identity();
        let path = find_engine(&network.path, self.target, &identity).map_err(|error| refused(error.to_string()))?;
        let plan = std::fs::read(&path).map_err(|error| refused(format!("{}: {error}", path.display())))?;
        self.device.bind_to_thread()?;
        Loaded::of(&plan).map_err(|error| refused(format!("{}: {error}", path.display())))
    }
}

impl Engine for TensorrtRtx {
    fn kind(&self) -> EngineKind {
        KIND
    }

    fn describe(&self) -> String {
        format!("{KIND}, {}, {}", self.library.identity(), self.device.describe())
    }

    fn open(&self, network: &NetworkFile) -> Result<Box<dyn Session>, EngineError> {
        let loaded = self.load(network)?;
        check_side(network, Side::Input, &network.inputs, &loaded)?;
        check_side(network, Side::Output, &network.outputs, &loaded)?;
        Ok(Box::new(RtxSession { network: network.clone(), loaded, device: Arc::clone(&self.device) }))
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

/// A deserialised engine with its context. Dropped in this order: each field refers to the next.
struct Loaded {
    context: ExecutionContext<'static>,
    engine: CudaEngine<'static>,
    _runtime: Runtime<'static>,
}

// SAFETY: TensorRT allows engine and context to be used from any thread, one at a time, which `&mut` sees to; the shared
// configuration that keeps the binding from saying so is not used here.
unsafe impl Send for Loaded {}

impl Loaded {
    fn of(plan: &[u8]) -> trtx::Result<Self> {
        let mut runtime = Runtime::new(logger()?)?;
        let mut engine = runtime.deserialize_cuda_engine(plan)?;
        let context = engine.create_execution_context()?;
        Ok(Self { context, engine, _runtime: runtime })
    }

    /// Names, types and shapes of one side, as [`TensorSpec`] prints them; the order is the engine's own.
    fn tensors(&self, side: Side) -> trtx::Result<Vec<String>> {
        let mut found = Vec::new();
        for index in 0..self.engine.nb_io_tensors()? {
            let name = self.engine.io_tensor_name(index)?;
            let is_input = self.engine.tensor_io_mode(&name)? == TensorIOMode::kINPUT;
            if is_input == (side == Side::Input) {
                let shape = self.engine.tensor_shape(&name)?;
                let type_name = if self.engine.tensor_data_type(&name)? == DataType::kFLOAT { "f32" } else { "other" };
                found.push(format!("{name} {type_name}{shape:?}"));
            }
        }
        Ok(found)
    }
}

/// Bindings go by name here, so that only the set of tensors must be the declared one.
fn check_side(network: &NetworkFile, side: Side, tensors: &[TensorSpec], loaded: &Loaded) -> Result<(), EngineError> {
    let mut declared: Vec<String> = tensors.iter().map(ToString::to_string).collect();
    let mut found = loaded.tensors(side).map_err(failed(network))?;
    declared.sort();
    found.sort();
    if declared == found {
        return Ok(());
    }
    let (declared, found) = (declared.join("; "), found.join("; "));
    Err(EngineError::Interface { network: network.name.clone(), path: network.path.clone(), side, declared, found })
}

struct RtxSession {
    network: NetworkFile,
    // Before the device: it ends while the stream is still there.
    loaded: Loaded,
    device: Arc<Device>,
}

impl Session for RtxSession {
    fn inputs(&self) -> &[TensorSpec] {
        &self.network.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.network.outputs
    }

    fn run(&mut self, inputs: &[&Buffer], outputs: &mut [&mut Buffer]) -> Result<(), EngineError> {
        check_bindings(&self.network, inputs, outputs)?;
        self.bind(inputs, outputs)?;
        self.device.bind_to_thread()?;
        // SAFETY: the stream lives as long as the device, and every tensor was just bound to memory of its size.
        unsafe { self.loaded.context.enqueue_v3(self.device.raw_stream()) }.map_err(failed(&self.network))?;
        // The buffers are borrowed until here only, and an error of the GPU belongs to this run.
        self.device.wait()
    }
}

impl RtxSession {
    fn bind(&mut self, inputs: &[&Buffer], outputs: &mut [&mut Buffer]) -> Result<(), EngineError> {
        let number = self.device.number();
        let Self { network, loaded, .. } = self;
        for (tensor, buffer) in network.inputs.iter().zip(inputs) {
            let address = buffer.device(number)?.address();
            // SAFETY: device memory of the tensor's size (`check_bindings`), borrowed until the run has ended.
            unsafe { loaded.context.set_tensor_address(&tensor.name, address) }.map_err(failed(network))?;
        }
        for (tensor, buffer) in network.outputs.iter().zip(outputs) {
            let address = buffer.device_mut(number)?.address_mut();
            // SAFETY: as above, and borrowed for writing.
            unsafe { loaded.context.set_tensor_address(&tensor.name, address) }.map_err(failed(network))?;
        }
        Ok(())
    }
}

fn failed(network: &NetworkFile) -> impl Fn(trtx::Error) -> EngineError + use<> {
    let network = network.name.clone();
    move |error| EngineError::Run { network: network.clone(), message: error.to_string().replace('\n', "; ") }
}

/// Failures come back as errors; what else the library says is for its developers.
struct Silent;

impl LogHandler for Silent {
    fn log(&self, _: Severity, _: &str) {}
}

fn logger() -> trtx::Result<&'static Logger> {
    if let Some(logger) = LOGGER.get() {
        return Ok(logger);
    }
    let made = Logger::new(Silent)?;
    Ok(LOGGER.get_or_init(|| made))
}
