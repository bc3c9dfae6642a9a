//! A stand-in for every network: a fixed linear map, as slow and as faulty as a test wants it.
//!
//! Output element j is Σₖ b(j,k) sₖ / √K with sₖ = Σᵢ a(i,k) xᵢ / √n over all n input elements, K = 16 and weights a, b
//! drawn from (−√3, √3) by hashing network, tensor and index. Inputs of unit variance so give outputs of about unit
//! variance; equal inputs give equal bytes, and every input element reaches every output. Work is K (n + outputs)
//! multiplications, 6.6 million for the published backbone (15,724 voxels to twice 257 x 768 numbers), where a full
//! matrix would take 6.2 thousand million.

use crate::seam::check_bindings;
use crate::{Buffer, Engine, EngineError, NetworkFile, Session, TensorSpec};
use mindeye_config::{EngineConfig, EngineKind, MockFault, MockFaultKind};
use std::sync::Arc;
use std::time::Duration;

const RANK: usize = 16;

/// How the mock misbehaves.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MockPlan {
    /// Every run takes this long.
    pub delay: Duration,
    /// What goes wrong, and when.
    pub faults: Vec<Fault>,
}

/// One planned fault.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// Name of the network that it befalls.
    pub network: String,
    /// Number of the run in its session, from 0; refused bindings do not count. `None`: every run but the first.
    pub run: Option<u64>,
    /// What happens.
    pub kind: FaultKind,
}

/// What can go wrong in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// [`EngineError::Run`].
    Fail,
    /// The first element of every output is NaN.
    NotANumber,
    /// The run takes this much longer.
    Slow(Duration),
}

impl MockPlan {
    /// Every run takes `delay_ms` milliseconds (0 or more, finite) and succeeds.
    #[must_use]
    pub fn slow_by_ms(delay_ms: f64) -> Self {
        Self { delay: Duration::from_secs_f64(delay_ms / 1e3), faults: Vec::new() }
    }

    /// The same plan with one more fault.
    #[must_use]
    pub fn with_fault(mut self, network: &str, run: u64, kind: FaultKind) -> Self {
        self.faults.push(Fault { network: network.to_owned(), run: Some(run), kind });
        self
    }

    /// What a configuration plans.
    #[must_use]
    pub fn of(config: &EngineConfig) -> Self {
        let fault = |planned: &MockFault| Fault {
            network: planned.network.clone(),
            run: planned.run,
            kind: match planned.kind {
                MockFaultKind::Fail => FaultKind::Fail,
                MockFaultKind::Nan => FaultKind::NotANumber,
                MockFaultKind::Slow => FaultKind::Slow(Duration::from_secs_f64(planned.ms / 1e3)),
            },
        };
        let faults = config.mock_fault.iter().map(fault).collect();
        Self { faults, ..Self::slow_by_ms(config.mock_delay_ms) }
    }

    fn faults_of<'a>(&'a self, network: &'a str, run: u64) -> impl Iterator<Item = FaultKind> + 'a {
        let befalls = move |fault: &&Fault| fault.network == network && fault.run.map_or(run > 0, |at| at == run);
        self.faults.iter().filter(befalls).map(|fault| fault.kind)
    }
}

type Wait = Arc<dyn Fn(Duration) + Send + Sync>;

/// The mock engine.
pub struct MockEngine {
    plan: Arc<MockPlan>,
    wait: Wait,
}

impl MockEngine {
    /// An engine that follows `plan` and sleeps where the plan says that a run takes time.
    #[must_use]
    pub fn new(plan: MockPlan) -> Self {
        Self { plan: Arc::new(plan), wait: Arc::new(std::thread::sleep) }
    }

    /// The same engine, but time passes by calling `wait`: a test moves its manual clock here instead of sleeping.
    #[must_use]
    pub fn waiting_by(self, wait: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        Self { wait: Arc::new(wait), ..self }
    }
}

impl Engine for MockEngine {
    fn kind(&self) -> EngineKind {
        EngineKind::Mock
    }

    fn describe(&self) -> String {
        let delay_ms = self.plan.delay.as_secs_f64() * 1e3;
        format!("mock, {delay_ms} ms a run, {} planned faults", self.plan.faults.len())
    }

