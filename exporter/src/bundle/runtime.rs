//! ONNX Runtime's answers of a bundle's graphs: the judge of golden cases before anyone else sees the bundle.

use crate::ExportError;
use mindeye_config::{EngineConfig, NetworkEntry, TensorEntry};
use mindeye_engine::{Engine, NetworkFile, TensorSpec};
use std::path::Path;

/// ONNX Runtime on the CPU.
pub(super) struct Runtime {
    engine: Box<dyn Engine>,
}

impl Runtime {
    /// # Errors
    /// No ONNX Runtime.
    pub(super) fn start() -> Result<Self, ExportError> {
        Ok(Self { engine: mindeye_engine::start(&EngineConfig::default())? })
    }

    /// Outputs of the network `entry` of the bundle in `folder` for `inputs`, in the entry's order.
    ///
    /// # Errors
    /// A graph that does not load or run.
    pub(super) fn answers(
        &self,
        folder: &Path,
        entry: &NetworkEntry,
        inputs: &[&[f32]],
    ) -> Result<Vec<Vec<f32>>, ExportError> {
        let specs = |entries: &[TensorEntry]| -> Vec<TensorSpec> {
            entries.iter().map(|entry| TensorSpec::new(entry.name.as_str(), entry.shape.as_slice())).collect()
        };
        let network = NetworkFile {
            name: entry.name.clone(),
            path: folder.join(&entry.path),
            precision: entry.precision,
            inputs: specs(&entry.inputs),
            outputs: specs(&entry.outputs),
        };
        let mut session = self.engine.open(&network)?;
        let mut bound = Vec::new();
        for (spec, values) in network.inputs.iter().zip(inputs) {
            let mut buffer = self.engine.buffer(spec)?;
            self.engine.upload(&mut buffer, values)?;
            bound.push(buffer);
        }
        let mut results = network.outputs.iter().map(|spec| self.engine.buffer(spec)).collect::<Result<Vec<_>, _>>()?;
        session.run(&bound.iter().collect::<Vec<_>>(), &mut results.iter_mut().collect::<Vec<_>>())?;
        let mut answers = Vec::new();
        for buffer in &results {
            let mut values = vec![0.0; buffer.spec().element_count()];
            self.engine.download(buffer, &mut values)?;
            answers.push(values);
        }
        Ok(answers)
    }
}
