//! A buffer is a tensor's memory under a name: on the host now, on a device later.

use crate::{EngineError, TensorSpec};

/// Memory of one float32 tensor; made by [`Engine::buffer`](crate::Engine::buffer) and filled through its engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Buffer {
    spec: TensorSpec,
    host: Vec<f32>,
}

impl Buffer {
    /// A buffer of zeros in host memory.
    #[must_use]
    pub fn zeros(spec: &TensorSpec) -> Self {
        Self { spec: spec.clone(), host: vec![0.0; spec.element_count()] }
    }

    /// Name and shape. The name is for messages: a session binds by position and checks the shape.
    #[must_use]
    pub fn spec(&self) -> &TensorSpec {
        &self.spec
    }

    pub(crate) fn host(&self) -> &[f32] {
        &self.host
    }

    pub(crate) fn host_mut(&mut self) -> &mut [f32] {
        &mut self.host
    }

    pub(crate) fn check_length(&self, found: usize) -> Result<(), EngineError> {
        let expected = self.spec.element_count();
        if found == expected {
            return Ok(());
        }
        Err(EngineError::Length { buffer: self.spec.to_string(), expected, found })
    }
}
