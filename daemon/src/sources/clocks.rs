//! The scanner's clock against ours: how much later than at best a volume arrives, and how far both clocks drift apart.
//!
//! Both clocks have zeros of their own, so only differences count. With acquisition stamp s and arrival a of each volume, the
//! lag is l = (a - a₀) - (s - s₀); the smallest lag of the run is the export at its fastest, and what is above it is delay.

use mindeye_config::Moment;

/// Stamps and arrivals of one run.
#[derive(Debug, Clone, Default)]
pub struct ClockComparison {
    first: Option<(Moment, f64)>,
    /// Lag of each volume, seconds.
    lags_s: Vec<f64>,
    /// Volumes without a stamp.
    nominal: u32,
}

impl ClockComparison {
    /// Notes a volume; returns its lag above the smallest so far in seconds, `None` without a stamp.
    pub fn note(&mut self, arrived: Moment, acquired_s: Option<f64>) -> Option<f64> {
        let Some(stamp_s) = acquired_s else {
            self.nominal += 1;
            return None;
        };
        let (first, first_s) = *self.first.get_or_insert((arrived, stamp_s));
        self.lags_s.push(arrived.since(first).as_secs_f64() - (stamp_s - first_s));
        Some(self.lags_s[self.lags_s.len() - 1] - self.least())
    }

    fn least(&self) -> f64 {
        self.lags_s.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// What a person wants to know at the end of the run.
    #[must_use]
    pub fn summary(&self) -> String {
        if self.lags_s.is_empty() {
            return format!(
                "clock: nominal; {} volumes had no acquisition stamp, their times are index x TR",
                self.nominal
            );
        }
        let mut above: Vec<f64> = self.lags_s.iter().map(|lag| 1e3 * (lag - self.least())).collect();
        above.sort_by(f64::total_cmp);
        let at = |share: f64| crate::bench::percentile(&above, share).unwrap_or(f64::NAN);
        let drift_ms = 1e3 * (self.lags_s[self.lags_s.len() - 1] - self.lags_s[0]);
        format!(
            "clock: acquisition ({} stamps, {} without); arrival after the fastest volume {:.1} ms (p50), {:.1} ms (p99); \
             last against first volume {drift_ms:+.1} ms",
            above.len(),
            self.nominal,
            at(0.50),
            at(0.99),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_late_volume_and_a_slow_clock_are_seen() {
        let mut clocks = ClockComparison::default();
        let start = Moment(5_000_000_000);
        let arrived_ms = [0, 1500, 3040, 4500, 6002];
        for (index, ms) in arrived_ms.into_iter().enumerate() {
            let lag_s = clocks.note(start + Duration::from_millis(ms), Some(100.0 + 1.5 * index as f64));
            let expected_s = [0.0, 0.0, 0.040, 0.0, 0.002][index];
            // 1e-9 s: differences of seconds in f64.
            assert!((lag_s.unwrap() - expected_s).abs() < 1e-9, "volume {index}");
        }
        assert!(clocks.summary().ends_with("last against first volume +2.0 ms"), "{}", clocks.summary());
    }

    #[test]
    fn without_stamps_times_are_called_nominal() {
        let mut clocks = ClockComparison::default();
        assert_eq!(clocks.note(Moment(1), None), None);
        assert!(clocks.summary().starts_with("clock: nominal; 1 volumes"));
    }
}
