//! The two loops in buffers of the engine: between the first step and the last nothing is downloaded.
//!
//! ```text
//!   prior:   sample ─prior─► predicted tokens ─prior-step─► next sample ─copy─► sample
//!   latent:  sample ─branches─► samples ─unet─► noise ─step─► next sample, corrected, prediction ─copies─► the tensors of the next step
//! ```
//! What goes up is a timestep and a row of coefficients each step; start, condition and all noise went up before the first.
//! Nobody looks whether a number is finite until the last sample comes down: a NaN spreads to it, since every mixture
//! multiplies it.

use super::PRODUCT;
use super::shelf::{Lent, Shelf};
use crate::decoder::{Networks, Running};
use crate::noise::{Draw, NoiseSource};
use crate::running::{RunningNetwork, download};
use crate::sampler::{LoopPlace, MADE, MIXED, Mixed, Plan, PlanStep, Stepper};
use crate::{CounterNoise, DecodeError, Network};
use mindeye_engine::{Buffer, Engine, EngineError, TensorSpec};

/// Buffers of both loops while nobody samples.
#[derive(Default)]
pub(crate) struct DeviceLoops {
    prior: Shelf<PriorBuffers>,
    latent: Shelf<LatentBuffers>,
}

/// Takes one step of each loop that runs on a device, on zeros: buffers are made, kernels loaded and graphs captured before
/// the first trial. Its time is booked nowhere.
pub(crate) fn rehearse(networks: &mut Networks, prior: &Plan, latent: &Plan) -> Result<(), DecodeError> {
    let noise = CounterNoise::with_key(0);
    let take_one = |networks: &mut Networks, mut stepper: Box<dyn Stepper>, plan: &Plan| match plan.steps.first() {
        Some(step) => networks.unlearned(|engine, running| stepper.advance(engine, running, step, 0)),
        None => Ok(()),
    };
    if networks.prior_loop() == LoopPlace::Device {
        let zeros = vec![0.0; networks.get(PRODUCT, Network::Prior)?.input_count(0)];
        let stepper = DevicePrior::start(networks, prior, &zeros, &zeros, &noise)?;
        take_one(networks, Box::new(stepper), prior)?;
    }
    if networks.latent_loop() == LoopPlace::Device {
        let unet = networks.get(PRODUCT, Network::Unet)?;
        let [sample, tokens] = [0, 2].map(|at| vec![0.0; unet.input_count(at) / 2]);
        let stepper = DeviceLatent::start(networks, &sample, &tokens)?;
        take_one(networks, Box::new(stepper), latent)?;
    }
    Ok(())
}

/// Tensors of the prior's loop; all but `timestep` and `coefficients` are f32[1, tokens, width].
struct PriorBuffers {
    sample: Buffer,
    timestep: Buffer,
    brain_tokens: Buffer,
    predicted: Buffer,
    noise: Buffer,
    coefficients: Buffer,
    next: Buffer,
    /// Noise of each step that draws some, by the step's number.
    noises: Vec<Buffer>,
}

/// The prior's loop on a device.
pub(crate) struct DevicePrior(Lent<PriorBuffers>);

impl DevicePrior {
    /// Before the first step of `plan`: sample `first`, brain tokens `tokens` and all noise are on the device.
    pub(crate) fn start(
        networks: &Networks,
        plan: &Plan,
        first: &[f32],
        tokens: &[f32],
        noise: &dyn NoiseSource,
    ) -> Result<Self, DecodeError> {
        let engine = networks.engine.as_ref();
        let prior = networks.get(PRODUCT, Network::Prior)?;
        let mut buffers = networks.loops.prior.lend(|| PriorBuffers::new(engine, prior))?;
        engine.upload(&mut buffers.sample, first)?;
        engine.upload(&mut buffers.brain_tokens, tokens)?;
        buffers.draw(engine, plan, noise)?;
        Ok(Self(buffers))
    }
}

