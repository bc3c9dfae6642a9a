//! The warm networks of a bundle, each run timed, so that the ladder knows what a step costs on this machine.

use crate::effort::StepTimes;
use crate::reconstruction::DeviceLoops;
use crate::running::RunningNetwork;
use crate::sampler::LoopPlace;
use crate::{DecodeError, FrontEnd, Network};
use mindeye_config::{Clock, Moment, Timings};
use mindeye_engine::{Engine, EngineError, Place, TensorSpec};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Networks that reproduced their golden cases, with the engine that computes them.
pub(crate) struct Networks {
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) times: StepTimes,
    /// Where samplers' loops are wanted; [`Networks::prior_loop`] and [`Networks::latent_loop`] say where they can be.
    pub(crate) wanted_place: LoopPlace,
    pub(crate) loops: DeviceLoops,
    running: Running,
    /// What takes the backbone's place, if anything, with its last answer.
    front_end: Option<(Arc<FrontEnd>, Vec<Vec<f32>>)>,
}

/// The networks themselves.
pub(crate) struct Running(BTreeMap<Network, RunningNetwork>);

impl Running {
    /// `network`, to run it for `product`.
    pub(crate) fn of(&mut self, product: &'static str, network: Network) -> Result<&mut RunningNetwork, DecodeError> {
        self.0.get_mut(&network).ok_or(missing(product, network))
    }
}

impl Networks {
    /// Loops are wanted where the engine has its memory.
    pub(crate) fn new(
        engine: Box<dyn Engine>,
        clock: Arc<dyn Clock>,
        times: StepTimes,
        running: BTreeMap<Network, RunningNetwork>,
    ) -> Result<Self, EngineError> {
        let wanted_place = match engine.buffer(&TensorSpec::new("where", [1]))?.place() {
            Place::Host => LoopPlace::Host,
            Place::Cuda(_) => LoopPlace::Device,
        };
        Ok(Self {
            engine,
            clock,
            times,
            wanted_place,
            loops: DeviceLoops::default(),
            running: Running(running),
            front_end: None,
        })
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
        self.running.0.contains_key(&network)
    }

    /// `network` itself, which `product` needs.
    pub(crate) fn get(&self, product: &'static str, network: Network) -> Result<&RunningNetwork, DecodeError> {
        self.running.0.get(&network).ok_or(missing(product, network))
    }

    /// Where the prior's loop runs: on a device where that is wanted and the bundle has its graph.
    pub(crate) fn prior_loop(&self) -> LoopPlace {
        if self.has(Network::PriorStep) { self.wanted_place } else { LoopPlace::Host }
    }

    /// Where the latent's loop runs: on a device where that is wanted, the bundle has its graphs, and the UNet takes both
    /// branches at once.
    pub(crate) fn latent_loop(&self) -> LoopPlace {
        let has_graphs = self.has(Network::Step) && self.has(Network::Branches);
        if has_graphs && self.unet_takes_both_branches() { self.wanted_place } else { LoopPlace::Host }
    }

    /// Whether one run of the UNet evaluates the unconditional and the conditional branch.
    pub(crate) fn unet_takes_both_branches(&self) -> bool {
        self.running.0.get(&Network::Unet).is_some_and(|unet| unet.input_shape(0)[0] == 2)
    }

    /// Runs `network` on host values for `product`; books the time and learns from it, also when it fails.
    pub(crate) fn run(
        &mut self,
        product: &'static str,
        network: Network,
        inputs: &[&[f32]],
        timings: &mut Timings,
    ) -> Result<&[Vec<f32>], DecodeError> {
        let running = self.running.of(product, network)?;
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

    /// Runs each network of an engine with a device twice more, and takes the second time for what a run takes until a
    /// trial tells.
    pub(crate) fn settle(&mut self) -> Result<(), EngineError> {
        if self.wanted_place == LoopPlace::Host {
            return Ok(());
        }
        for (network, running) in &mut self.running.0 {
            running.repeat()?;
            let started = self.clock.now();
            running.repeat()?;
            self.times.warmed_up(*network, self.clock.now().since(started));
        }
        Ok(())
    }

    /// Lets `work` use all networks; nobody learns from the time that it takes.
    pub(crate) fn unlearned<T>(
        &mut self,
        work: impl FnOnce(&dyn Engine, &mut Running) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        work(self.engine.as_ref(), &mut self.running)
    }

    /// Lets `work` use all networks; books the time as `runs` runs of `network`.
    pub(crate) fn with<T>(
        &mut self,
        network: Network,
        runs: u32,
        timings: &mut Timings,
        work: impl FnOnce(&dyn Engine, &mut Running) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let started = self.clock.now();
        let result = work(self.engine.as_ref(), &mut self.running);
        book(self.clock.as_ref(), &mut self.times, timings, network, started, runs);
        result
    }
}

fn book(clock: &dyn Clock, times: &mut StepTimes, timings: &mut Timings, network: Network, started: Moment, runs: u32) {
    let took = clock.now().since(started);
    timings.add(network.step(), took);
    times.learn(network, took / runs.max(1));
}

/// The bundle has no `network`, which `product` needs.
pub(crate) fn missing(product: &'static str, network: Network) -> DecodeError {
    DecodeError::NoProduct { product, missing: network.key() }
}
