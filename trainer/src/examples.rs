//! Training data as the method sees it: images with their repeats, z-scored by training trials alone, of one participant
//! or of several who share a model.

use crate::training_folder::{FolderError, Split, TrainingFolder, fit_zscore, zscored_rows};
use crate::{Draws, TrainError};
use mindeye_preprocess::ZscoreTable;
use ndarray::{Array2, Axis};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// An image and the trials that showed it to one participant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Who saw it, from 0.
    pub participant: usize,
    /// Row of the image in that participant's `targets.npy`.
    pub image: usize,
    /// Rows of its trials in that participant's `voxels.npy`, ascending; one or more.
    pub rows: Vec<usize>,
}

/// One participant's folder, with the mean and SD of the trials to learn from.
pub struct Participant {
    /// The training folder.
    pub folder: TrainingFolder,
    /// Mean and SD.
    pub zscore: ZscoreTable,
}

/// The training and validation images of one or more training folders. Test trials are not in it.
pub struct Examples {
    participants: Vec<Participant>,
    /// To learn from, participant by participant.
    pub train: Vec<Example>,
    /// To choose the best epoch by, participant by participant.
    pub validation: Vec<Example>,
}

impl Examples {
    /// Opens the folder at `path`: see [`Examples::open_all`].
    ///
    /// # Errors
    /// As [`Examples::open_all`].
    pub fn open(path: &Path, seed: u64, validation_share: f64) -> Result<Self, TrainError> {
        Self::open_all(&[path.to_owned()], seed, validation_share)
    }

    /// Opens one folder for each participant. Where no trial has split `validation`, `validation_share` of all training
    /// images (one or more), chosen by `seed`, are taken for it, from every participant who saw them. Mean and SD come
    /// from the trials that remain to learn from.
    ///
    /// # Errors
    /// [`TrainError::Folder`]: files that are missing, malformed or disagree, NaN betas, a split without images.
    /// [`TrainError::Malformed`]: an image that is in different parts of two folders' splits.
    pub fn open_all(paths: &[PathBuf], seed: u64, validation_share: f64) -> Result<Self, TrainError> {
        let folders = paths.iter().map(|path| TrainingFolder::open(path)).collect::<Result<Vec<_>, _>>()?;
        require_one_split(&folders)?;
        let has_validation = folders.iter().any(|folder| folder.rows(Split::Validation).is_ok());
        let held_back = match has_validation {
            true => BTreeSet::new(),
            false => held_back(&names_of(&folders, Split::Train), seed, validation_share),
        };
        let mut examples = Self { participants: Vec::new(), train: Vec::new(), validation: Vec::new() };
        for (number, folder) in folders.into_iter().enumerate() {
            let (train, validation) = parts(&folder, number, &held_back)?;
            let rows: Vec<usize> = train.iter().flat_map(|example| example.rows.iter().copied()).collect();
            let zscore = fit_zscore(&folder, &rows)?;
            examples.participants.push(Participant { folder, zscore });
            examples.train.extend(train);
            examples.validation.extend(validation);
        }
        Ok(examples)
    }

    /// All participants.
    #[must_use]
    pub fn participants(&self) -> &[Participant] {
        &self.participants
    }

    /// The first participant's folder.
    #[must_use]
    pub fn folder(&self) -> &TrainingFolder {
        &self.participants[0].folder
    }

    /// Voxels of each participant.
    #[must_use]
    pub fn voxel_counts(&self) -> Vec<usize> {
        self.participants.iter().map(|participant| participant.folder.voxel_count()).collect()
    }

    /// Betas of the first participant's rows as z-scores, `f32[rows, voxels]`.
    ///
    /// # Errors
    /// None for rows of that folder; the z-score's own otherwise.
    pub fn voxels(&self, rows: &[usize]) -> Result<Array2<f32>, TrainError> {
        self.participants[0].voxels(rows)
    }

    /// One trial of each example, all of one participant: the repeat number `turn` of those that it has, the same turn
    /// for a whole batch (spec: MindEye section 3.5). `f32[examples, voxels]`, z-scored.
    ///
    /// # Errors
    /// None for examples of these folders; the z-score's own otherwise.
    pub fn repeat_voxels(&self, examples: &[&Example], turn: u64) -> Result<Array2<f32>, TrainError> {
        let rows: Vec<usize> = examples.iter().map(|e| e.rows[(turn % e.rows.len() as u64) as usize]).collect();
        self.of(examples).voxels(&rows)
    }

    /// The mean over the repeats of each example, all of one participant. `f32[examples, voxels]`, z-scored.
    ///
    /// # Errors
    /// As [`Examples::repeat_voxels`].
    pub fn mean_voxels(&self, examples: &[&Example]) -> Result<Array2<f32>, TrainError> {
        let participant = self.of(examples);
        let mut out = Array2::zeros((examples.len(), participant.folder.voxel_count()));
        for (example, mut to) in examples.iter().zip(out.rows_mut()) {
            let repeats = participant.voxels(&example.rows)?;
            to.assign(&repeats.mean_axis(Axis(0)).expect("an example has one trial or more"));
        }
        Ok(out)
    }

