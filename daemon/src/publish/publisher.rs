//! The publish thread: it writes every outcome down, sends it, and shows it, in this order.
//!
//! An outcome is written before it is sent, so that after a crash nothing final is published twice. The write reaches the
//! system at once and the disk with the next status message: a killed process loses nothing, a power cut at most that interval.

use super::run::OpenRun;
use super::{
    DaemonState, FeedbackPlan, Identity, Latest, PublishEvent, StatusBoard, StreamNotice, VolumeNotice, stream_json,
    volume_json,
};
use crate::blind::StimulusImage;
use crate::journal::{AppendFile, JournalError, OUTCOMES_FILE, Outcome, OutcomeContent, read_outcomes};
use crate::pipeline::RunInfo;
use crate::vitals::Vitals;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use mindeye_config::{Clock, Moment, PreprocessConfig, Step};
use mindeye_decode::Gallery;
use mindeye_preprocess::motion::RegistrationReport;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;

/// Time between status messages.
const STATUS_EVERY: Duration = Duration::from_millis(500);
/// Journal times remembered for trials to come.
const JOURNAL_TIMES: usize = 256;

/// A message as sent to every outlet.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Topic.
    pub topic: &'static str,
    /// JSON.
    pub json: Arc<str>,
    /// PNG, empty without a picture.
    pub picture: Arc<Vec<u8>>,
}

/// What the publisher is connected to.
pub struct PublisherParts {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Bound PUB socket.
    pub socket: zmq::Socket,
    /// Pages.
    pub pages: broadcast::Sender<Frame>,
    /// Newest frames for pages to come.
    pub latest: Arc<Latest>,
    /// Counters.
    pub vitals: Arc<Vitals>,
    /// Who answers.
    pub identity: Identity,
    /// Pictures to retrieve from.
    pub gallery: Option<Arc<Gallery>>,
    /// From due to deadline in seconds of the run's clock, `None` is one TR; for the record.
    pub deadline_s: Option<f64>,
    /// Seconds after onset at which a trial is due; for the record.
    pub decode_after_s: f64,
    /// When pages call themselves stale.
    pub stale_after_s: f64,
    /// Bundle's recipe: lag of the stream, and conditions to be counted.
    pub recipe: PreprocessConfig,
    /// What is fed back, if anything.
    pub feedback: Option<Arc<FeedbackPlan>>,
    /// A file that gets one line per trial message.
    pub results_file: Option<std::fs::File>,
}

/// The publish thread's state.
pub struct Publisher {
    pub(super) parts: PublisherParts,
    pub(super) board: StatusBoard,
    runs: Vec<OpenRun>,
    pub(super) journal_times: BTreeMap<u32, Duration>,
    next_status: Moment,
    pub(super) shown_trial: Option<(String, u32)>,
}

impl Publisher {
    /// A publisher that has nothing to say yet.
    #[must_use]
    pub fn new(parts: PublisherParts) -> Self {
        let board = StatusBoard { state: DaemonState::Ready, ..StatusBoard::default() };
        let next_status = parts.clock.now();
        Self { parts, board, runs: Vec::new(), journal_times: BTreeMap::new(), next_status, shown_trial: None }
    }

