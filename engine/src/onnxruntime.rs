//! ONNX Runtime on the CPU, loaded at run time from the folder that `cargo xtask setup` fills.

#[cfg(feature = "onnxruntime-cuda")]
pub(crate) mod cuda;
mod library;

use crate::seam::check_bindings;
use crate::{Buffer, Engine, EngineError, NetworkFile, Session, Side, TensorSpec};
use library::{Library, Source, one_line};
use mindeye_config::EngineKind;
use ort::session::SessionInputValue;
use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};
use std::num::NonZero;
use std::path::Path;

const KIND: EngineKind = EngineKind::OnnxruntimeCpu;
const SOURCE: Source = Source { kind: KIND, library: "onnxruntime/lib/libonnxruntime.so", remedy: "cargo xtask setup" };

/// ONNX Runtime's CPU provider.
pub struct OnnxRuntime {
    library: Library,
    threads: usize,
}

impl OnnxRuntime {
    /// Loads the library. `threads` compute one network together; 0 takes all cores but one, which is preprocessing's.
    ///
    /// # Errors
    /// [`EngineError::LibraryMissing`] or [`EngineError::LibraryUnusable`].
    pub fn on_cpu(threads: usize) -> Result<Self, EngineError> {
        let threads = if threads == 0 { all_cores_but_one() } else { threads };
        Ok(Self { library: SOURCE.open()?, threads })
    }

    /// Equal bytes from run to run want one thread between operators, a fixed number inside them, and the deterministic
    /// kernels. No spinning: between two trials the cores belong to preprocessing.
    fn compile(&self, path: &Path) -> ort::Result<ort::session::Session> {
        ort::session::Session::builder(&self.library.environment)?
            .with_intra_threads(self.threads)?
            .with_inter_threads(1)?
            .with_intra_op_spinning(false)?
            .with_deterministic_compute(true)?
            .commit_from_file(path)
    }
}

impl Engine for OnnxRuntime {
    fn kind(&self) -> EngineKind {
        KIND
    }

    fn describe(&self) -> String {
        format!("{KIND}, {}, {} thread(s)", self.library.description, self.threads)
    }

    fn open(&self, network: &NetworkFile) -> Result<Box<dyn Session>, EngineError> {
        let session = self.compile(&network.path).map_err(|error| EngineError::Network {
            network: network.name.clone(),
            path: network.path.clone(),
            message: one_line(&error),
        })?;
        check_interface(network, Side::Input, &network.inputs, session.inputs())?;
        check_interface(network, Side::Output, &network.outputs, session.outputs())?;
        Ok(Box::new(OnnxSession { network: network.clone(), session }))
    }
}

struct OnnxSession {
    network: NetworkFile,
    session: ort::session::Session,
}

impl Session for OnnxSession {
    fn inputs(&self) -> &[TensorSpec] {
        &self.network.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.network.outputs
    }

    fn run(&mut self, inputs: &[&Buffer], outputs: &mut [&mut Buffer]) -> Result<(), EngineError> {
        check_bindings(&self.network, inputs, outputs)?;
        compute(&mut self.session, &self.network, inputs, outputs)
    }
}

/// Inputs are read where they lie; outputs are copied out of the library's memory (3 MB for the largest, a picture).
fn compute(
    session: &mut ort::session::Session,
    network: &NetworkFile,
    inputs: &[&Buffer],
    outputs: &mut [&mut Buffer],
) -> Result<(), EngineError> {
    let failed = |error: ort::Error| EngineError::Run { network: network.name.clone(), message: one_line(&error) };
    let mut views: Vec<(&str, SessionInputValue<'_>)> = Vec::with_capacity(inputs.len());
    for (tensor, buffer) in network.inputs.iter().zip(inputs) {
        let view = TensorRef::from_array_view((tensor.shape.as_slice(), buffer.host()?)).map_err(failed)?;
        views.push((&tensor.name, view.into()));
    }
    let computed = session.run(views).map_err(failed)?;
    for (tensor, buffer) in network.outputs.iter().zip(outputs) {
        let (_, values) = computed[tensor.name.as_str()].try_extract_tensor::<f32>().map_err(failed)?;
        buffer.host_mut()?.copy_from_slice(values);
    }
    Ok(())
}

/// Names, order, element type and shapes of the graph must be the declared ones.
fn check_interface(
    network: &NetworkFile,
    side: Side,
    declared: &[TensorSpec],
    graph: &[Outlet],
) -> Result<(), EngineError> {
    let declared = list(declared.iter().map(ToString::to_string));
    let found = list(graph.iter().map(describe_outlet));
    if declared == found {
        return Ok(());
    }
    Err(EngineError::Interface { network: network.name.clone(), path: network.path.clone(), side, declared, found })
}

/// As [`TensorSpec`] prints itself; a dynamic dimension is -1 and so agrees with no declared shape.
fn describe_outlet(outlet: &Outlet) -> String {
    match outlet.dtype() {
        ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } => {
            format!("{} f32{:?}", outlet.name(), &**shape)
        }
        other => format!("{} {other}", outlet.name()),
    }
}

fn list(tensors: impl Iterator<Item = String>) -> String {
    tensors.collect::<Vec<_>>().join("; ")
}

fn all_cores_but_one() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    cores.saturating_sub(1).max(1)
}
