//! From accepted volumes to decoded trials: the preprocess thread keeps every state, the decode thread answers in time.
//!
//! ```text
//!   Work ──► RunWorker (ring, moments, betas, who is due) ──► Mailbox ──► DecodeWorker ──► publisher
//! ```

mod decode;
mod effort;
mod mailbox;
mod patience;
mod preprocess;
mod recorded;
mod run_worker;
mod schedule;

pub use decode::{DecodeContext, Decoded, decode_loop, decode_trial, make_product};
pub use effort::{Effort, Product, Typical, next_product};
pub use mailbox::{DecodeJob, Mailbox};
pub use patience::Patience;
pub use preprocess::{PreprocessContext, preprocess_loop};
pub(crate) use recorded::recorded_work;
pub use run_worker::{DueTrial, Recipe, RunWorker, VolumeOutput};
pub use schedule::TrialSchedule;

use crate::journal::RecordedRun;
use crate::protocol::RunStart;
use mindeye_config::Moment;
use mindeye_preprocess::{Event, VoxelType};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A run as every thread knows it.
#[derive(Debug)]
pub struct RunInfo {
    /// Its announcement. Preprocess and decode threads read numbers and names from it, never its events' pictures.
    pub start: RunStart,
    /// Its folder in the journal.
    pub dir: PathBuf,
}

/// A volume on its way to preprocessing.
#[derive(Debug, Clone)]
pub struct VolumeWork {
    /// Place in the run.
    pub index: u32,
    /// Indexes left out before it.
    pub gap_before: u32,
    /// Acquisition start after that of volume 0, seconds.
    pub start_s: f64,
    /// Whether `start_s` is index x TR for lack of a stamp.
    pub nominal: bool,
    /// Voxel type.
    pub dtype: VoxelType,
    /// Voxels, little-endian, x fastest.
    pub voxels: Arc<Vec<u8>>,
    /// Arrival of the last byte.
    pub arrived: Moment,
    /// The same as Unix time, seconds.
    pub arrived_unix_s: f64,
    /// Time spent at the door.
    pub received: Duration,
}

/// What the preprocess thread is told, in order.
#[derive(Debug, Clone)]
pub enum Work {
    /// A run opens; `recorded` is what an earlier process saved of it.
    Open {
        /// The run.
        run: Arc<RunInfo>,
        /// Its record so far.
        recorded: Option<Arc<RecordedRun>>,
    },
    /// A volume.
    Volume(VolumeWork),
    /// A trial, told or corrected. Without its picture: this thread cannot name one.
    Event(Event),
    /// The run is over: no further volume will come.
    Close,
}
