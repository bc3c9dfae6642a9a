//! AdamW on tensors, its state under the keys of the parameters, so that a checkpoint can carry it.
//!
//! Large tensors are updated in blocks: the temporaries of an 808-million-number layer would be 3.2 GB each, and a block
//! that stays in the cache is faster besides.

use super::parameters::Parameters;
use crate::CyclePoint;
use mindeye_config::OptimiserConfig;
use std::collections::BTreeMap;
use tch::{Device, Tensor};

/// Numbers of a block on the processor: 1 MiB for each of the four tensors that an update reads.
const BLOCK: i64 = 1 << 18;
/// Numbers of a block on a device, where each operation must be worth its launch: temporaries of 256 MiB.
const DEVICE_BLOCK: i64 = 1 << 26;

/// First and second moments of every trained tensor (Loshchilov and Hutter 2019).
pub struct AdamW {
    config: OptimiserConfig,
    /// Moments by key.
    pub(super) moments: BTreeMap<String, [Tensor; 2]>,
    /// Updates done.
    pub(super) updates: u64,
}

impl AdamW {
    /// Moments of zero.
    #[must_use]
    pub fn new(config: &OptimiserConfig, parameters: &Parameters) -> Self {
        let zeros = |tensor: &Tensor| [tensor.zeros_like().detach(), tensor.zeros_like().detach()];
        let moments = parameters.trained().map(|(slot, tensor)| (slot.key.clone(), zeros(tensor))).collect();
        Self { config: config.clone(), moments, updates: 0 }
    }

    /// One update: w ← w - η λ w, m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g², w ← w - η m̂/(√v̂ + ε).
    /// `gradients` are in the order of [`Parameters::trained`]; one that is not defined moves nothing.
    pub fn update(&mut self, parameters: &Parameters, gradients: &[Tensor], point: CyclePoint) {
        self.updates += 1;
        tch::no_grad(|| {
            for ((slot, tensor), gradient) in parameters.trained().zip(gradients).filter(|(_, g)| g.defined()) {
                let decay = if slot.is_decayed() { self.config.weight_decay } else { 0.0 };
                let step = Step::new(&self.config, point, decay, self.updates);
                let flat = |x: &Tensor| x.view([-1]);
                let [first, second] = &self.moments[&slot.key];
                let (w, g, m, v) = (flat(tensor), gradient.reshape([-1]), flat(first), flat(second));
                let most = if w.device() == Device::Cpu { BLOCK } else { DEVICE_BLOCK };
                for start in (0..w.size()[0]).step_by(most as usize) {
                    let length = most.min(w.size()[0] - start);
                    let block = |x: &Tensor| x.narrow(0, start, length);
                    step.apply(block(&w), &block(&g), block(&m), block(&v));
                }
            }
        });
    }
}

/// The constants of one update, in the order that needs the fewest passes over memory (Kingma and Ba 2015, section 2):
/// η m̂/(√v̂ + ε) = η̂ m/(√v + ε̂) with c = √(1 - β₂ᵗ), η̂ = η c/(1 - β₁ᵗ) and ε̂ = ε c.
struct Step {
    keep: f64,
    beta1: f64,
    beta2: f64,
    epsilon: f64,
    rate: f64,
}

impl Step {
    fn new(config: &OptimiserConfig, point: CyclePoint, decay: f64, updates: u64) -> Self {
        let (beta1, beta2, t) = (point.momentum, config.beta2, updates as f64);
        let correction = (1.0 - beta2.powf(t)).sqrt();
        Self {
            keep: 1.0 - point.learning_rate * decay,
            beta1,
            beta2,
            epsilon: config.epsilon * correction,
            rate: point.learning_rate * correction / (1.0 - beta1.powf(t)),
        }
    }

    fn apply(&self, mut w: Tensor, g: &Tensor, mut m: Tensor, mut v: Tensor) {
        if self.keep < 1.0 {
            let _ = w.g_mul_scalar_(self.keep);
        }
        let _ = m.lerp_(g, 1.0 - self.beta1);
        let _ = v.lerp_(&g.square(), 1.0 - self.beta2);
        let mut size = v.sqrt();
        let _ = size.g_add_scalar_(self.epsilon);
        let _ = w.addcdiv_(&(m * -self.rate), &size);
    }
}
