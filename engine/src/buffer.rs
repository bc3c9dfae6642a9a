//! A buffer is a tensor's memory under a name: on the host, or on the device where its engine computes.

use crate::cuda::DeviceMemory;
use crate::{EngineError, TensorSpec};
use std::fmt;

/// Memory of one float32 tensor; made by [`Engine::buffer`](crate::Engine::buffer) and filled through its engine.
///
/// Buffers belong to no session: what one session wrote, another of the same engine reads, and on a device it never
/// passes through the host in between.
#[derive(Debug)]
pub struct Buffer {
    spec: TensorSpec,
    memory: Memory,
}

#[derive(Debug)]
enum Memory {
    Host(Vec<f32>),
    #[cfg_attr(not(feature = "cuda"), expect(dead_code, reason = "a build without GPUs has no such memory"))]
    Device(DeviceMemory),
}

/// Where memory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The process's own memory.
    Host,
    /// Memory of the NVIDIA GPU with this number.
    Cuda(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host memory"),
            Self::Cuda(device) => write!(f, "memory of cuda:{device}"),
        }
    }
}

impl Buffer {
    /// A buffer of zeros in host memory.
    #[must_use]
    pub fn zeros(spec: &TensorSpec) -> Self {
        Self { spec: spec.clone(), memory: Memory::Host(vec![0.0; spec.element_count()]) }
    }

    /// Name and shape. The name is for messages: a session binds by position and checks the shape.
    #[must_use]
    pub fn spec(&self) -> &TensorSpec {
        &self.spec
    }

    /// Where its numbers are.
    #[must_use]
    pub fn place(&self) -> Place {
        match &self.memory {
            Memory::Host(_) => Place::Host,
            Memory::Device(memory) => Place::Cuda(memory.device()),
        }
    }

    /// The numbers, for an engine that computes in host memory.
    pub(crate) fn host(&self) -> Result<&[f32], EngineError> {
        match &self.memory {
            Memory::Host(values) => Ok(values),
            Memory::Device(_) => Err(misplaced(&self.spec, self.place(), Place::Host)),
        }
    }

    /// The same, to write.
    pub(crate) fn host_mut(&mut self) -> Result<&mut [f32], EngineError> {
        let found = self.place();
        match &mut self.memory {
            Memory::Host(values) => Ok(values),
            Memory::Device(_) => Err(misplaced(&self.spec, found, Place::Host)),
        }
    }

    pub(crate) fn check_length(&self, found: usize) -> Result<(), EngineError> {
        let expected = self.spec.element_count();
        if found == expected {
            return Ok(());
        }
        Err(EngineError::Length { buffer: self.spec.to_string(), expected, found })
    }
}

/// The device's side, for engines that compute there.
#[cfg(feature = "cuda")]
impl Buffer {
    pub(crate) fn on_device(spec: &TensorSpec, memory: DeviceMemory) -> Self {
        Self { spec: spec.clone(), memory: Memory::Device(memory) }
    }

    /// The memory, if it is on GPU number `device`.
    pub(crate) fn device(&self, device: usize) -> Result<&DeviceMemory, EngineError> {
        match &self.memory {
            Memory::Device(memory) if memory.device() == device => Ok(memory),
            _ => Err(misplaced(&self.spec, self.place(), Place::Cuda(device))),
        }
    }

    /// The same, to write.
    pub(crate) fn device_mut(&mut self, device: usize) -> Result<&mut DeviceMemory, EngineError> {
        let found = self.place();
        match &mut self.memory {
            Memory::Device(memory) if found == Place::Cuda(device) => Ok(memory),
            _ => Err(misplaced(&self.spec, found, Place::Cuda(device))),
        }
    }
}

fn misplaced(spec: &TensorSpec, found: Place, expected: Place) -> EngineError {
    EngineError::Place { buffer: spec.to_string(), found, expected }
}
