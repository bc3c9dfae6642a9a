//! What a checkpoint was learned from: enough for another program to see test trials in it.

use crate::TrainError;
use crate::training_folder::{Provenance, TrainingFolder, TrialsUsed, split_hash};
use mindeye_config::Sha256;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::Path;

/// What a checkpoint was learned from; its images lie beside it, one name a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingRecord {
    /// Training trials of this participant.
    pub trials: usize,
    /// Digest of the split.
    pub split_sha256: Sha256,
    /// Trials behind `zscore.safetensors`.
    pub zscore_from: TrialsUsed,
    /// Trials with which voxels were selected.
    pub voxels_chosen_with: TrialsUsed,
    /// Least reliability of a selected voxel; absent without selection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_reliability: Option<f32>,
    /// Trials on which alpha (or the epoch, for a trained model) was chosen.
    pub chosen_on: TrialsUsed,
    /// Of the training folder.
    pub data: Provenance,
    /// Images that anything was learned from; in `train_images.txt`.
    #[serde(skip)]
    pub images: BTreeSet<String>,
}

impl TrainingRecord {
    /// The record of a trained network; a ridge has it in `ridge.toml`.
    pub const FILE: &str = "training_record.toml";
    /// Names of all images that anything in the checkpoint was learned from, one a line.
    pub const IMAGES: &str = "train_images.txt";

    /// The record of a network trained on the trials `rows` of `folder`, whose epoch was chosen on those of `chosen_on`.
    #[must_use]
    pub fn of_network(folder: &TrainingFolder, rows: &[usize], chosen_on: &[usize]) -> Self {
        let images = rows.iter().chain(chosen_on).map(|row| folder.trials()[*row].image.to_string());
        Self {
            trials: rows.len(),
            split_sha256: split_hash(folder.trials()),
            zscore_from: TrialsUsed::Train,
            voxels_chosen_with: TrialsUsed::None,
            least_reliability: None,
            chosen_on: TrialsUsed::TrainValidation,
            data: folder.facts().provenance.clone(),
            images: images.collect(),
        }
    }

    /// `train_images.txt`.
    #[must_use]
    pub fn image_list(&self) -> String {
        self.images.iter().map(|image| format!("{image}\n")).collect()
    }

    /// The images of a `train_images.txt`.
    pub(crate) fn images_of(text: &str) -> BTreeSet<String> {
        text.lines().map(str::to_owned).collect()
    }

    /// The record of the trained network in the folder `checkpoint`, if it has one: published checkpoints have none.
    ///
    /// # Errors
    /// A file that cannot be read, or that is no record.
    pub fn read(checkpoint: &Path) -> Result<Option<Self>, TrainError> {
        let path = checkpoint.join(Self::FILE);
        if !path.is_file() {
            return Ok(None);
        }
        let text = |path: &Path| std::fs::read_to_string(path).map_err(TrainError::unreadable(path));
        let mut record: Self =
            toml::from_str(&text(&path)?).map_err(|error| TrainError::malformed(&path, error.message()))?;
        record.images = Self::images_of(&text(&checkpoint.join(Self::IMAGES))?);
        Ok(Some(record))
    }

    /// `training_record.toml`.
    pub(crate) fn to_toml(&self) -> String {
        toml::to_string(self).expect("a record holds names and numbers only")
    }
}
