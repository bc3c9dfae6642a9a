//! Plans: a list of evaluations, each followed by one 3 x 6 matrix over named tensors.

use std::ops::{Add, Div, Mul, Sub};

/// A tensor that a step mixes; as a number, its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mixed {
    /// Where the network was evaluated, x.
    Sample,
    /// What the network said there: noise for a UNet (after guidance), clean tokens for the prior.
    Output,
    /// `Corrected` of the step before.
    LastCorrected,
    /// `Prediction` of the step before.
    LastPrediction,
    /// `Prediction` of the step before that.
    OlderPrediction,
    /// Fresh noise, N(0, 1).
    Noise,
}

/// A tensor that a step makes; as a number, its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// Where the network is evaluated next, or the result.
    NextSample,
    /// The sample after UniPC's corrector, from which its next step starts.
    Corrected,
    /// The clean tensor that the output stands for, m.
    Prediction,
}

/// Number of tensors that a step mixes.
pub const MIXED: usize = 6;
/// Number of tensors that a step makes.
pub const MADE: usize = 3;

/// A linear combination of the tensors of [`Mixed`], one coefficient each. Samplers do their algebra on rows, so that
/// their code looks like their equations.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Row(pub [f64; MIXED]);

impl Row {
    /// The tensor alone.
    #[must_use]
    pub fn of(tensor: Mixed) -> Self {
        let mut row = Self::default();
        row.0[tensor as usize] = 1.0;
        row
    }

    /// Coefficient of `tensor`.
    #[must_use]
    pub fn coefficient(&self, tensor: Mixed) -> f64 {
        self.0[tensor as usize]
    }
}

impl Add for Row {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }
}

impl Sub for Row {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + other * -1.0
    }
}

impl Mul<f64> for Row {
    type Output = Self;
    fn mul(self, factor: f64) -> Self {
        Self(self.0.map(|c| c * factor))
    }
}

impl Div<f64> for Row {
    type Output = Self;
    fn div(self, divisor: f64) -> Self {
        Self(self.0.map(|c| c / divisor))
    }
}

/// One evaluation, and what is made of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlanStep {
    /// Training step at which the network is evaluated.
    pub timestep: f64,
    /// Classifier-free guidance scale; `None` evaluates the conditional branch alone.
    pub guidance: Option<f64>,
    /// A row for each of [`Made`].
    pub rows: [Row; MADE],
}

impl PlanStep {
    /// The row that makes `tensor`.
    #[must_use]
    pub fn row(&self, tensor: Made) -> &Row {
        &self.rows[tensor as usize]
    }

    /// Whether any row mixes `tensor`.
    #[must_use]
    pub fn mixes(&self, tensor: Mixed) -> bool {
        self.rows.iter().any(|row| row.coefficient(tensor) != 0.0)
    }

    /// The `[3, 5]` coefficients of the exporter's `step` graph, row by row; `None` for a step that adds noise, which
    /// that graph cannot.
    #[must_use]
    pub fn graph_coefficients(&self) -> Option<[f32; MADE * (MIXED - 1)]> {
        if self.mixes(Mixed::Noise) {
            return None;
        }
        let columns = MIXED - 1;
        Some(std::array::from_fn(|i| self.rows[i / columns].0[i % columns] as f32))
    }

    /// The `[1, 3]` coefficients of the `prior-step` graph: the next sample of sample, output and noise; `None` for a step
    /// that mixes anything else, as no step of the prior does.
    #[must_use]
    pub fn prior_coefficients(&self) -> Option<[f32; 3]> {
        let next = self.row(Made::NextSample);
        let history = [Mixed::LastCorrected, Mixed::LastPrediction, Mixed::OlderPrediction];
        let is_plain = history.into_iter().all(|tensor| next.coefficient(tensor) == 0.0);
        is_plain.then(|| [Mixed::Sample, Mixed::Output, Mixed::Noise].map(|tensor| next.coefficient(tensor) as f32))
    }
}

/// How the first sample is made: `signal` of the clean start plus `noise` of N(0, 1).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Start {
    /// Factor of the clean tensor.
    pub signal: f64,
    /// Factor of the noise.
    pub noise: f64,
}

/// A whole sampling, from the first sample to the result.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The first sample.
    pub start: Start,
    /// The steps in order; the last one's `NextSample` is the result.
    pub steps: Vec<PlanStep>,
}

impl Plan {
    /// Network evaluations: one per step (a guided one counts once).
    #[must_use]
    pub fn evaluations(&self) -> usize {
        self.steps.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_a_vector_space() {
        let (x, eps) = (Row::of(Mixed::Sample), Row::of(Mixed::Output));
        let m = (x - eps * 0.5) / 0.25;
        assert_eq!(m.0, [4.0, -2.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!((m + eps * 2.0).0, [4.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn a_step_with_noise_has_no_graph_coefficients() {
        let rows = [Row::of(Mixed::Sample), Row::of(Mixed::LastCorrected), Row::of(Mixed::OlderPrediction)];
        let quiet = PlanStep { timestep: 1.0, guidance: None, rows };
        let expected = std::array::from_fn(|i| if i % 7 == 0 { 1.0 } else { 0.0 });
        assert_eq!(quiet.graph_coefficients(), Some(expected));
        let rows = [Row::of(Mixed::Noise), rows[1], rows[2]];
        assert_eq!(PlanStep { rows, ..quiet }.graph_coefficients(), None);
    }
}
