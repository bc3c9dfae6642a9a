//! From a training folder to a checkpoint, in the order of a methods section.

use super::checkpoint::{RidgeCheckpoint, RidgeFacts, RidgeKind};
use crate::checkpoint::TrainingRecord;
use crate::ridge::{
    AlphaChoice, AlphaScore, LeftOut, Problem, RidgeError, Settings, SharedSpace, fit, voxel_reliability,
};
use crate::training_folder::{
    FolderError, Split, TokenShape, TrainingFolder, TrialsUsed, fit_zscore, split_hash, zscored_rows,
};
use ndarray::{Array2, Axis};
use std::collections::BTreeSet;

/// What the front-end predicts.
pub enum Target {
    /// Tokens.
    Direct,
    /// Places in a space made here, of this width.
    NewSharedSpace(usize),
    /// Places in another checkpoint's space.
    Shared(Box<JoinedSpace>),
}

/// Another checkpoint's shared space.
pub struct JoinedSpace {
    /// The space.
    pub shared: SharedSpace,
    /// Its tokens.
    pub tokens: TokenShape,
    /// What it was learned from.
    pub record: TrainingRecord,
}

/// How to fit.
#[derive(Debug, Clone, PartialEq)]
pub struct Choices {
    /// Regularisation.
    pub alpha: AlphaChoice,
    /// What is left out together.
    pub left_out: LeftOut,
    /// Least reliability of a voxel; `None` uses all.
    pub least_reliability: Option<f32>,
}

/// A fitted checkpoint with what the fit showed.
pub struct Calibration {
    /// The checkpoint.
    pub checkpoint: RidgeCheckpoint,
    /// Left-out score of each alpha.
    pub scores: Vec<AlphaScore>,
    /// The best of them.
    pub best: AlphaScore,
    /// Training images.
    pub images: usize,
}

/// Why no front-end can be fitted.
#[derive(Debug, thiserror::Error)]
pub enum CalibrateError {
    /// Of the training folder.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// Of the fit.
    #[error(transparent)]
    Ridge(#[from] RidgeError),
    /// No voxel is reliable enough.
    #[error("no voxel of {voxels} reaches a reliability of {least}; the best has {best}")]
    NoVoxel {
        /// Voxels of the mask.
        voxels: usize,
        /// What was asked for.
        least: f32,
        /// The most reliable voxel's.
        best: f32,
    },
    /// The shared space has other tokens than the data.
    #[error("the checkpoint has {0:?}, the data's targets have {1:?}")]
    Tokens(TokenShape, TokenShape),
}

/// Fits a front-end to the training trials of `folder`.
///
/// # Errors
/// [`CalibrateError`].
pub fn calibrate(folder: &TrainingFolder, target: Target, choices: &Choices) -> Result<Calibration, CalibrateError> {
    let rows = folder.rows(Split::Train)?;
    let (targets, tokens) = folder.targets()?;
    let zscore = fit_zscore(folder, &rows)?;
    let patterns = zscored_rows(folder.voxels(), &rows, &zscore)?;
    let (images, image_of) = shown(folder, &rows);
    let targets = targets.select(Axis(0), &images);
    let voxels = selected_voxels(&patterns, &image_of, choices.least_reliability)?;

    let (kind, shared, earlier) = shared_space(target, &targets, tokens)?;
    let places = shared.as_ref().map(|shared| shared.places(targets.view())).transpose()?;
    let targets = places.as_ref().unwrap_or(&targets).view();
    let problem = Problem { patterns: patterns.view(), targets, image_of: &image_of, voxels: &voxels };
    let fit = fit(&problem, &Settings { alpha: choices.alpha.clone(), left_out: choices.left_out })?;

    let mut training = record(folder, &rows, choices);
    training.images.extend(earlier);
    let facts = RidgeFacts::new(kind, folder.voxel_count(), tokens, training);
    let checkpoint = RidgeCheckpoint { facts, ridge: fit.ridge, shared, zscore };
    Ok(Calibration { checkpoint, scores: fit.scores, best: fit.best, images: images.len() })
}

/// Places of the images that `rows` showed, ascending, and for each row which of them.
fn shown(folder: &TrainingFolder, rows: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let seen: Vec<usize> = rows.iter().map(|row| folder.image_of()[*row]).collect();
    let images: Vec<usize> = seen.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let place = |image: &usize| images.binary_search(image).expect("the list holds every image seen");
    let image_of = seen.iter().map(place).collect();
    (images, image_of)
}

fn selected_voxels(
    patterns: &Array2<f32>,
    image_of: &[usize],
    least: Option<f32>,
) -> Result<Vec<usize>, CalibrateError> {
    let Some(least) = least else { return Ok((0..patterns.ncols()).collect()) };
    let reliability = voxel_reliability(patterns.view(), image_of)?;
    let voxels = reliability.at_least(least);
    if voxels.is_empty() {
        let best = reliability.r.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        return Err(CalibrateError::NoVoxel { voxels: patterns.ncols(), least, best });
    }
    Ok(voxels)
}

type Space = (RidgeKind, Option<SharedSpace>, BTreeSet<String>);

/// The space of `target`, and the images that it was learned from.
fn shared_space(target: Target, targets: &Array2<f32>, tokens: TokenShape) -> Result<Space, CalibrateError> {
    match target {
        Target::Direct => Ok((RidgeKind::Direct, None, BTreeSet::new())),
        Target::NewSharedSpace(width) => {
            Ok((RidgeKind::Shared, Some(SharedSpace::of(targets.view(), width)?), BTreeSet::new()))
        }
        Target::Shared(joined) if joined.tokens == tokens => {
            Ok((RidgeKind::Shared, Some(joined.shared), joined.record.images))
        }
        Target::Shared(joined) => Err(CalibrateError::Tokens(joined.tokens, tokens)),
    }
}

fn record(folder: &TrainingFolder, rows: &[usize], choices: &Choices) -> TrainingRecord {
    let selected = choices.least_reliability.is_some();
    TrainingRecord {
        trials: rows.len(),
        split_sha256: split_hash(folder.trials()),
        zscore_from: TrialsUsed::Train,
        voxels_chosen_with: if selected { TrialsUsed::Train } else { TrialsUsed::None },
        least_reliability: choices.least_reliability,
        chosen_on: TrialsUsed::Train,
        data: folder.facts().provenance.clone(),
        images: rows.iter().map(|row| folder.trials()[*row].image.to_string()).collect(),
    }
}
