//! The files of a checkpoint that belong to the data and not to a part: the model's sizes, and for each participant
//! z-scores, what was learned from which trials, and what came with the folder.

use super::part::Setting;
use crate::checkpoint::{Commit, TrainingRecord, participant_folder};
use crate::{Example, Participant, TrainError};
use std::path::Path;

/// What a training folder passes on to a checkpoint, where it has it.
const PASSED_ON: [&str; 4] = ["mask.nii.gz", "reference.nii.gz", "preprocess.toml", "hrf_index.nii.gz"];

impl Setting<'_> {
    /// Writes them all.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub(super) fn write_carried(&self, commit: &Commit) -> Result<(), TrainError> {
        let model =
            toml::to_string(self.model).map_err(|e| TrainError::malformed(Path::new("model.toml"), e.to_string()))?;
        commit.write("model.toml", model)?;
        for (number, participant) in self.examples.participants().iter().enumerate() {
            self.write_participant(commit, number, participant)?;
        }
        Ok(())
    }

    /// What belongs to one participant.
    fn write_participant(&self, commit: &Commit, number: usize, own: &Participant) -> Result<(), TrainError> {
        let below = participant_folder(Path::new(""), number);
        let name = |name: &str| below.join(name).to_string_lossy().into_owned();
        own.zscore.write(&commit.place(&name("zscore.safetensors"))?)?;
        let record = self.record(number, own);
        commit.write(&name(TrainingRecord::FILE), record.to_toml())?;
        commit.write(&name(TrainingRecord::IMAGES), record.image_list())?;
        for file in PASSED_ON {
            let source = own.folder.path().join(file);
            if source.is_file() {
                commit.write(&name(file), std::fs::read(&source).map_err(TrainError::unreadable(&source))?)?;
            }
        }
        Ok(())
    }

    /// What participant `number` was learned from: own trials, and the images of all, since all share the model.
    fn record(&self, number: usize, own: &Participant) -> TrainingRecord {
        let rows = |examples: &[Example]| -> Vec<usize> {
            let own = examples.iter().filter(|example| example.participant == number);
            own.flat_map(|example| example.rows.iter().copied()).collect()
        };
        let (train, validation) = (rows(&self.examples.train), rows(&self.examples.validation));
        let mut record = TrainingRecord::of_network(&own.folder, &train, &validation);
        for example in self.examples.train.iter().chain(&self.examples.validation) {
            let folder = &self.examples.participants()[example.participant].folder;
            record.images.insert(folder.images()[example.image].clone());
        }
        record
    }
}
