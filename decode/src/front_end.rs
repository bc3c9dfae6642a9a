//! A calibration that takes the backbone's place between runs: a ridge in dual form, straight from z-scored betas to tokens.
//!
//! ```text
//!   z [V] ─ selected ─ · basisᵀ ─ [n] ─ · coefficients + bias ─┬─ tokens [T D]                      kind = "direct"
//!                                                              └─ · decoder + bias ─ tokens [T D]   kind = "shared"
//! ```
//! `mindeye-train calibrate` writes the folder (trainer/CALIBRATION.md has its keys); it must be of the bundle's own mask,
//! estimator, lags and token shape, and is refused by name where it is not. Its tokens serve as backbone tokens and as
//! retrieval tokens. One answer costs 2(nV + nK) FLOP and one pass over basis and coefficients: 0.43 GFLOP and 0.85 GB for
//! 1,000 trials of 15,724 voxels to 197,376 outputs.
//!
//! Deliberately absent: fitting (the trainer's), graphs and engines, the low-level network, which stays the bundle's.

use crate::Bundle;
use mindeye_config::{
    Checked, Complaint, ConfigError, Dimensions, Mismatch, PreprocessConfig, Sha256, load, sha256_of_file,
};
use mindeye_preprocess::{Mask, PreprocessError, ZscoreTable};
use safetensors::tensor::{Dtype, SafeTensors};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Corners of two masks may be this many mm apart: headers keep affines in f32.
const SAME_GRID_MM: f64 = 1e-3;

/// What a front end must fit: the bundle that it is loaded into.
#[derive(Debug, Clone)]
pub struct FrontEndFit {
    mask: Arc<Mask>,
    recipe: PreprocessConfig,
    dimensions: Dimensions,
}

/// A fitted front end with the z-scores that its betas need.
#[derive(Debug)]
pub struct FrontEnd {
    /// Name of its folder and the first twelve digits of its files' digest: `sub-2@abcdef012345`.
    pub label: String,
    /// Mean and SD of the calibration's training betas, per revision lag.
    pub zscore: Arc<ZscoreTable>,
    /// Places of the selected voxels in mask order.
    voxels: Vec<usize>,
    /// f32[trials, selected voxels].
    basis: Vec<f32>,
    to_outputs: Affine,
    /// From the shared space to tokens; `None` where outputs are tokens.
    decoder: Option<Affine>,
}

/// y = bias + x · rows.
#[derive(Debug)]
struct Affine {
    /// f32[inputs, outputs].
    rows: Vec<f32>,
    /// f32[outputs].
    bias: Vec<f32>,
}

/// Why a folder is no front end for this bundle.
#[derive(Debug, thiserror::Error)]
pub enum FrontEndError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// `ridge.toml` or `preprocess.toml`.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The mask or the z-score table.
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
    /// The calibration's betas were made differently.
    #[error("{}: {mismatch}", path.display())]
    Estimator {
        /// The calibration's recipe.
        path: PathBuf,
        /// The first field that differs.
        mismatch: Mismatch,
    },
    /// The calibration is of another model or participant.
    #[error("{}: {what} {found}, the bundle has {expected}", path.display())]
    Other {
        /// The calibration's file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// The calibration's.
        found: String,
        /// The bundle's.
        expected: String,
    },
}

/// `ridge.toml`, as far as serving needs it.
#[derive(Debug, Deserialize)]
struct Facts {
    format: String,
    kind: String,
    voxels: usize,
    tokens: usize,
    token_dim: usize,
}

impl Checked for Facts {
    fn check(&self) -> Result<(), Complaint> {
        let format = "mindeye-ridge-checkpoint/1";
        if self.format != format {
            return Err(Complaint::new("format", format!("must be `{format}`, found `{}`", self.format)));
        }
        match ["direct", "shared"].contains(&self.kind.as_str()) {
            true => Ok(()),
            false => Err(Complaint::new("kind", format!("must be direct or shared, found `{}`", self.kind))),
        }
    }
}

impl FrontEndFit {
    /// What a front end for `bundle` must fit.
    #[must_use]
    pub fn of(bundle: &Bundle) -> Self {
        let (mask, recipe) = (bundle.mask.clone(), bundle.recipe.clone());
        Self { mask, recipe, dimensions: bundle.manifest.dimensions.clone() }
    }

