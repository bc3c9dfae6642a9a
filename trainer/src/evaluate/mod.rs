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
mod fitted;
mod html;
mod pictures;
mod predictor;
mod report;
mod retrieval;
mod saved;
mod several;

pub use arguments::{Arguments, TokenChoice};
pub use fitted::{FittedCheckpoint, FittedRequest};
pub(crate) use pictures::ExtractorFile;
pub use predictor::{PredictError, Predictor, Rows};
pub use report::{ModelReport, Report};
pub use saved::SavedPredictions;

use crate::calibrate::RidgeCheckpoint;
use crate::leakage::{Leaks, check_checkpoint, check_folder};
use crate::training_folder::{FolderError, TrainingFolder};
use mindeye_config::Failure;
use mindeye_decode::metrics::MetricError;
use retrieval::RetrievalReport;
use std::path::Path;

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
    let mut predictors = open(arguments, &folder)?;
    let leaks = leaks(&predictors, &folder, arguments);
    leaks.require_none(arguments.allow_leakage).map_err(Failure::data)?;
    let mut report = measure(&mut predictors, &folder, arguments).map_err(failure)?;
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

/// The models to be measured: several trainings of one, or one.
type Predictors = Vec<Box<dyn Predictor>>;

fn open(arguments: &Arguments, folder: &TrainingFolder) -> Result<Predictors, Failure> {
    if let Some(path) = &arguments.predictions {
        let saved = SavedPredictions::open(path, folder, arguments.split).map_err(Failure::data)?;
        return Ok(vec![Box::new(saved)]);
    }
    let graphs = arguments.graph.iter().map(|graph| Some(graph.as_path())).chain(std::iter::repeat(None));
    arguments.checkpoint.iter().zip(graphs).map(|(path, graph)| open_checkpoint(path, graph, arguments)).collect()
}

/// A checkpoint of `calibrate`, which has a `ridge.toml`, or of `fit`.
fn open_checkpoint(path: &Path, graph: Option<&Path>, arguments: &Arguments) -> Result<Box<dyn Predictor>, Failure> {
    if path.join("ridge.toml").is_file() && !path.join("model.safetensors").is_file() {
        return Ok(Box::new(RidgeCheckpoint::open(path).map_err(Failure::data)?));
    }
    let request = FittedRequest {
        checkpoint: path,
        participant: arguments.participant,
        tokens: arguments.tokens,
        graph,
        device: &arguments.device,
    };
    Ok(Box::new(FittedCheckpoint::open(request).map_err(|error| Failure::new(error.exit(), error))?))
}

fn leaks(predictors: &Predictors, folder: &TrainingFolder, arguments: &Arguments) -> Leaks {
    let mut leaks = check_folder(folder);
    for (record, zscore) in predictors.iter().filter_map(|predictor| predictor.training()) {
        let found = check_checkpoint(record, zscore, folder, arguments.split).0;
        leaks.0.extend(found);
    }
    leaks.0.dedup();
    leaks
}

/// All metrics on the split that `arguments` name: of the only predictor, or of all as one.
fn measure(
    predictors: &mut Predictors,
    folder: &TrainingFolder,
    arguments: &Arguments,
) -> Result<Report, EvaluateError> {
    let rows = folder.rows(arguments.split)?;
    let (mut single, mut averaged, mut models) = (Vec::new(), Vec::new(), Vec::new());
    let mut images = Vec::new();
    for predictor in predictors.iter_mut() {
        eprintln!("evaluate: decoding {} trials with {}", rows.len(), predictor.describe());
        let cosines = cosines::of_split(predictor.as_mut(), folder, &rows)?;
        eprintln!("evaluate: pools, bootstrap and permutations over {} images", cosines.images.len());
        single.push(retrieval::measure(&cosines.single, &cosines.images, arguments)?);
        averaged.push(retrieval::measure(&cosines.averaged, &cosines.images, arguments)?);
        models.push(predictor.describe());
        images = cosines.images;
    }
    let mut report = Report::new(common_name(&models), folder, arguments);
    (report.trials, report.images) = (rows.len(), images.len());
    report.models = model_reports(&models, &single, &averaged);
    report.single_trial = Some(as_one(single, arguments.seed)?);
    report.repeats_averaged = Some(as_one(averaged, arguments.seed)?);
    report.against(arguments)?;
    if let Some(reconstructions) = &arguments.reconstructions {
        report.reconstruction = Some(pictures::measure(folder, &images, reconstructions, arguments)?);
    }
    Ok(report)
}

/// One name for all models.
fn common_name(models: &[String]) -> String {
    match models {
        [only] => only.clone(),
        several => format!("mean of {} trainings, the first: {}", several.len(), several[0]),
    }
}

/// The report of one model as it is, of several as their mean.
fn as_one(mut reports: Vec<RetrievalReport>, seed: u64) -> Result<RetrievalReport, EvaluateError> {
    if reports.len() == 1 { Ok(reports.remove(0)) } else { several::mean_of(&reports, seed) }
}

/// Each of several models; nothing for one alone.
fn model_reports(models: &[String], single: &[RetrievalReport], averaged: &[RetrievalReport]) -> Vec<ModelReport> {
    if models.len() < 2 {
        return Vec::new();
    }
    let both = single.iter().zip(averaged);
    let one = |(model, (single, averaged)): (&String, (&RetrievalReport, &RetrievalReport))| {
        let tops = [report::tops("single_trial", single), report::tops("repeats_averaged", averaged)].concat();
        let top1 = tops.into_iter().map(|(name, top)| (name, top.top1.value)).collect();
        ModelReport { model: model.clone(), top1 }
    };
    models.iter().zip(both).map(one).collect()
}
