//! What changes from step to step by a formula: learning rate, momentum, temperature, noise.

use mindeye_config::{ContrastiveConfig, OptimiserConfig};
use std::f64::consts::{FRAC_PI_2, PI};

/// Learning rate and beta 1 of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CyclePoint {
    /// The learning rate.
    pub learning_rate: f64,
    /// Beta 1 of AdamW.
    pub momentum: f64,
}

/// One cycle (Smith and Topin 2017, as PyTorch's `OneCycleLR` with cosine annealing and momentum cycling): up from
/// peak/25 in the warm-up, then down to a thousandth of that, while the momentum goes the other way.
#[derive(Debug, Clone)]
pub struct OneCycle {
    config: OptimiserConfig,
    /// Number of the step at the peak; not whole where the warm-up is not.
    peak: f64,
    /// Number of the last step.
    last: f64,
}

impl OneCycle {
    /// The cycle over `epochs` of `steps_per_epoch` steps each.
    #[must_use]
    pub fn new(config: &OptimiserConfig, epochs: u32, steps_per_epoch: u64) -> Self {
        let total = (u64::from(epochs) * steps_per_epoch) as f64;
        let share = config.warmup_epochs / f64::from(epochs);
        Self { config: config.clone(), peak: share * total - 1.0, last: total - 1.0 }
    }

    /// The point of step number `step`, from 0.
    #[must_use]
    pub fn at(&self, step: u64) -> CyclePoint {
        let OptimiserConfig { learning_rate: peak, momentum_high, momentum_low, .. } = self.config;
        let first = peak / self.config.initial_divisor;
        let step = step as f64;
        if step <= self.peak {
            let way = if self.peak > 0.0 { step / self.peak } else { 1.0 };
            return CyclePoint {
                learning_rate: cosine(first, peak, way),
                momentum: cosine(momentum_high, momentum_low, way),
            };
        }
        let way = (step - self.peak) / (self.last - self.peak);
        let lowest = first / self.config.final_divisor;
        CyclePoint { learning_rate: cosine(peak, lowest, way), momentum: cosine(momentum_low, momentum_high, way) }
    }
}

/// Half a cosine from `from` (way 0) to `to` (way 1).
fn cosine(from: f64, to: f64, way: f64) -> f64 {
    to + (from - to) / 2.0 * (1.0 + (PI * way).cos())
}

/// Which contrastive loss an epoch has, and at which temperature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Phase {
    /// Voxels are mixed, and the target says how.
    BiMixCo {
        /// τ.
        temperature: f64,
    },
    /// Targets are soft: the images' similarity to each other.
    SoftClip {
        /// τ.
        temperature: f64,
    },
}

impl Phase {
    /// The phase of `epoch` (from 0) of `epochs`: BiMixCo up to the epoch ⌊share · epochs⌋, then SoftCLIP with
    /// τ_k = τ_1 + (τ_0 - τ_1)/2 (1 + cos(π k/(n - 1))) over its n epochs (spec: MindEye section 3.2).
    #[must_use]
    pub fn of(config: &ContrastiveConfig, epoch: u32, epochs: u32) -> Self {
        let switch = (config.mixco_share * f64::from(epochs)) as u32;
        if epoch < switch {
            return Self::BiMixCo { temperature: config.mixco_temperature };
        }
        let (k, n) = (epoch - switch, epochs - switch);
        let way = if n > 1 { f64::from(k) / f64::from(n - 1) } else { 1.0 };
        Self::SoftClip { temperature: cosine(config.softclip_from, config.softclip_to, way) }
    }

    /// τ.
    #[must_use]
    pub fn temperature(self) -> f64 {
        match self {
            Self::BiMixCo { temperature } | Self::SoftClip { temperature } => temperature,
        }
    }
}

/// ᾱ_t of the prior's cosine schedule over `steps` steps: f(t) = cos²((t/T + s)/(1 + s) π/2) with s = 0.008,
/// β_t = 1 - f(t+1)/f(t) up to 0.999, ᾱ_t = Π (1 - β) (Nichol and Dhariwal 2021; spec: MindEye section 2.1).
#[must_use]
pub fn cosine_alphas_cumprod(steps: usize) -> Vec<f64> {
    let f = |t: usize| ((t as f64 / steps as f64 + 0.008) / 1.008 * FRAC_PI_2).cos().powi(2);
    let kept = (0..steps).scan(1.0, |product, t| {
        *product *= 1.0 - (1.0 - f(t + 1) / f(t)).clamp(0.0, 0.999);
        Some(*product)
    });
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cycle_has_its_golden_learning_rates() {
        // Spec: MindEye section 14, to the digits given there.
        let cycle = OneCycle::new(&OptimiserConfig::default(), 240, 276);
        let cases = [(0, 1.2e-5), (275, 1.555895e-4), (551, 3.0e-4), (33_120, 1.519787e-4), (66_239, 1.2e-8)];
        for (step, expected) in cases {
            let found = cycle.at(step).learning_rate;
            assert!((found / expected - 1.0).abs() < 5e-7, "step {step}: {found}, expected {expected}");
        }
        let momenta = [0, 551, 66_239].map(|step| cycle.at(step).momentum);
        for (found, expected) in momenta.into_iter().zip([0.95, 0.85, 0.95]) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }

    #[test]
    fn a_training_of_one_step_or_without_warm_up_has_finite_rates() {
        let none = OptimiserConfig { warmup_epochs: 0.0, ..OptimiserConfig::default() };
        for (config, epochs, steps) in [(&none, 1, 1), (&none, 3, 2), (&OptimiserConfig::default(), 3, 1)] {
            let cycle = OneCycle::new(config, epochs, steps);
            for step in 0..u64::from(epochs) * steps {
                let point = cycle.at(step);
                assert!(point.learning_rate > 0.0 && point.learning_rate.is_finite(), "{epochs} {steps} {step}");
            }
        }
    }

    #[test]
    fn temperatures_are_the_golden_ones_and_jump_at_the_switch() {
        let config = ContrastiveConfig::default();
        let tau = |epoch| Phase::of(&config, epoch, 240);
        assert_eq!(tau(78), Phase::BiMixCo { temperature: 0.006 });
        // Spec: MindEye section 14: 161 epochs of SoftCLIP from epoch 79 on.
        for (k, expected) in [(0, 0.004), (80, 0.00575), (160, 0.0075)] {
            let Phase::SoftClip { temperature } = tau(79 + k) else { panic!("{k}: {:?}", tau(79 + k)) };
            assert!((temperature - expected).abs() < 1e-12, "{k}: {temperature}");
        }
        assert_eq!(Phase::of(&config, 0, 1), Phase::SoftClip { temperature: 0.0075 });
    }

    #[test]
    fn the_noise_schedule_has_its_golden_numbers() {
        let kept = cosine_alphas_cumprod(100);
        // Spec: MindEye section 14, to the digits given there.
        for (t, expected) in [(0, 0.9993687184), (1, 0.9982524865), (49, 0.4938435904), (94, 0.0060596446)] {
            assert!((kept[t] - expected).abs() < 5e-11, "{t}: {}", kept[t]);
        }
    }
}
