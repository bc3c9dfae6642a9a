//! From accepted volumes to decoded trials: one thread keeps every state, one scores, one paints while there is time.
//!
//! ```text
//!                                                        ┌─► Mailbox ──► score_loop (every estimate) ────┐
//!   Work ──► RunWorker (motion, betas, who is due) ──────┤                                               ├──► publisher
//!                                                        └─► Mailbox ──► paint_loop (due trials, ladder) ┘
//! ```

mod easel;
mod mailbox;
mod paint;
mod patience;
mod preprocess;
mod products;
mod recorded;
mod run_worker;
mod schedule;
mod score;
mod stream;

pub use easel::{Easel, Made};
pub use mailbox::{DecodeJob, Job, Mail, Mailbox};
pub use paint::{PaintContext, paint_loop, paint_trial, trial_noise};
pub use patience::Patience;
pub use preprocess::{PreprocessContext, preprocess_loop};
pub use products::{Decoded, Reconstructed};
pub(crate) use recorded::recorded_work;
pub use run_worker::{DueTrial, Recipe, RunWorker, VolumeOutput};
pub use schedule::TrialSchedule;
pub use score::{ScoreContext, score, score_loop};
pub use stream::StreamJob;

use crate::journal::RecordedRun;
use crate::protocol::RunStart;
use mindeye_config::Moment;
use mindeye_decode::FrontEnd;
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
    /// The calibration that answers in the backbone's place in this run, if one does.
    pub front_end: Option<Arc<FrontEnd>>,
}

impl RunInfo {
    /// The bundle's label, with that of the run's calibration: `demo@abcdef012345+sub-2@0123456789ab`.
    #[must_use]
    pub fn bundle(&self, bundle: &str) -> String {
        labelled(bundle, self.front_end.as_deref())
    }
}

/// The label of a bundle with `front_end` in its backbone's place.
#[must_use]
pub fn labelled(bundle: &str, front_end: Option<&FrontEnd>) -> String {
    front_end.map_or_else(|| bundle.to_owned(), |front_end| format!("{bundle}+{}", front_end.label))
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
