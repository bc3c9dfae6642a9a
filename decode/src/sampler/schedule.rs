//! Noise schedules: how much of a clean tensor is left after each training step.
//!
//! The latent's table is float32, as PyTorch's, so that our steps are those of the programs that trained on it; the prior's
//! is f64, of which theirs is the rounding. Spec: diffusion section 3, MindEye sections 2.1 and 14.

use mindeye_config::SchedulerConfig;
use std::f64::consts::FRAC_PI_2;

/// ᾱ of the latent diffusion, "scaled linear": β is the square of a line between the square roots of both ends.
#[derive(Debug, Clone, PartialEq)]
pub struct LatentSchedule {
    /// ᾱ_t, float32 values, one per training step.
    alphas_cumprod: Vec<f64>,
}

impl LatentSchedule {
    /// The schedule of `config`: β in f32, ᾱ accumulated in f64 and rounded to f32, as PyTorch does.
    #[must_use]
    pub fn new(config: &SchedulerConfig) -> Self {
        let betas = scaled_linear(config.beta_start, config.beta_end, config.train_timesteps);
        let kept = betas.into_iter().scan(1.0, |product, beta| {
            *product *= f64::from(1.0 - beta);
            Some(f64::from(*product as f32))
        });
        Self { alphas_cumprod: kept.collect() }
    }

    /// Training steps.
    #[must_use]
    pub fn timesteps(&self) -> usize {
        self.alphas_cumprod.len()
    }

    /// ᾱ_t.
    #[must_use]
    pub fn alpha_cumprod(&self, t: usize) -> f64 {
        self.alphas_cumprod[t]
    }

    /// The level of training step `t`, σ rounded to f32 as diffusers keeps it.
    #[must_use]
    pub(super) fn level(&self, t: usize) -> Level {
        let kept = self.alphas_cumprod[t] as f32;
        Level::of(f64::from(((1.0 - kept) / kept).sqrt()))
    }

    /// `steps` timesteps from the last training step down, evenly spaced and rounded half to even: 999, 949, ..., 50 for
    /// 20 steps ("linspace" in diffusers).
    #[must_use]
    pub(super) fn linspace(&self, steps: usize) -> Vec<usize> {
        let last = (self.timesteps() - 1) as f64;
        let place = |i: usize| (last * i as f64 / steps as f64).round_ties_even() as usize;
        (1..=steps).rev().map(place).collect()
    }

    /// `steps` timesteps in whole strides from below, plus 1: 951, 901, ..., 1 for 20 steps ("leading", offset 1).
    #[must_use]
    pub(super) fn leading(&self, steps: usize) -> Vec<usize> {
        let stride = self.timesteps() / steps;
        (0..steps).rev().map(|i| (i * stride + 1).min(self.timesteps() - 1)).collect()
    }
}

/// The line between the square roots in f32 from both ends, as `torch.linspace` computes it, squared.
fn scaled_linear(start: f64, end: f64, count: usize) -> Vec<f32> {
    let (start, end) = (start.sqrt() as f32, end.sqrt() as f32);
    let step = if count > 1 { (end - start) / (count - 1) as f32 } else { 0.0 };
    let place = |i: usize| if i < count / 2 { start + step * i as f32 } else { end - step * (count - 1 - i) as f32 };
    (0..count).map(|i| place(i) * place(i)).collect()
}

/// A noise level σ in the three forms that solvers use: x = α (x₀ + σ ε), λ = −ln σ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Level {
    /// α = 1/√(1+σ²).
    pub(super) alpha: f64,
    /// σ α.
    pub(super) noise: f64,
    /// λ = ln α − ln(σ α) = −ln σ; infinite without noise.
    pub(super) lambda: f64,
}

impl Level {
    pub(super) fn of(sigma: f64) -> Self {
        let alpha = 1.0 / (1.0 + sigma * sigma).sqrt();
        Self { alpha, noise: sigma * alpha, lambda: -sigma.ln() }
    }
}

/// Offset s that keeps the prior's first noise from vanishing.
const OFFSET: f64 = 0.008;
/// Largest β of the prior.
const LARGEST_BETA: f64 = 0.999;
/// Smallest posterior variance whose logarithm is taken.
const SMALLEST_VARIANCE: f64 = 1e-20;

/// The prior's cosine schedule: f(t) = cos²((t/T + s)/(1 + s) π/2), β_t = 1 − f(t+1)/f(t) up to 0.999
/// (Nichol and Dhariwal 2021, arXiv 2102.09672).
#[derive(Debug, Clone, PartialEq)]
pub struct CosineSchedule {
    betas: Vec<f64>,
    alphas_cumprod: Vec<f64>,
}

