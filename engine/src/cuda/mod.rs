//! One NVIDIA GPU: its memory, and the one stream on which all that an engine does there happens in order.
//!
//! The driver (`libcuda.so.1`) is opened when it is first asked for; neither building nor starting a program needs it.
//! Everything goes through one stream, so what a session wrote is there when the next reads it, without waiting in
//! between; only a download, and the end of a run, wait.
//!
//! Compiled and held to its refusals on machines without a GPU; see `docs/gpu.md` for what has run on one.

mod memory;

pub(crate) use memory::DeviceMemory;

use crate::{Buffer, EngineError, TensorSpec};
use cudarc::driver::{CudaContext, CudaStream, DriverError, sys};
use mindeye_config::EngineKind;
#[cfg(feature = "onnxruntime-cuda")]
use std::sync::RwLockWriteGuard;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// The driver's library, for messages.
const DRIVER: &str = "libcuda.so.1";

/// While one thread captures a graph, CUDA refuses memory and transfers to every thread of the process, and the capture is
/// spoiled: who captures holds this alone, everything else shares it.
static CAPTURE: RwLock<()> = RwLock::new(());

/// For as long as it lives, nobody captures.
pub(crate) fn while_nobody_captures() -> RwLockReadGuard<'static, ()> {
    CAPTURE.read().unwrap_or_else(PoisonError::into_inner)
}

/// For as long as it lives, nobody else asks anything of a GPU.
#[cfg(feature = "onnxruntime-cuda")]
pub(crate) fn to_capture_alone() -> RwLockWriteGuard<'static, ()> {
    CAPTURE.write().unwrap_or_else(PoisonError::into_inner)
}

/// A GPU and its stream.
pub(crate) struct Device {
    number: usize,
    name: String,
    /// Compute capability, as (8, 9).
    capability: (i32, i32),
    stream: Arc<CudaStream>,
}

impl Device {
    /// GPU number `number`, for an engine of `kind`.
    pub(crate) fn open(kind: EngineKind, number: usize) -> Result<Arc<Self>, EngineError> {
        if !driver_is_present() {
            return Err(EngineError::NoDevice { kind, message: format!("{DRIVER} is not on this machine") });
        }
        let device = Self::on_driver(number)
            .map_err(|error| EngineError::NoDevice { kind, message: format!("cuda:{number}: {error}") })?;
        Ok(Arc::new(device))
    }

    fn on_driver(number: usize) -> Result<Self, DriverError> {
        let context = CudaContext::new(number)?;
        let (name, capability, stream) = (context.name()?, context.compute_capability()?, context.new_stream()?);
        Ok(Self { number, name, capability, stream })
    }

    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// As in `NVIDIA H200 (sm_90)`.
    pub(crate) fn describe(&self) -> String {
        let (major, minor) = self.capability;
        format!("{} (sm_{major}{minor})", self.name)
    }

    #[cfg(feature = "tensorrt")]
    pub(crate) fn capability(&self) -> (i32, i32) {
        self.capability
    }

    /// The stream as the driver knows it; it lives as long as this device.
    pub(crate) fn raw_stream(&self) -> *mut std::ffi::c_void {
        self.stream.cu_stream().cast()
    }

    /// Makes this GPU the calling thread's, as libraries above the driver expect.
    pub(crate) fn bind_to_thread(&self) -> Result<(), EngineError> {
        self.stream.context().bind_to_thread().map_err(self.failed("become the thread's GPU"))
    }

    /// Waits until all that was asked of the stream is done.
    #[cfg(feature = "tensorrt")]
    pub(crate) fn wait(&self) -> Result<(), EngineError> {
        self.stream.synchronize().map_err(self.failed("finish its work"))
    }

    /// A buffer of zeros on this GPU.
    pub(crate) fn buffer(&self, spec: &TensorSpec) -> Result<Buffer, EngineError> {
        let _shared = while_nobody_captures();
        let memory = DeviceMemory::zeros(self.number, &self.stream, spec.element_count());
        Ok(Buffer::on_device(spec, memory.map_err(self.failed("allocate memory"))?))
    }

    /// Host to GPU through pinned memory; returns before the GPU has it.
    pub(crate) fn upload(&self, buffer: &mut Buffer, values: &[f32]) -> Result<(), EngineError> {
        buffer.check_length(values.len())?;
        let _shared = while_nobody_captures();
        buffer.device_mut(self.number)?.upload(&self.stream, values).map_err(self.failed("upload"))
    }

    /// GPU to host through pinned memory; waits for all earlier work.
    pub(crate) fn download(&self, buffer: &Buffer, values: &mut [f32]) -> Result<(), EngineError> {
        buffer.check_length(values.len())?;
        let _shared = while_nobody_captures();
        buffer.device(self.number)?.download(&self.stream, values).map_err(self.failed("download"))
    }

    /// GPU to GPU; the host sees nothing of it.
    pub(crate) fn copy(&self, from: &Buffer, to: &mut Buffer) -> Result<(), EngineError> {
        crate::seam::check_copy(from, to)?;
        let from = from.device(self.number)?;
        let _shared = while_nobody_captures();
        to.device_mut(self.number)?.copy_of(&self.stream, from).map_err(self.failed("copy"))
    }

    fn failed(&self, action: &'static str) -> impl Fn(DriverError) -> EngineError + use<> {
        let device = self.number;
        move |error| EngineError::Device { device, action, message: error.to_string() }
    }
}

/// Whether the driver's library can be opened; without it every other call of the binding panics.
pub(crate) fn driver_is_present() -> bool {
    #[expect(unsafe_code, reason = "opening a library runs its initialisers")]
    // SAFETY: NVIDIA's driver library is made to be opened by any program, at any time, from any thread.
    unsafe {
        sys::is_culib_present()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_a_driver_is_refused_by_name() {
        if driver_is_present() {
            eprintln!("skipped: this machine has an NVIDIA driver");
            return;
        }
        let refusal = Device::open(EngineKind::OnnxruntimeCuda, 0).err().expect("no driver");
        assert!(refusal.is_unavailable());
        assert_eq!(
            refusal.to_string(),
            "engine `onnxruntime-cuda` needs an NVIDIA GPU with its driver: libcuda.so.1 is not on this machine"
        );
    }
}
