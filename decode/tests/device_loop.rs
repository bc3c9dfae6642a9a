//! On a device nothing is downloaded between the first and the last step of a loop; buffers come back; NaN ends there.

mod support;

use mindeye_config::{EngineKind, ManualClock};
use mindeye_decode::effort::Effort;
use mindeye_decode::sampler::LoopPlace;
use mindeye_decode::{Candidate, DecodeError, Decoder, Network, Progress, Reconstruction};
use mindeye_engine::{Buffer, Engine, EngineError, FaultKind, MockEngine, MockPlan, NetworkFile, Session, TensorSpec};
use mindeye_preprocess::Pattern;
use std::sync::{Arc, Mutex};
use support::{TestBundle, VOXELS, trial_noise};

/// What passed between host and engine, in the order of the calls.
#[derive(Debug, Clone, PartialEq)]
enum Event {
    Download(String),
    Made,
    Run(String),
}

/// The mock engine with a list of what was asked of it.
struct Counting {
    mock: MockEngine,
    events: Arc<Mutex<Vec<Event>>>,
}

struct CountingSession {
    name: String,
    inner: Box<dyn Session>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Engine for Counting {
    fn kind(&self) -> EngineKind {
        EngineKind::Mock
    }

    fn describe(&self) -> String {
        "mock that is watched".into()
    }

    fn open(&self, network: &NetworkFile) -> Result<Box<dyn Session>, EngineError> {
        let (name, inner) = (network.name.clone(), self.mock.open(network)?);
        Ok(Box::new(CountingSession { name, inner, events: self.events.clone() }))
    }

    fn buffer(&self, spec: &TensorSpec) -> Result<Buffer, EngineError> {
        self.events.lock().unwrap().push(Event::Made);
        self.mock.buffer(spec)
    }

    fn download(&self, buffer: &Buffer, values: &mut [f32]) -> Result<(), EngineError> {
        self.events.lock().unwrap().push(Event::Download(buffer.spec().name.clone()));
        self.mock.download(buffer, values)
    }
}

impl Session for CountingSession {
    fn inputs(&self) -> &[TensorSpec] {
        self.inner.inputs()
    }

    fn outputs(&self) -> &[TensorSpec] {
        self.inner.outputs()
    }

