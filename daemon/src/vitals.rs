//! The instrument's pulse: counters and step times, kept once and read by metrics page, status and bench.

use crate::protocol::Reason;
use mindeye_config::{Moment, Step, Timings};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Histogram bounds in seconds, laid around what a step may take: 0.1 ms to 10 s.
const BOUNDS_S: [f64; 16] = [1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EffortLabel {
    effort: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabel {
    step: &'static str,
}

/// Counters since the start of the daemon, shared by all threads.
pub struct Vitals {
    registry: Registry,
    accepted: Counter,
    refused: Family<ReasonLabel, Counter>,
    gaps: Counter,
    trials: Family<EffortLabel, Counter>,
    missed: Counter,
    steps: Family<StepLabel, Histogram>,
    dropped: Counter,
    source_ignored: Family<ReasonLabel, Counter>,
    /// Seconds; NaN where the source has no stamps.
    arrival_lag: Gauge<f64, AtomicU64>,
    queue_depth: AtomicUsize,
    last_volume: AtomicU64,
}

impl Default for Vitals {
    fn default() -> Self {
        Self::new()
    }
}

impl Vitals {
    /// All zero.
    #[must_use]
    pub fn new() -> Self {
        let mut vitals = Self {
            registry: Registry::default(),
            accepted: Counter::default(),
            refused: Family::default(),
            gaps: Counter::default(),
            trials: Family::default(),
            missed: Counter::default(),
            steps: Family::new_with_constructor(|| Histogram::new(BOUNDS_S)),
            dropped: Counter::default(),
            source_ignored: Family::default(),
            arrival_lag: Gauge::default(),
            queue_depth: AtomicUsize::new(0),
            last_volume: AtomicU64::new(u64::MAX),
        };
        vitals.register();
        vitals
    }

    // The library adds `_total` to counters.
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("mindeye_volumes_accepted", "Volumes accepted", self.accepted.clone());
        registry.register("mindeye_volumes_refused", "Messages refused, by reason", self.refused.clone());
        registry.register("mindeye_volume_gaps", "Volumes missing from runs", self.gaps.clone());
        registry.register("mindeye_trials", "Final results, by effort", self.trials.clone());
        registry.register(
            "mindeye_deadlines_missed",
            "Trials without an answer by their deadline",
            self.missed.clone(),
        );
        registry.register("mindeye_step_seconds", "Time taken by each step", self.steps.clone());
        registry.register(
            "mindeye_messages_dropped",
            "Volume messages not shown for lack of time",
            self.dropped.clone(),
        );
        registry.register(
            "mindeye_source_ignored",
            "Files and messages of a source that are no volume of a run, by reason",
            self.source_ignored.clone(),
        );
        registry.register(
            "mindeye_arrival_lag_seconds",
            "Time from acquisition to arrival of a source's newest volume, above the run's smallest; NaN without stamps",
            self.arrival_lag.clone(),
        );
    }

    /// The Prometheus page.
    #[must_use]
    pub fn exposition(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }

    /// A volume was accepted.
    pub fn volume_accepted(&self, arrived: Moment, gap_before: u32) {
        self.accepted.inc();
        self.gaps.inc_by(u64::from(gap_before));
        self.last_volume.store(arrived.0, Ordering::Relaxed);
    }

    /// A message was refused.
    pub fn refused(&self, reason: Reason) {
        self.refused.get_or_create(&ReasonLabel { reason: reason.key() }).inc();
    }

    /// A trial got its final result.
    pub fn trial_final(&self, effort: &'static str, deadline_met: bool) {
        self.trials.get_or_create(&EffortLabel { effort }).inc();
        if !deadline_met {
            self.missed.inc();
        }
    }

    /// A step took `d`.
    pub fn step(&self, step: Step, d: Duration) {
        self.steps.get_or_create(&StepLabel { step: step.key() }).observe(d.as_secs_f64());
    }

    /// Every step of `timings`.
    pub fn steps(&self, timings: &Timings) {
        timings.iter().for_each(|(step, d)| self.step(step, d));
    }

    /// A volume message was dropped because the publisher was busy.
    pub fn message_dropped(&self) {
        self.dropped.inc();
    }

    /// A source left something alone.
    pub fn source_ignored(&self, reason: &'static str) {
        self.source_ignored.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// How much later than the run's fastest volume the newest of a source arrived, seconds; `None` without stamps.
    pub fn set_arrival_lag(&self, lag_s: Option<f64>) {
        self.arrival_lag.set(lag_s.unwrap_or(f64::NAN));
    }

    /// Volumes that wait for preprocessing.
    pub fn set_queue_depth(&self, depth: usize) {
        self.queue_depth.store(depth, Ordering::Relaxed);
    }

    /// Volumes that wait for preprocessing.
    #[must_use]
    pub fn queue_depth(&self) -> usize {
        self.queue_depth.load(Ordering::Relaxed)
    }

    /// Volumes accepted.
    #[must_use]
    pub fn volumes_accepted(&self) -> u64 {
        self.accepted.get()
    }

    /// Messages refused, all reasons together.
    #[must_use]
    pub fn volumes_refused(&self) -> u64 {
        let count = |reason: Reason| self.refused.get(&ReasonLabel { reason: reason.key() }).map_or(0, |c| c.get());
        Reason::ALL.into_iter().map(count).sum()
    }

    /// Volumes missing.
    #[must_use]
    pub fn volume_gaps(&self) -> u64 {
        self.gaps.get()
    }

    /// Trials without an answer by their deadline.
    #[must_use]
    pub fn deadlines_missed(&self) -> u64 {
        self.missed.get()
    }

    /// Final results of `effort`.
    #[must_use]
    pub fn trials(&self, effort: &'static str) -> u64 {
        self.trials.get(&EffortLabel { effort }).map_or(0, |c| c.get())
    }

    /// Time since the last volume, if there was one.
    #[must_use]
    pub fn last_volume_age(&self, now: Moment) -> Option<Duration> {
        match self.last_volume.load(Ordering::Relaxed) {
            u64::MAX => None,
            nanos => Some(now.since(Moment(nanos))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exposition_has_the_contract_names() {
        let vitals = Vitals::new();
        vitals.volume_accepted(Moment(1), 2);
        vitals.refused(Reason::NonFinite);
        vitals.trial_final("blurry", false);
        vitals.step(Step::Glm, Duration::from_millis(3));
        let text = vitals.exposition();
        for line in [
            "mindeye_volumes_accepted_total 1",
            "mindeye_volumes_refused_total{reason=\"non_finite\"} 1",
            "mindeye_volume_gaps_total 2",
            "mindeye_trials_total{effort=\"blurry\"} 1",
            "mindeye_deadlines_missed_total 1",
            "mindeye_step_seconds_count{step=\"glm\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing from\n{text}");
        }
    }
}
