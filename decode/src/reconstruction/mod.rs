//! A reconstruction that can stop after any network run: voxels → brain tokens → image tokens → latent → picture.
//!
//! ```text
//!   voxels ─ backbone ─► brain tokens ─ prior, N steps ─► image tokens ─┐ (condition)
//!   voxels ─ low-level ─► latent [─ round trip ─►] + noise ─ UNet, N steps ─► latent ─ VAE or TAESD ─► picture
//!                                                                                                   └ CLIP: which is best
//! ```
//! Scotti et al. 2023; spec: MindEye section 5. It owns its tensors, so another trial's retrieval may come between two of
//! its steps.

mod choice;
mod device;
mod fields;
mod round_trip;
mod setup;
mod shelf;
mod tokens;

pub use choice::pixel_values as clip_pixel_values;
pub(crate) use device::{DeviceLoops, rehearse};
pub(crate) use setup::Setup;

use crate::effort::{Effort, Work};
use crate::noise::Draw;
use crate::sampler::{HostStepper, LoopPlace, Stepper, Walk, first_sample};
use crate::{DecodeError, Decoder, Network, NoiseSource, Picture, TrialNoise};
use device::{DeviceLatent, DevicePrior};
use fields::{PriorField, UnetField};
use mindeye_config::{LowLevelStart, Timings};
use mindeye_preprocess::Pattern;
use std::sync::Arc;

pub(crate) const PRODUCT: &str = "reconstruction";

/// What a step brought.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// Nothing to show yet.
    Working,
    /// A picture.
    Picture(Candidate),
    /// All candidates are drawn.
    Finished,
}

/// A finished picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The picture.
    pub picture: Picture,
    /// Its number, from 0.
    pub candidate: u32,
    /// Seed of its noise.
    pub seed: u64,
    /// Cosine of its CLIP tokens with the retrieval tokens, where the bundle has `clip-image` and there are several.
    pub similarity: Option<f64>,
    /// Whether it is the nearest so far; without a similarity the first is.
    pub is_best: bool,
}

/// A reconstruction on its way; made by [`Decoder::begin`].
pub struct Reconstruction {
    pattern: Pattern,
    setup: Setup,
    noise: TrialNoise,
    /// Where another program's noise is to be used; the trial's own otherwise.
    injected: Option<Arc<dyn NoiseSource>>,
    stage: Stage,
    brain: Brain,
    /// Latent from which diffusion starts, scaled, f32[4, h, w]; empty without a low-level network.
    blurry: Vec<f32>,
    /// Mean and log-variance of the round trip's posterior, f32[8, h, w].
    moments: Vec<f32>,
    /// What the prior made of the brain tokens, f32[tokens, token width], CLS token of length 1.
    image_tokens: Vec<f32>,
    /// Where the diffusion ended, scaled, f32[4, h, w].
    latent: Vec<f32>,
    candidate: u32,
    best: Option<f64>,
    steps: usize,
    timings: Timings,
}

/// Both outputs of the backbone, f32[tokens, token width].
#[derive(Default)]
struct Brain {
    tokens: Vec<f32>,
    retrieval_tokens: Vec<f32>,
}

/// What runs next.
enum Stage {
    Backbone,
    LowLevel,
    RoundTripDecode,
    RoundTripEncode(Vec<f32>),
    Prior(Walk),
    Unet(Walk),
    Render,
    Compare(Picture),
    Finished,
}

impl Reconstruction {
    pub(crate) fn new(pattern: Pattern, setup: Setup, noise: TrialNoise) -> Self {
        Self {
            pattern,
            setup,
            noise,
            injected: None,
            stage: Stage::Backbone,
            brain: Brain::default(),
            blurry: Vec::new(),
            moments: Vec::new(),
            image_tokens: Vec::new(),
            latent: Vec::new(),
            candidate: 0,
            best: None,
            steps: 0,
            timings: Timings::default(),
        }
    }

    /// The same reconstruction with the noise of `source`, for parity with another program.
    #[must_use]
    pub fn with_noise(mut self, source: impl NoiseSource + 'static) -> Self {
        self.injected = Some(Arc::new(source));
        self
    }

    /// The effort that was asked for.
    #[must_use]
    pub fn effort(&self) -> Effort {
        self.setup.effort
    }

    /// UNet steps done for the present candidate.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Image tokens of the last candidate whose prior is done, f32[tokens, token width]; their CLS token has length 1.
    #[must_use]
    pub fn image_tokens(&self) -> &[f32] {
        &self.image_tokens
    }

