//! What can be measured: anything that makes tokens of z-scored betas.

use crate::calibrate::RidgeCheckpoint;
use crate::checkpoint::TrainingRecord;
use crate::ridge::RidgeError;
use crate::training_folder::TokenShape;
use mindeye_preprocess::ZscoreTable;
use ndarray::{Array2, ArrayView2};

/// A model under measurement. Its z-score belongs to it: betas reach it normalised as in its training.
pub trait Predictor {
    /// The model in one line, for the report.
    fn describe(&self) -> String;

    /// Tokens and their width.
    fn token_shape(&self) -> TokenShape;

    /// Training mean and SD for each voxel; `None` where [`Predictor::retrieval_tokens`] wants betas as they are.
    fn zscore(&self) -> Option<&ZscoreTable>;

    /// What it was learned from, with its z-score; `None` where nobody knows.
    fn training(&self) -> Option<(&TrainingRecord, &ZscoreTable)>;

    /// Retrieval tokens f32[rows, T D] of z-scored betas f32[rows, voxels]; `rows` are their places in the data.
    ///
    /// # Errors
    /// [`PredictError`].
    fn retrieval_tokens(&mut self, rows: Rows<'_>) -> Result<Array2<f32>, PredictError>;

    /// Whether averaging patterns over repeats before predicting is possible; saved predictions average tokens instead.
    fn takes_averages(&self) -> bool {
        true
    }
}

/// Betas to predict from.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Z-scored betas, f32[rows, voxels].
    pub patterns: ArrayView2<'a, f32>,
    /// Place of each row among the trials of the split.
    pub places: &'a [usize],
}

/// Why a model gives no tokens.
#[derive(Debug, thiserror::Error)]
pub enum PredictError {
    /// Of a ridge.
    #[error(transparent)]
    Ridge(#[from] RidgeError),
    /// Of any other model.
    #[error("{model}: {problem}")]
    Model {
        /// The model.
        model: String,
        /// What is wrong.
        problem: String,
    },
}

impl Predictor for RidgeCheckpoint {
    fn describe(&self) -> String {
        let (trials, kind) = (self.ridge.trials(), self.facts.kind);
        format!("ridge in dual form ({kind:?}), {trials} training trials, {} voxels", self.ridge.voxels.len())
            .to_lowercase()
    }

    fn token_shape(&self) -> TokenShape {
        self.facts.token_shape()
    }

    fn zscore(&self) -> Option<&ZscoreTable> {
        Some(&self.zscore)
    }

    fn training(&self) -> Option<(&TrainingRecord, &ZscoreTable)> {
        Some((&self.facts.training, &self.zscore))
    }

    fn retrieval_tokens(&mut self, rows: Rows<'_>) -> Result<Array2<f32>, PredictError> {
        Ok(self.tokens(rows.patterns)?)
    }
}
