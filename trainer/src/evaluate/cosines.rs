//! Predicted tokens against all test images, block by block: embeddings of a whole test set are never held at once.
//!
//! 3,000 trials x 197,376 outputs would be 2.4 GB; a block of 64 trials is 50 MB. Work: 2 x trials x images x outputs =
//! 1.2 TFLOP for 3,000 trials and 1,000 images, and as much again for the prediction by a ridge of 1,000 trials.

use super::EvaluateError;
use super::predictor::{Predictor, Rows};
use crate::ridge::{cross, gram};
use crate::training_folder::{TrainingFolder, zscored_rows};
use mindeye_decode::metrics::Scores;
use ndarray::{Array2, ArrayView2, Axis};
use std::collections::BTreeSet;

const BLOCK_TRIALS: usize = 64;

/// Scores of a split.
pub(super) struct SplitCosines {
    /// Names of the test images, in the order of the scores.
    pub(super) images: Vec<String>,
    /// One brain per trial.
    pub(super) single: Scores,
    /// One brain per image: its trials averaged.
    pub(super) averaged: Scores,
}

/// Decodes the trials `rows` of `folder` and sets them against the images that they showed.
pub(super) fn of_split(
    predictor: &mut dyn Predictor,
    folder: &TrainingFolder,
    rows: &[usize],
) -> Result<SplitCosines, EvaluateError> {
    let (targets, shape) = folder.targets()?;
    require(("the model's tokens are", predictor.token_shape()), ("the targets'", shape))?;
    let seen: Vec<usize> = rows.iter().map(|row| folder.image_of()[*row]).collect();
    let images: Vec<usize> = seen.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let own: Vec<usize> =
        seen.iter().map(|i| images.binary_search(i).expect("the list holds every image seen")).collect();
    let targets = targets.select(Axis(0), &images);
    let patterns = patterns(predictor, folder, rows)?;

    let gallery = Gallery::of(&targets);
    let places: Vec<usize> = (0..rows.len()).collect();
    let single = gallery.decode(predictor, &patterns, &places)?;
    let averaged = match predictor.takes_averages() {
        true => {
            let patterns = average(patterns.view(), &own, images.len());
            gallery.decode(predictor, &patterns, &(0..images.len()).collect::<Vec<_>>())?
        }
        false => gallery.decode_averaged(predictor, &patterns, &own, images.len())?,
    };
    let names = images.iter().map(|image| folder.images()[*image].clone()).collect();
    let pictures = gallery.cosines;
    let each = (0..images.len()).collect();
    Ok(SplitCosines {
        images: names,
        single: Scores::new(single, pictures.clone(), own)?,
        averaged: Scores::new(averaged, pictures, each)?,
    })
}

fn require<T: PartialEq + std::fmt::Debug>(
    (left, l): (&'static str, T),
    (right, r): (&'static str, T),
) -> Result<(), EvaluateError> {
    if l == r {
        return Ok(());
    }
    Err(EvaluateError::Disagree { left, left_value: format!("{l:?}"), right, right_value: format!("{r:?}") })
}

/// Betas of `rows` as the model wants them.
fn patterns(predictor: &dyn Predictor, folder: &TrainingFolder, rows: &[usize]) -> Result<Array2<f32>, EvaluateError> {
    match predictor.zscore() {
        Some(table) => Ok(zscored_rows(folder.voxels(), rows, table)?),
        None => Ok(folder.voxels().select(Axis(0), rows)),
    }
}

/// Mean row of each image.
fn average(x: ArrayView2<'_, f32>, own: &[usize], images: usize) -> Array2<f32> {
    let mut shown = vec![0.0_f32; images];
    own.iter().for_each(|image| shown[*image] += 1.0);
    let mut mean = Array2::zeros((images, x.ncols()));
    for (row, image) in x.rows().into_iter().zip(own) {
        mean.row_mut(*image).scaled_add(1.0 / shown[*image], &row);
    }
    mean
}

/// The test images' tokens.
struct Gallery<'a> {
    targets: &'a Array2<f32>,
    lengths: Vec<f64>,
    /// cos(image, image).
    cosines: Array2<f64>,
}

impl<'a> Gallery<'a> {
    fn of(targets: &'a Array2<f32>) -> Self {
        let dots = gram(targets.view(), None);
        let lengths: Vec<f64> = dots.diag().iter().map(|square| square.sqrt()).collect();
        let cosines = Array2::from_shape_fn(dots.dim(), |(i, j)| dots[[i, j]] / (lengths[i] * lengths[j]));
        Self { targets, lengths, cosines }
    }

    /// cos(prediction, image), f64[rows of `patterns`, images].
    fn decode(
        &self,
        predictor: &mut dyn Predictor,
        patterns: &Array2<f32>,
        places: &[usize],
    ) -> Result<Array2<f64>, EvaluateError> {
        let mut out = Array2::zeros((patterns.nrows(), self.lengths.len()));
        for first in (0..patterns.nrows()).step_by(BLOCK_TRIALS) {
            let end = (first + BLOCK_TRIALS).min(patterns.nrows());
            let block = patterns.slice(ndarray::s![first..end, ..]);
            let tokens = predictor.retrieval_tokens(Rows { patterns: block, places: &places[first..end] })?;
            out.slice_mut(ndarray::s![first..end, ..]).assign(&self.cosines_of(&tokens));
        }
        Ok(out)
    }

    fn decode_averaged(
        &self,
        predictor: &mut dyn Predictor,
        patterns: &Array2<f32>,
        own: &[usize],
        images: usize,
    ) -> Result<Array2<f64>, EvaluateError> {
        let mut out = Array2::zeros((images, images));
        for image in 0..images {
            let places: Vec<usize> = (0..own.len()).filter(|row| own[*row] == image).collect();
            let block = patterns.select(Axis(0), &places);
            let tokens = predictor.retrieval_tokens(Rows { patterns: block.view(), places: &places })?;
            let mean = average(tokens.view(), &vec![0; places.len()], 1);
            out.row_mut(image).assign(&self.cosines_of(&mean).row(0));
        }
        Ok(out)
    }

    fn cosines_of(&self, tokens: &Array2<f32>) -> Array2<f64> {
        let mut dots = cross(tokens.view(), self.targets.view());
        for (row, mut dots) in tokens.rows().into_iter().zip(dots.rows_mut()) {
            let length = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            dots.iter_mut().zip(&self.lengths).for_each(|(dot, own)| *dot /= length * own);
        }
        dots
    }
}
