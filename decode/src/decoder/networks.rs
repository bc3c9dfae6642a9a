//! The warm networks of a bundle, each run timed, so that the ladder knows what a step costs on this machine.

use crate::effort::StepTimes;
use crate::running::RunningNetwork;
use crate::{DecodeError, FrontEnd, Network};
use mindeye_config::{Clock, Timings};
use mindeye_engine::Engine;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Networks that reproduced their golden cases, with the engine that computes them.
pub(crate) struct Networks {
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) times: StepTimes,
    running: BTreeMap<Network, RunningNetwork>,
    /// What takes the backbone's place, if anything, with its last answer.
    front_end: Option<(Arc<FrontEnd>, Vec<Vec<f32>>)>,
}

impl Networks {
    pub(crate) fn new(
        engine: Box<dyn Engine>,
        clock: Arc<dyn Clock>,
        times: StepTimes,
        running: BTreeMap<Network, RunningNetwork>,
    ) -> Self {
        Self { engine, clock, times, running, front_end: None }
    }

    /// From now on `front_end` answers in the backbone's place; `None` gives it back.
    pub(crate) fn set_front_end(&mut self, front_end: Option<Arc<FrontEnd>>) {
        self.front_end = front_end.map(|front_end| (front_end, Vec::new()));
    }

    /// The front end that answers in the backbone's place.
    pub(crate) fn front_end(&self) -> Option<&Arc<FrontEnd>> {
        self.front_end.as_ref().map(|(front_end, _)| front_end)
    }

    /// Whether the bundle has `network`.
    pub(crate) fn has(&self, network: Network) -> bool {
        self.running.contains_key(&network)
    }

    /// `network` itself, where there is one.
    pub(crate) fn get(&self, network: Network) -> Option<&RunningNetwork> {
        self.running.get(&network)
    }

    /// Runs `network` on host values for `product`; books the time and learns from it, also when it fails.
    pub(crate) fn run(
        &mut self,
        product: &'static str,
        network: Network,
        inputs: &[&[f32]],
        timings: &mut Timings,
    ) -> Result<&[Vec<f32>], DecodeError> {
        let running = self.running.get_mut(&network).ok_or(missing(product, network))?;
        let started = self.clock.now();
        if let Some((front_end, answer)) = self.front_end.as_mut().filter(|_| network == Network::Backbone) {
            *answer = vec![front_end.tokens(inputs[0]); 2];
            book(self.clock.as_ref(), &mut self.times, timings, network, started, 1);
            return Ok(answer);
        }
        let result = running.run(self.engine.as_ref(), inputs);
        book(self.clock.as_ref(), &mut self.times, timings, network, started, 1);
        result
    }

    /// Lets `work` use `network`, and `beside` where the bundle has that too; books the time as `runs` runs of `network`.
    pub(crate) fn with<T>(
        &mut self,
        product: &'static str,
        [network, beside]: [Network; 2],
        runs: u32,
        timings: &mut Timings,
        work: impl FnOnce(&dyn Engine, &mut RunningNetwork, Option<&mut RunningNetwork>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let started = self.clock.now();
        let (mut main, mut other) = (None, None);
        for (key, running) in &mut self.running {
            match *key {
                key if key == network => main = Some(running),
                key if key == beside => other = Some(running),
                _ => {}
            }
        }
        let result = work(self.engine.as_ref(), main.ok_or(missing(product, network))?, other);
        book(self.clock.as_ref(), &mut self.times, timings, network, started, runs);
        result
    }
}

fn book(
    clock: &dyn Clock,
    times: &mut StepTimes,
    timings: &mut Timings,
    network: Network,
    started: mindeye_config::Moment,
    runs: u32,
) {
    let took = clock.now().since(started);
    timings.add(network.step(), took);
    times.learn(network, took / runs.max(1));
}

/// The bundle has no `network`, which `product` needs.
pub(crate) fn missing(product: &'static str, network: Network) -> DecodeError {
    DecodeError::NoProduct { product, missing: network.key() }
}
