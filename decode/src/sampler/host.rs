//! The loop on the host: a network is evaluated where its engine computes, and its tensors are mixed here in f64.
//!
//! A latent is 64 kB and the prior's tokens 0.8 MB, so that mixing takes some 0.1 ms a step. Every number passes by, so a
//! network that says NaN is caught in the step in which it does.

use super::plan::{MIXED, Made, Mixed, PlanStep, Row};
use super::walk::Stepper;
use crate::decoder::Running;
use crate::noise::{Draw, NoiseSource};
use crate::running::check_finite;
use crate::{DecodeError, Network};
use mindeye_engine::{Engine, TensorSpec};
use std::sync::Arc;

/// A network that a plan evaluates, with its condition bound.
pub(crate) trait Field: Send {
    /// Which network it is.
    fn network(&self) -> Network;
    /// What it says at `sample`, after guidance.
    fn output(
        &mut self,
        engine: &dyn Engine,
        running: &mut Running,
        sample: &[f32],
        step: &PlanStep,
    ) -> Result<Vec<f32>, DecodeError>;
    /// Name and shape of its output.
    fn output_spec(&self) -> TensorSpec;
    /// What noise step number `at` draws.
    fn draw(&self, at: usize) -> Draw;
}

/// The tensors of a plan between two steps, on the host.
pub(crate) struct HostStepper<F> {
    field: F,
    noise: Arc<dyn NoiseSource>,
    shape: Vec<usize>,
    sample: Vec<f32>,
    last_corrected: Vec<f32>,
    last_prediction: Vec<f32>,
    older_prediction: Vec<f32>,
}

impl<F: Field> HostStepper<F> {
    /// Before the first step, at the sample `first` of `shape`.
    pub(crate) fn new(field: F, shape: &[usize], first: Vec<f32>, noise: Arc<dyn NoiseSource>) -> Self {
        let empty = || vec![0.0; first.len()];
        let (last_corrected, last_prediction, older_prediction) = (empty(), empty(), empty());
        Self { field, noise, shape: shape.to_vec(), sample: first, last_corrected, last_prediction, older_prediction }
    }

    /// Fresh noise where `step` mixes any, else nothing.
    fn drawn(&self, step: &PlanStep, at: usize) -> Vec<f32> {
        let mut drawn = Vec::new();
        if step.mixes(Mixed::Noise) {
            drawn = vec![0.0; self.sample.len()];
            self.noise.fill(self.field.draw(at), &mut drawn);
        }
        drawn
    }
}

impl<F: Field> Stepper for HostStepper<F> {
    fn network(&self) -> Network {
        self.field.network()
    }

    fn advance(
        &mut self,
        engine: &dyn Engine,
        running: &mut Running,
        step: &PlanStep,
        at: usize,
    ) -> Result<(), DecodeError> {
        let output = self.field.output(engine, running, &self.sample, step)?;
        check_finite(self.field.network(), &self.field.output_spec(), &output)?;
        let drawn = self.drawn(step, at);
        // In the order of `Mixed`.
        let columns: [&[f32]; MIXED] =
            [&self.sample, &output, &self.last_corrected, &self.last_prediction, &self.older_prediction, &drawn];
        let made = |tensor: Made| mix(step.row(tensor), &columns, self.sample.len());
        let (next, corrected, prediction) = (made(Made::NextSample), made(Made::Corrected), made(Made::Prediction));
        self.older_prediction = std::mem::replace(&mut self.last_prediction, prediction);
        (self.sample, self.last_corrected) = (next, corrected);
        Ok(())
    }

    fn sample_spec(&self) -> TensorSpec {
        TensorSpec::new("sample", self.shape.clone())
    }

    fn sample(&self, _: &dyn Engine) -> Result<Vec<f32>, DecodeError> {
        Ok(self.sample.clone())
    }
}

/// Σ c_k column_k over the tensors with a coefficient, in f64.
fn mix(row: &Row, columns: &[&[f32]; MIXED], count: usize) -> Vec<f32> {
    let used: Vec<(f64, &[f32])> =
        row.0.iter().zip(columns).filter(|(c, _)| **c != 0.0).map(|(c, column)| (*c, *column)).collect();
    (0..count).map(|i| used.iter().map(|(c, column)| c * f64::from(column[i])).sum::<f64>() as f32).collect()
}
