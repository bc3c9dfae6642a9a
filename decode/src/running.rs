//! An opened network with its buffers: host values in, finite host values out.

use crate::{DecodeError, Network};
use mindeye_config::{Dimensions, TensorEntry};
use mindeye_engine::{Buffer, Engine, EngineError, NetworkFile, Session, TensorSpec};
use std::path::PathBuf;

/// A network that is ready to run; its inputs and outputs are those of [`Network`], in that order.
pub(crate) struct RunningNetwork {
    network: Network,
    session: Box<dyn Session>,
    inputs: Vec<Buffer>,
    outputs: Vec<Buffer>,
    /// The outputs' values on the host.
    values: Vec<Vec<f32>>,
}

impl RunningNetwork {
    /// Opens the file at `path` on `engine` and makes its buffers.
    pub(crate) fn open(
        engine: &dyn Engine,
        network: Network,
        path: PathBuf,
        dimensions: &Dimensions,
    ) -> Result<Self, EngineError> {
        let (inputs, outputs) = (specs(network.inputs(dimensions)), specs(network.outputs(dimensions)));
        let file = NetworkFile { name: network.key().into(), path, inputs, outputs };
        Ok(Self {
            network,
            session: engine.open(&file)?,
            inputs: buffers(engine, &file.inputs)?,
            outputs: buffers(engine, &file.outputs)?,
            values: file.outputs.iter().map(|spec| vec![0.0; spec.element_count()]).collect(),
        })
    }

    /// Computes the outputs, last dimension fastest, from one slice of values per input.
    pub(crate) fn run(&mut self, engine: &dyn Engine, inputs: &[&[f32]]) -> Result<&[Vec<f32>], DecodeError> {
        for (buffer, values) in self.inputs.iter_mut().zip(inputs) {
            engine.upload(buffer, values)?;
        }
        let inputs: Vec<&Buffer> = self.inputs.iter().collect();
        let mut outputs: Vec<&mut Buffer> = self.outputs.iter_mut().collect();
        self.session.run(&inputs, &mut outputs)?;
        for (buffer, values) in self.outputs.iter().zip(&mut self.values) {
            engine.download(buffer, values)?;
            check_finite(self.network, buffer.spec(), values)?;
        }
        Ok(&self.values)
    }
}

fn check_finite(network: Network, spec: &TensorSpec, values: &[f32]) -> Result<(), DecodeError> {
    let Some(element) = values.iter().position(|v| !v.is_finite()) else { return Ok(()) };
    let (network, tensor, value) = (network.key(), spec.name.clone(), values[element]);
    Err(DecodeError::NonFinite { network, tensor, element, value })
}

fn specs(entries: Vec<TensorEntry>) -> Vec<TensorSpec> {
    entries.into_iter().map(|entry| TensorSpec::new(entry.name, entry.shape)).collect()
}

fn buffers(engine: &dyn Engine, specs: &[TensorSpec]) -> Result<Vec<Buffer>, EngineError> {
    specs.iter().map(|spec| engine.buffer(spec)).collect()
}
