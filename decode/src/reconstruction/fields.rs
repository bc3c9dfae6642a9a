//! The two networks that plans evaluate, each with its condition bound: prior on brain tokens, UNet on image tokens.

use crate::decoder::Networks;
use crate::noise::Draw;
use crate::running::{RunningNetwork, check_finite, download};
use crate::sampler::{Field, PlanStep};
use crate::{DecodeError, Network};
use mindeye_engine::{Buffer, Engine, EngineError, TensorSpec};

/// What the prior needs beside the sample.
pub(crate) struct PriorBinding {
    brain_tokens: Buffer,
    timestep: Buffer,
}

impl PriorBinding {
    /// `tokens` of the backbone in `shape` [1, tokens, width].
    pub(crate) fn new(engine: &dyn Engine, shape: &[usize; 3], tokens: &[f32]) -> Result<Self, EngineError> {
        let brain_tokens = uploaded(engine, "brain_tokens", shape, tokens)?;
        Ok(Self { brain_tokens, timestep: engine.buffer(&TensorSpec::new("timestep", [1]))? })
    }

    pub(crate) fn field<'f>(&'f mut self, prior: &'f mut RunningNetwork) -> impl Field + 'f {
        PriorField { prior, binding: self }
    }
}

struct PriorField<'f> {
    prior: &'f mut RunningNetwork,
    binding: &'f mut PriorBinding,
}

impl Field for PriorField<'_> {
    fn network(&self) -> Network {
        Network::Prior
    }

    fn evaluate(&mut self, engine: &dyn Engine, sample: &Buffer, step: &PlanStep) -> Result<(), DecodeError> {
        let PriorBinding { brain_tokens, timestep } = &mut *self.binding;
        engine.upload(timestep, &[step.timestep as f32])?;
        self.prior.evaluate(&[sample, timestep, brain_tokens])?;
        Ok(())
    }

    fn output_spec(&self) -> &TensorSpec {
        self.prior.outputs()[0].spec()
    }

    fn output(&self, engine: &dyn Engine, _: &PlanStep, into: &mut [f32]) -> Result<(), DecodeError> {
        Ok(engine.download(&self.prior.outputs()[0], into)?)
    }

    fn pair(&self) -> Option<&Buffer> {
        None
    }

    fn draw(&self, step: usize) -> Draw {
        Draw::PriorStep(step as u32)
    }
}

/// What the UNet needs beside the sample. Its unconditional branch attends to zero tokens (spec: MindEye section 5), not
/// to those of a grey picture.
pub(crate) struct UnetBinding {
    branches: Branches,
    /// The sample as often as the UNet's batch.
    samples: Buffer,
    timestep: Buffer,
}

enum Branches {
    /// Zero tokens and image tokens in one buffer of batch 2.
    Both(Buffer),
    /// One after the other on a UNet of batch 1.
    Single { zeros: Buffer, tokens: Buffer, unconditional: Vec<f32> },
}

impl UnetBinding {
    /// Binds image `tokens`, f32[tokens, width], to the UNet of `networks`.
    pub(crate) fn new(engine: &dyn Engine, networks: &Networks, tokens: &[f32]) -> Result<Self, DecodeError> {
        let unet = networks.get(Network::Unet).ok_or(crate::decoder::missing(super::PRODUCT, Network::Unet))?;
        let shape = unet.input_shape(2);
        let zeros = vec![0.0; tokens.len()];
        let branches = match shape[0] {
            2 => Branches::Both(uploaded(engine, "encoder_hidden_states", shape, &[&zeros[..], tokens].concat())?),
            _ => Branches::Single {
                zeros: uploaded(engine, "zero tokens", shape, &zeros)?,
                tokens: uploaded(engine, "encoder_hidden_states", shape, tokens)?,
                unconditional: Vec::new(),
            },
        };
        let buffer = |name: &str, at| engine.buffer(&TensorSpec::new(name, unet.input_shape(at)));
        Ok(Self { branches, samples: buffer("samples", 0)?, timestep: buffer("timestep", 1)? })
    }

    pub(crate) fn field<'f>(&'f mut self, unet: &'f mut RunningNetwork) -> impl Field + 'f {
        UnetField { unet, binding: self }
    }
}

struct UnetField<'f> {
    unet: &'f mut RunningNetwork,
    binding: &'f mut UnetBinding,
}

impl Field for UnetField<'_> {
    fn network(&self) -> Network {
        Network::Unet
    }

    fn evaluate(&mut self, engine: &dyn Engine, sample: &Buffer, step: &PlanStep) -> Result<(), DecodeError> {
        let UnetBinding { branches, samples, timestep } = &mut *self.binding;
        let batch = timestep.spec().element_count();
        let values = download(engine, sample)?;
        check_finite(Network::Unet, sample.spec(), &values)?;
        engine.upload(samples, &values.repeat(batch))?;
        engine.upload(timestep, &vec![step.timestep as f32; batch])?;
        match branches {
            Branches::Both(tokens) => self.unet.evaluate(&[samples, timestep, tokens])?,
            Branches::Single { zeros, tokens, unconditional } => {
                if step.guidance.is_some() {
                    let outputs = self.unet.evaluate(&[samples, timestep, zeros])?;
                    *unconditional = download(engine, &outputs[0])?;
                }
                self.unet.evaluate(&[samples, timestep, tokens])?
            }
        };
        Ok(())
    }

    fn output_spec(&self) -> &TensorSpec {
        self.unet.outputs()[0].spec()
    }

    fn output(&self, engine: &dyn Engine, step: &PlanStep, into: &mut [f32]) -> Result<(), DecodeError> {
        let values = download(engine, &self.unet.outputs()[0])?;
        let (unconditional, conditional) = match &self.binding.branches {
            Branches::Both(_) => values.split_at(into.len()),
            Branches::Single { unconditional, .. } => (&unconditional[..], &values[..]),
        };
        match step.guidance {
            Some(scale) => guide(unconditional, conditional, scale, into),
            None => into.copy_from_slice(conditional),
        }
        Ok(())
    }

    fn pair(&self) -> Option<&Buffer> {
        match self.binding.branches {
            Branches::Both(_) => self.unet.outputs().first(),
            Branches::Single { .. } => None,
        }
    }

    fn draw(&self, _: usize) -> Draw {
        Draw::LatentStart // no step of the latent's samplers draws noise
    }
}

/// Classifier-free guidance, ε = u + g (c − u) (Ho and Salimans 2022, arXiv 2207.12598).
fn guide(unconditional: &[f32], conditional: &[f32], scale: f64, into: &mut [f32]) {
    for ((eps, u), c) in into.iter_mut().zip(unconditional).zip(conditional) {
        let (u, c) = (f64::from(*u), f64::from(*c));
        *eps = (u + scale * (c - u)) as f32;
    }
}

fn uploaded(engine: &dyn Engine, name: &str, shape: &[usize], values: &[f32]) -> Result<Buffer, EngineError> {
    let mut buffer = engine.buffer(&TensorSpec::new(name, shape))?;
    engine.upload(&mut buffer, values)?;
    Ok(buffer)
}
