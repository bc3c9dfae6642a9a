//! Training data as the method sees it: images with their repeats, z-scored by training trials alone.

use crate::training_folder::{FolderError, Split, TrainingFolder, fit_zscore, zscored_rows};
use crate::{Draws, TrainError};
use mindeye_preprocess::ZscoreTable;
use ndarray::{Array2, Axis};
use std::collections::BTreeMap;
use std::path::Path;

/// An image and the trials that showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Row of the image in `targets.npy`.
    pub image: usize,
    /// Rows of its trials in `voxels.npy`, ascending; one or more.
    pub rows: Vec<usize>,
}

/// The training and validation images of a training folder. Test trials are not in it.
pub struct Examples {
    folder: TrainingFolder,
    zscore: ZscoreTable,
    /// To learn from.
    pub train: Vec<Example>,
    /// To choose the best epoch by.
    pub validation: Vec<Example>,
}

impl Examples {
    /// Opens the folder at `path`. Where no trial has split `validation`, `validation_share` of the training images
    /// (one or more), chosen by `seed`, are taken for it. Mean and SD come from the trials that remain to learn from.
    ///
    /// # Errors
    /// [`TrainError::Folder`]: files that are missing, malformed or disagree, NaN betas, a split without images.
    pub fn open(path: &Path, seed: u64, validation_share: f64) -> Result<Self, TrainError> {
        let folder = TrainingFolder::open(path)?;
        let mut train = by_image(&folder, &folder.rows(Split::Train)?);
        let named = folder.rows(Split::Validation).map_or_else(|_| Vec::new(), |rows| by_image(&folder, &rows));
        let validation = if named.is_empty() { hold_back(&mut train, seed, validation_share) } else { named };
        let empty = |split: &'static str| {
            let (path, trials) = (path.join("trials.tsv"), folder.trials().len());
            Err(FolderError::EmptySplit { path, split, trials }.into())
        };
        if train.is_empty() {
            return empty("train");
        }
        if validation.is_empty() {
            return empty("validation");
        }
        let rows: Vec<usize> = train.iter().flat_map(|example| example.rows.iter().copied()).collect();
        let zscore = fit_zscore(&folder, &rows)?;
        Ok(Self { folder, zscore, train, validation })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &TrainingFolder {
        &self.folder
    }

    /// Mean and SD of the training trials.
    #[must_use]
    pub fn zscore(&self) -> &ZscoreTable {
        &self.zscore
    }

    /// Betas of these rows as z-scores, `f32[rows, voxels]`.
    ///
    /// # Errors
    /// None for rows of this folder; the z-score's own otherwise.
    pub fn voxels(&self, rows: &[usize]) -> Result<Array2<f32>, TrainError> {
        Ok(zscored_rows(self.folder.voxels(), rows, &self.zscore)?)
    }

    /// One trial of each example: the repeat number `turn` of those that it has, the same turn for a whole batch
    /// (spec: MindEye section 3.5).
    ///
    /// # Errors
    /// As [`Examples::voxels`].
    pub fn repeat_voxels(&self, examples: &[&Example], turn: u64) -> Result<Array2<f32>, TrainError> {
        let rows: Vec<usize> = examples.iter().map(|e| e.rows[(turn % e.rows.len() as u64) as usize]).collect();
        self.voxels(&rows)
    }

    /// The mean over the repeats of each example.
    ///
    /// # Errors
    /// As [`Examples::voxels`].
    pub fn mean_voxels(&self, examples: &[&Example]) -> Result<Array2<f32>, TrainError> {
        let mut out = Array2::zeros((examples.len(), self.folder.voxel_count()));
        for (example, mut to) in examples.iter().zip(out.rows_mut()) {
            let repeats = self.voxels(&example.rows)?;
            to.assign(&repeats.mean_axis(Axis(0)).expect("an example has one trial or more"));
        }
        Ok(out)
    }
}

/// `rows` grouped by what they showed, in the order of the images' names.
fn by_image(folder: &TrainingFolder, rows: &[usize]) -> Vec<Example> {
    let mut images: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for row in rows {
        images.entry(folder.image_of()[*row]).or_default().push(*row);
    }
    images.into_iter().map(|(image, rows)| Example { image, rows }).collect()
}

/// Takes `share` of `train` (at least one image, never the last) out of it.
fn hold_back(train: &mut Vec<Example>, seed: u64, share: f64) -> Vec<Example> {
    let count = ((train.len() as f64 * share).ceil() as usize).max(1).min(train.len().saturating_sub(1));
    let mut chosen = Draws::new(seed, 0, "validation split").permutation(train.len());
    chosen.truncate(count);
    let (held, kept): (Vec<_>, Vec<_>) = train.drain(..).enumerate().partition(|(i, _)| chosen.contains(i));
    *train = kept.into_iter().map(|(_, example)| example).collect();
    held.into_iter().map(|(_, example)| example).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples(count: usize) -> Vec<Example> {
        (0..count).map(|image| Example { image, rows: vec![image] }).collect()
    }

    #[test]
    fn whole_images_are_held_back_by_seed_and_one_always_remains() {
        let held = |count, seed, share| {
            let mut train = examples(count);
            let held = hold_back(&mut train, seed, share);
            assert_eq!(train.len() + held.len(), count);
            assert!(held.iter().all(|example| !train.contains(example)));
            held
        };
        assert_eq!(held(100, 1, 0.05).len(), 5);
        assert_eq!(held(100, 1, 0.05), held(100, 1, 0.05));
        assert_ne!(held(100, 1, 0.05), held(100, 2, 0.05));
        assert_eq!([held(10, 1, 0.01).len(), held(2, 1, 0.9).len(), held(1, 1, 0.5).len()], [1, 1, 0]);
    }
}