    fn run(&mut self, inputs: &[&Buffer], outputs: &mut [&mut Buffer]) -> Result<(), EngineError> {
        self.events.lock().unwrap().push(Event::Run(self.name.clone()));
        self.inner.run(inputs, outputs)
    }
}

/// A decoder on `place` over the watched mock, after warm-up.
fn watched(bundle: &TestBundle, plan: MockPlan, place: LoopPlace) -> (Decoder, Arc<Mutex<Vec<Event>>>) {
    let events = Arc::default();
    let engine = Counting { mock: MockEngine::new(plan), events: Arc::clone(&events) };
    let (decoder, _) = Decoder::warm_up(&bundle.open().unwrap(), Box::new(engine), ManualClock::new()).unwrap();
    (decoder.with_loops(place), events)
}

fn begin(decoder: &Decoder) -> Reconstruction {
    decoder.begin(&Pattern(vec![0.3; VOXELS.len()]), Effort::Full, trial_noise()).unwrap()
}

fn finish(decoder: &mut Decoder, mut reconstruction: Reconstruction) -> Result<Candidate, DecodeError> {
    loop {
        if let Progress::Picture(candidate) = reconstruction.step(decoder)? {
            return Ok(candidate);
        }
    }
}

/// What happened from the first run of `network` to its last.
fn during(events: &[Event], network: &str) -> Vec<Event> {
    let run = Event::Run(network.into());
    let first = events.iter().position(|event| *event == run).expect("it ran");
    let last = events.iter().rposition(|event| *event == run).expect("it ran");
    events[first..=last].to_vec()
}

#[test]
fn nothing_is_downloaded_or_allocated_between_two_steps_of_a_loop_on_a_device() {
    let bundle = TestBundle::write();
    let (mut decoder, events) = watched(&bundle, MockPlan::default(), LoopPlace::Device);
    assert_eq!(decoder.loops(), [LoopPlace::Device; 2]);
    events.lock().unwrap().clear();
    let reconstruction = begin(&decoder);
    finish(&mut decoder, reconstruction).unwrap();
    let events = events.lock().unwrap();
    let cases = [("prior", 19, vec!["prior-step"]), ("unet", 17, vec!["branches", "step"])];
    for (network, steps, beside) in cases {
        let during = during(&events, network);
        let is_run = |event: &&Event| matches!(event, Event::Run(name) if name == network);
        assert_eq!(during.iter().filter(is_run).count(), steps, "{network}");
        let known = |name: &str| name == network || beside.contains(&name);
        let others: Vec<_> = during.iter().filter(|event| !matches!(event, Event::Run(name) if known(name))).collect();
        assert_eq!(others, Vec::<&Event>::new(), "{network}");
    }
}

#[test]
fn the_loop_on_the_host_downloads_every_step_so_the_count_means_something() {
    let (mut decoder, events) = watched(&TestBundle::write(), MockPlan::default(), LoopPlace::Host);
    events.lock().unwrap().clear();
    let reconstruction = begin(&decoder);
    // The mock's numbers grow without bound on some schedules; how far it comes is enough.
    let _ = finish(&mut decoder, reconstruction);
    let downloads = |event: &&Event| matches!(event, Event::Download(name) if name == "predicted_tokens");
    assert_eq!(events.lock().unwrap().iter().filter(downloads).count(), 19);
}

#[test]
fn a_second_reconstruction_allocates_nothing_also_when_the_first_was_cut() {
    let (mut decoder, events) = watched(&TestBundle::write(), MockPlan::default(), LoopPlace::Device);
    let mut cut = begin(&decoder);
    for _ in 0..(1 + 1 + 19 + 5) {
        cut.step(&mut decoder).unwrap();
    }
    drop(cut);
    events.lock().unwrap().clear();
    let reconstruction = begin(&decoder);
    let again = finish(&mut decoder, reconstruction).unwrap();
    assert!(!events.lock().unwrap().contains(&Event::Made));

    let (mut fresh, _) = watched(&TestBundle::write(), MockPlan::default(), LoopPlace::Device);
    let reconstruction = begin(&fresh);
    assert_eq!(finish(&mut fresh, reconstruction).unwrap(), again, "what was cut leaves nothing behind");
}

#[test]
fn a_nan_on_a_device_is_found_when_the_sample_comes_down_and_the_next_trial_decodes() {
    let bundle = TestBundle::write();
    for (network, run) in [("prior", 3), ("unet", 5)] {
        let plan = MockPlan::default().with_fault(network, run, FaultKind::NotANumber);
        let (mut decoder, _) = watched(&bundle, plan, LoopPlace::Device);
        // The mock's step graphs reach every output from every input, as the real ones' sums do element by element.
        let reconstruction = begin(&decoder);
        let error = finish(&mut decoder, reconstruction).unwrap_err().to_string();
        assert_eq!(error, format!("network `{network}`: output `sample` is NaN at element 0"));
        let reconstruction = begin(&decoder);
        finish(&mut decoder, reconstruction).unwrap_or_else(|error| panic!("after a NaN of {network}: {error}"));
    }
}

#[test]
fn a_bundle_without_the_graphs_keeps_its_loops_on_the_host_and_says_so() {
    let cases = [
        (Network::PriorStep, [LoopPlace::Host, LoopPlace::Device]),
        (Network::Step, [LoopPlace::Device, LoopPlace::Host]),
        (Network::Branches, [LoopPlace::Device, LoopPlace::Host]),
    ];
    for (missing, expected) in cases {
        let (decoder, _) =
            watched(&TestBundle::write().without(&[missing], false), MockPlan::default(), LoopPlace::Device);
        assert_eq!(decoder.loops(), expected, "without {missing:?}");
    }
}
