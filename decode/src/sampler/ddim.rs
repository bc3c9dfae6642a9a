//! DDIM without added noise (Song et al. 2020, arXiv 2010.02502): x' = √ᾱ' m + √(1 − ᾱ') ε with m = (x − √(1 − ᾱ) ε)/√ᾱ.
//!
//! Timesteps are Stable Diffusion's: whole strides from below, plus 1; below the first training step counts ᾱ_0.

use super::plan::{Mixed, Plan, PlanStep, Row, Start};
use super::schedule::LatentSchedule;

/// The walk from step `skipped` of `steps`.
pub(super) fn ddim(schedule: &LatentSchedule, steps: usize, skipped: usize) -> Plan {
    let timesteps = schedule.leading(steps);
    let stride = schedule.timesteps() / steps;
    let step = |t: &usize| {
        let (kept, kept_next) = (schedule.alpha_cumprod(*t), schedule.alpha_cumprod(t.saturating_sub(stride)));
        let (x, eps) = (Row::of(Mixed::Sample), Row::of(Mixed::Output));
        let m = (x - eps * (1.0 - kept).sqrt()) / kept.sqrt();
        let next = m * kept_next.sqrt() + eps * (1.0 - kept_next).sqrt();
        PlanStep { timestep: *t as f64, guidance: None, rows: [next, x, m] }
    };
    let first = schedule.alpha_cumprod(timesteps[skipped]);
    let start = Start { signal: first.sqrt(), noise: (1.0 - first).sqrt() };
    Plan { start, steps: timesteps[skipped..].iter().map(step).collect() }
}
