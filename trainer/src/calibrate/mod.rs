//! `mindeye-train calibrate`: a new participant's front-end from minutes of data, in closed form.
//!
//! ```text
//!   --direct                 voxels ─ridge─► tokens                     0.85 GB at 1,000 trials, needs no other participant
//!   --new-shared-space W     targets ─PCA─► shared space, voxels ─ridge─► place ─decoder─► tokens
//!   --checkpoint C           voxels ─ridge─► place in C's shared space ─C's decoder─► tokens
//!                            C may be a ridge's checkpoint, or one of `fit --start ridge`, whose decoder goes on to its MLP
//! ```
//!
//! Training trials only: z-scores, voxel selection, alpha and coefficients never see a test or validation trial.

mod arguments;
mod checkpoint;
mod fit;
mod report;
mod trained;

pub use crate::checkpoint::TrainingRecord;
pub use arguments::Arguments;
pub use checkpoint::{CheckpointError, RidgeCheckpoint, RidgeFacts, RidgeKind};
pub use fit::{CalibrateError, Calibration, Choices, JoinedSpace, Target, calibrate};
pub use trained::TrainedModel;

use crate::training_folder::TrainingFolder;
use mindeye_config::{Failure, SystemClock};
use report::CalibrationReport;

/// Runs the verb.
///
/// # Errors
/// A [`Failure`] with the status that the shell sees.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let clock = SystemClock::start();
    let trained = arguments.trained()?;
    let target = trained.as_ref().map_or_else(|| arguments.target(), |model| Ok(model.target()))?;
    let staging = arguments.staging()?;
    let folder = TrainingFolder::open(&arguments.data).map_err(Failure::data)?;
    crate::leakage::check_folder(&folder).require_none(arguments.allow_leakage).map_err(Failure::data)?;
    let (trials, voxels) = (folder.trials().len(), folder.voxel_count());
    eprintln!("calibrate: fitting the training part of {trials} trials, {voxels} voxels");
    let calibration = calibrate(&folder, target, &arguments.choices()).map_err(Failure::data)?;
    let fitted = clock.now();
    let gigabytes = calibration.checkpoint.ridge.bytes() as f64 / 1e9;
    eprintln!("calibrate: writing {gigabytes:.2} GB");
    match &trained {
        Some(model) => model.write(&calibration.checkpoint, &staging, &folder),
        None => calibration.checkpoint.write(&staging, &folder),
    }
    .map_err(Failure::other)?;
    let seconds = (fitted.0 as f64 / 1e9, clock.now().since(fitted).as_secs_f64());
    let report = CalibrationReport::of(&calibration, seconds);
    staging.write("calibration.json", report.to_json()).map_err(Failure::other)?;
    staging.keep().map_err(Failure::other)?;
    report.tell(arguments.json, &arguments.out);
    Ok(())
}