impl PriorBuffers {
    fn new(engine: &dyn Engine, prior: &RunningNetwork) -> Result<Self, EngineError> {
        let tokens = |name: &str| engine.buffer(&TensorSpec::new(name, prior.input_shape(0)));
        Ok(Self {
            sample: tokens("sample")?,
            timestep: engine.buffer(&TensorSpec::new("timestep", prior.input_shape(1)))?,
            brain_tokens: tokens("brain_tokens")?,
            predicted: tokens("predicted_tokens")?,
            noise: tokens("noise")?,
            coefficients: engine.buffer(&TensorSpec::new("coefficients", [1, 3]))?,
            next: tokens("next_sample")?,
            noises: Vec::new(),
        })
    }

    /// Draws the noise of all steps; 0.8 MB a step at published size.
    fn draw(&mut self, engine: &dyn Engine, plan: &Plan, noise: &dyn NoiseSource) -> Result<(), EngineError> {
        while self.noises.len() < plan.steps.len() {
            self.noises.push(engine.buffer(self.noise.spec())?);
        }
        let steps = plan.steps.iter().enumerate().filter(|(_, step)| step.mixes(Mixed::Noise)).map(|(at, _)| at);
        for (at, values) in drawn(noise, steps.collect(), self.noise.spec().element_count()) {
            engine.upload(&mut self.noises[at], &values)?;
        }
        Ok(())
    }
}

/// The noise of `steps`, `count` numbers each, drawn on as many cores as there are: on one, 3.5 million normal numbers
/// would take a tenth of a reconstruction.
fn drawn(noise: &dyn NoiseSource, steps: Vec<usize>, count: usize) -> Vec<(usize, Vec<f32>)> {
    let mut drawn: Vec<_> = steps.into_iter().map(|at| (at, vec![0.0; count])).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let share = drawn.len().div_ceil(cores).max(1);
    std::thread::scope(|scope| {
        for part in drawn.chunks_mut(share) {
            scope.spawn(move || {
                part.iter_mut().for_each(|(at, values)| noise.fill(Draw::PriorStep(*at as u32), values))
            });
        }
    });
    drawn
}

impl Stepper for DevicePrior {
    fn network(&self) -> Network {
        Network::Prior
    }

    fn advance(
        &mut self,
        engine: &dyn Engine,
        running: &mut Running,
        step: &PlanStep,
        at: usize,
    ) -> Result<(), DecodeError> {
        let coefficients = step.prior_coefficients().expect("the prior's walks mix sample, output and noise alone");
        let PriorBuffers { sample, timestep, brain_tokens, predicted, noise, coefficients: row, next, noises } =
            &mut *self.0;
        engine.upload(timestep, &[step.timestep as f32])?;
        engine.upload(row, &coefficients)?;
        running.of(PRODUCT, Network::Prior)?.evaluate_into(&[sample, timestep, brain_tokens], &mut [predicted])?;
        if step.mixes(Mixed::Noise) {
            engine.copy(&noises[at], noise)?;
        }
        running.of(PRODUCT, Network::PriorStep)?.evaluate_into(&[sample, predicted, noise, row], &mut [next])?;
        Ok(engine.copy(next, sample)?)
    }

    fn sample_spec(&self) -> TensorSpec {
        self.0.sample.spec().clone()
    }

    fn sample(&self, engine: &dyn Engine) -> Result<Vec<f32>, DecodeError> {
        Ok(download(engine, &self.0.sample)?)
    }
}

/// Tensors of the latent's loop; those without a note are f32[1, 4, h, w].
struct LatentBuffers {
    sample: Buffer,
    /// f32[2, 4, h, w], as is `noise_prediction`.
    samples: Buffer,
    /// f32[2].
    timestep: Buffer,
    /// Zero tokens and image tokens, f32[2, tokens, width].
    tokens: Buffer,
    noise_prediction: Buffer,
    last_corrected: Buffer,
    last_prediction: Buffer,
    older_prediction: Buffer,
    /// f32[1].
    guidance: Buffer,
    /// f32[3, 5].
    coefficients: Buffer,
    next: Buffer,
    corrected: Buffer,
    prediction: Buffer,
}

/// The latent's loop on a device, for a UNet that takes both branches at once.
pub(crate) struct DeviceLatent(Lent<LatentBuffers>);

