//! What one reconstruction will run: its plans, its decoder and how many pictures.

use super::PRODUCT;
use crate::decoder::{Networks, missing};
use crate::effort::{Effort, Work};
use crate::sampler::{CosineSchedule, LoopPlace, Plan, StartFrom, latent_plan, prior_plan};
use crate::{DecodeError, Network};
use mindeye_config::{LowLevelStart, SchedulerConfig, TokenScale};
use std::sync::Arc;

/// Choices that are made before the first network runs.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) effort: Effort,
    pub(crate) prior: Arc<Plan>,
    pub(crate) latent: Arc<Plan>,
    pub(crate) prior_loop: LoopPlace,
    pub(crate) latent_loop: LoopPlace,
    /// Whether a low-level network makes the start.
    pub(crate) starts_from_picture: bool,
    pub(crate) low_level_start: LowLevelStart,
    /// VAE or TAESD.
    pub(crate) renderer: Network,
    pub(crate) candidates: u32,
    /// Whether CLIP compares the candidates.
    pub(crate) chooses: bool,
    token_scale: TokenScale,
    /// Whether the UNet takes both branches at once.
    both_branches: bool,
}

impl Setup {
    /// What `effort` runs on these networks: [`Effort::Full`] as the scheduler says, anything less with the fast steps and
    /// TAESD where there is one, one candidate, and no round trip.
    pub(crate) fn new(networks: &Networks, config: &SchedulerConfig, effort: Effort) -> Result<Self, DecodeError> {
        let is_full = effort == Effort::Full;
        check_networks(networks)?;
        let starts_from_picture = networks.has(Network::LowLevel);
        let low_level_start = if is_full { config.low_level_start } else { LowLevelStart::Direct };
        if starts_from_picture && low_level_start == LowLevelStart::RoundTrip {
            check_round_trip(networks)?;
        }
        let (prior_steps, steps) = match is_full {
            true => (config.prior.steps, config.steps),
            false => (config.prior.fast_steps, config.fast_steps),
        };
        let from = if starts_from_picture { StartFrom::Picture } else { StartFrom::Noise };
        let candidates = if is_full { config.candidates } else { 1 };
        Ok(Self {
            effort,
            prior: Arc::new(prior_plan(&CosineSchedule::new(config.prior.train_timesteps), prior_steps)),
            latent: Arc::new(latent_plan(config, steps, from)),
            prior_loop: networks.prior_loop(),
            latent_loop: networks.latent_loop(),
            starts_from_picture,
            low_level_start,
            renderer: renderer(networks, is_full),
            candidates,
            chooses: candidates > 1 && networks.has(Network::ClipImage),
            token_scale: config.prior.token_scale,
            both_branches: networks.unet_takes_both_branches(),
        })
    }

    /// Factor between the prior's tokens and CLIP's, for tokens of width `token_dim`.
    pub(crate) fn token_scale(&self, token_dim: usize) -> f64 {
        match self.token_scale {
            TokenScale::SqrtWidth => (token_dim as f64).sqrt(),
            TokenScale::One => 1.0,
        }
    }

    /// Runs of the UNet in step number `at`: a guided step is two where it takes one branch at a time.
    pub(crate) fn unet_runs(&self, at: usize) -> u32 {
        let guided = self.latent.steps.get(at).is_some_and(|step| step.guidance.is_some());
        if guided && !self.both_branches { 2 } else { 1 }
    }

    /// All runs of candidate number `candidate` until its picture is shown; the first also makes tokens and start.
    pub(crate) fn work(&self, candidate: u32) -> Work {
        let walks = self.work_of_walks(Some(0), None);
        if candidate > 0 {
            return walks;
        }
        let mut work = walks + Work::of([(Network::Backbone, 1)]);
        if self.starts_from_picture {
            work = work + Work::of([(Network::LowLevel, 1)]);
            if self.low_level_start == LowLevelStart::RoundTrip {
                work = work + Work::of([(Network::VaeDecoder, 1), (Network::VaeEncoder, 1)]);
            }
        }
        work
    }

    /// Runs left from step `prior` of the prior, or from step `latent` of the UNet.
    pub(crate) fn work_of_walks(&self, prior: Option<usize>, latent: Option<usize>) -> Work {
        let prior_runs = prior.map_or(0, |done| self.prior.steps.len() - done) as u32;
        let unet_runs = (latent.unwrap_or(0)..self.latent.steps.len()).map(|at| self.unet_runs(at)).sum();
        Work::of([(Network::Prior, prior_runs), (Network::Unet, unet_runs)]) + self.work_of_rendering()
    }

    /// Latent to picture, and its comparison.
    pub(crate) fn work_of_rendering(&self) -> Work {
        Work::of([(self.renderer, 1), (Network::ClipImage, u32::from(self.chooses))])
    }
}

fn check_networks(networks: &Networks) -> Result<(), DecodeError> {
    for network in [Network::Backbone, Network::Prior, Network::Unet] {
        if !networks.has(network) {
            return Err(missing(PRODUCT, network));
        }
    }
    if networks.has(Network::TaesdDecoder) { Ok(()) } else { require(networks, Network::VaeDecoder) }
}

fn check_round_trip(networks: &Networks) -> Result<(), DecodeError> {
    require(networks, Network::VaeDecoder)?;
    require(networks, Network::VaeEncoder)
}

fn require(networks: &Networks, network: Network) -> Result<(), DecodeError> {
    if networks.has(network) { Ok(()) } else { Err(missing(PRODUCT, network)) }
}

/// The VAE for a full reconstruction, TAESD in a hurry; the other where there is only that.
fn renderer(networks: &Networks, is_full: bool) -> Network {
    let (first, second) = match is_full {
        true => (Network::VaeDecoder, Network::TaesdDecoder),
        false => (Network::TaesdDecoder, Network::VaeDecoder),
    };
    if networks.has(first) { first } else { second }
}
