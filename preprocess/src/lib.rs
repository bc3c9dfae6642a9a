//! From raw volumes to single-trial betas: the same stages offline and online.
//!
//! ```text
//!   RawVolume ──Alignment──► Pattern ──► RunningMoments ──► VolumeRing or GLM (every volume)
//!   bytes       motion,      f32[V]      mean, SD           last N     all
//!               one reading    │  filters, where a recipe has any
//!                              └──► VolumeQuality             │
//!   Event ──────────────────────► due at onset + lag ─────────┴──► TrialBeta ──Normaliser──► z-scored Pattern
//! ```
//!
//! [`RunPreprocessor`] is the whole of it, read top to bottom; [`Stage`] and [`conformance`] hold its parts to the same
//! promises; [`phantom`] is the simulated head for tests, demo and benches; [`read_bold`] streams a recorded run.
//!
//! Deliberately absent: sockets, a clock (the caller times each call), threads of its own, names of stimuli.

mod affine;
mod alignment;
mod beta;
pub mod bids;
pub mod conformance;
mod design;
mod error;
mod event;
pub mod filters;
mod glm;
mod grid;
mod hrf_index;
mod mask;
mod memory;
mod moments;
pub mod motion;
mod nifti_io;
mod nifti_write;
mod normalise;
pub mod offline;
mod pattern;
pub mod phantom;
mod plan;
pub mod quality;
pub mod resample;
mod ring;
mod run;
mod stage;
mod storage;
mod stream;
mod trial;
mod volume;
mod window;
mod zscore;

pub use affine::AffineSource;
pub use beta::{MissedReason, TrialBeta, TrialMissed};
pub use design::{DoubleGamma, DriftBasis, Regressor};
pub use error::PreprocessError;
pub use event::{Event, EventChange};
pub use grid::Grid;
pub use hrf_index::read_hrf_index;
pub use mask::{Gather, Mask};
pub use moments::RunningMoments;
pub use nifti_io::{Bold, TimeUnit, read_bold};
pub use nifti_write::{write_bold, write_volume};
pub use normalise::{Balance, Imbalance, Normaliser};
pub use pattern::Pattern;
pub use plan::RunPlan;
pub use ring::{RecordedVolume, Slot, VolumeRing};
pub use run::{RunPreprocessor, TimedVolume, TrialOutcomes};
pub use stage::Stage;
pub use stream::{ResidualStream, StreamOutput, StreamSample, StreamVolume};
pub use volume::{RawVolume, VoxelType};
pub use zscore::{FrozenZscore, ZscoreTable};
