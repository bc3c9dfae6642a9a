//! The sending side of the protocol: paced by the scanner's clock, patient with the daemon.

use super::link::{Link, LinkChange};
use super::source::ScanSource;
use super::window::{Key, SendWindow};
use crate::protocol::{EventMessage, Reason, RunEnd, RunStart, VOLUME_PROTOCOL, VolumeHeader};
use mindeye_config::{Clock, Moment, Name};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How a run is played.
#[derive(Debug, Clone)]
pub struct ScannerOptions {
    /// Address of the daemon.
    pub connect: String,
    /// Session to announce.
    pub session: Name,
    /// Run to announce.
    pub run: Name,
    /// Times faster than the scanner's clock.
    pub speed: f64,
    /// Volumes at most.
    pub volumes: Option<u32>,
    /// Messages kept unanswered at most.
    pub in_flight: usize,
    /// How long the daemon may be silent before the scanner gives up.
    pub patience: Duration,
}

/// Why a run was not played to its end.
#[derive(Debug, thiserror::Error)]
pub enum ScannerError {
    /// ZeroMQ.
    #[error("{address}: {source}")]
    Socket {
        /// Address.
        address: String,
        /// What ZeroMQ said.
        source: zmq::Error,
    },
    /// Nobody answers.
    #[error("no answer from {address} for {silent_s:.0} s; {waiting} messages wait")]
    Silent {
        /// Address.
        address: String,
        /// Seconds without an answer.
        silent_s: f64,
        /// Messages not accepted.
        waiting: usize,
    },
    /// The daemon will not have it.
    #[error("the daemon refused {what}: {reason}: {message}")]
    Refused {
        /// The message.
        what: String,
        /// The reason.
        reason: String,
        /// The daemon's explanation.
        message: String,
    },
}

/// What was played.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Played {
    /// Volumes accepted.
    pub volumes: u32,
    /// Events accepted.
    pub events: u32,
    /// Messages sent more than once.
    pub sent_again: usize,
    /// Time from sending to `accepted` of each volume, ms, in order of acceptance.
    #[serde(skip)]
    pub accepted_after_ms: Vec<f64>,
}

/// A simulated scanner at work.
pub struct Scanner<'a> {
    options: ScannerOptions,
    source: &'a mut dyn ScanSource,
    clock: Arc<dyn Clock>,
    stop: Arc<AtomicBool>,
    link: Link,
    window: SendWindow,
    ready: bool,
    heard: Moment,
    /// When `run_start` last left.
    announced: Option<Moment>,
    played: Played,
}

/// Refusals that pass: the same message may be accepted a little later.
const PASSING: [Reason; 4] = [Reason::UnknownRun, Reason::Busy, Reason::Storage, Reason::NotReady];

impl<'a> Scanner<'a> {
    /// Connects (ZeroMQ connects and reconnects in the background).
    ///
    /// # Errors
    /// [`ScannerError::Socket`] for an address that is none.
    pub fn connect(
        context: &zmq::Context,
        options: ScannerOptions,
        source: &'a mut dyn ScanSource,
        clock: Arc<dyn Clock>,
        stop: Arc<AtomicBool>,
    ) -> Result<Self, ScannerError> {
        let link = Link::connect(context, &options.connect)
            .map_err(|source| ScannerError::Socket { address: options.connect.clone(), source })?;
        let heard = clock.now();
        Ok(Self {
            options,
            source,
            clock,
            stop,
            link,
            window: SendWindow::default(),
            ready: false,
            heard,
            announced: None,
            played: Played::default(),
        })
    }