    /// Latent of the last candidate whose diffusion is done, f32[4, h, w] in the diffusion's scale.
    #[must_use]
    pub fn latent(&self) -> &[f32] {
        &self.latent
    }

    /// Time of each step so far.
    #[must_use]
    pub fn timings(&self) -> &Timings {
        &self.timings
    }

    /// Network runs left until the next picture; none once all are drawn.
    #[must_use]
    pub fn remaining(&self) -> Work {
        let all = self.setup.work(self.candidate);
        match &self.stage {
            Stage::Backbone => all,
            Stage::LowLevel => all.without([Network::Backbone]),
            Stage::RoundTripDecode => all.without([Network::Backbone, Network::LowLevel]),
            Stage::RoundTripEncode(_) => {
                all.without([Network::Backbone, Network::LowLevel]).less(Network::VaeDecoder, 1)
            }
            Stage::Prior(walk) => self.setup.work_of_walks(Some(walk.done()), None),
            Stage::Unet(walk) => self.setup.work_of_walks(None, Some(walk.done())),
            Stage::Render => self.setup.work_of_rendering(),
            Stage::Compare(_) => Work::of([(Network::ClipImage, 1)]),
            Stage::Finished => Work::default(),
        }
    }

    /// Runs the next network once (a guided step on a UNet of batch 1: twice).
    ///
    /// # Errors
    /// What the engine says, and [`DecodeError::NonFinite`], by network and step; the reconstruction is then over, and the
    /// decoder as usable as before.
    pub fn step(&mut self, decoder: &mut Decoder) -> Result<Progress, DecodeError> {
        match std::mem::replace(&mut self.stage, Stage::Finished) {
            Stage::Backbone => self.run_backbone(decoder),
            Stage::LowLevel => self.run_low_level(decoder),
            Stage::RoundTripDecode => self.decode_blurry(decoder),
            Stage::RoundTripEncode(image) => self.encode_blurry(decoder, &image),
            Stage::Prior(walk) => self.step_prior(decoder, walk),
            Stage::Unet(walk) => self.step_unet(decoder, walk),
            Stage::Render => self.render(decoder),
            Stage::Compare(picture) => self.compare(decoder, picture),
            Stage::Finished => Ok(Progress::Finished),
        }
    }

    fn run_backbone(&mut self, decoder: &mut Decoder) -> Result<Progress, DecodeError> {
        let outputs = decoder.networks.run(PRODUCT, Network::Backbone, &[&self.pattern.0], &mut self.timings)?;
        self.brain = Brain { tokens: outputs[0].clone(), retrieval_tokens: outputs[1].clone() };
        match self.setup.starts_from_picture {
            true => self.go(Stage::LowLevel),
            false => self.begin_candidate(decoder),
        }
    }

    fn run_low_level(&mut self, decoder: &mut Decoder) -> Result<Progress, DecodeError> {
        let outputs = decoder.networks.run(PRODUCT, Network::LowLevel, &[&self.pattern.0], &mut self.timings)?;
        self.blurry.clone_from(&outputs[0]);
        match self.setup.low_level_start {
            LowLevelStart::Direct => self.begin_candidate(decoder),
            LowLevelStart::RoundTrip => self.go(Stage::RoundTripDecode),
        }
    }

    fn decode_blurry(&mut self, decoder: &mut Decoder) -> Result<Progress, DecodeError> {
        let latent = crate::decoder::unscaled(&self.blurry, decoder.dimensions.latent_scale);
        let image = &decoder.networks.run(PRODUCT, Network::VaeDecoder, &[&latent], &mut self.timings)?[0];
        let normalised = round_trip::normalised(image);
        self.go(Stage::RoundTripEncode(normalised))
    }

    fn encode_blurry(&mut self, decoder: &mut Decoder, image: &[f32]) -> Result<Progress, DecodeError> {
        let outputs = decoder.networks.run(PRODUCT, Network::VaeEncoder, &[image], &mut self.timings)?;
        self.moments.clone_from(&outputs[0]);
        self.begin_candidate(decoder)
    }

    /// Image tokens from noise: the candidate's own.
    fn begin_candidate(&mut self, decoder: &Decoder) -> Result<Progress, DecodeError> {
        self.steps = 0;
        let networks = &decoder.networks;
        let shape = [1, decoder.dimensions.tokens, decoder.dimensions.token_dim];
        let (plan, noise, brain) = (self.setup.prior.clone(), self.source(), &self.brain.tokens);
        let first = first_sample(plan.start, brain.len(), None, noise.as_ref(), Draw::PriorStart);
        let stepper: Box<dyn Stepper> = match self.setup.prior_loop {
            LoopPlace::Device => Box::new(DevicePrior::start(networks, &plan, &first, brain, noise.as_ref())?),
            LoopPlace::Host => {
                let field = PriorField::new(networks.engine.as_ref(), &shape, brain)?;
                Box::new(HostStepper::new(field, &shape, first, noise))
            }
        };
        self.go(Stage::Prior(Walk::new(plan, stepper)))
    }