    /// Who saw `examples`; the first participant where there are none.
    fn of(&self, examples: &[&Example]) -> &Participant {
        &self.participants[examples.first().map_or(0, |example| example.participant)]
    }
}

impl Participant {
    /// Betas of these rows as z-scores, `f32[rows, voxels]`.
    fn voxels(&self, rows: &[usize]) -> Result<Array2<f32>, TrainError> {
        Ok(zscored_rows(self.folder.voxels(), rows, &self.zscore)?)
    }
}

/// The examples of each participant, participants ascending, each one's in their order; those without any are left out.
#[must_use]
pub fn by_participant<'e>(examples: &[&'e Example]) -> Vec<(usize, Vec<&'e Example>)> {
    let mut groups: BTreeMap<usize, Vec<&Example>> = BTreeMap::new();
    examples.iter().for_each(|example| groups.entry(example.participant).or_default().push(example));
    groups.into_iter().collect()
}

/// What participant `number` learns from and is validated by.
fn parts(
    folder: &TrainingFolder,
    number: usize,
    held_back: &BTreeSet<String>,
) -> Result<(Vec<Example>, Vec<Example>), TrainError> {
    let named = folder.rows(Split::Validation).map_or_else(|_| Vec::new(), |rows| by_image(folder, number, &rows));
    let train = by_image(folder, number, &folder.rows(Split::Train)?);
    let is_held = |example: &Example| held_back.contains(&folder.images()[example.image]);
    let (held, train): (Vec<_>, Vec<_>) = train.into_iter().partition(is_held);
    let validation = [named, held].concat();
    for (split, part) in [("train", &train), ("validation", &validation)] {
        if part.is_empty() {
            let (path, trials) = (folder.path().join("trials.tsv"), folder.trials().len());
            return Err(FolderError::EmptySplit { path, split, trials }.into());
        }
    }
    Ok((train, validation))
}

/// `rows` grouped by what they showed, in the order of the images' names.
fn by_image(folder: &TrainingFolder, participant: usize, rows: &[usize]) -> Vec<Example> {
    let mut images: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for row in rows {
        images.entry(folder.image_of()[*row]).or_default().push(*row);
    }
    images.into_iter().map(|(image, rows)| Example { participant, image, rows }).collect()
}

/// Names of the images that any folder has in the part `split`.
fn names_of(folders: &[TrainingFolder], split: Split) -> BTreeSet<String> {
    let trials = folders.iter().flat_map(TrainingFolder::trials);
    trials.filter(|trial| trial.split == split).map(|trial| trial.image.to_string()).collect()
}

/// `share` of the images (at least one, never all), chosen by `seed`.
fn held_back(images: &BTreeSet<String>, seed: u64, share: f64) -> BTreeSet<String> {
    let count = ((images.len() as f64 * share).ceil() as usize).max(1).min(images.len().saturating_sub(1));
    let mut chosen = Draws::new(seed, 0, "validation split").permutation(images.len());
    chosen.truncate(count);
    images.iter().enumerate().filter(|(i, _)| chosen.contains(i)).map(|(_, image)| image.clone()).collect()
}

/// A shared model learns from every participant's training images, so that an image that one keeps for testing may be in
/// no other one's training.
fn require_one_split(folders: &[TrainingFolder]) -> Result<(), TrainError> {
    let mut known: BTreeMap<&str, (Split, &TrainingFolder)> = BTreeMap::new();
    for folder in folders {
        for trial in folder.trials() {
            let (split, first) = *known.entry(trial.image.as_str()).or_insert((trial.split, folder));
            let is_another_folder = !std::ptr::eq(first, folder);
            if split != trial.split && is_another_folder {
                let there = first.path().join("trials.tsv");
                let problem =
                    format!("image `{}` is {} here and {split} in {}", trial.image, trial.split, there.display());
                return Err(TrainError::malformed(&folder.path().join("trials.tsv"), problem));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_images_are_held_back_by_seed_and_one_always_remains() {
        let held = |count: usize, seed, share| {
            let images: BTreeSet<String> = (0..count).map(|i| format!("img{i:03}")).collect();
            held_back(&images, seed, share)
        };
        assert_eq!(held(100, 1, 0.05).len(), 5);
        assert_eq!(held(100, 1, 0.05), held(100, 1, 0.05));
        assert_ne!(held(100, 1, 0.05), held(100, 2, 0.05));
        assert_eq!([held(10, 1, 0.01).len(), held(2, 1, 0.9).len(), held(1, 1, 0.5).len()], [1, 1, 0]);
    }

    #[test]
    fn a_batch_is_sorted_by_participant_and_keeps_its_order_within() {
        let example = |participant, image| Example { participant, image, rows: vec![image] };
        let batch = [example(2, 5), example(0, 3), example(2, 1), example(0, 4)];
        let groups = by_participant(&batch.iter().collect::<Vec<_>>());
        let seen: Vec<(usize, Vec<usize>)> =
            groups.iter().map(|(who, group)| (*who, group.iter().map(|e| e.image).collect())).collect();
        assert_eq!(seen, [(0, vec![3, 4]), (2, vec![5, 1])]);
    }
}
