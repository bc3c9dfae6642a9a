//! A subscriber to the daemon's results, as any program may be one.

use crate::{PATIENCE, eventually};
use mindeye_config::{Clock, Moment, SystemClock};
use serde_json::Value;
use std::sync::Arc;

/// One result message.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Frame 0.
    pub topic: String,
    /// Frame 1.
    pub json: Value,
    /// Frame 2 of a trial: its PNG, empty without a picture.
    pub picture: Vec<u8>,
    /// When it came, on the listener's clock.
    pub at: Moment,
}

impl Heard {
    /// Number of the trial.
    #[must_use]
    pub fn trial(&self) -> u64 {
        self.json["trial"].as_u64().unwrap_or(u64::MAX)
    }

    /// The last answer of its trial.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.topic == "trial" && self.json["final"] == true
    }
}

/// A SUB socket that hears every topic.
pub struct Listener {
    socket: zmq::Socket,
    clock: Arc<dyn Clock>,
    /// Everything heard so far.
    pub heard: Vec<Heard>,
}

impl Listener {
    /// Connects to a daemon's results address and waits for its first status, so that nothing after this is missed.
    ///
    /// # Panics
    /// If the daemon is silent.
    #[must_use]
    pub fn connect(address: &str) -> Self {
        let socket = zmq::Context::new().socket(zmq::SUB).expect("a socket");
        socket.set_rcvhwm(0).and_then(|()| socket.set_subscribe(b"")).expect("options");
        socket.set_rcvtimeo(PATIENCE.as_millis() as i32).expect("options");
        socket.connect(address).expect("an address");
        let mut listener = Self { socket, clock: SystemClock::start(), heard: Vec::new() };
        let _ = listener.until("a status", |heard| heard.topic == "status");
        listener
    }

    /// Now, on the clock that stamps messages.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Listens until a message is wanted, and returns it.
    ///
    /// # Panics
    /// If it does not come, naming `what`, or if a message has not the frames of the contract.
    pub fn until(&mut self, what: &str, wanted: impl Fn(&Heard) -> bool) -> Heard {
        eventually(what, || {
            let heard = self.next(what);
            self.heard.push(heard.clone());
            wanted(&heard).then_some(heard)
        })
    }

    /// Listens until the last answer of `trial`, if it was not heard before.
    ///
    /// # Panics
    /// If it does not come.
    pub fn final_of(&mut self, trial: u64) -> Heard {
        let wanted = |heard: &Heard| heard.is_final() && heard.trial() == trial;
        let before = self.heard.iter().find(|heard| wanted(heard)).cloned();
        before.unwrap_or_else(|| self.until(&format!("the final answer of trial {trial}"), wanted))
    }

    /// The last answers of trials 0 to `trials` − 1.
    ///
    /// # Panics
    /// If one does not come.
    pub fn finals(&mut self, trials: u64) -> Vec<Heard> {
        (0..trials).map(|trial| self.final_of(trial)).collect()
    }

    /// Listens until every volume of `run`, which was ended, is preprocessed; trials may still be on their way.
    ///
    /// # Panics
    /// If that does not happen.
    pub fn end_of(&mut self, run: &str) {
        let is_over =
            |heard: &Heard| heard.topic == "status" && heard.json["state"] == "ready" && heard.json["run"] == run;
        let _ = self.until(&format!("the end of {run}"), is_over);
    }

    /// What was heard of `topic` so far.
    pub fn of<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = &'a Heard> {
        self.heard.iter().filter(move |heard| heard.topic == topic)
    }

    fn next(&self, what: &str) -> Heard {
        let frames = self.socket.recv_multipart(0).unwrap_or_else(|error| panic!("{what}: {error}"));
        let topic = String::from_utf8(frames[0].clone()).expect("a topic in text");
        let json: Value = serde_json::from_slice(&frames[1]).expect("JSON");
        assert_eq!((&json["protocol"], &json["type"]), (&"mindeye-result/1".into(), &topic.as_str().into()), "{json}");
        let picture = match (topic.as_str(), &frames[2..]) {
            ("trial", [picture]) => picture.clone(),
            ("volume" | "stream" | "feedback" | "status" | "shown", []) => Vec::new(),
            (topic, more) => panic!("topic `{topic}` with {} more frames", more.len()),
        };
        Heard { topic, json, picture, at: self.clock.now() }
    }
}