    fn step_prior(&mut self, decoder: &mut Decoder, mut walk: Walk) -> Result<Progress, DecodeError> {
        decoder.networks.with(Network::Prior, 1, &mut self.timings, |engine, running| walk.step(engine, running))?;
        if !walk.is_finished() {
            return self.go(Stage::Prior(walk));
        }
        let predicted = walk.sample(decoder.networks.engine.as_ref())?;
        let scale = self.setup.token_scale(decoder.dimensions.token_dim);
        self.image_tokens = tokens::normalised(&predicted, scale, decoder.dimensions.token_dim);
        self.begin_diffusion(decoder)
    }

    fn begin_diffusion(&mut self, decoder: &Decoder) -> Result<Progress, DecodeError> {
        let networks = &decoder.networks;
        let [channels, height, width] = decoder.dimensions.latent;
        let (plan, noise, tokens) = (self.setup.latent.clone(), self.source(), &self.image_tokens);
        let clean = self.clean_latent(decoder.dimensions.latent_scale, noise.as_ref());
        let count = channels * height * width;
        let first = first_sample(plan.start, count, clean.as_deref(), noise.as_ref(), Draw::LatentStart);
        let stepper: Box<dyn Stepper> = match self.setup.latent_loop {
            LoopPlace::Device => Box::new(DeviceLatent::start(networks, &first, tokens)?),
            LoopPlace::Host => {
                let field = UnetField::new(networks, tokens)?;
                Box::new(HostStepper::new(field, &[1, channels, height, width], first, noise))
            }
        };
        self.go(Stage::Unet(Walk::new(plan, stepper)))
    }

    /// The scaled latent from which diffusion starts, if there is one.
    fn clean_latent(&self, latent_scale: f64, source: &dyn NoiseSource) -> Option<Vec<f32>> {
        match (self.setup.starts_from_picture, self.setup.low_level_start) {
            (false, _) => None,
            (true, LowLevelStart::Direct) => Some(self.blurry.clone()),
            (true, LowLevelStart::RoundTrip) => Some(round_trip::sampled(&self.moments, latent_scale, source)),
        }
    }

    fn step_unet(&mut self, decoder: &mut Decoder, mut walk: Walk) -> Result<Progress, DecodeError> {
        let runs = self.setup.unet_runs(walk.done());
        decoder.networks.with(Network::Unet, runs, &mut self.timings, |engine, running| walk.step(engine, running))?;
        self.steps = walk.done();
        if !walk.is_finished() {
            return self.go(Stage::Unet(walk));
        }
        self.latent = walk.sample(decoder.networks.engine.as_ref())?;
        self.go(Stage::Render)
    }

    fn render(&mut self, decoder: &mut Decoder) -> Result<Progress, DecodeError> {
        let picture = decoder.render(PRODUCT, self.setup.renderer, &self.latent, &mut self.timings)?;
        match self.setup.chooses {
            true => self.go(Stage::Compare(picture)),
            false => self.finish_candidate(decoder, picture, None),
        }
    }

    fn compare(&mut self, decoder: &mut Decoder, picture: Picture) -> Result<Progress, DecodeError> {
        let similarity =
            choice::similarity(&mut decoder.networks, &picture, &self.brain.retrieval_tokens, &mut self.timings)?;
        self.finish_candidate(decoder, picture, Some(similarity))
    }

    fn finish_candidate(
        &mut self,
        decoder: &Decoder,
        picture: Picture,
        similarity: Option<f64>,
    ) -> Result<Progress, DecodeError> {
        let candidate = self.candidate;
        let is_best = candidate == 0 || similarity > self.best;
        if is_best {
            self.best = similarity;
        }
        let seed = self.noise.seed(candidate);
        self.candidate += 1;
        if self.candidate < self.setup.candidates {
            self.begin_candidate(decoder)?;
        }
        Ok(Progress::Picture(Candidate { picture, candidate, seed, similarity, is_best }))
    }

    fn source(&self) -> Arc<dyn NoiseSource> {
        match &self.injected {
            Some(injected) => injected.clone(),
            None => Arc::new(self.noise.candidate(self.candidate)),
        }
    }

    fn go(&mut self, next: Stage) -> Result<Progress, DecodeError> {
        self.stage = next;
        Ok(Progress::Working)
    }
}