    fn open(&self, network: &NetworkFile) -> Result<Box<dyn Session>, EngineError> {
        let (plan, wait) = (Arc::clone(&self.plan), Arc::clone(&self.wait));
        Ok(Box::new(MockSession { network: network.clone(), plan, wait, runs: 0 }))
    }
}

struct MockSession {
    network: NetworkFile,
    plan: Arc<MockPlan>,
    wait: Wait,
    runs: u64,
}

impl Session for MockSession {
    fn inputs(&self) -> &[TensorSpec] {
        &self.network.inputs
    }

    fn outputs(&self) -> &[TensorSpec] {
        &self.network.outputs
    }

    fn run(&mut self, inputs: &[&Buffer], outputs: &mut [&mut Buffer]) -> Result<(), EngineError> {
        check_bindings(&self.network, inputs, outputs)?;
        let run = self.runs;
        self.runs += 1;
        self.pass_time(run);
        if self.plan.faults_of(&self.network.name, run).any(|kind| kind == FaultKind::Fail) {
            let message = format!("planned fault at run {run}");
            return Err(EngineError::Run { network: self.network.name.clone(), message });
        }
        self.compute(inputs, outputs)?;
        if self.plan.faults_of(&self.network.name, run).any(|kind| kind == FaultKind::NotANumber) {
            spoil(outputs)?;
        }
        Ok(())
    }
}

impl MockSession {
    fn pass_time(&self, run: u64) {
        let mut delay = self.plan.delay;
        for kind in self.plan.faults_of(&self.network.name, run) {
            if let FaultKind::Slow(more) = kind {
                delay += more;
            }
        }
        if !delay.is_zero() {
            (self.wait)(delay);
        }
    }

    fn compute(&self, inputs: &[&Buffer], outputs: &mut [&mut Buffer]) -> Result<(), EngineError> {
        let mut sums = [0.0; RANK];
        for (tensor, buffer) in self.network.inputs.iter().zip(inputs) {
            project(seed_of(&self.network.name, &tensor.name), buffer.host()?, &mut sums);
        }
        let elements: usize = self.network.inputs.iter().map(TensorSpec::element_count).sum();
        let scale = 1.0 / ((elements.max(1) * RANK) as f64).sqrt();
        for (tensor, buffer) in self.network.outputs.iter().zip(outputs) {
            expand(seed_of(&self.network.name, &tensor.name), &sums, scale, buffer.host_mut()?);
        }
        Ok(())
    }
}

fn spoil(outputs: &mut [&mut Buffer]) -> Result<(), EngineError> {
    for buffer in outputs {
        if let Some(value) = buffer.host_mut()?.first_mut() {
            *value = f32::NAN;
        }
    }
    Ok(())
}

/// sₖ ← sₖ + Σᵢ a(i,k) xᵢ, in element order.
fn project(seed: u64, x: &[f32], sums: &mut [f64; RANK]) {
    for (i, &value) in x.iter().enumerate() {
        for (k, sum) in sums.iter_mut().enumerate() {
            *sum += weight(seed, i * RANK + k) * f64::from(value);
        }
    }
}

/// yⱼ ← scale Σₖ b(j,k) sₖ.
fn expand(seed: u64, sums: &[f64; RANK], scale: f64, y: &mut [f32]) {
    for (j, value) in y.iter_mut().enumerate() {
        let sum: f64 = sums.iter().enumerate().map(|(k, s)| weight(seed, j * RANK + k) * s).sum();
        *value = (scale * sum) as f32;
    }
}

/// Uniform in (−√3, √3), which has unit variance.
fn weight(seed: u64, index: usize) -> f64 {
    let bits = splitmix64(seed.wrapping_add(index as u64)) >> 11;
    let uniform = (bits as f64 + 0.5) / (1_u64 << 53) as f64;
    (2.0 * uniform - 1.0) * 3.0_f64.sqrt()
}

/// FNV-1a over both names, so that equal tensors of two networks differ.
fn seed_of(network: &str, tensor: &str) -> u64 {
    let bytes = network.bytes().chain([0]).chain(tensor.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, b| (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators".
fn splitmix64(x: u64) -> u64 {
    let z = x.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
