//! DPM-Solver++ of order 2, multistep with the midpoint rule (Lu et al. 2022, arXiv 2211.01095).
//!
//! x_{i+1} = (σ_{i+1}/σ_i) x_i − α_{i+1} (e^{−h} − 1) (m_i + ½ (m_i − m_{i−1}) h/h₀), with h from i to i+1 and h₀ from i−1
//! to i. The first step is of order 1, and the last where it ends without noise or there are fewer than 15 in all.

use super::plan::{Mixed, Plan, PlanStep, Row};
use super::schedule::{LatentSchedule, Level};
use super::solver::{levels, prediction, start};
use mindeye_config::FinalSigma;

/// Below this many steps the last one is of order 1, which keeps it stable (as in diffusers).
const FEW_STEPS: usize = 15;

/// The walk from step `skipped` of `steps`.
pub(super) fn dpm_solver(schedule: &LatentSchedule, steps: usize, skipped: usize, end: FinalSigma) -> Plan {
    let timesteps = schedule.linspace(steps);
    let levels = levels(schedule, &timesteps, end);
    let step = |i: usize| {
        let m = prediction(&levels[i]);
        let is_first_order = i == skipped || (i + 1 == steps && steps < FEW_STEPS);
        let mixed = if is_first_order { m } else { m + slope(&levels, i, m) };
        let next = advance(&levels, i, mixed, m);
        PlanStep { timestep: timesteps[i] as f64, guidance: None, rows: [next, Row::of(Mixed::Sample), m] }
    };
    Plan { start: start(&levels[skipped]), steps: (skipped..steps).map(step).collect() }
}

/// ½ (m_i − m_{i−1}) h/h₀.
fn slope(levels: &[Level], i: usize, m: Row) -> Row {
    let (h, h0) = (levels[i + 1].lambda - levels[i].lambda, levels[i].lambda - levels[i - 1].lambda);
    (m - Row::of(Mixed::LastPrediction)) * (0.5 * h / h0)
}

fn advance(levels: &[Level], i: usize, mixed: Row, m: Row) -> Row {
    let (here, next) = (&levels[i], &levels[i + 1]);
    if next.lambda.is_infinite() {
        return m;
    }
    let h = next.lambda - here.lambda;
    Row::of(Mixed::Sample) * (next.noise / here.noise) - mixed * (next.alpha * (-h).exp_m1())
}