impl DeviceLatent {
    /// Before the first step, at the sample `first`; the UNet attends to zero tokens and to image `tokens`.
    pub(crate) fn start(networks: &Networks, first: &[f32], tokens: &[f32]) -> Result<Self, DecodeError> {
        let engine = networks.engine.as_ref();
        let unet = networks.get(PRODUCT, Network::Unet)?;
        let mut buffers = networks.loops.latent.lend(|| LatentBuffers::new(engine, unet, first.len()))?;
        engine.upload(&mut buffers.sample, first)?;
        engine.upload(&mut buffers.tokens, &[&vec![0.0; tokens.len()][..], tokens].concat())?;
        buffers.forget(engine)?;
        Ok(Self(buffers))
    }
}

impl LatentBuffers {
    fn new(engine: &dyn Engine, unet: &RunningNetwork, numbers: usize) -> Result<Self, EngineError> {
        let pair = unet.input_shape(0);
        let one = [&[1], &pair[1..]].concat();
        debug_assert_eq!(one.iter().product::<usize>(), numbers);
        let buffer = |name: &str, shape: &[usize]| engine.buffer(&TensorSpec::new(name, shape));
        let latent = |name: &str| buffer(name, &one);
        Ok(Self {
            sample: latent("sample")?,
            samples: buffer("samples", pair)?,
            timestep: buffer("timestep", unet.input_shape(1))?,
            tokens: buffer("encoder_hidden_states", unet.input_shape(2))?,
            noise_prediction: buffer("noise_prediction", pair)?,
            last_corrected: latent("last_corrected")?,
            last_prediction: latent("last_prediction")?,
            older_prediction: latent("older_prediction")?,
            guidance: buffer("guidance", &[1])?,
            coefficients: buffer("coefficients", &[MADE, MIXED - 1])?,
            next: latent("next_sample")?,
            corrected: latent("corrected")?,
            prediction: latent("prediction")?,
        })
    }

    /// The first step has no history. Its coefficients there are 0, but 0 times a NaN of the trial before is NaN.
    fn forget(&mut self, engine: &dyn Engine) -> Result<(), EngineError> {
        let zeros = vec![0.0; self.sample.spec().element_count()];
        for history in [&mut self.last_corrected, &mut self.last_prediction, &mut self.older_prediction] {
            engine.upload(history, &zeros)?;
        }
        Ok(())
    }

    /// What the step made becomes what the next step mixes.
    fn turn(&mut self, engine: &dyn Engine) -> Result<(), EngineError> {
        engine.copy(&self.last_prediction, &mut self.older_prediction)?;
        engine.copy(&self.prediction, &mut self.last_prediction)?;
        engine.copy(&self.corrected, &mut self.last_corrected)?;
        engine.copy(&self.next, &mut self.sample)
    }
}

impl Stepper for DeviceLatent {
    fn network(&self) -> Network {
        Network::Unet
    }

    fn advance(
        &mut self,
        engine: &dyn Engine,
        running: &mut Running,
        step: &PlanStep,
        _: usize,
    ) -> Result<(), DecodeError> {
        let coefficients = step.graph_coefficients().expect("no sampler of the latent adds noise");
        let own = &mut *self.0;
        let batch = own.timestep.spec().element_count();
        engine.upload(&mut own.timestep, &vec![step.timestep as f32; batch])?;
        // eps = u + g (c − u) is the conditional output at g = 1.
        engine.upload(&mut own.guidance, &[step.guidance.unwrap_or(1.0) as f32])?;
        engine.upload(&mut own.coefficients, &coefficients)?;
        running.of(PRODUCT, Network::Branches)?.evaluate_into(&[&own.sample], &mut [&mut own.samples])?;
        let unet = running.of(PRODUCT, Network::Unet)?;
        unet.evaluate_into(&[&own.samples, &own.timestep, &own.tokens], &mut [&mut own.noise_prediction])?;
        let history = [&own.last_corrected, &own.last_prediction, &own.older_prediction];
        running.of(PRODUCT, Network::Step)?.evaluate_into(
            &[&own.sample, &own.noise_prediction, history[0], history[1], history[2], &own.guidance, &own.coefficients],
            &mut [&mut own.next, &mut own.corrected, &mut own.prediction],
        )?;
        Ok(own.turn(engine)?)
    }

    fn sample_spec(&self) -> TensorSpec {
        self.0.sample.spec().clone()
    }

    fn sample(&self, engine: &dyn Engine) -> Result<Vec<f32>, DecodeError> {
        Ok(download(engine, &self.0.sample)?)
    }
}