    fn check_mask(&self, path: &Path) -> Result<(), FrontEndError> {
        let mask = Mask::read(path)?;
        same(path, "voxel grid", &mask.grid().dim, &self.mask.grid().dim)?;
        let distance_mm = mask.grid().corner_distance_mm(self.mask.grid());
        if distance_mm > SAME_GRID_MM {
            return same(path, "affine", &mask.grid().affine, &self.mask.grid().affine);
        }
        same(path, "number of voxels", &mask.len(), &self.mask.len())?;
        let differ = mask.voxels().iter().zip(self.mask.voxels()).filter(|(a, b)| a != b).count();
        if differ == 0 {
            return Ok(());
        }
        same(path, "voxels at places where both should have the same", &format!("{differ} others"), &"none".to_owned())
    }

    /// Everything but the numbers.
    fn check(&self, dir: &Path, facts: &Facts, zscore: &ZscoreTable) -> Result<(), FrontEndError> {
        let at = |name: &str| dir.join(name);
        self.check_mask(&at("mask.nii.gz"))?;
        let recipe: PreprocessConfig = load(&at("preprocess.toml"))?;
        let agrees = recipe.estimator().agrees_with(&self.recipe.estimator());
        agrees.map_err(|mismatch| FrontEndError::Estimator { path: at("preprocess.toml"), mismatch })?;
        let lags = self.recipe.revision_lags_s.as_slice();
        same(&at("zscore.safetensors"), "lags in s", &zscore.lags_s(), &lags)?;
        same(&at("zscore.safetensors"), "number of voxels", &zscore.voxels(), &self.mask.len())?;
        same(&at("ridge.toml"), "number of voxels", &facts.voxels, &self.mask.len())?;
        let Dimensions { tokens, token_dim, .. } = self.dimensions;
        same(&at("ridge.toml"), "tokens and their width", &(facts.tokens, facts.token_dim), &(tokens, token_dim))
    }
}

impl FrontEnd {
    /// Opens the calibration in `dir` and holds it against the bundle that it is for.
    ///
    /// # Errors
    /// [`FrontEndError`] naming the file, with both sides.
    pub fn open(dir: &Path, fit: &FrontEndFit) -> Result<Self, FrontEndError> {
        let facts: Facts = load(&dir.join("ridge.toml"))?;
        let zscore = ZscoreTable::read(&dir.join("zscore.safetensors"))?;
        fit.check(dir, &facts, &zscore)?;
        let ridge = Numbers::read(&dir.join("ridge.safetensors"))?;
        let voxels = ridge.places("ridge.voxels", facts.voxels)?;
        let (trials, basis) = ridge.matrix("ridge.basis", voxels.len())?;
        let to_outputs = ridge.affine("ridge.coefficients", "ridge.bias", trials)?;
        let decoder = match facts.kind.as_str() {
            "shared" => {
                let shared = Numbers::read(&dir.join("shared.safetensors"))?;
                Some(shared.affine("shared.decoder", "shared.bias", to_outputs.bias.len())?)
            }
            _ => None,
        };
        let outputs = decoder.as_ref().unwrap_or(&to_outputs).bias.len();
        same(&dir.join("ridge.toml"), "T x D of ridge.toml", &(facts.tokens * facts.token_dim), &outputs)?;
        let zscore = Arc::new(zscore);
        Ok(Self { label: label(dir)?, zscore, voxels, basis, to_outputs, decoder })
    }

    /// Tokens, `f32[T D]`, of the z-scored betas of the whole mask, `f32[voxels]`.
    #[must_use]
    pub fn tokens(&self, zscored: &[f32]) -> Vec<f32> {
        let selected: Vec<f32> = self.voxels.iter().map(|voxel| zscored[*voxel]).collect();
        let similarity: Vec<f32> = self.basis.chunks_exact(selected.len()).map(|trial| dot(trial, &selected)).collect();
        let outputs = self.to_outputs.of(&similarity);
        self.decoder.as_ref().map_or_else(|| outputs.clone(), |decoder| decoder.of(&outputs))
    }
}

