//! The tensors of a network by their checkpoint keys: made at random, read strictly, written one by one.

use crate::checkpoint::{Numbers, read_safetensors};
use crate::networks::{Init, Layout, Role, Slot};
use crate::{Draws, TrainError};
use mindeye_config::TrainingPrecision;
use safetensors::Dtype;
use std::collections::BTreeMap;
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Base of the rotary frequencies.
const THETA: f64 = 10_000.0;
/// Numbers that are handed over at once when a tensor is written.
const BLOCK: i64 = 1 << 20;

/// Float32 tensors under the keys of a layout.
pub struct Parameters {
    layout: Layout,
    tensors: BTreeMap<String, Tensor>,
    precision: TrainingPrecision,
}

impl Parameters {
    /// Tensors as PyTorch's layers would begin, from `seed`.
    #[must_use]
    pub fn random(layout: Layout, seed: u64, device: Device) -> Self {
        tch::manual_seed(Draws::new(seed, 0, "weights").generator_seed());
        let mut tensors: BTreeMap<String, Tensor> = BTreeMap::new();
        for slot in &layout.slots {
            let tensor = initial(slot).to_device(device);
            tensors.insert(slot.key.clone(), tensor.set_requires_grad(slot.role == Role::Trained));
        }
        Self { layout, tensors, precision: TrainingPrecision::Fp32 }
    }

    /// The tensors of the file `from`, or random ones where there is none.
    ///
    /// # Errors
    /// As [`Parameters::read`].
    pub(super) fn begin(from: Option<&Path>, layout: Layout, seed: u64, device: Device) -> Result<Self, TrainError> {
        match from {
            None => Ok(Self::random(layout, seed, device)),
            Some(path) => Self::read(path, layout, |_| false, device),
        }
    }

    /// The tensors of `layout` in the safetensors file at `path`; those for which `is_beside` holds are passed over.
    ///
    /// # Errors
    /// A missing, extra or mis-shaped tensor (all are listed), a number that is not finite, an unreadable file.
    pub fn read(
        path: &Path,
        layout: Layout,
        is_beside: impl Fn(&str) -> bool,
        device: Device,
    ) -> Result<Self, TrainError> {
        let wanted: BTreeMap<&str, &Slot> = layout.slots.iter().map(|slot| (slot.key.as_str(), slot)).collect();
        let (mut tensors, mut shapes) = (BTreeMap::new(), BTreeMap::new());
        let mut broken = Vec::new();
        read_safetensors(path, |key, view| {
            let slot = wanted.get(key.as_str());
            let shape = drop_ones_of_a_projection(view.shape(), slot.map_or(0, |slot| slot.shape.len()));
            if let Some(slot) = slot.filter(|slot| slot.shape == shape) {
                let tensor = tensor_of(view.data(), view.dtype(), &sizes(&shape)).to_device(device);
                if tensor.isfinite().all().int64_value(&[]) == 0 {
                    broken.push(key.clone());
                }
                tensors.insert(key.clone(), tensor.set_requires_grad(slot.role == Role::Trained));
            }
            shapes.insert(key, shape);
            Ok(())
        })?;
        if let Some(differences) = layout.differences(&shapes, is_beside) {
            return Err(TrainError::Misfit { path: path.to_owned(), differences });
        }
        if !broken.is_empty() {
            return Err(TrainError::malformed(path, format!("NaN or infinite numbers in {}", broken.join(", "))));
        }
        Ok(Self { layout, tensors, precision: TrainingPrecision::Fp32 })
    }

    /// What the networks' products round these tensors to from now on; the tensors themselves stay float32.
    pub fn set_precision(&mut self, precision: TrainingPrecision) {
        self.precision = precision;
    }

    /// What the networks' products round these tensors to: nothing until told.
    #[must_use]
    pub fn precision(&self) -> TrainingPrecision {
        self.precision
    }

    /// Its layout.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The tensor called `key`.
    ///
    /// # Panics
    /// If the layout has no such key, which is a mistake of the network that asks.
    pub fn get(&self, key: &str) -> &Tensor {
        self.tensors.get(key).unwrap_or_else(|| panic!("the layout has no tensor `{key}`"))
    }

    /// The tensors that training moves, in the order of the layout.
    pub fn trained(&self) -> impl Iterator<Item = (&Slot, &Tensor)> {
        let trained = self.layout.slots.iter().filter(|slot| slot.role == Role::Trained);
        trained.map(|slot| (slot, self.get(&slot.key)))
    }

    /// All tensors, in the order of the layout.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.layout.slots.iter().map(|slot| (slot.key.as_str(), self.get(&slot.key)))
    }

    /// Copies the numbers of `other`, which has the same keys, into these tensors.
    pub fn copy_from(&mut self, other: &BTreeMap<String, Tensor>) {
        tch::no_grad(|| other.iter().for_each(|(key, tensor)| self.get(key).shallow_clone().copy_(tensor)));
    }

    /// A copy of the trained tensors' numbers.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<String, Tensor> {
        self.trained().map(|(slot, tensor)| (slot.key.clone(), tensor.detach().copy())).collect()
    }
}

impl Numbers for Tensor {
    fn shape(&self) -> Vec<usize> {
        self.size().iter().map(|n| *n as usize).collect()
    }

    fn each_block(&self, take: &mut dyn FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
        let flat = self.detach().to_device(Device::Cpu).contiguous().view([-1]);
        let mut bytes = vec![0; 4 * BLOCK.min(flat.size()[0]).max(1) as usize];
        for start in (0..flat.size()[0]).step_by(BLOCK as usize) {
            let count = BLOCK.min(flat.size()[0] - start);
            // The platform that libtorch is pinned for is little-endian, as safetensors is.
            flat.narrow(0, start, count).copy_data_u8(&mut bytes, count as usize);
            take(&bytes[..4 * count as usize])?;
        }
        Ok(())
    }
}

fn initial(slot: &Slot) -> Tensor {
    let (shape, options) = (sizes(&slot.shape), (Kind::Float, Device::Cpu));
    match slot.init {
        Init::Constant(value) => Tensor::full(&shape[..], value, options),
        Init::Uniform { bound } => Tensor::empty(&shape[..], options).uniform_(-bound, bound),
        Init::Normal { sd } => Tensor::randn(&shape[..], options) * sd,
        Init::RotaryFrequencies => {
            let count = slot.len();
            let frequencies: Vec<f32> =
                (0..count).map(|i| THETA.powf(-(2.0 * i as f64) / (2.0 * count as f64)) as f32).collect();
            Tensor::from_slice(&frequencies)
        }
    }
}

/// Attention projections that were stored as 1x1 convolutions are matrices, of rank 2, here.
fn drop_ones_of_a_projection(shape: &[usize], rank: usize) -> Vec<usize> {
    match shape {
        [out, inner, 1, 1] if rank == 2 => vec![*out, *inner],
        _ => shape.to_vec(),
    }
}

/// Numbers of a safetensors file as float32.
pub(super) fn tensor_of(bytes: &[u8], dtype: Dtype, shape: &[i64]) -> Tensor {
    let kind = match dtype {
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        _ => Kind::Float,
    };
    Tensor::from_data_size(bytes, shape, kind).to_kind(Kind::Float)
}

/// A shape as libtorch counts.
pub(super) fn sizes(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|n| *n as i64).collect()
}
