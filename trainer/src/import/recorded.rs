//! What every source comes down to, and the last step that they share: split, names, files.

use super::arguments::file_name;
use super::{Arguments, ImportError};
use crate::dataset_write::{NewFolder, PictureSource, SplitChoice, seeded_split, split_of_file};
use crate::training_folder::{DatasetFacts, NpyMap, Provenance, Split, Trial, TrialsUsed};
use mindeye_config::{Estimator, Name};
use mindeye_preprocess::Mask;
use ndarray::Array2;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// One trial of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedTrial {
    /// Number, unique in its session and run.
    pub trial: u32,
    /// What was shown.
    pub image: Name,
    /// What the source says that it is for.
    pub split: Option<Split>,
    /// Session.
    pub session: Name,
    /// Run.
    pub run: Name,
}

/// A source that was read.
pub struct Recorded {
    /// Trials, in the order of `voxels`.
    pub trials: Vec<RecordedTrial>,
    /// Betas, f32[trials, voxels].
    pub voxels: Array2<f32>,
    /// Their unit.
    pub beta_unit: String,
    /// What made them.
    pub estimator: Option<Estimator>,
    /// Pictures that the source holds.
    pub pictures: Vec<(String, PictureSource)>,
    /// Files of the source that belong to its betas.
    pub files: Vec<(&'static str, PathBuf)>,
    /// What the source says about its choices; how the split was made is filled in later.
    pub provenance: Provenance,
}

impl Recorded {
    pub(super) fn into_folder(mut self, arguments: &Arguments) -> Result<NewFolder, ImportError> {
        self.require_finite(&arguments.source[0])?;
        let names: BTreeSet<String> = self.trials.iter().map(|trial| trial.image.to_string()).collect();
        let says = self.trials.iter().all(|trial| trial.split.is_some());
        let split = self.split(arguments.split_choice(says), &names)?;
        let trials = self.trials.iter().map(|t| Trial {
            trial: t.trial,
            image: t.image.clone(),
            split: split[t.image.as_str()],
            session: t.session.clone(),
            run: t.run.clone(),
        });
        let trials = trials.collect();
        self.add_files(arguments, &names)?;
        self.provenance.imported_from = arguments.from.name().into();
        let facts = DatasetFacts { beta_unit: self.beta_unit, estimator: self.estimator, provenance: self.provenance };
        let (voxels, targets) = (self.voxels, arguments.targets.clone());
        Ok(NewFolder { facts, trials, voxels, targets, pictures: self.pictures, files: self.files })
    }

    fn require_finite(&self, path: &Path) -> Result<(), ImportError> {
        for (trial, row) in self.voxels.rows().into_iter().enumerate() {
            if let Some(voxel) = row.iter().position(|value| !value.is_finite()) {
                return Err(ImportError::NotFinite { path: path.to_owned(), trial, voxel, value: row[voxel] });
            }
        }
        Ok(())
    }

    fn split(
        &mut self,
        choice: SplitChoice,
        images: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Split>, ImportError> {
        let (how, split) = match choice {
            SplitChoice::File(path) => ("file".to_owned(), split_of_file(&path, images)?),
            SplitChoice::Source => (self.provenance.split.clone(), self.split_of_source()?),
            SplitChoice::Hash { seed, test_share } => {
                (format!("seeded-hash (seed {seed}, share {test_share})"), seeded_split(images, seed, test_share)?)
            }
        };
        self.provenance.split = how;
        Ok(split)
    }

    /// The source's own words, if no image has two.
    fn split_of_source(&self) -> Result<BTreeMap<String, Split>, ImportError> {
        let mut split = BTreeMap::new();
        for trial in &self.trials {
            let Some(part) = trial.split else { continue };
            let before = split.insert(trial.image.to_string(), part);
            if let Some(before) = before.filter(|before| *before != part) {
                let problem =
                    format!("image `{}` is in {before} and in {part}; an image is in one part whole", trial.image);
                return Err(ImportError::Format { path: PathBuf::from("source"), problem });
            }
        }
        Ok(split)
    }

    fn add_files(&mut self, arguments: &Arguments, images: &BTreeSet<String>) -> Result<(), ImportError> {
        let named = [("mask.nii.gz", &arguments.mask), ("reference.nii.gz", &arguments.reference)];
        for (name, path) in named {
            let Some(path) = path else { continue };
            self.files.retain(|(own, _)| *own != name);
            self.files.push((name, path.clone()));
        }
        if let Some((_, path)) = self.files.iter().find(|(name, _)| *name == "mask.nii.gz") {
            let (mask, voxels) = (Mask::read(path)?.len(), self.voxels.ncols());
            if mask != voxels {
                return Err(ImportError::format(path, format!("selects {mask} voxels, the betas have {voxels}")));
            }
        }
        if let Some(path) = &arguments.targets {
            let targets = NpyMap::open(path)?;
            if targets.shape()[0] != images.len() {
                let (found, count) = (targets.shape(), images.len());
                let problem = format!("must have one row for each of the {count} images, found {found:?}");
                return Err(ImportError::format(path, problem));
            }
        }
        if let Some(folder) = &arguments.images {
            self.pictures = super::pictures::of_folder(folder, images)?;
        }
        Ok(())
    }
}

/// `text` as a name, for messages `what`.
pub(super) fn name(what: &'static str, text: &str) -> Result<Name, ImportError> {
    Name::new(text).map_err(|source| ImportError::Name { what, source })
}

/// A source whose own choices are not known.
pub(super) fn unknown_provenance(notes: Vec<String>) -> Provenance {
    Provenance { split: "source".into(), notes, mask_chosen_with: TrialsUsed::Unknown, ..Provenance::default() }
}

/// A note that something is missing in `path`.
pub(super) fn assumed(path: &Path, what: &str) -> String {
    format!("{}: {what}", file_name(path))
}
