//! Answers to the scanner side.

use crate::protocol::{Refusal, VOLUME_PROTOCOL};
use serde_json::{Value, json};

/// One answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// A volume is safe.
    AcceptedVolume {
        /// Run.
        run: String,
        /// Index.
        index: u32,
    },
    /// An event is safe.
    AcceptedEvent {
        /// Run.
        run: String,
        /// Trial.
        trial: u32,
    },
    /// The end of a run is safe.
    AcceptedEnd {
        /// Run.
        run: String,
        /// Volumes that the scanner had sent.
        volumes: u32,
    },
    /// The run is open and the networks are warm.
    Ready {
        /// Run.
        run: String,
        /// Bundle label.
        bundle: String,
        /// Engine.
        engine: String,
        /// Where to go on.
        next_index: u32,
    },
    /// Nothing changed.
    Refused(Refusal),
}

impl Reply {
    /// The answer as sent.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut answer = match self {
            Self::AcceptedVolume { run, index } => json!({"type": "accepted", "run": run, "index": index}),
            Self::AcceptedEvent { run, trial } => json!({"type": "accepted", "run": run, "trial": trial}),
            Self::AcceptedEnd { run, volumes } => json!({"type": "accepted", "run": run, "volumes": volumes}),
            Self::Ready { run, bundle, engine, next_index } => {
                json!({"type": "ready", "run": run, "bundle": bundle, "engine": engine, "next_index": next_index})
            }
            Self::Refused(refusal) => refused(refusal),
        };
        answer["protocol"] = VOLUME_PROTOCOL.into();
        answer
    }
}

fn refused(refusal: &Refusal) -> Value {
    let mut answer = json!({
        "type": "refused", "run": refusal.run, "index": refusal.index,
        "reason": refusal.reason, "message": refusal.message,
    });
    if let Some(trial) = refusal.trial {
        answer["trial"] = trial.into();
    }
    answer
}
