//! UniPC of order 2, B(h) = e^h − 1, in the form that predicts clean latents (Zhao et al. 2023, arXiv 2302.04867).
//!
//! Level i has α_i, σ_i (here: the share of noise) and λ_i; m_i is the prediction at level i, made of the *uncorrected*
//! sample; h = λ_{i+1} − λ_i, B = e^{−h} − 1.
//!
//! ```text
//!   corrector   x_i  ← (σ_i/σ_{i−1}) x_{i−1} − α_i B m_{i−1} − α_i B (ρ₁ D₁ + ρ₂ (m_i − m_{i−1}))    h from i−1 to i
//!   predictor   x_{i+1} = (σ_{i+1}/σ_i) x_i − α_{i+1} B m_i − ½ α_{i+1} B D₁
//! ```
//! D₁ is the difference of the two predictions before, divided by the ratio r₁ of their distances in λ. Orders: 1 where no
//! history is, and in the last step; the corrector has that of the predictor before it.

use super::plan::{Mixed, Plan, PlanStep, Row};
use super::schedule::{LatentSchedule, Level};
use super::solver::{levels, prediction, start};
use mindeye_config::FinalSigma;

/// The walk from step `skipped` of `steps`.
pub(super) fn unipc(schedule: &LatentSchedule, steps: usize, skipped: usize, end: FinalSigma) -> Plan {
    let timesteps = schedule.linspace(steps);
    let levels = levels(schedule, &timesteps, end);
    let step = |i: usize| {
        let m = prediction(&levels[i]);
        let history = i - skipped;
        let corrected = if history == 0 { Row::of(Mixed::Sample) } else { correct(&levels, i, history, m) };
        let next = predict(&levels, i, history, corrected, m);
        PlanStep { timestep: timesteps[i] as f64, guidance: None, rows: [next, corrected, m] }
    };
    Plan { start: start(&levels[skipped]), steps: (skipped..steps).map(step).collect() }
}

/// Order of the predictor at step `i` of those that `levels` end, with `history` steps before it.
fn order(levels: &[Level], i: usize, history: usize) -> usize {
    let left = levels.len() - 1 - i;
    2.min(left).min(history + 1)
}

/// x_i after its own evaluation.
fn correct(levels: &[Level], i: usize, history: usize, m: Row) -> Row {
    let (last_m, older_m) = (Row::of(Mixed::LastPrediction), Row::of(Mixed::OlderPrediction));
    let (before, here) = (&levels[i - 1], &levels[i]);
    let h = here.lambda - before.lambda;
    let b = (-h).exp_m1();
    let base = Row::of(Mixed::LastCorrected) * (here.noise / before.noise) - last_m * (here.alpha * b);
    let change = if order(levels, i - 1, history - 1) == 1 {
        (m - last_m) * 0.5
    } else {
        let r1 = (levels[i - 2].lambda - before.lambda) / h;
        let [rho1, rho2] = corrector_weights(-h, b, r1);
        (older_m - last_m) * (rho1 / r1) + (m - last_m) * rho2
    };
    base - change * (here.alpha * b)
}

/// ρ of [[1, 1], [r₁, 1]] ρ = [φ/B, 2 (φ/hh − ½)/B] with hh = −h and φ = B/hh − 1.
fn corrector_weights(hh: f64, b: f64, r1: f64) -> [f64; 2] {
    let phi = b / hh - 1.0;
    let (first, second) = (phi / b, 2.0 * (phi / hh - 0.5) / b);
    let rho1 = (second - first) / (r1 - 1.0);
    [rho1, first - rho1]
}

/// x_{i+1}.
fn predict(levels: &[Level], i: usize, history: usize, corrected: Row, m: Row) -> Row {
    let (here, next) = (&levels[i], &levels[i + 1]);
    if next.lambda.is_infinite() {
        return m;
    }
    let h = next.lambda - here.lambda;
    let b = (-h).exp_m1();
    let first = corrected * (next.noise / here.noise) - m * (next.alpha * b);
    if order(levels, i, history) == 1 {
        return first;
    }
    let r1 = (levels[i - 1].lambda - here.lambda) / h;
    let d1 = (Row::of(Mixed::LastPrediction) - m) / r1;
    first - d1 * (0.5 * next.alpha * b)
}
