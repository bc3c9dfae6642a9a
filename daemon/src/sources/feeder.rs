//! The thread between a source and the door: it speaks the native protocol inside the process, and keeps what is not accepted.

use super::clocks::ClockComparison;
use super::event::{IgnoreReason, Ignored, RunPlan, SourceEvent, SourceVolume, VolumeSource};
use super::orient::AxisMap;
use crate::protocol::{EventFields, RunEnd, RunStart, VOLUME_PROTOCOL, VolumeHeader};
use crate::scanner::{Key, SendWindow};
use crate::vitals::Vitals;
use mindeye_config::{Clock, Moment, Name};
use mindeye_preprocess::Grid;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Volumes kept unanswered at most; beyond that the source is not asked, and its files or sender wait.
const IN_FLIGHT: usize = 256;
/// A message without an answer is sent again after this time.
const RESEND_AFTER: Duration = Duration::from_secs(2);
/// Longest wait for the source while answers are on their way, and while none are.
const PATIENCE: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(50)];
/// Longest wait for the answers of a run before the next begins.
const DRAIN: Duration = Duration::from_secs(30);
/// Refusals that pass.
const PASSING: [&str; 4] = ["unknown_run", "busy", "storage", "not_ready"];

/// What the feeder is connected to.
pub struct FeederParts {
    /// Where volumes come from.
    pub source: Box<dyn VolumeSource>,
    /// DEALER socket, connected to the router.
    pub door: zmq::Socket,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Session of all runs.
    pub session: Name,
    /// Grid of the bundle's mask.
    pub grid: Grid,
    /// Trials that every run is told.
    pub events: Vec<EventFields>,
    /// Counters.
    pub vitals: Arc<Vitals>,
    /// Set when the daemon stops.
    pub stop: Arc<AtomicBool>,
}

/// A source at work.
pub struct Feeder {
    parts: FeederParts,
    run: Option<OpenRun>,
    window: SendWindow,
    ignored: BTreeMap<IgnoreReason, u64>,
}

struct OpenRun {
    start: RunStart,
    from: Grid,
    map: AxisMap,
    state: State,
    announced: Moment,
    clocks: ClockComparison,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// `run_start` waits for its answer.
    Announced,
    /// Volumes may leave.
    Ready,
    /// The door will not have it.
    Refused,
}

impl Feeder {
    /// A feeder with no run open.
    #[must_use]
    pub fn new(parts: FeederParts) -> Self {
        Self { parts, run: None, window: SendWindow::default(), ignored: BTreeMap::new() }
    }

