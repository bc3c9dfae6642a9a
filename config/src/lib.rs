//! What two programs must agree on: checked configuration types, presets, one clock, one list of exit statuses.
//!
//! ```text
//!   *.toml ──load()──► typed, range-checked value ──► preprocess, engine, decode, exporter, trainer, daemon
//! ```
//!
//! Every file is TOML with units in key names (`deadline_s`, `fwhm_mm`); an unknown key is an error, and an error
//! names the file, the key and both sides. The meaning of every key stands in `config/README.md`.
//!
//! Deliberately absent: native code, sockets, threads, and anything that knows what a voxel value is.

mod budget;
mod clock;
mod daemon;
mod design;
mod estimator;
mod exit;
mod feedback;
mod filters;
mod hash;
mod load;
mod manifest;
mod model;
mod motion;
mod name;
mod new_folder;
mod preprocess;
mod renderer;
mod runtime;
mod scheduler;
mod session;
mod source;
mod step;
mod stream;
mod training;

pub use budget::{Budget, StepBudget};
pub use clock::{Clock, ManualClock, Moment, SystemClock};
pub use daemon::{
    DaemonConfig, DeadlineConfig, EngineConfig, EngineKind, HttpConfig, JournalConfig, MockFault, MockFaultKind,
    PublishConfig, TrialConfig, VolumeConfig,
};
pub use design::{ConfoundConfig, DriftConfig, HrfConfig, NoiseConfig};
pub use estimator::{
    BetaKind, BetaUnit, Confounds, Drift, Estimator, Hrf, HrfHeight, Mismatch, NoiseModel, ZscorePolicy,
};
pub use exit::{Exit, Failure, parse_command_line, run_program};
pub use feedback::FeedbackConfig;
pub use filters::{AveragingConfig, DespikeConfig, DespikeKind, SliceTimingConfig, SliceTimingKind, SmoothingConfig};
pub use hash::{Sha256, hex, sha256_of_bytes, sha256_of_file};
pub use load::{Checked, Complaint, ConfigError, from_toml, load};
pub use manifest::{
    BUNDLE_FORMAT, BundleManifest, Dimensions, ENGINES_FORMAT, EngineFileEntry, EnginesManifest, FileEntry,
    GalleryEntry, NetworkEntry, Origin, Precision, TensorEntry,
};
pub use model::ModelDimensions;
pub use motion::{Interpolation, MotionConfig, MotionKind, MotionReference};
pub use name::{Name, NameError};
pub use new_folder::NewFolder;
pub use preprocess::{BetaConfig, PreprocessConfig, ZscoreConfig};
pub use renderer::RendererDimensions;
pub use runtime::{RUNTIME_DIR_VARIABLE, runtime_library};
pub use scheduler::{BetaSchedule, FinalSigma, LowLevelStart, PriorConfig, Sampler, SchedulerConfig, TokenScale};
pub use session::SessionConfig;
pub use source::{SourceConfig, SourceKind};
pub use step::{Step, Timings};
pub use stream::{StreamConfig, StreamKind};
pub use training::{
    ContrastiveConfig, DropoutConfig, EncoderTraining, LowLevelConfig, MixcoTarget, OptimiserConfig, PriorTraining,
    TrainingConfig, TrainingPrecision, UnetTraining, VaeTraining,
};
