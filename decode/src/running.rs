//! An opened network with its outputs' buffers: values or buffers in, finite host values or buffers out.

use crate::{DecodeError, Network};
use mindeye_config::{NetworkEntry, TensorEntry};
use mindeye_engine::{Buffer, Engine, EngineError, NetworkFile, Session, TensorSpec};
use std::path::PathBuf;

/// A network that is ready to run; its inputs and outputs are those of [`Network`], in that order.
pub(crate) struct RunningNetwork {
    pub(crate) network: Network,
    session: Box<dyn Session>,
    inputs: Vec<Buffer>,
    outputs: Vec<Buffer>,
    /// The outputs' values on the host.
    values: Vec<Vec<f32>>,
}

impl RunningNetwork {
    /// Opens the file at `path`, whose tensors are those of `entry`, on `engine` and makes its buffers.
    pub(crate) fn open(
        engine: &dyn Engine,
        network: Network,
        path: PathBuf,
        entry: &NetworkEntry,
    ) -> Result<Self, EngineError> {
        let (inputs, outputs) = (specs(&entry.inputs), specs(&entry.outputs));
        let file = NetworkFile { name: network.key().into(), path, precision: entry.precision, inputs, outputs };
        Ok(Self {
            network,
            session: engine.open(&file)?,
            inputs: buffers(engine, &file.inputs)?,
            outputs: buffers(engine, &file.outputs)?,
            values: file.outputs.iter().map(|spec| vec![0.0; spec.element_count()]).collect(),
        })
    }

    /// Shape of input number `at`; the network's signature says which there are.
    pub(crate) fn input_shape(&self, at: usize) -> &[usize] {
        &self.inputs[at].spec().shape
    }

    /// Numbers in input number `at`.
    pub(crate) fn input_count(&self, at: usize) -> usize {
        self.inputs[at].spec().element_count()
    }

    /// Computes the outputs, last dimension fastest, from one slice of values per input.
    pub(crate) fn run(&mut self, engine: &dyn Engine, inputs: &[&[f32]]) -> Result<&[Vec<f32>], DecodeError> {
        for (buffer, values) in self.inputs.iter_mut().zip(inputs) {
            engine.upload(buffer, values)?;
        }
        let inputs: Vec<&Buffer> = self.inputs.iter().collect();
        run(self.session.as_mut(), &inputs, &mut self.outputs)?;
        for (buffer, values) in self.outputs.iter().zip(&mut self.values) {
            engine.download(buffer, values)?;
            check_finite(self.network, buffer.spec(), values)?;
        }
        Ok(&self.values)
    }

    /// Computes the outputs of whatever the inputs hold, once more; nobody looks at them.
    pub(crate) fn repeat(&mut self) -> Result<(), EngineError> {
        let inputs: Vec<&Buffer> = self.inputs.iter().collect();
        run(self.session.as_mut(), &inputs, &mut self.outputs)
    }

    /// Computes the outputs from bound buffers; they stay where the engine computes, and nobody has looked whether they
    /// are finite.
    pub(crate) fn evaluate(&mut self, inputs: &[&Buffer]) -> Result<&[Buffer], DecodeError> {
        run(self.session.as_mut(), inputs, &mut self.outputs)?;
        Ok(&self.outputs)
    }

    /// Computes `outputs` from `inputs`, all of them the caller's; nobody has looked whether they are finite.
    pub(crate) fn evaluate_into(&mut self, inputs: &[&Buffer], outputs: &mut [&mut Buffer]) -> Result<(), DecodeError> {
        Ok(self.session.run(inputs, outputs)?)
    }

    /// The outputs of the last evaluation.
    pub(crate) fn outputs(&self) -> &[Buffer] {
        &self.outputs
    }
}

fn run(session: &mut dyn Session, inputs: &[&Buffer], outputs: &mut [Buffer]) -> Result<(), EngineError> {
    let mut outputs: Vec<&mut Buffer> = outputs.iter_mut().collect();
    session.run(inputs, &mut outputs)
}

pub(crate) fn check_finite(network: Network, spec: &TensorSpec, values: &[f32]) -> Result<(), DecodeError> {
    let Some(element) = values.iter().position(|v| !v.is_finite()) else { return Ok(()) };
    let (network, tensor, value) = (network.key(), spec.name.clone(), values[element]);
    Err(DecodeError::NonFinite { network, tensor, element, value })
}

/// The values of `buffer` on the host.
pub(crate) fn download(engine: &dyn Engine, buffer: &Buffer) -> Result<Vec<f32>, EngineError> {
    let mut values = vec![0.0; buffer.spec().element_count()];
    engine.download(buffer, &mut values)?;
    Ok(values)
}

/// A buffer of `values`.
pub(crate) fn uploaded(
    engine: &dyn Engine,
    name: &str,
    shape: &[usize],
    values: &[f32],
) -> Result<Buffer, EngineError> {
    let mut buffer = engine.buffer(&TensorSpec::new(name, shape))?;
    engine.upload(&mut buffer, values)?;
    Ok(buffer)
}

fn specs(entries: &[TensorEntry]) -> Vec<TensorSpec> {
    entries.iter().map(|entry| TensorSpec::new(entry.name.clone(), entry.shape.clone())).collect()
}

fn buffers(engine: &dyn Engine, specs: &[TensorSpec]) -> Result<Vec<Buffer>, EngineError> {
    specs.iter().map(|spec| engine.buffer(spec)).collect()
}