    /// Works until `Shutdown` or until nobody is left to send.
    pub fn run(mut self, events: &Receiver<PublishEvent>) {
        loop {
            self.call_in_expired();
            self.send_status_when_due();
            match events.recv_timeout(self.patience()) {
                Ok(PublishEvent::Shutdown) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(event) => self.handle(event),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        self.sync_outcomes();
        self.set_state(DaemonState::Stopped);
    }

    fn patience(&self) -> Duration {
        let call = self.runs.iter().filter_map(|run| run.clerk.next_call()).min();
        let until = call.map_or(self.next_status, |call| call.min(self.next_status));
        until.since(self.parts.clock.now())
    }

    fn call_in_expired(&mut self) {
        let now = self.parts.clock.now();
        let expire = |run: &mut OpenRun| (run.info.clone(), run.clerk.at(now));
        let expired: Vec<_> = self.runs.iter_mut().map(expire).collect();
        for (run, answers) in expired {
            answers.iter().for_each(|answer| self.publish(&run, answer));
        }
    }

    fn handle(&mut self, event: PublishEvent) {
        match event {
            PublishEvent::Open { run, restored } => self.open(run, restored),
            PublishEvent::Stimulus { run, trial, image, condition } => self.stimulus(&run, trial, image, condition),
            PublishEvent::Volume(notice) => self.volume(&notice),
            PublishEvent::Stream(notice) => self.stream(&notice),
            PublishEvent::Journalled { index, took } => self.journalled(index, took),
            PublishEvent::Registered { run, registration } => self.registered(&run, registration),
            PublishEvent::Beta { run, beta } => self.beta(&run, &beta),
            PublishEvent::Due(notice) => self.due(notice),
            PublishEvent::Product(notice) => self.product(&notice),
            PublishEvent::GoesOn { run, trial } => self.goes_on(&run, trial),
            PublishEvent::Decoded { run, trial, is_due, part } => self.decoded(&run, trial, is_due, part),
            PublishEvent::DecodeFailed { run, trial, message } => self.decode_failed(&run, trial, message),
            PublishEvent::NeverDue { run, trial } => self.never_due(&run, trial),
            PublishEvent::Closed { run } => self.closed(&run),
            PublishEvent::CatchingUp(begins) => {
                self.set_state(if begins { DaemonState::CatchingUp } else { DaemonState::Running })
            }
            PublishEvent::Trouble(message) => self.trouble(message),
            PublishEvent::Stopped(stopped) => self.stopped(stopped),
            PublishEvent::Blanked(blanked) => self.blanked(blanked),
            PublishEvent::Shown(receipt) => self.shown(receipt),
            PublishEvent::Shutdown => {}
        }
    }

    pub(super) fn of_run(&mut self, run: &Arc<RunInfo>) -> Option<&mut OpenRun> {
        self.runs.iter_mut().find(|open| Arc::ptr_eq(&open.info, run))
    }

    // === a run

    fn open(&mut self, info: Arc<RunInfo>, restored: bool) {
        let path = info.dir.join(OUTCOMES_FILE);
        let recorded = read_outcomes(&path).unwrap_or_else(|error| self.without_record(&error));
        let outcomes = AppendFile::create(&path).map_err(|error| self.trouble(error.to_string())).ok();
        let mut run = OpenRun::new(info.clone(), outcomes, self.parts.feedback.clone(), &self.parts.recipe);
        if restored {
            run.remember(&recorded);
        }
        self.runs.push(run);
        self.parts.latest.keep_feedback(None);
        self.board.run = Some(info.clone());
        self.board.next_index = 0;
        self.board.trouble = None;
        self.board.warning = None;
        self.board.registration = None;
        let context = self.context(&info);
        self.write(&info, context, Vec::new());
        self.set_state(DaemonState::Running);
    }

    fn without_record(&mut self, error: &JournalError) -> Vec<Outcome> {
        self.trouble(error.to_string());
        Vec::new()
    }

    fn context(&self, run: &RunInfo) -> OutcomeContent {
        OutcomeContent::Context {
            bundle: run.bundle(&self.parts.identity.bundle),
            engine: self.parts.identity.engine.clone(),
            seed: self.parts.identity.seed,
            decode_after_s: self.parts.decode_after_s,
            deadline_s: self.parts.deadline_s.unwrap_or(run.start.tr_s),
            top_k: self.parts.identity.top_k,
        }
    }

    fn closed(&mut self, run: &Arc<RunInfo>) {
        let now = self.parts.clock.now();
        if let Some(open) = self.of_run(run) {
            open.closed_at = Some(now);
        }
        let others_are_open = self.runs.iter().any(|open| open.closed_at.is_none());
        if !others_are_open && self.board.state != DaemonState::Stopped {
            self.set_state(DaemonState::Ready);
        }
    }

    /// A closed run leaves once its last trial is final, its record is on the disk, and its last number is old.
    fn let_go(&mut self) {
        let now = self.parts.clock.now();
        let stale_after = Duration::from_secs_f64(self.parts.stale_after_s);
        let is_over = |open: &OpenRun| open.closed_at.is_some_and(|closed_at| now.since(closed_at) > stale_after);
        let before = self.runs.len();
        self.runs.retain(|open| !is_over(open) || open.clerk.next_call().is_some());
        if self.runs.is_empty() && before > 0 {
            self.parts.latest.keep_feedback(None);
        }
    }

    fn stimulus(&mut self, run: &Arc<RunInfo>, trial: u32, image: Option<StimulusImage>, condition: Option<u16>) {
        let Some(open) = self.of_run(run) else { return };
        open.conditions.tell(trial, condition);
        match image {
            Some(image) => open.images.insert(trial, image),
            None => open.images.remove(&trial),
        };
    }

    // === volumes

    fn volume(&mut self, notice: &VolumeNotice) {
        self.board.nominal = Some(notice.nominal);
        self.board.next_index = notice.index + 1;
        self.send(frame("volume", &volume_json(notice), Vec::new()), false);
    }

    fn stream(&mut self, notice: &StreamNotice) {
        let Some(open) = self.of_run(&notice.sample.run) else { return };
        let registration_go = open.registration.as_ref().map(|registration| registration.go);
        let gallery = self.parts.gallery.as_deref();
        let json = stream_json(notice, &self.parts.identity, gallery, self.parts.recipe.stream.lag_s, registration_go);
        self.send(frame("stream", &json, Vec::new()), false);
    }

    /// The last trials lean to one condition, or no longer do.
    pub(super) fn warn(&mut self, warning: Option<String>) {
        if self.board.warning != warning {
            self.board.warning = warning;
            self.send_status();
        }
    }

    /// A no-go stops nothing, since an hour in the scanner cannot be repeated: the operator is told, and results say so.
    fn registered(&mut self, run: &Arc<RunInfo>, registration: RegistrationReport) {
        let Some(open) = self.of_run(run) else { return };
        open.registration = Some(registration.clone());
        self.write(run, OutcomeContent::Registered(registration.clone()), Vec::new());
        self.board.registration = Some(registration.clone());
        if registration.go {
            self.send_status();
        } else {
            self.trouble(format!("registration is a no-go: {}", registration.objections.join("; ")));
        }
    }

    fn journalled(&mut self, index: u32, took: Duration) {
        self.parts.vitals.step(Step::Journal, took);
        self.journal_times.insert(index, took);
        if self.journal_times.len() > JOURNAL_TIMES {
            self.journal_times.pop_first();
        }
    }

    // === state

    fn set_state(&mut self, state: DaemonState) {
        self.board.state = state;
        self.send_status();
    }

    fn stopped(&mut self, stopped: bool) {
        let run_is_open = self.runs.iter().any(|open| open.closed_at.is_none());
        self.set_state(match (stopped, run_is_open) {
            (true, _) => DaemonState::Stopped,
            (false, true) => DaemonState::Running,
            (false, false) => DaemonState::Ready,
        });
    }

    pub(super) fn trouble(&mut self, message: String) {
        eprintln!("trouble: {message}");
        self.board.trouble = Some(message);
        self.set_state(DaemonState::Degraded);
    }

    fn blanked(&mut self, blanked: bool) {
        self.board.blanked = blanked;
        self.send_status();
    }

    fn shown(&mut self, receipt: Value) {
        if let Some(run) = self.board.run.clone() {
            self.write(&run, OutcomeContent::Shown(receipt.clone()), Vec::new());
        }
        self.send(frame("shown", &receipt, Vec::new()), false);
    }

    fn send_status_when_due(&mut self) {
        if self.parts.clock.now() >= self.next_status {
            self.sync_outcomes();
            self.let_go();
            self.send_status();
        }
    }

    fn send_status(&mut self) {
        let now = self.parts.clock.now();
        self.next_status = now + STATUS_EVERY;
        let json = self.board.json(&self.parts.identity, &self.parts.vitals, self.parts.stale_after_s, now);
        self.send(frame("status", &json, Vec::new()), false);
    }

    // === outlets

    pub(super) fn send(&self, frame: Frame, starts_trial: bool) {
        self.parts.latest.keep(&frame, starts_trial);
        let parts: [&[u8]; 3] = [frame.topic.as_bytes(), frame.json.as_bytes(), &frame.picture];
        let count = if frame.topic == "trial" { 3 } else { 2 };
        // A PUB socket drops for subscribers that are too slow; it never blocks, and without subscribers there is no error.
        let _ = self.parts.socket.send_multipart(&parts[..count], zmq::DONTWAIT);
        // No page may be connected.
        let _ = self.parts.pages.send(frame);
    }

    pub(super) fn write(&mut self, run: &Arc<RunInfo>, content: OutcomeContent, body: Vec<u8>) {
        let Some(file) = self.of_run(run).and_then(|open| open.outcomes.as_mut()) else { return };
        let mut bytes = Vec::new();
        Outcome { content, body }.encode(&mut bytes);
        if let Err(error) = file.append(&bytes) {
            self.trouble(error.to_string());
        }
    }

    /// Writes to the record of a run that may have been let go.
    pub(super) fn write_to_record(&mut self, run: &Arc<RunInfo>, content: OutcomeContent, body: Vec<u8>) {
        if self.of_run(run).is_some() {
            return self.write(run, content, body);
        }
        let mut bytes = Vec::new();
        Outcome { content, body }.encode(&mut bytes);
        let file = AppendFile::create(&run.dir.join(OUTCOMES_FILE));
        if let Err(error) = file.and_then(|mut file| file.append(&bytes).and_then(|()| file.sync())) {
            self.trouble(error.to_string());
        }
    }

    fn sync_outcomes(&mut self) {
        let files = self.runs.iter_mut().filter_map(|open| open.outcomes.as_mut());
        let failed = files.filter_map(|file| file.sync().err()).last();
        if let Some(error) = failed {
            self.trouble(error.to_string());
        }
    }

    pub(super) fn write_result_line(&mut self, json: &Value) {
        let Some(file) = self.parts.results_file.as_mut() else { return };
        if let Err(error) = writeln!(file, "{json}") {
            self.trouble(format!("results file: {error}"));
        }
    }
}

pub(super) fn frame(topic: &'static str, json: &Value, picture: Vec<u8>) -> Frame {
    Frame { topic, json: json.to_string().into(), picture: Arc::new(picture) }
}
