//! Refuses what saw the answers: masks, means, voxels or checkpoints chosen with test trials, and images on both sides.
//!
//! What can be seen is looked at (names, numbers, digests); what can only be told is taken from the provenance that
//! importers and `calibrate` write. A folder without provenance passes, and its report says `unknown`.

use crate::checkpoint::TrainingRecord;
use crate::training_folder::{Split, TrainingFolder, TrialsUsed, moments};
use mindeye_preprocess::ZscoreTable;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// One thing that saw test trials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "leak", rename_all = "kebab-case")]
pub enum Leak {
    /// An image is in training and in testing.
    #[error("{count} images are in the split `{part}` and in `test`, first `{first}`")]
    SharedImages {
        /// The other part.
        part: String,
        /// How many.
        count: usize,
        /// The first of them.
        first: String,
    },
    /// Two rows are the same trial.
    #[error("rows {first} and {second} are the same trial ({same}), {first_split} and {second_split}")]
    SameTrial {
        /// A row.
        first: usize,
        /// Another.
        second: usize,
        /// In what they are the same.
        same: String,
        /// Split of the first.
        first_split: String,
        /// Split of the second.
        second_split: String,
    },
    /// Something was chosen or computed with test trials.
    #[error("{what} of {place} saw test trials")]
    Saw {
        /// What.
        what: String,
        /// Where that is written.
        place: String,
    },
    /// The checkpoint learned from images that are tested.
    #[error("the checkpoint learned from {count} of the {of} test images, first `{first}`")]
    Learned {
        /// How many.
        count: usize,
        /// Test images.
        of: usize,
        /// The first of them.
        first: String,
    },
    /// The checkpoint's mean and SD are those of all trials, not of the training trials.
    #[error("zscore.safetensors has the mean and SD of all trials, test trials among them")]
    Zscore,
}

/// All that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Leaks(pub Vec<Leak>);

/// Test trials were seen.
#[derive(Debug, thiserror::Error)]
#[error("leakage: {}; --allow-leakage goes on and says so in the report", list(.0))]
pub struct Leakage(Vec<Leak>);

fn list(leaks: &[Leak]) -> String {
    leaks.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Leaks {
    /// `Ok` when nothing was found, or leaks are allowed.
    ///
    /// # Errors
    /// [`Leakage`] that lists all.
    pub fn require_none(&self, allowed: bool) -> Result<(), Leakage> {
        if allowed || self.0.is_empty() { Ok(()) } else { Err(Leakage(self.0.clone())) }
    }
}

/// Looks through a training folder.
#[must_use]
pub fn check_folder(folder: &TrainingFolder) -> Leaks {
    let mut leaks: Vec<Leak> =
        [Split::Train, Split::Validation].into_iter().filter_map(|part| shared_images(folder, part)).collect();
    leaks.extend(same_name(folder));
    leaks.extend(same_betas(folder));
    let provenance = &folder.facts().provenance;
    let saw = |what: &str, used: TrialsUsed| {
        used.saw_test().then(|| Leak::Saw { what: what.into(), place: "dataset.toml".into() })
    };
    leaks.extend(saw("the mask", provenance.mask_chosen_with));
    leaks.extend(saw("the normalisation", provenance.normalised_with));
    Leaks(leaks)
}

/// Looks at what a checkpoint was learned from, before it is measured on the trials of `split`.
#[must_use]
pub fn check_checkpoint(record: &TrainingRecord, zscore: &ZscoreTable, folder: &TrainingFolder, split: Split) -> Leaks {
    let mut leaks = Vec::new();
    let choices = [
        ("the z-score", record.zscore_from),
        ("the selection of voxels", record.voxels_chosen_with),
        ("the choice of alpha or epoch", record.chosen_on),
        ("the mask of the training data", record.data.mask_chosen_with),
        ("the normalisation of the training data", record.data.normalised_with),
    ];
    let seen = choices.into_iter().filter(|(_, used)| used.saw_test());
    leaks.extend(seen.map(|(what, _)| Leak::Saw { what: what.into(), place: "the checkpoint".into() }));
    let tested = names(folder, split);
    let learned: Vec<&String> = tested.intersection(&record.images).collect();
    if let Some(first) = learned.first() {
        leaks.push(Leak::Learned { count: learned.len(), of: tested.len(), first: (*first).clone() });
    }
    if zscore_of_all(zscore, folder) {
        leaks.push(Leak::Zscore);
    }
    Leaks(leaks)
}

fn names(folder: &TrainingFolder, split: Split) -> BTreeSet<String> {
    folder.trials().iter().filter(|trial| trial.split == split).map(|trial| trial.image.to_string()).collect()
}

fn shared_images(folder: &TrainingFolder, part: Split) -> Option<Leak> {
    let (other, test) = (names(folder, part), names(folder, Split::Test));
    let both: Vec<&String> = other.intersection(&test).collect();
    both.first().map(|first| Leak::SharedImages { part: part.to_string(), count: both.len(), first: (*first).clone() })
}

/// The same session, run and number twice, in any parts.
fn same_name(folder: &TrainingFolder) -> Option<Leak> {
    let mut seen = BTreeMap::new();
    for (row, trial) in folder.trials().iter().enumerate() {
        if let Some(first) = seen.insert((&trial.session, &trial.run, trial.trial), row) {
            let same = format!("session {}, run {}, trial {}", trial.session, trial.run, trial.trial);
            return Some(same_trial(folder, first, row, same));
        }
    }
    None
}

/// The same betas in two different parts: one measurement under two names.
fn same_betas(folder: &TrainingFolder) -> Option<Leak> {
    let mut seen = HashMap::new();
    for (row, betas) in folder.voxels().rows().into_iter().enumerate() {
        let bits: Vec<u32> = betas.iter().map(|v| v.to_bits()).collect();
        let digest = mindeye_config::sha256_of_bytes(&bits.iter().flat_map(|b| b.to_le_bytes()).collect::<Vec<_>>());
        let first = *seen.entry(digest).or_insert(row);
        if folder.trials()[first].split != folder.trials()[row].split {
            return Some(same_trial(folder, first, row, "equal betas".into()));
        }
    }
    None
}

fn same_trial(folder: &TrainingFolder, first: usize, second: usize, same: String) -> Leak {
    let split = |row: usize| folder.trials()[row].split.to_string();
    Leak::SameTrial { first, second, same, first_split: split(first), second_split: split(second) }
}

/// Whether a table is that of all trials to rounding, and not that of the training trials.
fn zscore_of_all(zscore: &ZscoreTable, folder: &TrainingFolder) -> bool {
    if zscore.voxels() != folder.voxel_count() {
        return false;
    }
    let all: Vec<usize> = (0..folder.trials().len()).collect();
    let Ok(train) = folder.rows(Split::Train) else { return false };
    let row = zscore.lags_s().len() - 1;
    let is = |rows: &[usize]| {
        let (mean, sd) = moments(folder.voxels(), rows);
        let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-5 * (1e-6 + b.abs()));
        close(zscore.mean(row), &mean) && close(zscore.sd(row), &sd)
    };
    is(&all) && !is(&train)
}
