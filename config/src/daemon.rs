//! `daemon.toml`: sockets, limits, deadlines and engine of the live program.

use crate::scheduler::MOST_CANDIDATES;
use crate::{Checked, Complaint, SessionConfig, SourceConfig};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Everything that `mindeye-daemon run` can be told by file; a flag beats the file beats the default.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DaemonConfig {
    /// The session, when its name must be held to.
    pub session: Option<SessionConfig>,
    /// Decode although the bundle's betas were made differently; every result is labelled.
    pub allow_estimator_mismatch: bool,
    /// Volumes in.
    pub volumes: VolumeConfig,
    /// Volumes in by another way.
    pub source: SourceConfig,
    /// Results out.
    pub results: PublishConfig,
    /// Pages.
    pub http: HttpConfig,
    /// Record.
    pub journal: JournalConfig,
    /// Networks.
    pub engine: EngineConfig,
    /// When an answer is due.
    pub deadline: DeadlineConfig,
    /// Trials.
    pub trial: TrialConfig,
}

/// No functional run lasts longer than two hours.
const LONGEST_RUN_S: f64 = 7200.0;

/// Volumes in (ZeroMQ ROUTER).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VolumeConfig {
    /// Address to bind; port 0 picks a free one.
    pub bind: String,
    /// Largest volume in MiB.
    pub max_volume_mib: u32,
    /// Largest jump of the volume index that is recorded as a gap.
    pub max_gap: u32,
    /// Volumes kept in the ring for single-trial betas.
    pub ring_volumes: usize,
    /// Volumes that may wait for preprocessing; a full queue holds the sender back, nothing is lost.
    pub queue_volumes: usize,
    /// A run that has been silent for this many seconds no longer keeps another run from starting.
    pub idle_run_s: f64,
    /// Largest distance in mm between the corners of the run's grid and the bundle's.
    pub grid_tolerance_mm: f64,
}

/// Results out (ZeroMQ PUB).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PublishConfig {
    /// Address to bind; port 0 picks a free one.
    pub bind: String,
    /// Messages kept for a slow subscriber before the oldest are dropped.
    pub high_water_mark: i32,
}

/// Pages and HTTP interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Address to listen on; port 0 picks a free one.
    pub bind: String,
    /// The page calls itself stale when nothing was heard for this many seconds.
    pub stale_after_s: f64,
}

/// The record of each run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalConfig {
    /// Folder that holds one folder per session.
    pub dir: PathBuf,
    /// Largest number of records written before they are synchronised together.
    pub batch_records: usize,
}

/// Which engine computes networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineKind {
    /// Deterministic stand-in without any library.
    Mock,
    /// ONNX Runtime on the CPU.
    OnnxruntimeCpu,
    /// ONNX Runtime on CUDA.
    OnnxruntimeCuda,
    /// TensorRT for RTX engines.
    TensorrtRtx,
    /// TensorRT engines.
    Tensorrt,
}

impl EngineKind {
    /// Every kind, as named on the command line.
    pub const ALL: [Self; 5] =
        [Self::Mock, Self::OnnxruntimeCpu, Self::OnnxruntimeCuda, Self::TensorrtRtx, Self::Tensorrt];

    /// Name in configuration, flags and results.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Mock => "mock",
            Self::OnnxruntimeCpu => "onnxruntime-cpu",
            Self::OnnxruntimeCuda => "onnxruntime-cuda",
            Self::TensorrtRtx => "tensorrt-rtx",
            Self::Tensorrt => "tensorrt",
        }
    }
}

impl std::fmt::Display for EngineKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.key())
    }
}

impl std::str::FromStr for EngineKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::key).join(", ");
        Self::ALL
            .into_iter()
            .find(|kind| kind.key() == text)
            .ok_or_else(|| format!("engine `{text}` is not one of {}", names()))
    }
}

/// Networks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineConfig {
    /// Kind; obeyed or refused, never replaced.
    pub kind: EngineKind,
    /// Threads inside a network; 0 takes all cores but one.
    pub threads: usize,
    /// On an NVIDIA GPU: runs are captured once and replayed, which spares the launch of a thousand kernels.
    pub cuda_graphs: bool,
    /// Mock only: each run takes this many milliseconds.
    pub mock_delay_ms: f64,
    /// Mock only: what goes wrong, and when.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mock_fault: Vec<MockFault>,
}

/// A fault that the mock engine plays, to see what the instrument makes of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MockFault {
    /// Network that it befalls.
    pub network: String,
    /// Number of the run of that network, from 0, which is warm-up's; every run after warm-up when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
    /// What happens.
    pub kind: MockFaultKind,
    /// `slow`: the run takes this many milliseconds longer.
    #[serde(default)]
    pub ms: f64,
}

/// What the mock engine can do wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MockFaultKind {
    /// The run ends with an error.
    Fail,
    /// An output holds NaN.
    Nan,
    /// The run takes longer.
    Slow,
}

/// When an answer is due (contract section 4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeadlineConfig {
    /// A trial is due at the first volume whose acquisition ends this many seconds after its onset, or later.
    pub decode_after_s: f64,
    /// Seconds from that volume's last byte to the deadline; left out, one TR.
    pub deadline_s: Option<f64>,
    /// The last answer leaves this many milliseconds before the deadline at the latest.
    pub guard_ms: f64,
    /// Milliseconds for the second look at a gallery that has coarse vectors for a first.
    pub retrieval_ms: f64,
    /// A [`Budget`](crate::Budget) of this machine: what steps are planned with until they were measured live.
    pub budget: Option<PathBuf>,
}

