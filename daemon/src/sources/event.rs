//! What every source speaks: a run begins, a volume is there, a run ends, something was ignored.

use mindeye_config::Name;
use mindeye_preprocess::{Grid, VoxelType};
use std::time::Duration;

/// One way in.
pub trait VolumeSource: Send {
    /// What it is called in lines for people.
    fn kind(&self) -> &'static str;

    /// What the scanner did since the last call; waits at most `patience` for it. A source never fails: what it cannot use
    /// is an [`SourceEvent::Ignored`], and it goes on.
    fn next(&mut self, patience: Duration) -> Vec<SourceEvent>;
}

/// What happened at the scanner.
#[derive(Debug, Clone, PartialEq)]
pub enum SourceEvent {
    /// A run begins.
    RunStart(RunPlan),
    /// A volume of the run, in order.
    Volume(SourceVolume),
    /// The run is over.
    RunEnd {
        /// Volumes up to the last that came: its index + 1.
        volumes: u32,
    },
    /// Something came that is no volume of a run.
    Ignored(Ignored),
}

/// What is known of a run at its first volume.
#[derive(Debug, Clone, PartialEq)]
pub struct RunPlan {
    /// Its name, made without a word of any header.
    pub run: Name,
    /// Repetition time, seconds.
    pub tr_s: f64,
    /// Voxel grid, RAS mm.
    pub grid: Grid,
    /// Voxel type.
    pub dtype: VoxelType,
    /// Acquisition time of each slice inside the TR, seconds.
    pub slice_timing_s: Option<Vec<f64>>,
    /// Volumes planned.
    pub expected_volumes: Option<u32>,
}

impl RunPlan {
    /// Whether a volume with plan `other` can belong to this run: same voxels, same place, same TR.
    #[must_use]
    pub fn agrees_with(&self, other: &Self) -> bool {
        // 1e-3 mm and 1e-6 s: six digits of a decimal string, beside no real change of a protocol.
        self.dtype == other.dtype
            && self.grid.corner_distance_mm(&other.grid) < 1e-3
            && (self.tr_s - other.tr_s).abs() < 1e-6
    }
}

/// A volume.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceVolume {
    /// Place in the run, from 0.
    pub index: u32,
    /// Acquisition start on the scanner's clock, seconds after any zero.
    pub acquired_s: Option<f64>,
    /// `[x, y, z]`, x fastest, little-endian.
    pub voxels: Vec<u8>,
}

/// Something that was counted, explained and left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// Why, in a word.
    pub reason: IgnoreReason,
    /// Why, in a sentence of ours: no word of a header, no name of a file.
    pub explanation: String,
}

impl Ignored {
    /// A reason and its explanation.
    pub fn new(reason: IgnoreReason, explanation: impl Into<String>) -> Self {
        Self { reason, explanation: explanation.into() }
    }
}

/// Why something was ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IgnoreReason {
    /// Not what this source reads at all.
    Foreign,
    /// Compressed, or in a byte order that is not read.
    Compressed,
    /// It never became whole.
    Truncated,
    /// Its bytes contradict each other.
    Malformed,
    /// A picture, but no volume of a BOLD series.
    NotAVolume,
    /// Phase, real or imaginary part.
    Phase,
    /// The other one of the corrected and the uncorrected series.
    MotionCorrection,
    /// A single-band reference.
    Reference,
    /// A series of another protocol.
    Protocol,
    /// A volume that is known, or came after it was given up.
    Duplicate,
    /// Another grid, type or TR than the run's.
    Geometry,
    /// Larger than the configured limit.
    TooLarge,
    /// It could not be read from disk or socket.
    Unreadable,
    /// The intake refused it.
    Refused,
}

impl IgnoreReason {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Foreign,
        Self::Compressed,
        Self::Truncated,
        Self::Malformed,
        Self::NotAVolume,
        Self::Phase,
        Self::MotionCorrection,
        Self::Reference,
        Self::Protocol,
        Self::Duplicate,
        Self::Geometry,
        Self::TooLarge,
        Self::Unreadable,
        Self::Refused,
    ];

    /// The word in metrics and lines.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Compressed => "compressed",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::NotAVolume => "not_a_volume",
            Self::Phase => "phase",
            Self::MotionCorrection => "motion_correction",
            Self::Reference => "reference",
            Self::Protocol => "protocol",
            Self::Duplicate => "duplicate",
            Self::Geometry => "geometry",
            Self::TooLarge => "too_large",
            Self::Unreadable => "unreadable",
            Self::Refused => "refused",
        }
    }
}
