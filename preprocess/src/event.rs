//! An event says when something was shown and never what: preprocess cannot name a stimulus, so it cannot peek.

use crate::PreprocessError;
use serde::{Deserialize, Serialize};

/// One presentation. Times are seconds since the acquisition start of volume 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// Number of the trial, unique in the run.
    pub trial: u32,
    /// Onset, seconds.
    pub onset_s: f64,
    /// Duration, seconds.
    pub duration_s: f64,
}

impl Event {
    pub(crate) fn check(&self) -> Result<(), PreprocessError> {
        if !self.onset_s.is_finite() {
            return Err(PreprocessError::Time { what: "onset_s", rule: "finite", value: self.onset_s });
        }
        if !(self.duration_s.is_finite() && self.duration_s >= 0.0) {
            return Err(PreprocessError::Time {
                what: "duration_s",
                rule: "finite and not negative",
                value: self.duration_s,
            });
        }
        Ok(())
    }
}

/// What an event changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventChange {
    /// A trial that was not known.
    New,
    /// Word for word what was known.
    Same,
    /// Other values for a known trial: all its betas are estimated again.
    Corrected,
}
