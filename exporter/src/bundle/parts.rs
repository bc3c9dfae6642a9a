//! What a bundle takes over from its checkpoint as it is: mask, reference, recipe, z-scores, and what else it has.

use crate::ExportError;
use crate::staging::unwritable;
use mindeye_config::PreprocessConfig;
use mindeye_preprocess::{Mask, ZscoreTable, read_bold};
use std::path::{Path, PathBuf};

/// Corners of mask and reference may be this many mm apart: headers keep affines in float32.
const SAME_GRID_MM: f64 = 1e-3;
const MASK: &str = "mask.nii.gz";
const REFERENCE: &str = "reference.nii.gz";
const RECIPE: &str = "preprocess.toml";
const ZSCORE: &str = "zscore.safetensors";
/// Which response of the library each voxel has, and how scores become confidence: carried where they are.
const OPTIONAL: [&str; 2] = ["hrf_index.nii.gz", "calibration.toml"];

/// The parts, read.
pub(super) struct Parts {
    /// Where voxels lie.
    pub(super) mask: Mask,
    /// What made the betas of the training.
    pub(super) recipe: PreprocessConfig,
    /// Whether z-scores came with the checkpoint.
    pub(super) zscored: bool,
    checkpoint: PathBuf,
}

/// Copies the parts of `checkpoint` into `folder` and holds them to each other.
///
/// # Errors
/// A part that is missing, cannot be read, or disagrees with the mask or the recipe.
pub(super) fn copy_parts(checkpoint: &Path, folder: &Path) -> Result<Parts, ExportError> {
    if !checkpoint.is_dir() {
        return Err(ExportError::NoSuchFile { path: checkpoint.to_path_buf() });
    }
    for part in [MASK, REFERENCE, RECIPE] {
        copy(checkpoint, folder, part)?;
    }
    let mask = Mask::read(&checkpoint.join(MASK))?;
    let recipe: PreprocessConfig = mindeye_config::load(&checkpoint.join(RECIPE))?;
    let zscored = checkpoint.join(ZSCORE).exists();
    let parts = Parts { mask, recipe, zscored, checkpoint: checkpoint.to_path_buf() };
    parts.check_reference()?;
    if zscored {
        copy(checkpoint, folder, ZSCORE)?;
        parts.check_zscore()?;
    } else {
        parts.write_identity(folder)?;
    }
    for part in OPTIONAL.into_iter().filter(|part| checkpoint.join(part).exists()) {
        copy(checkpoint, folder, part)?;
    }
    Ok(parts)
}

fn copy(checkpoint: &Path, folder: &Path, part: &str) -> Result<(), ExportError> {
    let (from, to) = (checkpoint.join(part), folder.join(part));
    if !from.exists() {
        return Err(ExportError::Incomplete { folder: checkpoint.to_path_buf(), file: part.to_owned() });
    }
    std::fs::copy(&from, &to).map(drop).map_err(unwritable(&to))
}

impl Parts {
    /// The backbone of the weights file `model` takes `found` voxels.
    ///
    /// # Errors
    /// The mask has another number.
    pub(super) fn check_voxels(&self, model: &Path, found: usize) -> Result<(), ExportError> {
        let (what, other) = ("number of voxels".to_owned(), MASK.to_owned());
        same(model, what, &found, other, &self.mask.len())
    }

    fn check_reference(&self) -> Result<(), ExportError> {
        let path = self.checkpoint.join(REFERENCE);
        let reference = read_bold(&path)?.grid;
        let mask = self.mask.grid();
        same(&path, "voxel grid".into(), &reference.dim, MASK.into(), &mask.dim)?;
        if mask.corner_distance_mm(&reference) <= SAME_GRID_MM {
            return Ok(());
        }
        same(&path, "affine".into(), &reference.affine, MASK.into(), &mask.affine)
    }

    fn check_zscore(&self) -> Result<(), ExportError> {
        let path = self.checkpoint.join(ZSCORE);
        let table = ZscoreTable::read(&path)?;
        same(&path, "number of voxels".into(), &table.voxels(), MASK.into(), &self.mask.len())?;
        let lags = self.recipe.revision_lags_s.as_slice();
        same(&path, "list of lags in s".into(), &table.lags_s(), RECIPE.into(), &lags)
    }

    /// Mean 0 and SD 1: betas go through as they are, and the bundle's note says so.
    fn write_identity(&self, folder: &Path) -> Result<(), ExportError> {
        let (lags, voxels) = (self.recipe.revision_lags_s.clone(), self.mask.len());
        let numbers = lags.len() * voxels;
        let table = ZscoreTable::new(lags, voxels, vec![0.0; numbers], vec![1.0; numbers])?;
        Ok(table.write(&folder.join(ZSCORE))?)
    }
}

/// `found` in the file at `path` must be what `other` says.
///
/// # Errors
/// Both, where they differ.
pub(super) fn same<T: PartialEq + std::fmt::Debug>(
    path: &Path,
    what: String,
    found: &T,
    other: String,
    expected: &T,
) -> Result<(), ExportError> {
    if found == expected {
        return Ok(());
    }
    let (found, expected) = (format!("{found:?}"), format!("{expected:?}"));
    Err(ExportError::Disagree { path: path.to_path_buf(), what, found, other, expected })
}