    /// Works until the daemon stops.
    pub fn run(mut self) {
        while !self.is_stopped() {
            self.listen(Duration::ZERO);
            self.insist();
            if self.window.len() >= IN_FLIGHT {
                self.listen(PATIENCE[1]);
                continue;
            }
            let patience = if self.window.is_empty() { PATIENCE[1] } else { PATIENCE[0] };
            for event in self.parts.source.next(patience) {
                self.handle(event);
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.parts.stop.load(Ordering::Relaxed)
    }

    fn handle(&mut self, event: SourceEvent) {
        match event {
            SourceEvent::RunStart(plan) => self.begin(plan),
            SourceEvent::Volume(volume) => self.volume(volume),
            SourceEvent::RunEnd { volumes } => self.end(volumes),
            SourceEvent::Ignored(ignored) => self.ignore(&ignored),
        }
    }

    // === a run

    fn begin(&mut self, plan: RunPlan) {
        self.drain();
        self.window = SendWindow::default();
        let map = AxisMap::onto(&plan.grid, &self.parts.grid);
        let from = plan.grid.clone();
        let plan = map.plan(plan);
        let start = RunStart {
            session: self.parts.session.clone(),
            run: plan.run,
            tr_s: plan.tr_s,
            shape: plan.grid.dim,
            affine: plan.grid.affine,
            dtype: plan.dtype,
            expected_volumes: plan.expected_volumes,
            dummy_volumes: None,
            slice_timing_s: plan.slice_timing_s,
            events: self.parts.events.clone(),
            speed: None,
        };
        eprintln!("{}: run {} begins", self.parts.source.kind(), start.run);
        let announced = self.parts.clock.now();
        self.run =
            Some(OpenRun { start, from, map, state: State::Announced, announced, clocks: ClockComparison::default() });
        self.announce();
    }

    fn announce(&mut self) {
        let Some(run) = self.run.as_mut() else { return };
        run.announced = self.parts.clock.now();
        run.state = State::Announced;
        // A full queue is tried again by `insist`.
        let _ = self.parts.door.send(message("run_start", &run.start), zmq::DONTWAIT);
    }

    fn volume(&mut self, volume: SourceVolume) {
        let Some(run) = self.run.as_mut().filter(|run| run.state != State::Refused) else { return };
        let lag_s = run.clocks.note(self.parts.clock.now(), volume.acquired_s);
        self.parts.vitals.set_arrival_lag(lag_s);
        let header = VolumeHeader {
            run: run.start.run.clone(),
            index: volume.index,
            dtype: run.start.dtype,
            shape: run.start.shape,
            acquired_s: volume.acquired_s,
        };
        let voxels = run.map.voxels(volume.voxels, &run.from, run.start.dtype.bytes());
        self.send(Key::Volume(volume.index), vec![message("volume", &header), voxels]);
    }

    fn end(&mut self, volumes: u32) {
        let Some(run) = self.run.as_ref().filter(|run| run.state != State::Refused) else { return };
        let kind = self.parts.source.kind();
        eprintln!("{kind}: run {} ends after {volumes} volumes; {}", run.start.run, run.clocks.summary());
        let end = RunEnd { run: run.start.run.clone(), volumes };
        // The end overtakes no volume: it leaves when all are accepted.
        self.drain();
        self.send(Key::End, vec![message("run_end", &end)]);
        self.drain();
    }

    fn send(&mut self, key: Key, frames: Vec<Vec<u8>>) {
        self.window.keep(key, Arc::new(frames), self.parts.clock.now());
        self.flush();
        if self.run.as_ref().is_some_and(|run| run.state == State::Announced) {
            self.listen(PATIENCE[0]);
        }
    }

    fn flush(&mut self) {
        if self.run.as_ref().is_some_and(|run| run.state == State::Ready) {
            let door = &self.parts.door;
            let transmit = |frames: &Arc<Vec<Vec<u8>>>| door.send_multipart(frames.iter(), zmq::DONTWAIT).is_ok();
            self.window.flush(self.parts.clock.now(), transmit);
        }
    }

    /// Waits until everything is accepted; a door that is shut for long gets the next run all the same.
    fn drain(&mut self) {
        let begun = self.parts.clock.now();
        while !self.window.is_empty() && !self.is_stopped() && self.parts.clock.now().since(begun) < DRAIN {
            self.listen(PATIENCE[1]);
            self.insist();
        }
    }

    // === answers

    fn listen(&mut self, patience: Duration) {
        let ms = i64::try_from(patience.as_millis()).unwrap_or(1);
        // An interrupted wait is a short one.
        let _ = self.parts.door.poll(zmq::POLLIN, ms);
        while let Ok(frames) = self.parts.door.recv_multipart(zmq::DONTWAIT) {
            let answer = frames.first().and_then(|frame| serde_json::from_slice::<Value>(frame).ok());
            if let Some(answer) = answer {
                self.hear(&answer);
            }
        }
        self.flush();
    }

    fn hear(&mut self, answer: &Value) {
        let Some(run) = self.run.as_mut().filter(|run| answer["run"] == run.start.run.as_str()) else { return };
        let number = |field: &str| answer[field].as_u64().and_then(|n| u32::try_from(n).ok());
        let index = number("index");
        match answer["type"].as_str() {
            Some("ready") => {
                run.state = State::Ready;
                self.window.accepted_below(number("next_index").unwrap_or(0));
            }
            Some("accepted") => {
                self.window.accepted(index.map_or(Key::End, Key::Volume), self.parts.clock.now());
            }
            Some("refused") => self.refused(answer, index),
            _ => {}
        }
    }

    fn refused(&mut self, answer: &Value, index: Option<u32>) {
        let word = answer["reason"].as_str().unwrap_or("");
        if PASSING.contains(&word) {
            if word == "unknown_run" {
                self.window.send_again();
                self.announce();
            }
            return;
        }
        let explanation = format!("{word}: {}", answer["message"].as_str().unwrap_or(""));
        self.ignore(&Ignored::new(IgnoreReason::Refused, explanation));
        match (index, self.run.as_mut()) {
            (Some(index), _) => drop(self.window.accepted(Key::Volume(index), self.parts.clock.now())),
            (None, Some(run)) => {
                run.state = State::Refused;
                self.window = SendWindow::default();
            }
            (None, None) => {}
        }
    }

    /// Asks again where an answer is overdue.
    fn insist(&mut self) {
        let now = self.parts.clock.now();
        let unheard = |run: &OpenRun| run.state == State::Announced && now.since(run.announced) > RESEND_AFTER / 4;
        if self.run.as_ref().is_some_and(unheard) {
            self.announce();
        }
        if self.window.is_overdue(now, RESEND_AFTER) {
            self.window.send_again();
            self.flush();
        }
    }

    // === people

    /// Each reason is counted; the first, second, fourth, eighth... of a kind is said as well.
    fn ignore(&mut self, ignored: &Ignored) {
        self.parts.vitals.source_ignored(ignored.reason.key());
        let count = self.ignored.entry(ignored.reason).or_default();
        *count += 1;
        if count.is_power_of_two() {
            let (kind, reason) = (self.parts.source.kind(), ignored.reason.key());
            eprintln!("{kind}: ignored ({reason}, {count} so far): {}", ignored.explanation);
        }
    }
}

/// A header frame: the fields of `content` with protocol and type.
fn message(kind: &str, content: &impl Serialize) -> Vec<u8> {
    let mut json = serde_json::to_value(content).expect("names and finite numbers serialise");
    json["protocol"] = VOLUME_PROTOCOL.into();
    json["type"] = kind.into();
    json.to_string().into_bytes()
}
