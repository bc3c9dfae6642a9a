//! A plan on its way: it takes one step at a time, can stop after any, and names network and step when one fails.

use super::plan::{Plan, PlanStep, Start};
use crate::decoder::Running;
use crate::noise::{Draw, NoiseSource};
use crate::running::check_finite;
use crate::{DecodeError, Network};
use mindeye_engine::{Engine, TensorSpec};
use std::sync::Arc;

/// What evaluates a step and keeps the tensors until the next: [`HostStepper`](super::HostStepper), or a loop on a device.
pub(crate) trait Stepper: Send {
    /// Which network it evaluates.
    fn network(&self) -> Network;
    /// Evaluates at the present sample and makes the next; `at` is the number of the step, from 0.
    fn advance(
        &mut self,
        engine: &dyn Engine,
        running: &mut Running,
        step: &PlanStep,
        at: usize,
    ) -> Result<(), DecodeError>;
    /// Name and shape of the sample.
    fn sample_spec(&self) -> TensorSpec;
    /// The present sample, on the host.
    fn sample(&self, engine: &dyn Engine) -> Result<Vec<f32>, DecodeError>;
}

/// A plan on its way.
pub(crate) struct Walk {
    plan: Arc<Plan>,
    done: usize,
    stepper: Box<dyn Stepper>,
}

impl Walk {
    /// Before the first step of `plan`; the stepper holds its [`first_sample`].
    pub(crate) fn new(plan: Arc<Plan>, stepper: Box<dyn Stepper>) -> Self {
        Self { plan, done: 0, stepper }
    }

    /// Steps taken.
    pub(crate) fn done(&self) -> usize {
        self.done
    }

    /// Whether the result is there.
    pub(crate) fn is_finished(&self) -> bool {
        self.done == self.plan.steps.len()
    }

    /// The sample after the steps taken, on the host; finite.
    pub(crate) fn sample(&self, engine: &dyn Engine) -> Result<Vec<f32>, DecodeError> {
        let values = self.stepper.sample(engine)?;
        check_finite(self.stepper.network(), &self.stepper.sample_spec(), &values)?;
        Ok(values)
    }

    /// Takes the next step; a finished walk stays as it is. An error names network and step, and the walk is then over.
    pub(crate) fn step(&mut self, engine: &dyn Engine, running: &mut Running) -> Result<(), DecodeError> {
        let steps = self.plan.steps.len();
        let Some(step) = self.plan.steps.get(self.done) else { return Ok(()) };
        self.stepper.advance(engine, running, step, self.done).map_err(|source| DecodeError::Step {
            network: self.stepper.network().key(),
            step: self.done + 1,
            steps,
            source: Box::new(source),
        })?;
        self.done += 1;
        Ok(())
    }
}

/// What a plan starts from, `count` numbers: its share of `clean` plus its share of noise from `draw`. Without `clean` the
/// plan must start from noise alone.
pub(crate) fn first_sample(
    start: Start,
    count: usize,
    clean: Option<&[f32]>,
    noise: &dyn NoiseSource,
    draw: Draw,
) -> Vec<f32> {
    let mut first = vec![0.0; count];
    noise.fill(draw, &mut first);
    first.iter_mut().for_each(|v| *v = (f64::from(*v) * start.noise) as f32);
    if let Some(clean) = clean {
        let share = |(v, z): (&mut f32, &f32)| *v = (f64::from(*v) + f64::from(*z) * start.signal) as f32;
        first.iter_mut().zip(clean).for_each(share);
    }
    first
}
