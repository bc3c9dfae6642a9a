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
        }
    }
}

impl Checked for SchedulerConfig {
    fn check(&self) -> Result<(), Complaint> {
        Complaint::unless_positive("beta_start", self.beta_start)?;
        Complaint::unless(self.beta_end > self.beta_start && self.beta_end < 1.0, "beta_end", || {
            format!("must lie between beta_start = {} and 1, found {}", self.beta_start, self.beta_end)
        })?;
        Complaint::unless((1..=self.train_timesteps).contains(&self.steps), "steps", || {
            format!("must be 1 to train_timesteps = {}, found {}", self.train_timesteps, self.steps)
        })?;
        Complaint::unless(self.strength > 0.0 && self.strength <= 1.0, "strength", || {
            format!("must lie above 0 and at most at 1, found {}", self.strength)
        })?;
        Complaint::unless_non_negative("guidance", self.guidance)?;
        Complaint::unless_positive("latent_scale", self.latent_scale)
    }
}
