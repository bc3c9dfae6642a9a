//! The figures, as a table for people and as JSON for the record.

use super::BenchOptions;
use super::collect::Heard;
use super::stats::{percentile, slope};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Distribution of one quantity, milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepFigures {
    /// Values.
    pub n: usize,
    /// Median.
    pub p50_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Largest.
    pub max_ms: f64,
}

impl StepFigures {
    fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            n: sorted.len(),
            p50_ms: percentile(&sorted, 0.50)?,
            p95_ms: percentile(&sorted, 0.95)?,
            p99_ms: percentile(&sorted, 0.99)?,
            max_ms: sorted.last().copied()?,
        })
    }
}

/// Volumes without a pace.
#[derive(Debug, Clone, Serialize)]
pub struct Flood {
    /// Volumes accepted.
    pub volumes: u32,
    /// Volumes accepted per second, journal on.
    pub volumes_per_s: f64,
    /// Sending to `accepted`, with all of them in flight.
    pub accepted_after: Option<StepFigures>,
    /// Resident memory of the daemon at the start of the second half, MiB.
    pub resident_mib: f64,
    /// Growth of resident memory over the second half, MiB per 1,000 volumes.
    pub resident_mib_per_1000_volumes: f64,
}

impl Flood {
    pub(super) fn new(volumes: u32, took: Duration, resident_mib: &[f64], accepted_after_ms: &[f64]) -> Self {
        // The first half fills queues and caches.
        let second_half = &resident_mib[resident_mib.len() / 2..];
        let volumes_per_sample = f64::from(volumes) / resident_mib.len().max(1) as f64;
        let points: Vec<(f64, f64)> =
            second_half.iter().enumerate().map(|(i, mib)| (i as f64 * volumes_per_sample / 1e3, *mib)).collect();
        Self {
            volumes,
            volumes_per_s: f64::from(volumes) / took.as_secs_f64(),
            accepted_after: StepFigures::of(accepted_after_ms),
            resident_mib: second_half.first().copied().unwrap_or(f64::NAN),
            resident_mib_per_1000_volumes: slope(&points),
        }
    }
}

/// Everything measured.
#[derive(Debug, Clone, Serialize)]
pub struct BenchReport {
    /// Version of the program.
    pub version: &'static str,
    /// Commit of the checkout in which the bench ran, if it ran in one.
    pub commit: Option<String>,
    /// Processor and cores.
    pub machine: String,
    /// Build.
    pub profile: &'static str,
    /// What the daemon says about its bundle.
    pub bundle: String,
    /// Engine.
    pub engine: &'static str,
    /// Times faster than a TR of 1.5 s.
    pub speed: f64,
    /// Trials of the open loop.
    pub trials: u32,
    /// Final answers by effort.
    pub efforts: BTreeMap<String, u32>,
    /// Final answers too late or empty.
    pub deadlines_missed: u32,
    /// Each step.
    pub steps: BTreeMap<&'static str, StepFigures>,
    /// Last byte in to statistics up to date, of each volume: our own work on every volume.
    pub volume: Option<StepFigures>,
    /// Last byte in to first answer out.
    pub first_answer: Option<StepFigures>,
    /// Last byte in to final answer out.
    pub final_answer: Option<StepFigures>,
    /// The first answer without network arithmetic: our own overhead.
    pub overhead: Option<StepFigures>,
    /// Sending a volume to `accepted`.
    pub accepted_after: Option<StepFigures>,
    /// Volumes without a pace.
    pub flood: Option<Flood>,
}

impl BenchReport {
    pub(super) fn new(
        options: &BenchOptions,
        bundle: &str,
        heard: &Heard,
        accepted_after_ms: Vec<f64>,
        flood: Option<Flood>,
    ) -> Self {
        let figures = |(step, values): (&mindeye_config::Step, &Vec<f64>)| Some((step.key(), StepFigures::of(values)?));
        Self {
            version: env!("CARGO_PKG_VERSION"),
            commit: commit(),
            machine: machine(),
            profile: if cfg!(debug_assertions) { "dev" } else { "release" },
            bundle: bundle.to_owned(),
            engine: options.engine.key(),
            speed: options.speed,
            trials: options.trials,
            efforts: heard.efforts.clone(),
            deadlines_missed: heard.deadlines_missed,
            steps: heard.steps.iter().filter_map(figures).collect(),
            volume: StepFigures::of(&heard.volume_ms),
            first_answer: StepFigures::of(&heard.first_answer_ms),
            final_answer: StepFigures::of(&heard.final_answer_ms),
            overhead: StepFigures::of(&heard.overhead_ms),
            accepted_after: StepFigures::of(&accepted_after_ms),
            flood,
        }
    }

    fn rows(&self) -> Vec<(&'static str, Option<StepFigures>)> {
        let order = mindeye_config::Step::ALL.map(mindeye_config::Step::key);
        let steps = order.into_iter().filter_map(|key| Some((key, Some(self.steps.get(key)?.clone()))));
        let whole = [
            ("each volume", self.volume.clone()),
            ("first answer", self.first_answer.clone()),
            ("final answer", self.final_answer.clone()),
            ("our overhead", self.overhead.clone()),
            ("accepted after", self.accepted_after.clone()),
        ];
        steps.chain(whole).collect()
    }
}

impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} on {} ({} build), 64x64x36 int16, TR 1.5 s at speed {}",
            self.engine, self.machine, self.profile, self.speed
        )?;
        writeln!(f, "{}", self.bundle)?;
        writeln!(f, "{:<15} {:>6} {:>9} {:>9} {:>9} {:>9}", "milliseconds", "n", "p50", "p95", "p99", "max")?;
        for (name, figures) in self.rows() {
            let Some(it) = figures else { continue };
            let StepFigures { n, p50_ms, p95_ms, p99_ms, max_ms } = it;
            writeln!(f, "{name:<15} {n:>6} {p50_ms:>9.2} {p95_ms:>9.2} {p99_ms:>9.2} {max_ms:>9.2}")?;
        }
        writeln!(f, "answers {:?}, deadlines missed {}", self.efforts, self.deadlines_missed)?;
        let Some(flood) = &self.flood else { return Ok(()) };
        writeln!(
            f,
            "flood: {} volumes at {:.0} per second, journal on; resident {:.0} MiB, {:+.3} MiB per 1,000 volumes",
            flood.volumes, flood.volumes_per_s, flood.resident_mib, flood.resident_mib_per_1000_volumes
        )
    }
}

fn commit() -> Option<String> {
    let git = std::process::Command::new("git").args(["rev-parse", "HEAD"]).output().ok()?;
    git.status.success().then(|| String::from_utf8_lossy(&git.stdout).trim().to_owned())
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    format!("{} ({cores} cores)", model.unwrap_or("unknown processor"))
}
