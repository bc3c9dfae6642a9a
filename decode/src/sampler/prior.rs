//! The diffusion prior's two walks, whose network says clean tokens: ancestral DDPM over all steps, DDIM over fewer.
//!
//! DDPM (Ho et al. 2020, arXiv 2006.11239), as MindEye1 samples: x ← c₁ m + c₂ x + √variance z, no noise at t = 0.
//! DDIM, as MindEye2 and dalle2-pytorch sample, with two quirks kept: the list of times drops its last entry, so that 20
//! steps start at t = 94 and evaluate 19 times, and the walk reads the table of ᾱ one step early.
//! Spec: MindEye sections 2.2 and 14.

use super::plan::{Mixed, Plan, PlanStep, Row, Start};
use super::schedule::CosineSchedule;

/// The plan of the prior in `steps` of the schedule's training steps: all of them are DDPM, fewer (2 or more) DDIM.
/// The first sample is noise alone.
#[must_use]
pub fn prior_plan(schedule: &CosineSchedule, steps: usize) -> Plan {
    let steps = if steps >= schedule.timesteps() { ddpm(schedule) } else { ddim(schedule, steps) };
    Plan { start: Start { signal: 0.0, noise: 1.0 }, steps }
}

fn ddpm(schedule: &CosineSchedule) -> Vec<PlanStep> {
    (0..schedule.timesteps()).rev().map(|t| ancestral_step(schedule, t)).collect()
}

fn ancestral_step(schedule: &CosineSchedule, t: usize) -> PlanStep {
    let (x, m) = (Row::of(Mixed::Sample), Row::of(Mixed::Output));
    let (clean, noisy) = schedule.posterior_mean(t);
    let mean = m * clean + x * noisy;
    let next = if t == 0 { mean } else { mean + Row::of(Mixed::Noise) * schedule.posterior_sd(t) };
    step(t, next)
}

fn ddim(schedule: &CosineSchedule, steps: usize) -> Vec<PlanStep> {
    let times = ddim_times(schedule.timesteps(), steps);
    let pairs = times.iter().zip(&times[1..]);
    pairs.map(|(t, next)| implicit_step(schedule, *t, *next)).collect()
}

/// The times in descending order, −1 last: linspace(−1, T, steps + 1) without its last entry, cut to whole numbers.
fn ddim_times(timesteps: usize, steps: usize) -> Vec<Option<usize>> {
    let stride = (timesteps + 1) as f64 / steps as f64;
    let time = |i: usize| (i as f64 * stride - 1.0).trunc();
    (0..steps).rev().map(|i| if i == 0 { None } else { Some(time(i) as usize) }).collect()
}

/// x ← √a' m + c₁ z + c₂ ε with ε = (x/√ᾱ_t − m)/√(1/ᾱ_t − 1), η = 1, and a = ᾱ_{t−1}, a' = ᾱ_{t'−1}.
fn implicit_step(schedule: &CosineSchedule, t: Option<usize>, next: Option<usize>) -> PlanStep {
    let (x, m, z) = (Row::of(Mixed::Sample), Row::of(Mixed::Output), Row::of(Mixed::Noise));
    let t = t.expect("only the last time is before the first step, and it starts no pair");
    let Some(next) = next else { return step(t, m) };
    let (a, a_next) = (schedule.alpha_cumprod_before(t), schedule.alpha_cumprod_before(next));
    let kept = schedule.alpha_cumprod(t);
    let eps = (x / kept.sqrt() - m) / (1.0 / kept - 1.0).sqrt();
    let c1 = ((1.0 - a / a_next) * (1.0 - a_next) / (1.0 - a)).sqrt();
    let c2 = (1.0 - a_next - c1 * c1).sqrt();
    let fresh = if next > 0 { z * c1 } else { Row::default() };
    step(t, m * a_next.sqrt() + fresh + eps * c2)
}

fn step(t: usize, next: Row) -> PlanStep {
    PlanStep { timestep: t as f64, guidance: None, rows: [next, Row::of(Mixed::Sample), Row::of(Mixed::Output)] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(steps: usize) -> Vec<f64> {
        prior_plan(&CosineSchedule::new(100), steps).steps.iter().map(|step| step.timestep).collect()
    }

    #[test]
    fn twenty_steps_are_nineteen_evaluations_from_94() {
        let golden = [94, 89, 84, 79, 74, 69, 64, 59, 54, 49, 44, 39, 34, 29, 24, 19, 14, 9, 4].map(f64::from);
        assert_eq!(times(20), golden);
        assert_eq!(times(100), (0..100).rev().map(f64::from).collect::<Vec<_>>());
    }

    #[test]
    fn the_last_step_is_the_networks_own_answer() {
        for steps in [2, 7, 20, 100] {
            let plan = prior_plan(&CosineSchedule::new(100), steps);
            let last = plan.steps.last().unwrap().rows[0];
            assert_eq!(last, Row::of(Mixed::Output), "{steps} steps");
            let quiet = plan.steps[..plan.steps.len() - 1].iter().filter(|step| !step.mixes(Mixed::Noise)).count();
            assert_eq!(quiet, 0, "{steps} steps: only the last adds no noise");
            assert!(plan.steps.iter().all(|step| step.prior_coefficients().is_some()), "{steps} steps on a device");
        }
    }

    #[test]
    fn a_perfect_network_keeps_the_schedules_spread() {
        // With m = 0 the tokens are noise alone, and after an ancestral step their variance is the schedule's.
        let schedule = CosineSchedule::new(100);
        for t in 1..100 {
            let next = ancestral_step(&schedule, t).rows[0];
            let from_x = next.coefficient(Mixed::Sample).powi(2) * (1.0 - schedule.alpha_cumprod(t));
            let variance = from_x + next.coefficient(Mixed::Noise).powi(2);
            // 1e-12: f64 rounding of products of three.
            assert!((variance - (1.0 - schedule.alpha_cumprod_before(t))).abs() < 1e-12, "{t}: {variance}");
        }
    }
}
