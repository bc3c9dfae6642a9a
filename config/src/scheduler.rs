//! `scheduler.toml`: the noise schedule that a bundle's diffusion network was trained with.

use crate::{Checked, Complaint};
use serde::{Deserialize, Serialize};

/// Shape of the beta schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaSchedule {
    /// Square of a line between the square roots of both ends (Stable Diffusion 1.x).
    ScaledLinear,
}

/// The solver that walks the schedule of the latent diffusion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampler {
    /// UniPC of order 2 with B(h) = e^h - 1, as MindEye runs it (Zhao et al. 2023, arXiv 2302.04867).
    Unipc,
    /// DPM-Solver++ of order 2, multistep midpoint (Lu et al. 2022, arXiv 2211.01095).
    DpmSolver,
    /// DDIM without added noise (Song et al. 2020, arXiv 2010.02502).
    Ddim,
}

/// The noise level at which UniPC and DPM-Solver++ end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FinalSigma {
    /// That of the first training step, as diffusers 0.13.0 has it, and so the paper.
    SigmaMin,
    /// None, as later diffusers have it; some 0.9 % away on a toy equation.
    Zero,
}

/// How the low-level latent becomes the picture from which diffusion starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LowLevelStart {
    /// The latent as it is.
    Direct,
    /// Decoded, normalised with CLIP's mean and SD, encoded and sampled again, as MindEye's code does; costs a decode and
    /// an encode, and raises the contrast.
    RoundTrip,
}

/// Scale of the tokens in which the prior was trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenScale {
    /// Targets times the square root of the token's width (MindEye1).
    SqrtWidth,
    /// Targets as they are (MindEye2).
    One,
}

/// How the diffusion prior is sampled; its schedule is the cosine one (spec: MindEye sections 2.1, 2.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PriorConfig {
    /// Steps in training.
    pub train_timesteps: usize,
    /// Steps when sampling: `train_timesteps` walks the ancestral DDPM, fewer the DDIM, which evaluates one time less.
    pub steps: usize,
    /// Steps of an answer in a hurry.
    pub fast_steps: usize,
    /// Scale of its tokens.
    pub token_scale: TokenScale,
}

/// MindEye1's prior, walked in MindEye2's 20 steps (19 evaluations): the paper's 100 cost five times as much.
impl Default for PriorConfig {
    fn default() -> Self {
        Self { train_timesteps: 100, steps: 20, fast_steps: 8, token_scale: TokenScale::SqrtWidth }
    }
}

/// The schedule and how it is walked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchedulerConfig {
    /// Shape of the schedule.
    pub beta_schedule: BetaSchedule,
    /// First beta.
    pub beta_start: f64,
    /// Last beta.
    pub beta_end: f64,
    /// Steps in training.
    pub train_timesteps: usize,
    /// Steps when sampling, before the img2img start.
    pub steps: usize,
    /// Share of the schedule that is walked from the blurry picture (1 ignores it).
    pub strength: f64,
    /// Classifier-free guidance scale.
    pub guidance: f64,
    /// Latents are this times what the VAE's decoder takes.
    pub latent_scale: f64,
    /// The solver.
    #[serde(default = "unipc")]
    pub sampler: Sampler,
    /// Where UniPC and DPM-Solver++ end.
    #[serde(default = "sigma_min")]
    pub final_sigma: FinalSigma,
    /// Share of the walked steps that are guided, the first ones; the others follow the tokens alone.
    #[serde(default = "one")]
    pub guided_share: f64,
    /// Steps of an answer in a hurry, before the img2img start.
    #[serde(default = "fast_steps")]
    pub fast_steps: usize,
    /// From what the walk starts where there is a low-level network.
    #[serde(default = "direct")]
    pub low_level_start: LowLevelStart,
    /// Pictures to draw when there is time; the one nearest to the retrieval tokens in CLIP's space is shown.
    #[serde(default = "one_candidate")]
    pub candidates: u32,
    /// The diffusion prior.
    #[serde(default)]
    pub prior: PriorConfig,
}

// Bundles written before these keys existed are walked as the released MindEye walks.
fn unipc() -> Sampler {
    Sampler::Unipc
}