impl CosineSchedule {
    /// The schedule of `timesteps` training steps.
    #[must_use]
    pub fn new(timesteps: usize) -> Self {
        let kept = |t: usize| ((t as f64 / timesteps as f64 + OFFSET) / (1.0 + OFFSET) * FRAC_PI_2).cos().powi(2);
        let betas: Vec<f64> = (0..timesteps).map(|t| (1.0 - kept(t + 1) / kept(t)).clamp(0.0, LARGEST_BETA)).collect();
        let products = betas.iter().scan(1.0, |product, beta| {
            *product *= 1.0 - beta;
            Some(*product)
        });
        Self { alphas_cumprod: products.collect(), betas }
    }

    /// Training steps.
    #[must_use]
    pub fn timesteps(&self) -> usize {
        self.betas.len()
    }

    /// ᾱ_t.
    #[must_use]
    pub fn alpha_cumprod(&self, t: usize) -> f64 {
        self.alphas_cumprod[t]
    }

    /// ᾱ_{t−1}, 1 before the first step.
    #[must_use]
    pub fn alpha_cumprod_before(&self, t: usize) -> f64 {
        if t == 0 { 1.0 } else { self.alphas_cumprod[t - 1] }
    }

    /// Factors of the clean tensor and of x_t in the posterior's mean.
    pub(super) fn posterior_mean(&self, t: usize) -> (f64, f64) {
        let (beta, kept, before) = (self.betas[t], self.alphas_cumprod[t], self.alpha_cumprod_before(t));
        (beta * before.sqrt() / (1.0 - kept), (1.0 - before) * (1.0 - beta).sqrt() / (1.0 - kept))
    }

    /// Standard deviation of the posterior, exp(½ ln max(variance, 1e-20)).
    pub(super) fn posterior_sd(&self, t: usize) -> f64 {
        let variance = self.betas[t] * (1.0 - self.alpha_cumprod_before(t)) / (1.0 - self.alphas_cumprod[t]);
        variance.max(SMALLEST_VARIANCE).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latent_schedule_has_pytorchs_numbers() {
        let schedule = LatentSchedule::new(&SchedulerConfig::default());
        // Spec: diffusion section 3. 6e-8: two spacings of float32 there; versions of `torch.linspace` differ by one.
        let cases = [(0, 0.99914998), (1, 0.99829602), (50, 0.95157665), (500, 0.27633250), (849, 0.02352294)];
        for (t, expected) in cases {
            assert!((schedule.alpha_cumprod(t) - expected).abs() < 6e-8, "{t}: {}", schedule.alpha_cumprod(t));
        }
        assert!((schedule.alpha_cumprod(999) - 0.00466010).abs() < 6e-8);
        // 2e-6 relative: σ = 14.614645 there; it follows from an ᾱ of 4.7e-3 whose float32 spacing is 1e-7 of it.
        assert!((-schedule.level(999).lambda - 14.614645_f64.ln()).abs() < 2e-6);
    }

    #[test]
    fn timesteps_are_those_of_the_papers_code() {
        let schedule = LatentSchedule::new(&SchedulerConfig::default());
        let twenty =
            [999, 949, 899, 849, 799, 749, 699, 649, 599, 549, 500, 450, 400, 350, 300, 250, 200, 150, 100, 50];
        assert_eq!(schedule.linspace(20), twenty);
        assert_eq!(schedule.leading(20)[..2], [951, 901]);
        assert_eq!(schedule.leading(20)[19], 1);
    }

    #[test]
    fn the_prior_has_its_golden_numbers() {
        // Spec: MindEye section 14, to the digits given there.
        let schedule = CosineSchedule::new(100);
        let cases =
            [(schedule.alpha_cumprod(0), 0.9993687184, 5e-11), (schedule.alpha_cumprod(50), 0.4782646329, 5e-11)];
        for (found, expected, tolerance) in cases {
            assert!((found - expected).abs() < tolerance, "{found}, expected {expected}");
        }
        let (clean, noisy) = schedule.posterior_mean(99);
        assert!((clean - 0.0155683).abs() < 5e-8 && (noisy - 0.0316151).abs() < 5e-8);
        assert!((schedule.posterior_sd(1).powi(2) - 4.034886e-4).abs() < 5e-11);
        assert_eq!(schedule.posterior_mean(0), (1.0, 0.0));
    }
}