impl Affine {
    fn of(&self, x: &[f32]) -> Vec<f32> {
        let mut y = self.bias.clone();
        for (x, row) in x.iter().zip(self.rows.chunks_exact(y.len())) {
            y.iter_mut().zip(row).for_each(|(y, weight)| *y += x * weight);
        }
        y
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() as f32
}

/// Name and digest of all that is served.
fn label(dir: &Path) -> Result<String, FrontEndError> {
    let mut digests = String::new();
    for name in ["ridge.safetensors", "shared.safetensors", "zscore.safetensors"] {
        let path = dir.join(name);
        if path.is_file() {
            digests += &sha256_of_file(&path).map_err(|source| FrontEndError::File { path, source })?.0;
        }
    }
    let digest: Sha256 = mindeye_config::sha256_of_bytes(digests.as_bytes());
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    Ok(format!("{name}@{}", digest.short()))
}

/// The bytes of a safetensors file, looked up by name.
struct Numbers {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Numbers {
    fn read(path: &Path) -> Result<Self, FrontEndError> {
        let bytes = std::fs::read(path).map_err(|source| FrontEndError::File { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), bytes })
    }

    fn wrong(&self, problem: String) -> FrontEndError {
        FrontEndError::Format { path: self.path.clone(), problem }
    }

    /// Shape and bytes of `key`, which is of this type.
    fn tensor(&self, key: &str, dtype: Dtype) -> Result<(Vec<usize>, &[u8]), FrontEndError> {
        let file = SafeTensors::deserialize(&self.bytes).map_err(|error| self.wrong(error.to_string()))?;
        let found = file.tensor(key).map_err(|error| self.wrong(error.to_string()))?;
        if found.dtype() != dtype {
            return Err(self.wrong(format!("`{key}` must be {dtype:?}, found {:?}", found.dtype())));
        }
        let start = found.data().as_ptr() as usize - self.bytes.as_ptr() as usize;
        let shape = found.shape().to_vec();
        let length = found.data().len();
        Ok((shape, &self.bytes[start..start + length]))
    }

    /// Finite numbers of `key`, whose shape is as `wanted` says; `None` stands for any size.
    fn floats(&self, key: &str, wanted: &[Option<usize>]) -> Result<(Vec<usize>, Vec<f32>), FrontEndError> {
        let (shape, bytes) = self.tensor(key, Dtype::F32)?;
        let fits = |(found, wanted): (&usize, &Option<usize>)| wanted.is_none_or(|wanted| wanted == *found);
        if shape.len() != wanted.len() || shape.contains(&0) || !shape.iter().zip(wanted).all(fits) {
            return Err(self.wrong(format!("`{key}` must have the sizes {wanted:?} (None for any), found {shape:?}")));
        }
        let values: Vec<f32> = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(self.wrong(format!("`{key}` element {at} is {}", values[at]))),
            None => Ok((shape, values)),
        }
    }

    /// Rows and numbers of a matrix of `columns` columns.
    fn matrix(&self, key: &str, columns: usize) -> Result<(usize, Vec<f32>), FrontEndError> {
        let (shape, values) = self.floats(key, &[None, Some(columns)])?;
        Ok((shape[0], values))
    }

    fn affine(&self, rows: &str, bias: &str, inputs: usize) -> Result<Affine, FrontEndError> {
        let (shape, rows) = self.floats(rows, &[Some(inputs), None])?;
        let (_, bias) = self.floats(bias, &[Some(shape[1])])?;
        Ok(Affine { rows, bias })
    }

    /// Ascending places within a mask of `voxels` voxels.
    fn places(&self, key: &str, voxels: usize) -> Result<Vec<usize>, FrontEndError> {
        let (_, bytes) = self.tensor(key, Dtype::I64)?;
        let places: Vec<i64> = bytes.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect();
        let ascend = places.windows(2).all(|pair| pair[0] < pair[1]);
        let inside = places.iter().all(|place| usize::try_from(*place).is_ok_and(|place| place < voxels));
        if places.is_empty() || !ascend || !inside {
            return Err(self.wrong(format!("`{key}` must ascend from 0 to below {voxels}, the mask's voxels")));
        }
        Ok(places.into_iter().map(|place| place as usize).collect())
    }
}

fn same<T: PartialEq + std::fmt::Debug>(
    path: &Path,
    what: &'static str,
    found: &T,
    expected: &T,
) -> Result<(), FrontEndError> {
    if found == expected {
        return Ok(());
    }
    let (found, expected) = (format!("{found:?}"), format!("{expected:?}"));
    Err(FrontEndError::Other { path: path.to_owned(), what, found, expected })
}
