//! `mindeye-train evaluate`: the published metrics of a checkpoint on held-out images, each beside its chance.
//!
//! ```text
//!   training folder ──leakage──► rows of the split ──z-score──► Predictor ──► tokens ──cosines──► top-1 both ways
//!                                 single trials, and repeats averaged          pictures ──► pixcorr, ssim, two-way
//! ```
//!
//! `report.json` has the numbers, `report.html` beside it shows them. What is measured enters through [`Predictor`]; a
//! trained network plugs in there. Deliberately absent: choosing anything by these numbers.

mod arguments;
mod cosines;
mod html;
mod pictures;
mod predictor;
mod report;
mod retrieval;
mod saved;

pub use arguments::Arguments;
pub use predictor::{PredictError, Predictor, Rows};
pub use report::Report;
pub use saved::SavedPredictions;

use crate::calibrate::RidgeCheckpoint;
use crate::leakage::{Leaks, check_checkpoint, check_folder};
use crate::training_folder::{FolderError, TrainingFolder};
use mindeye_config::Failure;
use mindeye_decode::metrics::MetricError;

/// Why nothing can be measured.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// Of the training folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Of the model.
    #[error(transparent)]
    Predict(#[from] PredictError),
    /// Of a metric.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// Test trials were seen before.
    #[error(transparent)]
    Leakage(#[from] crate::leakage::Leakage),
    /// The model and the data disagree.
    #[error("{left} {left_value}, {right} {right_value}")]
    Disagree {
        /// One side.
        left: &'static str,
        /// Its size.
        left_value: String,
        /// The other.
        right: &'static str,
        /// Its size.
        right_value: String,
    },
    /// A picture is missing, or cannot be read.
    #[error("{}: {problem}", path.display())]
    Picture {
        /// The file, or where it should be.
        path: std::path::PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A feature extractor cannot be opened or run.
    #[error(transparent)]
    Engine(#[from] mindeye_engine::EngineError),
}

/// Runs the verb.
///
/// # Errors
/// A [`Failure`] with the status that the shell sees.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    arguments.check()?;
    let folder = TrainingFolder::open(&arguments.data).map_err(Failure::data)?;
    let mut predictor = open(arguments, &folder)?;
    let leaks = leaks(&*predictor, &folder, arguments);
    leaks.require_none(arguments.allow_leakage).map_err(Failure::data)?;
    let mut report = measure(&mut *predictor, &folder, arguments).map_err(failure)?;
    report.leakage = leaks;
    report.write(&arguments.out)?;
    report.tell(&arguments.out, arguments.json);
    Ok(())
}

fn failure(error: EvaluateError) -> Failure {
    match &error {
        EvaluateError::Engine(engine) if engine.is_unavailable() => Failure::unavailable(error),
        _ => Failure::data(error),
    }
}

fn open(arguments: &Arguments, folder: &TrainingFolder) -> Result<Box<dyn Predictor>, Failure> {
    match (&arguments.predictions, &arguments.checkpoint) {
        (Some(path), _) => {
            let saved = SavedPredictions::open(path, folder, arguments.split).map_err(Failure::data)?;
            Ok(Box::new(saved))
        }
        (None, Some(path)) => Ok(Box::new(RidgeCheckpoint::open(path).map_err(Failure::data)?)),
        (None, None) => Err(Failure::usage("one of --checkpoint and --predictions is needed")),
    }
}

fn leaks(predictor: &dyn Predictor, folder: &TrainingFolder, arguments: &Arguments) -> Leaks {
    let mut leaks = check_folder(folder);
    if let Some((record, zscore)) = predictor.training() {
        leaks.0.extend(check_checkpoint(record, zscore, folder, arguments.split).0);
    }
    leaks
}

/// All metrics of `predictor` on the split that `arguments` name.
fn measure(
    predictor: &mut dyn Predictor,
    folder: &TrainingFolder,
    arguments: &Arguments,
) -> Result<Report, EvaluateError> {
    let rows = folder.rows(arguments.split)?;
    eprintln!("evaluate: decoding {} trials", rows.len());
    let cosines = cosines::of_split(predictor, folder, &rows)?;
    eprintln!("evaluate: pools, bootstrap and permutations over {} images", cosines.images.len());
    let mut report = Report::new(predictor.describe(), folder, arguments);
    report.trials = rows.len();
    report.images = cosines.images.len();
    report.single_trial = Some(retrieval::measure(&cosines.single, &cosines.images, arguments)?);
    report.repeats_averaged = Some(retrieval::measure(&cosines.averaged, &cosines.images, arguments)?);
    report.against(arguments)?;
    if let Some(reconstructions) = &arguments.reconstructions {
        report.reconstruction = Some(pictures::measure(folder, &cosines.images, reconstructions, arguments)?);
    }
    Ok(report)
}
