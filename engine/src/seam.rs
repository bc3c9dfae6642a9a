//! What every engine can do: open networks and move numbers between host and buffers.

use crate::{Buffer, EngineError, NetworkFile, Side, TensorSpec};
use mindeye_config::EngineKind;

/// A library (or its stand-in) that computes networks.
pub trait Engine: Send {
    /// The kind that was asked for.
    fn kind(&self) -> EngineKind;

    /// Library, version and thread count in one line, for reports.
    fn describe(&self) -> String;

    /// Loads and compiles `network`.
    ///
    /// # Errors
    /// [`EngineError::Network`] when the file is missing or cannot be compiled, [`EngineError::Interface`] when its tensors
    /// are not those that `network` declares.
    fn open(&self, network: &NetworkFile) -> Result<Box<dyn Session>, EngineError>;

    /// A buffer of zeros where this engine computes.
    ///
    /// # Errors
    /// Of the device's allocator; host memory does not fail.
    fn buffer(&self, spec: &TensorSpec) -> Result<Buffer, EngineError> {
        Ok(Buffer::zeros(spec))
    }

    /// Copies `values` (the tensor's elements, last dimension fastest) into `buffer`.
    ///
    /// # Errors
    /// [`EngineError::Length`] when the element counts differ, [`EngineError::Place`] for a buffer of another place;
    /// `buffer` is then unchanged.
    fn upload(&self, buffer: &mut Buffer, values: &[f32]) -> Result<(), EngineError> {
        buffer.check_length(values.len())?;
        buffer.host_mut()?.copy_from_slice(values);
        Ok(())
    }

    /// Copies `buffer` into `values`.
    ///
    /// # Errors
    /// [`EngineError::Length`] when the element counts differ; `values` is then unchanged.
    fn download(&self, buffer: &Buffer, values: &mut [f32]) -> Result<(), EngineError> {
        buffer.check_length(values.len())?;
        values.copy_from_slice(buffer.host()?);
        Ok(())
    }

    /// Copies `from` into `to` where they are (on a device, without the host); names may differ, shapes may not.
    ///
    /// # Errors
    /// [`EngineError::Copy`] with both specs; `to` is then unchanged.
    fn copy(&self, from: &Buffer, to: &mut Buffer) -> Result<(), EngineError> {
        check_copy(from, to)?;
        to.host_mut()?.copy_from_slice(from.host()?);
        Ok(())
    }
}

/// Source and target of a copy have one shape.
pub(crate) fn check_copy(from: &Buffer, to: &Buffer) -> Result<(), EngineError> {
    if from.spec().shape == to.spec().shape {
        return Ok(());
    }
    Err(EngineError::Copy { from: from.spec().to_string(), to: to.spec().to_string() })
}

/// An opened network. Equal inputs give equal bytes, in any session of the same engine and network, but for operators that a
/// library sums in no fixed order: `GroupNorm` of ONNX Runtime's CUDA provider (one level of 255 in a picture).
pub trait Session: Send {
    /// Inputs in the order of [`Session::run`].
    fn inputs(&self) -> &[TensorSpec];

    /// Outputs in the order of [`Session::run`].
    fn outputs(&self) -> &[TensorSpec];

    /// Computes `outputs` from `inputs`, bound by position. What another session of this engine wrote may be an input:
    /// runs and copies of one engine take effect in the order of the calls.
    ///
    /// # Errors
    /// [`EngineError::BindingCount`], [`EngineError::BindingShape`] or [`EngineError::Place`] before anything is written,
    /// [`EngineError::Run`] from the library. The session stays usable; the outputs' values are then unspecified.
    fn run(&mut self, inputs: &[&Buffer], outputs: &mut [&mut Buffer]) -> Result<(), EngineError>;
}

/// Holds bound buffers against the tensors that `network` declares, so that all engines refuse alike.
pub(crate) fn check_bindings(
    network: &NetworkFile,
    inputs: &[&Buffer],
    outputs: &[&mut Buffer],
) -> Result<(), EngineError> {
    let outputs: Vec<&Buffer> = outputs.iter().map(|buffer| &**buffer).collect();
    check_side(network, Side::Input, &network.inputs, inputs)?;
    check_side(network, Side::Output, &network.outputs, &outputs)
}

fn check_side(network: &NetworkFile, side: Side, tensors: &[TensorSpec], bound: &[&Buffer]) -> Result<(), EngineError> {
    let name = || network.name.clone();
    if bound.len() != tensors.len() {
        return Err(EngineError::BindingCount { network: name(), side, expected: tensors.len(), found: bound.len() });
    }
    let mismatch = tensors.iter().zip(bound).find(|(tensor, buffer)| tensor.shape != buffer.spec().shape);
    let Some((tensor, buffer)) = mismatch else { return Ok(()) };
    Err(EngineError::BindingShape {
        network: name(),
        side,
        tensor: tensor.to_string(),
        buffer: buffer.spec().to_string(),
    })
}
