//! The one interpreter of plans: it evaluates a network, mixes named tensors, and can stop after any step.
//!
//! The tensors are buffers of the engine. Where they are mixed is the [`Mixer`]'s choice: on the host (a latent is 64 kB
//! and the prior's tokens 0.8 MB, some 0.1 ms a step), or by the `step` graph, which also applies guidance and so needs
//! both halves of a guided evaluation in one tensor.

use super::plan::{MADE, MIXED, Made, Mixed, Plan, PlanStep, Row};
use crate::noise::{Draw, NoiseSource};
use crate::running::{RunningNetwork, check_finite, download};
use crate::{DecodeError, Network};
use mindeye_engine::{Buffer, Engine, TensorSpec};
use std::sync::Arc;

/// A network that a plan evaluates, with its condition bound.
pub(crate) trait Field {
    /// Which network it is.
    fn network(&self) -> Network;
    /// Evaluates at `sample` and leaves the output for the calls below.
    fn evaluate(&mut self, engine: &dyn Engine, sample: &Buffer, step: &PlanStep) -> Result<(), DecodeError>;
    /// Name and shape of the network's output.
    fn output_spec(&self) -> &TensorSpec;
    /// The output after guidance, on the host.
    fn output(&self, engine: &dyn Engine, step: &PlanStep, into: &mut [f32]) -> Result<(), DecodeError>;
    /// Unconditional and conditional output in one buffer, where one evaluation made both.
    fn pair(&self) -> Option<&Buffer>;
    /// What noise a step of this network draws.
    fn draw(&self, step: usize) -> Draw;
}

/// Where tensors are mixed.
pub(crate) enum Mixer<'m> {
    /// In f64 on the host.
    Host,
    /// By the exporter's `step` graph.
    Graph(&'m mut RunningNetwork),
}

/// A plan on its way.
pub(crate) struct Walk {
    plan: Arc<Plan>,
    done: usize,
    sample: Buffer,
    last_corrected: Buffer,
    last_prediction: Buffer,
    older_prediction: Buffer,
}

impl Walk {
    /// Before the first step: the plan's share of `clean`, f32 of `shape`, plus its share of noise from `draw`.
    /// Without `clean` the plan must start from noise alone.
    pub(crate) fn start(
        engine: &dyn Engine,
        plan: Arc<Plan>,
        shape: &[usize],
        clean: Option<&[f32]>,
        noise: &dyn NoiseSource,
        draw: Draw,
    ) -> Result<Self, DecodeError> {
        let buffer = |name: &str| engine.buffer(&TensorSpec::new(name, shape));
        let mut walk = Self {
            plan,
            done: 0,
            sample: buffer("sample")?,
            last_corrected: buffer("last_corrected")?,
            last_prediction: buffer("last_prediction")?,
            older_prediction: buffer("older_prediction")?,
        };
        let mut first = vec![0.0; walk.sample.spec().element_count()];
        noise.fill(draw, &mut first);
        let start = walk.plan.start;
        first.iter_mut().for_each(|v| *v = (f64::from(*v) * start.noise) as f32);
        if let Some(clean) = clean {
            let share = |(v, z): (&mut f32, &f32)| *v = (f64::from(*v) + f64::from(*z) * start.signal) as f32;
            first.iter_mut().zip(clean).for_each(share);
        }
        engine.upload(&mut walk.sample, &first)?;
        Ok(walk)
    }

    /// Steps taken, and steps in all.
    pub(crate) fn progress(&self) -> (usize, usize) {
        (self.done, self.plan.steps.len())
    }

    /// Whether the result is there.
    pub(crate) fn is_finished(&self) -> bool {
        self.done == self.plan.steps.len()
    }

    /// The sample after the steps taken, on the host; finite.
    pub(crate) fn sample(&self, engine: &dyn Engine, network: Network) -> Result<Vec<f32>, DecodeError> {
        let values = download(engine, &self.sample)?;
        check_finite(network, self.sample.spec(), &values)?;
        Ok(values)
    }

    /// Takes the next step; a finished walk stays as it is. An error names network and step, and the walk is then over.
    pub(crate) fn step(
        &mut self,
        engine: &dyn Engine,
        field: &mut dyn Field,
        mixer: Mixer<'_>,
        noise: &dyn NoiseSource,
    ) -> Result<(), DecodeError> {
        if self.is_finished() {
            return Ok(());
        }
        let (number, steps) = self.progress();
        let network = field.network();
        let inner = self.evaluate_and_mix(engine, field, mixer, noise);
        inner.map_err(|source| DecodeError::Step {
            network: network.key(),
            step: number + 1,
            steps,
            source: Box::new(source),
        })?;
        self.done += 1;
        Ok(())
    }

