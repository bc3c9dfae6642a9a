//! `dataset.toml`: what the betas are, and what was decided while looking at which trials.

use super::FolderError;
use mindeye_config::Estimator;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What made the betas of a training folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetFacts {
    /// Unit of the betas: `percent-signal-change`, `none`, or what the source calls it.
    pub beta_unit: String,
    /// What made them, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimator: Option<Estimator>,
    /// Which trials were looked at when something was chosen.
    #[serde(default)]
    pub provenance: Provenance,
}

/// Which trials a mask, a mean or a checkpoint was chosen with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrialsUsed {
    /// None: anatomy, another experiment, or nothing was chosen.
    None,
    /// Training trials only.
    Train,
    /// Training and validation trials.
    TrainValidation,
    /// All trials, those for testing included.
    All,
    /// Nobody said.
    #[default]
    Unknown,
}

impl TrialsUsed {
    /// Whether test trials were among them.
    #[must_use]
    pub fn saw_test(self) -> bool {
        self == Self::All
    }
}

/// Where a training folder comes from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// `npz`, `bids`, `nsd`, `webdataset`, or by hand.
    #[serde(default)]
    pub imported_from: String,
    /// How the split was made: `seeded-hash`, `file`, `source`, `shared1000`.
    #[serde(default)]
    pub split: String,
    /// Trials with which the mask's voxels were chosen.
    #[serde(default)]
    pub mask_chosen_with: TrialsUsed,
    /// Trials whose mean and SD the betas were already normalised with; `none` for betas as estimated.
    #[serde(default)]
    pub normalised_with: TrialsUsed,
    /// What an importer had to assume, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl DatasetFacts {
    /// Reads `dataset.toml`; keys that this version does not know are left alone.
    ///
    /// # Errors
    /// [`FolderError::File`] or [`FolderError::Format`] naming `path`.
    pub fn read(path: &Path) -> Result<Self, FolderError> {
        let text = std::fs::read_to_string(path).map_err(FolderError::file(path))?;
        toml::from_str(&text).map_err(|e| FolderError::format(path, e.message()))
    }

    /// Writes `dataset.toml`.
    ///
    /// # Errors
    /// [`FolderError::File`] naming `path`.
    pub fn write(&self, path: &Path) -> Result<(), FolderError> {
        let text = toml::to_string(self).map_err(|e| FolderError::format(path, e))?;
        std::fs::write(path, text).map_err(FolderError::file(path))
    }

    /// Seconds after onset at which the betas were estimated: the estimator's last revision; 0, the whole run, where no
    /// estimator is stated.
    #[must_use]
    pub fn lag_s(&self) -> f64 {
        self.estimator.as_ref().and_then(|estimator| estimator.revision_lags_s.last().copied()).unwrap_or(0.0)
    }
}
