//! Listens to a daemon's results and keeps their times.

use mindeye_config::{Failure, Step};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Times of everything heard, in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Each step, over volumes and final answers.
    pub(super) steps: BTreeMap<Step, Vec<f64>>,
    /// Last byte in to first answer out.
    pub(super) first_answer_ms: Vec<f64>,
    /// Last byte in to final answer out.
    pub(super) final_answer_ms: Vec<f64>,
    /// Last byte in to first answer out, without network arithmetic. (A final answer has two threads' arithmetic in it, which
    /// ran at once and adds up to more than it took.)
    pub(super) overhead_ms: Vec<f64>,
    /// Final answers by effort.
    pub(super) efforts: BTreeMap<String, u32>,
    /// Final answers that came after their deadline, or empty.
    pub(super) deadlines_missed: u32,
    /// Last byte in to statistics up to date, of each volume.
    pub(super) volume_ms: Vec<f64>,
}

/// A listening thread.
pub(super) struct Collector {
    messages: Receiver<Value>,
}

impl Collector {
    pub(super) fn subscribe(context: &zmq::Context, results: &str) -> Result<Self, Failure> {
        let socket = context.socket(zmq::SUB).map_err(Failure::unavailable)?;
        let connect = || {
            socket.set_rcvhwm(0).and_then(|()| socket.connect(results)).and_then(|()| {
                [b"trial".as_slice(), b"volume"].into_iter().try_for_each(|topic| socket.set_subscribe(topic))
            })
        };
        connect().map_err(|error| Failure::unavailable(format!("{results}: {error}")))?;
        let (sender, messages) = channel();
        std::thread::spawn(move || listen(&socket, &sender));
        Ok(Self { messages })
    }

    /// Listens until `trials` final answers came, or nothing came for `patience`.
    pub(super) fn finish(self, trials: u32, patience: Duration) -> Result<Heard, Failure> {
        let mut heard = Heard::default();
        while heard.final_answer_ms.len() < trials as usize {
            match self.messages.recv_timeout(patience) {
                Ok(message) => heard.take(&message),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    let found = heard.final_answer_ms.len();
                    return Err(Failure::other(format!("expected {trials} final answers, heard {found}")));
                }
            }
        }
        Ok(heard)
    }
}

fn listen(socket: &zmq::Socket, sender: &Sender<Value>) {
    while let Ok(frames) = socket.recv_multipart(0) {
        let Some(message) = frames.get(1).and_then(|json| serde_json::from_slice(json).ok()) else { continue };
        if sender.send(message).is_err() {
            return;
        }
    }
}

impl Heard {
    fn take(&mut self, message: &Value) {
        match message["type"].as_str() {
            Some("volume") => {
                self.volume_ms.push(Step::ALL.into_iter().filter_map(|step| ms(message, step)).sum());
                self.take_steps(message, |step| !is_of_answer(step));
            }
            Some("trial") => self.take_answer(message),
            _ => {}
        }
    }

    fn take_answer(&mut self, message: &Value) {
        let total_ms = ms(message, Step::Total);
        if message["revision"] == 0 {
            self.first_answer_ms.extend(total_ms);
            self.overhead_ms.extend(total_ms.map(|total_ms| total_ms - network_ms(message)));
        }
        if message["final"] != true {
            return;
        }
        self.take_steps(message, is_of_answer);
        self.final_answer_ms.push(total_ms.unwrap_or(f64::NAN));
        *self.efforts.entry(message["effort"].as_str().unwrap_or("?").to_owned()).or_default() += 1;
        self.deadlines_missed += u32::from(message["deadline_met"] != true);
    }

    fn take_steps(&mut self, message: &Value, wanted: impl Fn(Step) -> bool) {
        for step in Step::ALL.into_iter().filter(|step| wanted(*step)) {
            self.steps.entry(step).or_default().extend(ms(message, step));
        }
    }
}

fn network_ms(message: &Value) -> f64 {
    Step::ALL.into_iter().filter(|step| step.is_network()).filter_map(|step| ms(message, step)).sum()
}

/// Steps that belong to an answer; the others belong to every volume.
fn is_of_answer(step: Step) -> bool {
    step.is_network() || matches!(step, Step::Retrieval | Step::Publish | Step::Total | Step::Journal)
}

fn ms(message: &Value, step: Step) -> Option<f64> {
    message["timings_ms"][step.key()].as_f64()
}
