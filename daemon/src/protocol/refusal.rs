//! Why a message was not accepted, in the contract's words.

use serde::{Deserialize, Serialize};

/// The documented reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Not a message of this protocol: frames, JSON or fields are wrong.
    Malformed,
    /// Another protocol or version.
    Protocol,
    /// No such run is open.
    UnknownRun,
    /// The run has ended.
    RunClosed,
    /// Another run is under way.
    Busy,
    /// Another grid than the run's or the bundle's.
    Geometry,
    /// Another voxel type than the run's.
    Dtype,
    /// The voxel bytes do not fill the grid.
    Size,
    /// The index lies before the next one or jumps too far.
    Index,
    /// The same name or index with other content.
    Conflict,
    /// A voxel is NaN or infinite.
    NonFinite,
    /// Larger than the configured limit.
    TooLarge,
    /// The record could not be written.
    Storage,
    /// The operator has stopped the instrument.
    NotReady,
    /// The event is past its correction time.
    LateEvent,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 15] = [
        Self::Malformed,
        Self::Protocol,
        Self::UnknownRun,
        Self::RunClosed,
        Self::Busy,
        Self::Geometry,
        Self::Dtype,
        Self::Size,
        Self::Index,
        Self::Conflict,
        Self::NonFinite,
        Self::TooLarge,
        Self::Storage,
        Self::NotReady,
        Self::LateEvent,
    ];

    /// The word on the wire and in metrics.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Protocol => "protocol",
            Self::UnknownRun => "unknown_run",
            Self::RunClosed => "run_closed",
            Self::Busy => "busy",
            Self::Geometry => "geometry",
            Self::Dtype => "dtype",
            Self::Size => "size",
            Self::Index => "index",
            Self::Conflict => "conflict",
            Self::NonFinite => "non_finite",
            Self::TooLarge => "too_large",
            Self::Storage => "storage",
            Self::NotReady => "not_ready",
            Self::LateEvent => "late_event",
        }
    }
}

/// The answer to a message that changed nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{}: {message}", reason.key())]
pub struct Refusal {
    /// Run named by the message, when it could be read.
    pub run: Option<String>,
    /// Volume index named by the message.
    pub index: Option<u32>,
    /// Trial named by the message.
    pub trial: Option<u32>,
    /// Why.
    pub reason: Reason,
    /// Both sides, for people.
    pub message: String,
}

impl Refusal {
    /// A refusal of a message whose run is not known (yet).
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { run: None, index: None, trial: None, reason, message: message.into() }
    }

    /// The same refusal, naming the run.
    #[must_use]
    pub fn of_run(self, run: impl Into<String>) -> Self {
        Self { run: Some(run.into()), ..self }
    }

    /// The same refusal, naming the volume.
    #[must_use]
    pub fn of_volume(self, index: u32) -> Self {
        Self { index: Some(index), ..self }
    }

    /// The same refusal, naming the trial.
    #[must_use]
    pub fn of_trial(self, trial: u32) -> Self {
        Self { trial: Some(trial), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_wire_words() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.key());
        }
    }
}
