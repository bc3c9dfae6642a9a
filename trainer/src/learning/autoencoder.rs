//! The arithmetic of the autoencoder (spec: diffusion section 2.1).

use super::net::Net;
use super::parameters::Parameters;
use super::picture_blocks::{decoder, encoder};
use super::precision::full;
use crate::networks::Autoencoder;
use tch::Tensor;

/// Bounds of the log-variance, as diffusers has them.
const LOG_VARIANCE: [f64; 2] = [-30.0, 20.0];

/// A normal distribution of latents, `[B, 4, h, w]` each.
pub struct Posterior {
    /// Its mean, which is its mode.
    pub mean: Tensor,
    /// Logarithm of its variance, within -30 and 20.
    pub log_variance: Tensor,
}

impl Posterior {
    /// The distribution with these moments `[B, 8, h, w]`.
    #[must_use]
    pub fn of(moments: &Tensor) -> Self {
        let halves = moments.chunk(2, 1);
        Self { mean: halves[0].shallow_clone(), log_variance: halves[1].clamp(LOG_VARIANCE[0], LOG_VARIANCE[1]) }
    }

    /// mean + σ `noise`.
    pub fn sample(&self, noise: &Tensor) -> Tensor {
        &self.mean + (&self.log_variance * 0.5).exp() * noise
    }

    /// Kullback-Leibler divergence from standard normal, ½ (μ² + σ² - 1 - ln σ²), mean over all numbers; nats.
    pub fn divergence(&self) -> Tensor {
        let terms: Tensor = self.mean.square() + self.log_variance.exp() - 1.0 - &self.log_variance;
        terms.mean(tch::Kind::Float) * 0.5
    }
}

/// Pictures `[B, 3, S, S]` in -1..1 to moments `[B, 8, h, w]`.
pub fn vae_encode(sizes: &Autoencoder, parameters: &Parameters, pictures: &Tensor) -> Tensor {
    let net = Net::new(parameters, "");
    let map = encoder(&net.at("encoder"), pictures, sizes.channels.len(), sizes.resnets, sizes.norm_groups);
    full(&net.at("quant_conv").conv(&map))
}

/// Unscaled latents `[B, 4, h, w]` to pictures `[B, 3, S, S]` in about -1..1.
pub fn vae_decode(sizes: &Autoencoder, parameters: &Parameters, latents: &Tensor) -> Tensor {
    let net = Net::new(parameters, "");
    let map = net.at("post_quant_conv").conv(latents);
    decoder(&net.at("decoder"), &map, sizes.channels.len(), sizes.resnets + 1, sizes.norm_groups)
}