fn sigma_min() -> FinalSigma {
    FinalSigma::SigmaMin
}

fn one() -> f64 {
    1.0
}

fn fast_steps() -> usize {
    8
}

fn direct() -> LowLevelStart {
    LowLevelStart::Direct
}

fn one_candidate() -> u32 {
    1
}

/// The values of the released MindEye: 20 UniPC steps, strength 0.85, guidance 3.5 (spec: MindEye section 5).
impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            beta_schedule: BetaSchedule::ScaledLinear,
            beta_start: 0.00085,
            beta_end: 0.012,
            train_timesteps: 1000,
            steps: 20,
            strength: 0.85,
            guidance: 3.5,
            latent_scale: 0.18215,
            sampler: unipc(),
            final_sigma: sigma_min(),
            guided_share: one(),
            fast_steps: fast_steps(),
            low_level_start: direct(),
            candidates: one_candidate(),
            prior: PriorConfig::default(),
        }
    }
}

impl Checked for SchedulerConfig {
    fn check(&self) -> Result<(), Complaint> {
        Complaint::unless_positive("beta_start", self.beta_start)?;
        Complaint::unless(self.beta_end > self.beta_start && self.beta_end < 1.0, "beta_end", || {
            format!("must lie between beta_start = {} and 1, found {}", self.beta_start, self.beta_end)
        })?;
        Complaint::unless((1..self.train_timesteps).contains(&self.steps), "steps", || {
            format!("must be 1 or more and below train_timesteps = {}, found {}", self.train_timesteps, self.steps)
        })?;
        Complaint::unless(self.strength > 0.0 && self.strength <= 1.0, "strength", || {
            format!("must lie above 0 and at most at 1, found {}", self.strength)
        })?;
        Complaint::unless_non_negative("guidance", self.guidance)?;
        Complaint::unless_positive("latent_scale", self.latent_scale)?;
        Complaint::unless((0.0..=1.0).contains(&self.guided_share), "guided_share", || {
            format!("must lie between 0 and 1, found {}", self.guided_share)
        })?;
        Complaint::unless((1..=self.steps).contains(&self.fast_steps), "fast_steps", || {
            format!("must be 1 to steps = {}, found {}", self.steps, self.fast_steps)
        })?;
        Complaint::unless(self.walks_a_step(self.steps), "strength", || {
            format!("{} of {} steps is no step; raise strength or steps", self.strength, self.steps)
        })?;
        Complaint::unless(self.walks_a_step(self.fast_steps), "fast_steps", || {
            format!("strength {} of {} steps is no step", self.strength, self.fast_steps)
        })?;
        Complaint::unless((1..=MOST_CANDIDATES).contains(&self.candidates), "candidates", || {
            format!("must be 1 to {MOST_CANDIDATES}, found {}", self.candidates)
        })?;
        self.prior.check().map_err(|complaint| complaint.within("prior"))
    }
}

/// The paper draws 16.
pub(crate) const MOST_CANDIDATES: u32 = 64;

impl SchedulerConfig {
    /// Steps that are walked of `steps` when starting from a picture: floor(steps x strength), where 20 x 0.85 is 17.
    #[must_use]
    pub fn walked(&self, steps: usize) -> usize {
        // A product a rounding error below a whole number is that number: 20 x 0.85 must not become 16.
        ((steps as f64 * self.strength + 1e-9).floor() as usize).min(steps)
    }

    fn walks_a_step(&self, steps: usize) -> bool {
        self.walked(steps) > 0
    }
}

impl Checked for PriorConfig {
    fn check(&self) -> Result<(), Complaint> {
        Complaint::unless(self.train_timesteps >= 2, "train_timesteps", || {
            format!("must be 2 or more, found {}", self.train_timesteps)
        })?;
        Complaint::unless((2..=self.train_timesteps).contains(&self.steps), "steps", || {
            format!("must be 2 to train_timesteps = {}, found {}", self.train_timesteps, self.steps)
        })?;
        Complaint::unless((2..=self.steps).contains(&self.fast_steps), "fast_steps", || {
            format!("must be 2 to steps = {}, found {}", self.steps, self.fast_steps)
        })
    }
}
