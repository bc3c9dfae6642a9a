//! Opens a training folder: tables, betas and targets agree in number, and every number is one.

use super::trial::read_trials;
use super::{DatasetFacts, FolderError, NpyMap, Split, Trial};
use mindeye_preprocess::Mask;
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Tokens and their width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenShape {
    /// Tokens, T.
    pub tokens: usize,
    /// Width of a token, D.
    pub token_dim: usize,
}

impl TokenShape {
    /// T x D.
    #[must_use]
    pub fn outputs(self) -> usize {
        self.tokens * self.token_dim
    }
}

/// An opened training folder.
pub struct TrainingFolder {
    path: PathBuf,
    facts: DatasetFacts,
    trials: Vec<Trial>,
    /// Names of all images, ascending.
    images: Vec<String>,
    /// Place in `images` of what each trial showed.
    image_of: Vec<usize>,
    voxels: NpyMap,
    /// The same betas at every revision lag, f32[lags, trials, voxels], where the folder has them.
    by_lag: Option<NpyMap>,
    targets: Option<NpyMap>,
}

impl TrainingFolder {
    /// Opens the folder at `path` and checks that its parts agree.
    ///
    /// # Errors
    /// [`FolderError`] naming the file that is missing, malformed or of another size.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        if !path.is_dir() {
            return Err(FolderError::Missing { path: path.to_owned(), what: "folder" });
        }
        let facts = DatasetFacts::read(&path.join("dataset.toml"))?;
        let trials = read_trials(&path.join("trials.tsv"))?;
        let voxels = NpyMap::open(&path.join("voxels.npy"))?;
        let (rows, lines) = (voxels.shape()[0], trials.len());
        if rows != lines || voxels.shape().len() != 2 {
            let shape = voxels.shape();
            let problem = format!("must be [trials, voxels] with the {lines} trials of trials.tsv, found {shape:?}");
            return Err(FolderError::format(voxels.path(), problem));
        }
        voxels.require_finite()?;
        let images: Vec<String> =
            trials.iter().map(|t| t.image.to_string()).collect::<BTreeSet<_>>().into_iter().collect();
        let place = |trial: &Trial| images.binary_search_by(|image| image.as_str().cmp(trial.image.as_str()));
        let image_of = trials.iter().map(|t| place(t).expect("every trial's image is in the list")).collect();
        let targets = open_targets(&path.join("targets.npy"), images.len())?;
        let by_lag = open_by_lag(&path.join("voxels_by_lag.npy"), &facts, &voxels)?;
        let folder = Self { path: path.to_owned(), facts, trials, images, image_of, voxels, by_lag, targets };
        folder.check_mask()?;
        Ok(folder)
    }

    fn check_mask(&self) -> Result<(), FolderError> {
        let path = self.path.join("mask.nii.gz");
        if !path.exists() {
            return Ok(());
        }
        let (mask, voxels) = (Mask::read(&path)?.len(), self.voxel_count());
        if mask == voxels {
            return Ok(());
        }
        Err(FolderError::format(&path, format!("selects {mask} voxels, voxels.npy has {voxels}")))
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What made the betas.
    #[must_use]
    pub fn facts(&self) -> &DatasetFacts {
        &self.facts
    }

    /// All trials, in the order of [`TrainingFolder::voxels`].
    #[must_use]
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// Names of all images, ascending: the order of [`TrainingFolder::targets`].
    #[must_use]
    pub fn images(&self) -> &[String] {
        &self.images
    }

    /// Place in [`TrainingFolder::images`] of what each trial showed.
    #[must_use]
    pub fn image_of(&self) -> &[usize] {
        &self.image_of
    }

    /// Voxels of the mask.
    #[must_use]
    pub fn voxel_count(&self) -> usize {
        self.voxels.shape()[1]
    }

    /// Betas as estimated, f32[trials, voxels].
    #[must_use]
    pub fn voxels(&self) -> ArrayView2<'_, f32> {
        self.voxels.view()
    }

    /// Betas at each lag in seconds after onset, f32[trials, voxels] each, the last being [`TrainingFolder::voxels`]; that
    /// lag alone where the folder has no `voxels_by_lag.npy`.
    #[must_use]
    pub fn lags(&self) -> Vec<(f64, ArrayView2<'_, f32>)> {
        let (Some(by_lag), Some(estimator)) = (&self.by_lag, &self.facts.estimator) else {
            return vec![(self.facts.lag_s(), self.voxels())];
        };
        let shape = (self.trials.len(), self.voxel_count());
        let view = by_lag.view();
        let betas = |row: usize| {
            let row = view.index_axis_move(ndarray::Axis(0), row);
            row.into_shape_with_order(shape).expect("its sizes were checked when it was opened")
        };
        estimator.revision_lags_s.iter().enumerate().map(|(row, lag)| (*lag, betas(row))).collect()
    }

    /// Targets f32[images, T D] with their shape.
    ///
    /// # Errors
    /// [`FolderError::Missing`] when the folder has no `targets.npy`.
    pub fn targets(&self) -> Result<(ArrayView2<'_, f32>, TokenShape), FolderError> {
        let missing = || FolderError::Missing { path: self.path.join("targets.npy"), what: "file" };
        let targets = self.targets.as_ref().ok_or_else(missing)?;
        Ok((targets.view(), token_shape(targets.shape())))
    }

    /// Trials of `split`, ascending, one or more.
    ///
    /// # Errors
    /// [`FolderError::EmptySplit`].
    pub fn rows(&self, split: Split) -> Result<Vec<usize>, FolderError> {
        let trials = self.trials.len();
        let rows: Vec<usize> = (0..trials).filter(|row| self.trials[*row].split == split).collect();
        if rows.is_empty() {
            let path = self.path.join("trials.tsv");
            return Err(FolderError::EmptySplit { path, split: split.name(), trials });
        }
        Ok(rows)
    }

    /// The picture file of `image`, if the folder has it.
    #[must_use]
    pub fn picture(&self, image: &str) -> Option<PathBuf> {
        let candidates = ["png", "jpg", "jpeg"].map(|end| self.path.join("images").join(format!("{image}.{end}")));
        candidates.into_iter().find(|path| path.is_file())
    }
}