    fn evaluate_and_mix(
        &mut self,
        engine: &dyn Engine,
        field: &mut dyn Field,
        mixer: Mixer<'_>,
        noise: &dyn NoiseSource,
    ) -> Result<(), DecodeError> {
        let step = self.plan.steps[self.done];
        field.evaluate(engine, &self.sample, &step)?;
        if let (Mixer::Graph(graph), Some(coefficients), Some(pair)) = (mixer, step.graph_coefficients(), field.pair())
        {
            return self.mix_in_graph(engine, graph, &coefficients, step.guidance, pair);
        }
        let mut columns = self.columns(engine, &step)?;
        if step.mixes(Mixed::Output) {
            columns[Mixed::Output as usize] = vec![0.0; self.sample.spec().element_count()];
            field.output(engine, &step, &mut columns[Mixed::Output as usize])?;
            check_finite(field.network(), field.output_spec(), &columns[Mixed::Output as usize])?;
        }
        if step.mixes(Mixed::Noise) {
            columns[Mixed::Noise as usize] = vec![0.0; self.sample.spec().element_count()];
            noise.fill(field.draw(self.done), &mut columns[Mixed::Noise as usize]);
        }
        self.keep(engine, &step, &columns)
    }

    /// The tensors that `step` mixes; those that it does not stay empty.
    fn columns(&self, engine: &dyn Engine, step: &PlanStep) -> Result<[Vec<f32>; MIXED], DecodeError> {
        let own = [
            (Mixed::Sample, &self.sample),
            (Mixed::LastCorrected, &self.last_corrected),
            (Mixed::LastPrediction, &self.last_prediction),
            (Mixed::OlderPrediction, &self.older_prediction),
        ];
        let mut columns: [Vec<f32>; MIXED] = Default::default();
        for (tensor, buffer) in own.into_iter().filter(|(tensor, _)| step.mixes(*tensor)) {
            columns[tensor as usize] = download(engine, buffer)?;
        }
        Ok(columns)
    }

    fn keep(&mut self, engine: &dyn Engine, step: &PlanStep, columns: &[Vec<f32>; MIXED]) -> Result<(), DecodeError> {
        let count = self.sample.spec().element_count();
        let made = |tensor: Made| mix(step.row(tensor), columns, count);
        engine.upload(&mut self.last_corrected, &made(Made::Corrected))?;
        std::mem::swap(&mut self.last_prediction, &mut self.older_prediction);
        engine.upload(&mut self.last_prediction, &made(Made::Prediction))?;
        Ok(engine.upload(&mut self.sample, &made(Made::NextSample))?)
    }

    fn mix_in_graph(
        &mut self,
        engine: &dyn Engine,
        graph: &mut RunningNetwork,
        coefficients: &[f32; MADE * (MIXED - 1)],
        guidance: Option<f64>,
        pair: &Buffer,
    ) -> Result<(), DecodeError> {
        let mut scale = engine.buffer(&TensorSpec::new("guidance", [1]))?;
        // eps = u + g (c − u) is the conditional output at g = 1.
        engine.upload(&mut scale, &[guidance.unwrap_or(1.0) as f32])?;
        let mut table = engine.buffer(&TensorSpec::new("coefficients", [MADE, MIXED - 1]))?;
        engine.upload(&mut table, coefficients)?;
        let own = [&self.last_corrected, &self.last_prediction, &self.older_prediction];
        let made = graph.evaluate(&[&self.sample, pair, own[0], own[1], own[2], &scale, &table])?;
        std::mem::swap(&mut self.last_prediction, &mut self.older_prediction);
        let kept = [&mut self.sample, &mut self.last_corrected, &mut self.last_prediction];
        for (made, kept) in made.iter().zip(kept) {
            engine.copy(made, kept)?;
        }
        Ok(())
    }
}

/// Σ c_k column_k over the tensors with a coefficient, in f64.
fn mix(row: &Row, columns: &[Vec<f32>; MIXED], count: usize) -> Vec<f32> {
    let used: Vec<(f64, &[f32])> =
        row.0.iter().zip(columns).filter(|(c, _)| **c != 0.0).map(|(c, column)| (*c, &column[..])).collect();
    (0..count).map(|i| used.iter().map(|(c, column)| c * f64::from(column[i])).sum::<f64>() as f32).collect()
}