/// Trials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrialConfig {
    /// An event may arrive or be corrected until the run is this many seconds past its onset.
    pub event_max_late_s: f64,
    /// Entries of the retrieval list in a result.
    pub top_k: usize,
    /// Pictures that a full reconstruction draws while there is time; left out, as the bundle's scheduler says.
    pub candidates: Option<u32>,
    /// Seed of all noise.
    pub seed: u64,
}

impl Default for VolumeConfig {
    fn default() -> Self {
        Self {
            bind: "tcp://127.0.0.1:5560".into(),
            max_volume_mib: 256,
            max_gap: 16,
            ring_volumes: 64,
            queue_volumes: 64,
            idle_run_s: 30.0,
            grid_tolerance_mm: 1.0,
        }
    }
}

impl Default for PublishConfig {
    fn default() -> Self {
        Self { bind: "tcp://127.0.0.1:5561".into(), high_water_mark: 1000 }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { bind: "127.0.0.1:8080".into(), stale_after_s: 5.0 }
    }
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self { dir: "journal".into(), batch_records: 64 }
    }
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            kind: EngineKind::OnnxruntimeCpu,
            threads: 0,
            cuda_graphs: true,
            mock_delay_ms: 0.0,
            mock_fault: Vec::new(),
        }
    }
}

impl Default for DeadlineConfig {
    fn default() -> Self {
        Self { decode_after_s: 7.5, deadline_s: None, guard_ms: 20.0, retrieval_ms: 100.0, budget: None }
    }
}

impl Default for TrialConfig {
    fn default() -> Self {
        Self { event_max_late_s: 5.0, top_k: 5, candidates: None, seed: 0 }
    }
}

impl Checked for DaemonConfig {
    fn check(&self) -> Result<(), Complaint> {
        if let Some(session) = &self.session {
            session.check().map_err(|c| c.within("session"))?;
        }
        self.check_feedback_lag()?;
        self.volumes.check().map_err(|c| c.within("volumes"))?;
        self.source.check().map_err(|c| c.within("source"))?;
        self.deadline.check().map_err(|c| c.within("deadline"))?;
        Complaint::unless(self.results.high_water_mark > 0, "results.high_water_mark", || "must be above 0".into())?;
        Complaint::unless_positive("http.stale_after_s", self.http.stale_after_s)?;
        Complaint::unless(self.journal.batch_records > 0, "journal.batch_records", || "must be above 0".into())?;
        Complaint::unless_non_negative("engine.mock_delay_ms", self.engine.mock_delay_ms)?;
        let faults = self.engine.mock_fault.iter();
        faults.into_iter().try_for_each(|fault| Complaint::unless_non_negative("engine.mock_fault.ms", fault.ms))?;
        Complaint::unless_non_negative("trial.event_max_late_s", self.trial.event_max_late_s)?;
        Complaint::unless(
            self.trial.event_max_late_s < self.deadline.decode_after_s,
            "trial.event_max_late_s",
            || {
                format!(
                    "an event corrected after its trial was due cannot be decoded: {} must be less than \
                 deadline.decode_after_s = {}",
                    self.trial.event_max_late_s, self.deadline.decode_after_s
                )
            },
        )?;
        Complaint::unless(self.trial.top_k > 0, "trial.top_k", || "must be above 0".into())?;
        let candidates = self.trial.candidates.unwrap_or(1);
        Complaint::unless((1..=MOST_CANDIDATES).contains(&candidates), "trial.candidates", || {
            format!("must be 1 to {MOST_CANDIDATES}, found {candidates}")
        })
    }
}

impl DaemonConfig {
    /// An estimate made after the final answer is not decoded, and could never be fed back.
    fn check_feedback_lag(&self) -> Result<(), Complaint> {
        let Some(feedback) = self.session.as_ref().and_then(|session| session.feedback.as_ref()) else { return Ok(()) };
        let decode_after_s = self.deadline.decode_after_s;
        Complaint::unless(feedback.lag_s <= decode_after_s, "session.feedback.lag_s", || {
            format!("must be at most deadline.decode_after_s = {decode_after_s}, found {}", feedback.lag_s)
        })
    }
}

impl VolumeConfig {
    fn check(&self) -> Result<(), Complaint> {
        Complaint::unless((1..=2047).contains(&self.max_volume_mib), "max_volume_mib", || {
            format!("must be 1 to 2047, found {}", self.max_volume_mib)
        })?;
        Complaint::unless(self.ring_volumes >= 2, "ring_volumes", || "must be 2 or more".into())?;
        Complaint::unless(self.queue_volumes > 0, "queue_volumes", || "must be above 0".into())?;
        Complaint::unless_positive("idle_run_s", self.idle_run_s)?;
        Complaint::unless_positive("grid_tolerance_mm", self.grid_tolerance_mm)
    }
}

impl DeadlineConfig {
    fn check(&self) -> Result<(), Complaint> {
        Complaint::unless_positive("decode_after_s", self.decode_after_s)?;
        Complaint::unless_non_negative("guard_ms", self.guard_ms)?;
        Complaint::unless_non_negative("retrieval_ms", self.retrieval_ms)?;
        let Some(deadline_s) = self.deadline_s else { return Ok(()) };
        Complaint::unless_positive("deadline_s", deadline_s)?;
        Complaint::unless(deadline_s <= LONGEST_RUN_S, "deadline_s", || {
            format!("lies beyond any run: at most {LONGEST_RUN_S} s, found {deadline_s} s")
        })?;
        Complaint::unless(deadline_s * 1e3 > self.guard_ms, "deadline_s", || {
            format!("must be longer than guard_ms = {} ms, found {deadline_s} s", self.guard_ms)
        })
    }
}
