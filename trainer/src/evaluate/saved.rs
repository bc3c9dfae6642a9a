//! Predictions that another program made, measured like a model's own.

use super::predictor::{PredictError, Predictor, Rows};
use crate::checkpoint::TrainingRecord;
use crate::training_folder::{FolderError, NpyMap, Split, TokenShape, TrainingFolder};
use mindeye_preprocess::ZscoreTable;
use ndarray::{Array2, Axis};
use std::path::Path;

/// Tokens f32[trials of a split, T, D] in the order of `trials.tsv`.
pub struct SavedPredictions {
    tokens: NpyMap,
    shape: TokenShape,
}

impl SavedPredictions {
    /// Opens the file at `path` for the trials of `split`.
    ///
    /// # Errors
    /// [`FolderError`] naming the file, when its shape is not the split's or the targets', or a number is not finite.
    pub fn open(path: &Path, folder: &TrainingFolder, split: Split) -> Result<Self, FolderError> {
        let (tokens, trials) = (NpyMap::open(path)?, folder.rows(split)?.len());
        let (_, shape) = folder.targets()?;
        let columns: usize = tokens.shape()[1..].iter().product();
        if tokens.shape()[0] != trials || columns != shape.outputs() {
            let found = tokens.shape();
            let problem =
                format!("must be [{trials} {split} trials, {}, {}], found {found:?}", shape.tokens, shape.token_dim);
            return Err(FolderError::format(path, problem));
        }
        tokens.require_finite()?;
        Ok(Self { tokens, shape })
    }
}

impl Predictor for SavedPredictions {
    fn describe(&self) -> String {
        let file = self.tokens.path().file_name().unwrap_or_default().to_string_lossy();
        format!("saved predictions {file}: what they were learned from is not known here")
    }

    fn token_shape(&self) -> TokenShape {
        self.shape
    }

    fn zscore(&self) -> Option<&ZscoreTable> {
        None
    }

    fn training(&self) -> Option<(&TrainingRecord, &ZscoreTable)> {
        None
    }

    fn retrieval_tokens(&mut self, rows: Rows<'_>) -> Result<Array2<f32>, PredictError> {
        Ok(self.tokens.view().select(Axis(0), rows.places))
    }

    fn takes_averages(&self) -> bool {
        false
    }
}
