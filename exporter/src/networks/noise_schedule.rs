//! The prior's noise schedule: recomputed wherever it is needed, and compared with the buffers that a checkpoint
//! carries.
//!
//! Cosine with s = 0.008: f(t) = cos^2((t/T + s)/(1 + s) pi/2), beta_t = 1 - f(t+1)/f(t) up to 0.999,
//! alphas_cumprod = prod(1 - beta). Spec: MindEye sections 2.1 and 14.

use crate::ExportError;
use crate::weights::{Numbers, Storage, Tensor, Weights};
use std::f64::consts::FRAC_PI_2;

/// Offset that keeps the first noise from vanishing.
const OFFSET: f64 = 0.008;
/// Largest beta.
const LARGEST_BETA: f64 = 0.999;
/// Smallest posterior variance whose logarithm is taken.
const SMALLEST_VARIANCE: f64 = 1e-20;
/// Below this, half precision rounds to 0.
const SMALLEST: f64 = 6e-8;

/// The buffers of a schedule that follow from its number of steps.
#[derive(Debug, Clone, PartialEq)]
pub struct NoiseSchedule {
    /// Noise added at each step.
    pub betas: Vec<f64>,
    /// Signal left after each step: product of 1 - beta.
    pub alphas_cumprod: Vec<f64>,
}

impl NoiseSchedule {
    /// The cosine schedule of `steps` steps.
    #[must_use]
    pub fn cosine(steps: usize) -> Self {
        let signal = |t: usize| ((t as f64 / steps as f64 + OFFSET) / (1.0 + OFFSET) * FRAC_PI_2).cos().powi(2);
        let betas: Vec<f64> = (0..steps).map(|t| (1.0 - signal(t + 1) / signal(t)).clamp(0.0, LARGEST_BETA)).collect();
        let kept = betas.iter().scan(1.0, |product, beta| {
            *product *= 1.0 - beta;
            Some(*product)
        });
        Self { alphas_cumprod: kept.collect(), betas }
    }

    /// Number `t` of the buffer called `name` in dalle2-pytorch; none for buffers that do not follow from the schedule.
    #[must_use]
    pub fn buffer(&self, name: &str, t: usize) -> Option<f64> {
        let (beta, kept) = (self.betas[t], self.alphas_cumprod[t]);
        let before = if t == 0 { 1.0 } else { self.alphas_cumprod[t - 1] };
        let variance = beta * (1.0 - before) / (1.0 - kept);
        Some(match name {
            "betas" => beta,
            "alphas_cumprod" => kept,
            "alphas_cumprod_prev" => before,
            "sqrt_alphas_cumprod" => kept.sqrt(),
            "sqrt_one_minus_alphas_cumprod" => (1.0 - kept).sqrt(),
            "log_one_minus_alphas_cumprod" => (1.0 - kept).ln(),
            "sqrt_recip_alphas_cumprod" => (1.0 / kept).sqrt(),
            "sqrt_recipm1_alphas_cumprod" => (1.0 / kept - 1.0).sqrt(),
            "posterior_variance" => variance,
            "posterior_log_variance_clipped" => variance.max(SMALLEST_VARIANCE).ln(),
            "posterior_mean_coef1" => beta * before.sqrt() / (1.0 - kept),
            "posterior_mean_coef2" => (1.0 - before) * (1.0 - beta).sqrt() / (1.0 - kept),
            _ => return None,
        })
    }
}

/// Compares the schedule's buffers that lie in `weights` under `prefix` with the cosine schedule of as many steps as
/// they have.
///
/// # Errors
/// The first number that another schedule made.
pub(super) fn check_schedule(weights: &Weights, prefix: &str) -> Result<(), ExportError> {
    let steps = weights.size(&format!("{prefix}betas"), 0);
    for key in weights.keys().filter(|key| key.starts_with(prefix)) {
        let Some(tensor) = weights.float_tensor(key) else { continue };
        let found: Vec<f32> = tensor.values().collect();
        let tolerance = tolerance(&tensor);
        let schedule = NoiseSchedule::cosine(found.len());
        let buffer = &key[prefix.len()..];
        let wrong = (0..found.len()).find_map(|t| {
            let expected = schedule.buffer(buffer, t)?;
            let off = (f64::from(found[t]) - expected).abs();
            (off.is_nan() || off > tolerance * expected.abs() + SMALLEST).then_some((t, expected))
        });
        if let Some((t, expected)) = wrong {
            let (path, key, found) = (weights.path().to_path_buf(), key.to_owned(), found[t]);
            return Err(ExportError::Schedule { path, key, step: t, steps, found, expected });
        }
    }
    Ok(())
}

/// Relative agreement that rounding to this kind of number allows, with some room: 6e-8, 5e-4 and 4e-3.
fn tolerance(tensor: &Tensor<'_>) -> f64 {
    match tensor.numbers {
        Numbers::Stored(Storage::F16 | Storage::Bf16, _) => 1e-2,
        Numbers::Stored(Storage::F32, _) | Numbers::Drawn(_) => 1e-6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_has_its_golden_numbers() {
        // Spec: MindEye section 14, to the digits given there.
        let schedule = NoiseSchedule::cosine(100);
        let cases = [
            ("betas", 0, 0.000631282, 5e-10),
            ("betas", 49, 0.030593124, 5e-10),
            ("betas", 98, 0.749939280, 5e-10),
            ("betas", 99, 0.999, 0.0),
            ("alphas_cumprod", 0, 0.9993687184, 5e-11),
            ("alphas_cumprod", 50, 0.4782646329, 5e-11),
            ("alphas_cumprod", 99, 2.429e-7, 5e-11),
            ("posterior_variance", 0, 0.0, 0.0),
            ("posterior_variance", 1, 4.034886e-4, 5e-11),
            ("posterior_log_variance_clipped", 0, -46.0517, 5e-5),
            ("posterior_mean_coef1", 0, 1.0, 1e-12),
            ("posterior_mean_coef1", 99, 0.0155683, 5e-8),
            ("posterior_mean_coef2", 1, 0.361044, 5e-7),
            ("posterior_mean_coef2", 99, 0.0316151, 5e-8),
        ];
        for (buffer, t, expected, tolerance) in cases {
            let found = schedule.buffer(buffer, t).unwrap();
            assert!((found - expected).abs() <= tolerance, "{buffer}[{t}] = {found}, expected {expected}");
        }
        assert_eq!(schedule.buffer("p2_loss_weight", 0), None);
    }
}
