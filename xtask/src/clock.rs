//! The one place of this crate that asks what time it is.
//!
//! Chores measure themselves and wait for programs; nothing here reaches a result, so no test needs to own this time.

#![expect(
    clippy::disallowed_methods,
    reason = "this crate cannot see config's `Clock`, and has no result that depends on time"
)]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Measures from its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    pub(crate) fn seconds(self) -> f64 {
        self.elapsed().as_secs_f64()
    }
}

/// Seconds since 1970, to name a folder that no earlier run has.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
