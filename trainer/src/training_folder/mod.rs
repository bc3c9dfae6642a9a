//! The training folder (the form that every import ends in): trials, betas, pictures, targets, read strictly.
//!
//! ```text
//!   dataset.toml   beta_unit, [estimator], [provenance]
//!   trials.tsv     trial  image  split (train|validation|test)  session  run      line i is row i of voxels.npy
//!   voxels.npy     f32[trials, voxels], mask order, not z-scored
//!   voxels_by_lag.npy  f32[lags, trials, voxels], optional: the betas at each of the estimator's revision_lags_s
//!   targets.npy    f32[images, T, D], optional; row i is the i-th image name in ascending (byte) order
//!   images/        <image>.png|jpg, optional      mask.nii.gz, reference.nii.gz, preprocess.toml, optional
//! ```
//!
//! Betas and targets are mapped, not read: 30,000 trials of 15,724 voxels are 1.9 GB, 10,000 targets of 197,376 are 7.9 GB.
//! Deliberately absent: z-scores (`zscore` makes them, from training trials only), augmentation, batches.

mod error;
mod facts;
mod map;
mod read;
mod trial;
mod zscore;

pub use error::FolderError;
pub use facts::{DatasetFacts, Provenance, TrialsUsed};
pub use map::NpyMap;
pub(crate) use map::map_file;
pub use read::{TokenShape, TrainingFolder};
pub use trial::{Split, Trial, split_hash};
pub(crate) use trial::{read_trials, trial_table};
pub(crate) use zscore::moments;
pub use zscore::{fit_zscore, zscored_rows};
