//! One step of a sampler between two evaluations of the UNet: guidance and the scheduler's update in one small graph, so
//! that the loop need not leave the device.
//!
//! ```text
//!   eps = unconditional + guidance (conditional - unconditional)
//!   (next_sample, corrected, prediction) = coefficients · (sample, eps, last_corrected, last_prediction, older_prediction)
//! ```
//! Every sampler of the method is linear in these five tensors, with numbers that depend on the step alone; `[3, 5]`
//! coefficients are an input. A solver of second order, x' = a x + b eps + c m_last, fills one row with
//! `[a, b, 0, c, 0]` and another with its prediction m = (x - sigma eps)/alpha, `[1/alpha, -sigma/alpha, 0, 0, 0]`;
//! UniPC also fills the row of the corrected sample, from which it starts its next step.
//! Spec: diffusion sections 3 and 7.4.

use super::recipes::Drawing;
use super::unet::Unet;
use super::{Islands, Network, beside, tensor_entry};
use crate::onnx::{GraphError, Wire};
use crate::reference::{Array, step};
use crate::weights::{Layout, SetAside, StateDict};
use mindeye_config::TensorEntry;

/// Tensors that a step mixes, in the order of the columns of its coefficients; `eps` comes out of the guidance.
pub const MIXED: [&str; 5] = ["sample", "eps", "last_corrected", "last_prediction", "older_prediction"];
/// Tensors that a step makes, in the order of the rows of its coefficients.
pub const MADE: [&str; 3] = ["next_sample", "corrected", "prediction"];

/// A step on latents of one shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SamplerStep {
    /// Channels of the latent.
    pub channels: usize,
    /// Side of the latent, H = W.
    pub latent_side: usize,
}

impl SamplerStep {
    /// The step between evaluations of `unet`.
    #[must_use]
    pub fn of(unet: &Unet) -> Self {
        Self { channels: unet.input, latent_side: unet.latent_side }
    }

    fn shape(&self, batch: usize) -> [usize; 4] {
        [batch, self.channels, self.latent_side, self.latent_side]
    }
}

impl Network for SamplerStep {
    fn name(&self) -> &'static str {
        "step"
    }

    fn layout(&self) -> Layout {
        Layout::default()
    }

    fn set_aside(&self) -> Vec<SetAside> {
        vec![beside("*", "the UNet's, whose latent this step has; the step itself has no weights")]
    }

    fn inputs(&self, batch: usize) -> Vec<TensorEntry> {
        let latent = self.shape(batch);
        let mut inputs =
            vec![tensor_entry("sample", &latent), tensor_entry("noise_prediction", &self.shape(2 * batch))];
        inputs.extend(MIXED[2..].iter().map(|name| tensor_entry(name, &latent)));
        inputs.push(tensor_entry("guidance", &[1]));
        inputs.push(tensor_entry("coefficients", &[MADE.len(), MIXED.len()]));
        inputs
    }

    fn outputs(&self, batch: usize) -> Vec<TensorEntry> {
        MADE.iter().map(|name| tensor_entry(name, &self.shape(batch))).collect()
    }

    fn islands(&self) -> Islands {
        Islands::EVERYTHING
    }

    fn draw(&self, net: &mut Drawing<'_, '_>, batch: usize) -> Result<(), GraphError> {
        let mut wires = Vec::new();
        for entry in self.inputs(batch) {
            wires.push(net.graph.input(&entry.name, &entry.shape)?);
        }
        let [sample, noise, last_corrected, last_prediction, older_prediction, guidance, coefficients] = &wires[..]
        else {
            unreachable!("`inputs` lists seven")
        };
        let eps = guided(net, noise, guidance, batch)?;
        let numbers = self.shape(batch).iter().product();
        let mut rows = Vec::new();
        for (name, wire) in MIXED.iter().zip([sample, &eps, last_corrected, last_prediction, older_prediction]) {
            rows.push(net.graph.reshape(&format!("{name}/row"), wire, &[1, numbers])?);
        }
        let stacked = net.graph.concat("stacked", &rows.iter().collect::<Vec<_>>(), 0)?;
        let made = net.graph.matmul("made", coefficients, &stacked)?;
        for (i, name) in MADE.iter().enumerate() {
            let row = net.graph.slice(&format!("{name}/row"), &made, 0, i..i + 1)?;
            let latent = net.graph.reshape(&format!("{name}/latent"), &row, &self.shape(batch))?;
            net.graph.output(name, &latent)?;
        }
        Ok(())
    }

    fn reference(&self, _state: &StateDict<'_>, inputs: &[Array]) -> Vec<Array> {
        step(inputs)
    }
}

/// Classifier-free guidance of `noise` [2B, C, H, W], the unconditional half first.
fn guided(net: &mut Drawing<'_, '_>, noise: &Wire, guidance: &Wire, batch: usize) -> Result<Wire, GraphError> {
    let unconditional = net.graph.slice("unconditional", noise, 0, 0..batch)?;
    let conditional = net.graph.slice("conditional", noise, 0, batch..2 * batch)?;
    let direction = net.graph.sub("direction", &conditional, &unconditional)?;
    let pushed = net.graph.mul("pushed", &direction, guidance)?;
    net.graph.add("eps", &unconditional, &pushed)
}
