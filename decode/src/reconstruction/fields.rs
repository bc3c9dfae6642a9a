//! The two networks that plans evaluate, each with its condition bound, for the loop on the host: prior on brain tokens,
//! UNet on image tokens.

use crate::decoder::{Networks, Running};
use crate::noise::Draw;
use crate::running::{download, uploaded};
use crate::sampler::{Field, PlanStep};
use crate::{DecodeError, Network};
use mindeye_engine::{Buffer, Engine, EngineError, TensorSpec};

/// The prior on one trial's brain tokens.
pub(crate) struct PriorField {
    sample: Buffer,
    timestep: Buffer,
    brain_tokens: Buffer,
    output: TensorSpec,
}

impl PriorField {
    /// `tokens` of the backbone in `shape` [1, tokens, width].
    pub(crate) fn new(engine: &dyn Engine, shape: &[usize; 3], tokens: &[f32]) -> Result<Self, EngineError> {
        Ok(Self {
            sample: engine.buffer(&TensorSpec::new("noised_tokens", *shape))?,
            timestep: engine.buffer(&TensorSpec::new("timestep", [1]))?,
            brain_tokens: uploaded(engine, "brain_tokens", shape, tokens)?,
            output: TensorSpec::new("predicted_tokens", *shape),
        })
    }
}

impl Field for PriorField {
    fn network(&self) -> Network {
        Network::Prior
    }

    fn output(
        &mut self,
        engine: &dyn Engine,
        running: &mut Running,
        sample: &[f32],
        step: &PlanStep,
    ) -> Result<Vec<f32>, DecodeError> {
        engine.upload(&mut self.sample, sample)?;
        engine.upload(&mut self.timestep, &[step.timestep as f32])?;
        let prior = running.of(super::PRODUCT, Network::Prior)?;
        let outputs = prior.evaluate(&[&self.sample, &self.timestep, &self.brain_tokens])?;
        Ok(download(engine, &outputs[0])?)
    }

    fn output_spec(&self) -> TensorSpec {
        self.output.clone()
    }

    fn draw(&self, at: usize) -> Draw {
        Draw::PriorStep(at as u32)
    }
}

/// The UNet on one trial's image tokens. Its unconditional branch attends to zero tokens (spec: MindEye section 5), not to
/// those of a grey picture.
pub(crate) struct UnetField {
    branches: Branches,
    /// The sample as often as the UNet's batch.
    samples: Buffer,
    timestep: Buffer,
    output: TensorSpec,
}

enum Branches {
    /// Zero tokens and image tokens in one buffer of batch 2.
    Both(Buffer),
    /// One after the other on a UNet of batch 1.
    Single { zeros: Buffer, tokens: Buffer },
}

impl UnetField {
    /// Binds image `tokens`, f32[tokens, width], to the UNet of `networks`.
    pub(crate) fn new(networks: &Networks, tokens: &[f32]) -> Result<Self, DecodeError> {
        let engine = networks.engine.as_ref();
        let unet = networks.get(super::PRODUCT, Network::Unet)?;
        let shape = unet.input_shape(2);
        let zeros = vec![0.0; tokens.len()];
        let branches = match shape[0] {
            2 => Branches::Both(uploaded(engine, "encoder_hidden_states", shape, &[&zeros[..], tokens].concat())?),
            _ => Branches::Single {
                zeros: uploaded(engine, "zero tokens", shape, &zeros)?,
                tokens: uploaded(engine, "encoder_hidden_states", shape, tokens)?,
            },
        };
        let buffer = |name: &str, at| engine.buffer(&TensorSpec::new(name, unet.input_shape(at)));
        let output = unet.outputs()[0].spec().clone();
        Ok(Self { branches, samples: buffer("samples", 0)?, timestep: buffer("timestep", 1)?, output })
    }
}

impl Field for UnetField {
    fn network(&self) -> Network {
        Network::Unet
    }

    fn output(
        &mut self,
        engine: &dyn Engine,
        running: &mut Running,
        sample: &[f32],
        step: &PlanStep,
    ) -> Result<Vec<f32>, DecodeError> {
        let Self { branches, samples, timestep, .. } = self;
        let batch = timestep.spec().element_count();
        engine.upload(samples, &sample.repeat(batch))?;
        engine.upload(timestep, &vec![step.timestep as f32; batch])?;
        let unet = running.of(super::PRODUCT, Network::Unet)?;
        let mut at = |tokens: &Buffer| -> Result<Vec<f32>, DecodeError> {
            Ok(download(engine, &unet.evaluate(&[samples, timestep, tokens])?[0])?)
        };
        match (branches, step.guidance) {
            (Branches::Both(tokens), guidance) => {
                let values = at(tokens)?;
                let (unconditional, conditional) = values.split_at(sample.len());
                Ok(guidance.map_or(conditional.to_vec(), |scale| guided(unconditional, conditional, scale)))
            }
            (Branches::Single { tokens, .. }, None) => at(tokens),
            (Branches::Single { zeros, tokens }, Some(scale)) => Ok(guided(&at(zeros)?, &at(tokens)?, scale)),
        }
    }

    fn output_spec(&self) -> TensorSpec {
        self.output.clone()
    }

    fn draw(&self, _: usize) -> Draw {
        Draw::LatentStart // no step of the latent's samplers draws noise
    }
}

/// Classifier-free guidance, ε = u + g (c − u) (Ho and Salimans 2022, arXiv 2207.12598).
fn guided(unconditional: &[f32], conditional: &[f32], scale: f64) -> Vec<f32> {
    let eps = |(u, c): (&f32, &f32)| (f64::from(*u) + scale * (f64::from(*c) - f64::from(*u))) as f32;
    unconditional.iter().zip(conditional).map(eps).collect()
}