    /// Plays the run to its end, or until told to stop.
    ///
    /// # Errors
    /// [`ScannerError`] when the daemon refuses the run or falls silent.
    pub fn play(mut self) -> Result<Played, ScannerError> {
        while !self.ready && !self.is_stopped() {
            self.listen(Duration::from_millis(100))?;
            self.insist()?;
        }
        let begun = self.clock.now();
        let count = self.options.volumes.unwrap_or(u32::MAX).min(self.source.volume_count());
        let mut told = 0;
        for index in 0..count {
            told = self.tell_events(told, f64::from(index + 1) * self.source.tr_s());
            self.wait_until(begun + self.acquired_after(index + 1))?;
            self.wait_for_room()?;
            if self.is_stopped() {
                return Ok(self.played);
            }
            self.send_volume(index);
        }
        self.end(count)?;
        Ok(self.played)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Wall time from the start of the run to the end of `volumes` acquisitions.
    fn acquired_after(&self, volumes: u32) -> Duration {
        Duration::from_secs_f64(f64::from(volumes) * self.source.tr_s() / self.options.speed)
    }

    // === sending

    /// Announces the run; without a daemon it is tried again with the next look at the connection.
    fn announce(&mut self) {
        let grid = self.source.grid();
        let start = RunStart {
            session: self.options.session.clone(),
            run: self.options.run.clone(),
            tr_s: self.source.tr_s(),
            shape: grid.dim,
            affine: grid.affine,
            dtype: self.source.dtype(),
            expected_volumes: Some(self.source.volume_count()),
            dummy_volumes: None,
            slice_timing_s: None,
            events: Vec::new(),
            speed: (self.options.speed != 1.0).then_some(self.options.speed),
        };
        self.announced = self.link.send(&[message("run_start", &start)]).then(|| self.clock.now());
    }

    /// Tells the trials whose onset lies before `now_s`, as a stimulus computer would; returns how many are told.
    fn tell_events(&mut self, told: usize, now_s: f64) -> usize {
        let due: Vec<_> =
            self.source.events()[told..].iter().take_while(|event| event.onset_s < now_s).cloned().collect();
        for event in &due {
            let fields = EventMessage { run: self.options.run.clone(), event: event.clone() };
            self.send(Key::Event(event.trial), vec![message("event", &fields)]);
        }
        told + due.len()
    }

    fn send_volume(&mut self, index: u32) {
        let header = VolumeHeader {
            run: self.options.run.clone(),
            index,
            dtype: self.source.dtype(),
            shape: self.source.grid().dim,
            acquired_s: Some(f64::from(index) * self.source.tr_s()),
        };
        let voxels = self.source.volume(index);
        self.send(Key::Volume(index), vec![message("volume", &header), voxels]);
    }

    fn end(&mut self, volumes: u32) -> Result<(), ScannerError> {
        self.drain()?;
        let end = RunEnd { run: self.options.run.clone(), volumes };
        self.send(Key::End, vec![message("run_end", &end)]);
        self.drain()
    }

    fn send(&mut self, key: Key, frames: Vec<Vec<u8>>) {
        self.window.keep(key, Arc::new(frames), self.clock.now());
        self.flush();
    }

    /// What cannot leave now stays in the window and leaves later; nothing leaves before the run is announced.
    fn flush(&mut self) {
        self.follow_link();
        if self.ready {
            let link = &self.link;
            self.window.flush(self.clock.now(), |frames| link.send(frames));
        }
    }

    /// Whatever had left over another connection may be lost with it: first the run is announced again, then all that
    /// waits leaves in order.
    fn follow_link(&mut self) {
        while let Some(change) = self.link.change() {
            self.begin_again();
            if change == LinkChange::Up {
                self.announce();
            }
        }
    }

    fn begin_again(&mut self) {
        self.ready = false;
        self.played.sent_again += self.window.send_again();
    }

    // === listening

    fn wait_until(&mut self, moment: Moment) -> Result<(), ScannerError> {
        loop {
            let left = moment.since(self.clock.now());
            self.listen(left.min(Duration::from_millis(100)))?;
            self.insist()?;
            if left.is_zero() || self.is_stopped() {
                return Ok(());
            }
        }
    }

    /// A scanner's memory is finite: with too much unanswered it falls behind its own clock.
    fn wait_for_room(&mut self) -> Result<(), ScannerError> {
        while self.window.len() >= self.options.in_flight && !self.is_stopped() {
            self.listen(Duration::from_millis(100))?;
            self.insist()?;
        }
        Ok(())
    }

    fn drain(&mut self) -> Result<(), ScannerError> {
        while !self.window.is_empty() && !self.is_stopped() {
            self.listen(Duration::from_millis(100))?;
            self.insist()?;
        }
        Ok(())
    }

    fn listen(&mut self, patience: Duration) -> Result<(), ScannerError> {
        let socket_error = |source| ScannerError::Socket { address: self.options.connect.clone(), source };
        let ms = i64::try_from(patience.as_micros().div_ceil(1000)).unwrap_or(100);
        self.link.wait(ms).map_err(socket_error)?;
        while let Some(frames) = self.link.answer() {
            self.heard = self.clock.now();
            let answer = frames.first().and_then(|frame| serde_json::from_slice::<Value>(frame).ok());
            if let Some(answer) = answer {
                self.hear(&answer)?;
            }
        }
        Ok(())
    }

    fn hear(&mut self, answer: &Value) -> Result<(), ScannerError> {
        let number = |field: &str| answer[field].as_u64().and_then(|n| u32::try_from(n).ok());
        match answer["type"].as_str() {
            Some("ready") => {
                self.ready = true;
                self.played.volumes += self.window.accepted_below(number("next_index").unwrap_or(0));
            }
            Some("accepted") => {
                let key = number("index").map(Key::Volume).or(number("trial").map(Key::Event)).unwrap_or(Key::End);
                self.accepted(key);
            }
            Some("refused") => self.refused(answer)?,
            _ => {}
        }
        Ok(())
    }

    fn accepted(&mut self, key: Key) {
        let Some(took) = self.window.accepted(key, self.clock.now()) else { return };
        match key {
            Key::Volume(_) => {
                self.played.volumes += 1;
                self.played.accepted_after_ms.push(took.as_secs_f64() * 1e3);
            }
            Key::Event(_) => self.played.events += 1,
            Key::End => {}
        }
    }

    fn refused(&mut self, answer: &Value) -> Result<(), ScannerError> {
        let word = answer["reason"].as_str().unwrap_or("");
        let passing = PASSING.into_iter().find(|reason| reason.key() == word);
        match passing {
            // The daemon does not know our run: announce it again; what waits leaves when it is ready.
            Some(Reason::UnknownRun) => {
                self.begin_again();
                self.announce();
                Ok(())
            }
            Some(_) => Ok(()),
            None => Err(ScannerError::Refused {
                what: format!("run {}, index {}, trial {}", answer["run"], answer["index"], answer["trial"]),
                reason: word.to_owned(),
                message: answer["message"].as_str().unwrap_or("").to_owned(),
            }),
        }
    }

    /// Sends again what has waited too long, announcing the run first in case the daemon was restarted.
    fn insist(&mut self) -> Result<(), ScannerError> {
        let now = self.clock.now();
        let silent = now.since(self.heard);
        let waits = !self.ready || !self.window.is_empty();
        if waits && silent > self.options.patience {
            return Err(ScannerError::Silent {
                address: self.options.connect.clone(),
                silent_s: silent.as_secs_f64(),
                waiting: self.window.len(),
            });
        }
        let unheard = !self.ready && self.announced.is_none_or(|announced| now.since(announced) > RESEND_AFTER);
        let overdue = self.window.is_overdue(now, RESEND_AFTER);
        if unheard || overdue {
            self.announce();
        }
        if overdue {
            self.played.sent_again += self.window.send_again();
        }
        self.flush();
        Ok(())
    }
}

/// How long a message may wait for its answer before it is sent again.
const RESEND_AFTER: Duration = Duration::from_secs(2);

/// A header frame: the fields of `content` with protocol and type.
fn message(kind: &str, content: &impl Serialize) -> Vec<u8> {
    let mut json = serde_json::to_value(content).expect("names and finite numbers serialise");
    json["protocol"] = VOLUME_PROTOCOL.into();
    json["type"] = kind.into();
    json.to_string().into_bytes()
}
