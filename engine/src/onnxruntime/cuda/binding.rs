//! Device addresses bound to a session, and the run: the part of ONNX Runtime's interface that its Rust crate does not
//! offer for memory that is not its own (its safe binding would copy each input).
#![expect(unsafe_code, reason = "addresses of device memory cross to the library")]

use super::one_line;
use crate::cuda::{Device, to_capture_alone, while_nobody_captures};
use crate::{Buffer, EngineError, NetworkFile, TensorSpec};
use ort::AsPointer;
use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{IoBinding, RunOptions, Session};
use ort::value::{Shape, TensorRefMut};
use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::sync::Arc;
use std::thread::ThreadId;

/// Sets of addresses that a session keeps a captured graph for; a loop that swaps two buffers needs two.
const MOST_GRAPHS: usize = 8;
/// The annotation with which a run is neither captured nor replayed.
const UNCAPTURED: i32 = -1;

/// The graph of a run.
#[derive(Clone, Copy)]
struct Capture {
    graph: i32,
    is_new: bool,
}

/// `provider`, computing on the stream of `device`.
pub(super) fn on_stream_of(provider: ort::ep::CUDA, device: &Device) -> ort::ep::CUDA {
    // SAFETY: a session keeps its device alive by an `Arc` (`Bound`), and with it the stream.
    unsafe { provider.with_compute_stream(device.raw_stream().cast()) }
}

/// A session with the addresses that it was last bound to.
pub(super) struct Bound {
    // Dropped in this order: the binding and the session end before the stream that they compute on.
    binding: IoBinding,
    session: Session,
    memory: MemoryInfo<'static>,
    addresses: Vec<*mut c_void>,
    /// The graph of each set of addresses, where runs are captured; the library keeps graphs for each thread.
    graphs: Option<HashMap<(ThreadId, Vec<*mut c_void>), i32>>,
    device: Arc<Device>,
}

// SAFETY: the addresses are only compared and handed to the library, which allows a session to be used from any thread;
// `&mut self` keeps it to one at a time.
unsafe impl Send for Bound {}

impl Bound {
    pub(super) fn new(session: Session, device: Arc<Device>, capture: bool) -> ort::Result<Self> {
        let number = i32::try_from(device.number()).unwrap_or(i32::MAX);
        let memory = MemoryInfo::new(AllocationDevice::CUDA, number, AllocatorType::Device, MemoryType::Default)?;
        let graphs = capture.then(HashMap::new);
        Ok(Self { binding: session.create_binding()?, session, memory, addresses: Vec::new(), graphs, device })
    }

    /// Computes `outputs` from `inputs`, whose shapes are those of `network`; done when it returns.
    pub(super) fn run(
        &mut self,
        network: &NetworkFile,
        inputs: &[&Buffer],
        outputs: &mut [&mut Buffer],
    ) -> Result<(), EngineError> {
        let failed = |error: ort::Error| EngineError::Run { network: network.name.clone(), message: one_line(&error) };
        let addresses = self.addresses_of(inputs, outputs)?;
        if addresses != self.addresses {
            self.bind(network, &addresses).map_err(failed)?;
            self.addresses = addresses;
        }
        self.device.bind_to_thread()?;
        self.compute().map_err(failed)
    }

    fn addresses_of(&self, inputs: &[&Buffer], outputs: &mut [&mut Buffer]) -> Result<Vec<*mut c_void>, EngineError> {
        let number = self.device.number();
        let mut addresses = Vec::with_capacity(inputs.len() + outputs.len());
        for input in inputs {
            addresses.push(input.device(number)?.address());
        }
        for output in outputs {
            addresses.push(output.device_mut(number)?.address_mut());
        }
        Ok(addresses)
    }

    fn bind(&mut self, network: &NetworkFile, addresses: &[*mut c_void]) -> ort::Result<()> {
        self.addresses.clear(); // nothing is bound if this fails half-way
        let (inputs, outputs) = addresses.split_at(network.inputs.len());
        for (tensor, &address) in network.inputs.iter().zip(inputs) {
            self.bind_one(tensor, address, ort::api().BindInput)?;
        }
        for (tensor, &address) in network.outputs.iter().zip(outputs) {
            self.bind_one(tensor, address, ort::api().BindOutput)?;
        }
        Ok(())
    }

    fn bind_one(&mut self, tensor: &TensorSpec, address: *mut c_void, bind: BindFunction) -> ort::Result<()> {
        let name = CString::new(tensor.name.as_str()).map_err(|error| ort::Error::new(error.to_string()))?;
        let shape: Shape = tensor.shape.iter().map(|&size| size as i64).collect();
        // SAFETY: `address` is device memory of as many f32 as `shape` has elements (`check_bindings` compared buffer and
        // tensor), and the buffers are borrowed until the run that uses the binding has ended.
        let value = unsafe { TensorRefMut::<f32>::from_raw(self.memory.clone(), address, shape) }?;
        // SAFETY: binding and value are live objects of this library and `name` ends in a zero; the binding keeps its own
        // reference to what the value refers to.
        unsafe { ort::Error::result_from_status(bind(self.binding.ptr_mut(), name.as_ptr(), value.ptr())) }
    }

    fn compute(&mut self) -> ort::Result<()> {
        let mut options = RunOptions::new()?;
        let capture = self.graph();
        if let Some(capture) = capture {
            options.set("gpu_graph_id", capture.graph.to_string())?;
        }
        // The library captures within the first run of a graph.
        let alone = capture.is_some_and(|capture| capture.is_new).then(to_capture_alone);
        let _shared = alone.is_none().then(while_nobody_captures);
        let run = ort::api().RunWithBinding;
        // SAFETY: session, options and binding are live objects of this library, made for each other; without the option
        // that says otherwise the run ends after its work on the stream.
        unsafe { ort::Error::result_from_status(run(self.session.ptr_mut(), options.ptr(), self.binding.ptr())) }
    }

    /// A captured graph reads and writes the addresses it was captured with, so that each set of them has its own. A
    /// session that moves to another thread captures again there.
    fn graph(&mut self) -> Option<Capture> {
        let graphs = self.graphs.as_mut()?;
        let next = i32::try_from(graphs.len()).unwrap_or(i32::MAX);
        let key = (std::thread::current().id(), self.addresses.clone());
        match graphs.get(&key) {
            Some(&graph) => Some(Capture { graph, is_new: false }),
            None if graphs.len() == MOST_GRAPHS => Some(Capture { graph: UNCAPTURED, is_new: false }),
            None => {
                graphs.insert(key, next);
                Some(Capture { graph: next, is_new: true })
            }
        }
    }
}

/// `BindInput` or `BindOutput`.
type BindFunction = unsafe extern "system" fn(
    *mut ort::sys::OrtIoBinding,
    *const std::ffi::c_char,
    *const ort::sys::OrtValue,
) -> ort::sys::OrtStatusPtr;