fn open_targets(path: &Path, images: usize) -> Result<Option<NpyMap>, FolderError> {
    if !path.exists() {
        return Ok(None);
    }
    let targets = NpyMap::open(path)?;
    let shape = targets.shape();
    if shape[0] != images || shape.len() > 3 {
        let problem = format!("must be [images, T, D] with the {images} images of trials.tsv, found {shape:?}");
        return Err(FolderError::format(path, problem));
    }
    targets.require_finite()?;
    Ok(Some(targets))
}

/// Betas at every lag that the estimator names, of which the last are those of `voxels`.
fn open_by_lag(path: &Path, facts: &DatasetFacts, voxels: &NpyMap) -> Result<Option<NpyMap>, FolderError> {
    if !path.exists() {
        return Ok(None);
    }
    let by_lag = NpyMap::open(path)?;
    let lags = facts.estimator.as_ref().map_or(&[][..], |estimator| &estimator.revision_lags_s);
    let (expected, found) = ([&[lags.len()], voxels.shape()].concat(), by_lag.shape());
    if lags.is_empty() || found != expected {
        let problem = format!(
            "must be [lags, trials, voxels] = {expected:?} with the revision_lags_s {lags:?} of dataset.toml, found {found:?}"
        );
        return Err(FolderError::format(path, problem));
    }
    by_lag.require_finite()?;
    let last = by_lag.view().index_axis_move(ndarray::Axis(0), lags.len() - 1);
    if last.iter().zip(voxels.view().iter()).any(|(a, b)| a.to_bits() != b.to_bits()) {
        return Err(FolderError::format(path, "the betas of its last lag are not those of voxels.npy"));
    }
    Ok(Some(by_lag))
}

/// [images, D] is one token each.
fn token_shape(shape: &[usize]) -> TokenShape {
    match shape {
        [_, tokens, token_dim] => TokenShape { tokens: *tokens, token_dim: *token_dim },
        _ => TokenShape { tokens: 1, token_dim: shape[1] },
    }
}
