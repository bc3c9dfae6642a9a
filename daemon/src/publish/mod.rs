//! Answers out: one clerk decides when a trial's answer is final, one thread writes, sends and shows it.
//!
//! ```text
//!   PublishEvent ──► Clerk (pure: revisions, exactly one final by the deadline) ──► message ──► outcomes.journal, PUB, pages
//! ```

mod balance;
mod clerk;
mod feedback;
mod message;
mod publisher;
mod run;
mod score;
mod status;
mod trials;

pub use clerk::{Answer, Clerk, Part, Skip};
pub use feedback::{Feedback, FeedbackError, FeedbackPlan, FeedbackSeries, Missing};
pub use message::{Identity, TrialMessage, feedback_json, stream_json, trial_json, volume_json};
pub use publisher::{Frame, Publisher, PublisherParts};
pub use score::{RunningScore, TargetScore};
pub use status::{DaemonState, Latest, StatusBoard};

use crate::blind::StimulusImage;
use crate::pipeline::{Decoded, RunInfo, StreamJob};
use mindeye_config::{Moment, Timings};
use mindeye_decode::Retrieval;
use mindeye_preprocess::TrialBeta;
use mindeye_preprocess::motion::RegistrationReport;
use mindeye_preprocess::quality::VolumeQuality;
use std::sync::Arc;
use std::time::Duration;

/// What the publish thread is told.
#[derive(Debug)]
pub enum PublishEvent {
    /// A run opened; `restored` when an earlier process had begun it.
    Open {
        /// The run.
        run: Arc<RunInfo>,
        /// An earlier process had begun it.
        restored: bool,
    },
    /// What the participant saw. Comes from the door, past preprocessing and decoding.
    Stimulus {
        /// The run.
        run: Arc<RunInfo>,
        /// Trial.
        trial: u32,
        /// The picture, if told.
        image: Option<StimulusImage>,
        /// The condition, if declared.
        condition: Option<u16>,
    },
    /// A volume was preprocessed.
    Volume(VolumeNotice),
    /// A volume's sample of the stream was scored.
    Stream(StreamNotice),
    /// A volume's record is safe, this long after its arrival.
    Journalled {
        /// Index.
        index: u32,
        /// Time from last byte to safe.
        took: Duration,
    },
    /// The run's first volume was registered to the bundle's reference.
    Registered {
        /// The run.
        run: Arc<RunInfo>,
        /// How it lies.
        registration: RegistrationReport,
    },
    /// A beta was estimated.
    Beta {
        /// The run.
        run: Arc<RunInfo>,
        /// The beta.
        beta: Arc<TrialBeta>,
    },
    /// A trial is due.
    Due(DueNotice),
    /// A part of an answer is there.
    Product(ProductNotice),
    /// A better picture of a trial is begun.
    GoesOn {
        /// The run.
        run: Arc<RunInfo>,
        /// Trial.
        trial: u32,
    },
    /// One side has given all that it could for an estimate.
    Decoded {
        /// The run.
        run: Arc<RunInfo>,
        /// Trial.
        trial: u32,
        /// The estimate was that of the due trial.
        is_due: bool,
        /// Which side.
        part: Part,
    },
    /// A product failed; lesser ones may follow.
    DecodeFailed {
        /// The run.
        run: Arc<RunInfo>,
        /// Trial.
        trial: u32,
        /// What the decoder said.
        message: String,
    },
    /// The run ended before the trial was due.
    NeverDue {
        /// The run.
        run: Arc<RunInfo>,
        /// Trial.
        trial: u32,
    },
    /// No further volume of the run will come.
    Closed {
        /// The run.
        run: Arc<RunInfo>,
    },
    /// An interrupted run is being fed again (`true`), or that is over.
    CatchingUp(bool),
    /// Something went wrong that the operator must know.
    Trouble(String),
    /// The operator stopped (`true`) or armed the instrument.
    Stopped(bool),
    /// The operator blanked (`true`) or unblanked the participant's page.
    Blanked(bool),
    /// A page or stimulus computer says that it showed a picture.
    Shown(serde_json::Value),
    /// The daemon ends.
    Shutdown,
}

/// A preprocessed volume.
#[derive(Debug, Clone)]
pub struct VolumeNotice {
    /// The run.
    pub run: Arc<RunInfo>,
    /// Index.
    pub index: u32,
    /// Indexes left out before it.
    pub gap_before: u32,
    /// Its time is index x TR for lack of a stamp.
    pub nominal: bool,
    /// What it is worth.
    pub quality: VolumeQuality,
    /// Steps so far.
    pub timings: Timings,
}

/// A scored sample of the stream.
#[derive(Debug, Clone)]
pub struct StreamNotice {
    /// The sample.
    pub sample: StreamJob,
    /// Scores of the whole gallery; `None` while the baseline is not over, and where the bundle retrieves nothing.
    pub retrieval: Option<Retrieval>,
    /// Steps that made them.
    pub timings: Timings,
}

/// A due trial.
#[derive(Debug, Clone)]
pub struct DueNotice {
    /// The run.
    pub run: Arc<RunInfo>,
    /// Trial.
    pub trial: u32,
    /// Onset, seconds after volume 0.
    pub onset_s: f64,
    /// End of the acquisition that made it due, seconds after volume 0.
    pub due_s: f64,
    /// Index of that volume.
    pub volume: u32,
    /// That volume's time is index x TR.
    pub nominal: bool,
    /// Arrival of that volume's last byte (of another process when `restored`).
    pub arrived: Moment,
    /// The same as Unix time, seconds.
    pub arrived_unix_s: f64,
    /// When the final answer must be out.
    pub deadline: Moment,
    /// When it leaves at the latest: a guard before the deadline.
    pub last_call: Moment,
    /// There is something to decode.
    pub has_beta: bool,
    /// The volume was received by an earlier process.
    pub restored: bool,
    /// Steps of the due volume.
    pub timings: Timings,
}

/// A part of an answer.
#[derive(Debug, Clone)]
pub struct ProductNotice {
    /// The run.
    pub run: Arc<RunInfo>,
    /// What was decoded.
    pub beta: Arc<TrialBeta>,
    /// The product.
    pub decoded: Decoded,
    /// Steps that made it.
    pub timings: Timings,
    /// The run is over, and this is for the record alone.
    pub is_archive: bool,
}
