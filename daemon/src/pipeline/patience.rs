//! How long an answer may take: the deadline, and the last moment at which it leaves.

use mindeye_config::{DeadlineConfig, Moment};
use std::time::Duration;

/// The guard never takes more than this share of the time to the deadline, however fast a run is played.
const LARGEST_GUARD: f64 = 0.2;

/// From the due volume's last byte to the deadline, on any run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Patience {
    deadline_s: Option<f64>,
    guard: Duration,
}

impl Patience {
    /// As configured; without `deadline_s` the deadline is one TR.
    #[must_use]
    pub fn new(config: &DeadlineConfig) -> Self {
        Self { deadline_s: config.deadline_s, guard: Duration::from_secs_f64(config.guard_ms / 1e3) }
    }

    /// The same with another deadline, in seconds of the run's clock.
    #[must_use]
    pub fn with_deadline_s(self, deadline_s: f64) -> Self {
        Self { deadline_s: Some(deadline_s), ..self }
    }

    /// Time to the deadline on this machine's clock, for a run of `tr_s` that is played `speed` times faster.
    #[must_use]
    pub fn to_deadline(&self, tr_s: f64, speed: f64) -> Duration {
        Duration::from_secs_f64(self.deadline_s.unwrap_or(tr_s) / speed)
    }

    /// The last moment at which an answer leaves for `deadline`, which is `to_deadline` after it became due.
    #[must_use]
    pub fn last_call(&self, deadline: Moment, to_deadline: Duration) -> Moment {
        deadline - self.guard.min(to_deadline.mul_f64(LARGEST_GUARD))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guard_shrinks_with_the_deadline() {
        let patience = Patience::new(&DeadlineConfig { guard_ms: 20.0, ..DeadlineConfig::default() });
        let ms = |ms: u64| Moment(ms * 1_000_000);
        for (tr_s, speed, deadline_ms, last_call_ms) in
            [(1.5, 1.0, 1500, 1480), (1.5, 10.0, 150, 130), (1.5, 100.0, 15, 12)]
        {
            let to_deadline = patience.to_deadline(tr_s, speed);
            assert_eq!(to_deadline, Duration::from_millis(deadline_ms));
            assert_eq!(patience.last_call(ms(deadline_ms), to_deadline), ms(last_call_ms));
        }
        assert_eq!(patience.with_deadline_s(0.5).to_deadline(1.5, 2.0), Duration::from_millis(250));
    }
}
