//! A checkpoint folder whose front-end is a ridge in closed form.
//!
//! ```text
//!   ridge.toml           kind, sizes, [training]: what was learned from what
//!   ridge.safetensors    ridge.basis, ridge.coefficients, ridge.bias, ridge.voxels, ridge.alpha
//!   shared.safetensors   shared.decoder, shared.bias: for kind = "shared"
//!   zscore.safetensors   mean and SD of the training trials
//!   train_images.txt     names of all images that anything in here was learned from, one a line
//!   mask.nii.gz, reference.nii.gz, preprocess.toml: the data's own, where it has them
//! ```

use crate::checkpoint::TrainingRecord;
use crate::dataset_write::{OutputError, Staging};
use crate::ridge::{DualRidge, RidgeError, SharedSpace};
use crate::training_folder::{TokenShape, TrainingFolder};
use mindeye_preprocess::{PreprocessError, ZscoreTable};
use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const FORMAT: &str = "mindeye-ridge-checkpoint/1";

/// What the ridge predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RidgeKind {
    /// Tokens.
    Direct,
    /// A place in a shared space.
    Shared,
}

/// `ridge.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RidgeFacts {
    /// `mindeye-ridge-checkpoint/1`.
    pub format: String,
    /// What the ridge predicts.
    pub kind: RidgeKind,
    /// Voxels of the mask.
    pub voxels: usize,
    /// Tokens, T.
    pub tokens: usize,
    /// Width of a token, D.
    pub token_dim: usize,
    /// What it was learned from.
    pub training: TrainingRecord,
}

/// Why a folder is no ridge checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
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
        /// The disagreement, both sides.
        problem: String,
    },
    /// Of a ridge or shared space.
    #[error(transparent)]
    Ridge(#[from] RidgeError),
    /// Of the z-score table.
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
    /// It cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// An opened or fitted checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct RidgeCheckpoint {
    /// `ridge.toml`.
    pub facts: RidgeFacts,
    /// The front-end.
    pub ridge: DualRidge,
    /// The decoder behind it; for [`RidgeKind::Shared`].
    pub shared: Option<SharedSpace>,
    /// Mean and SD of training.
    pub zscore: ZscoreTable,
}

impl RidgeCheckpoint {
    /// Opens the folder at `path`; sizes of its parts must agree.
    ///
    /// # Errors
    /// [`CheckpointError`] naming the file.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let facts = read_facts(path)?;
        let ridge = DualRidge::read(&path.join("ridge.safetensors"))?;
        let shared = match facts.kind {
            RidgeKind::Direct => None,
            RidgeKind::Shared => Some(SharedSpace::read(&path.join("shared.safetensors"))?),
        };
        let zscore = ZscoreTable::read(&path.join("zscore.safetensors"))?;
        let checkpoint = Self { facts, ridge, shared, zscore };
        checkpoint.check(path)?;
        Ok(checkpoint)
    }

    /// The shared space of the checkpoint at `path`, its token shape, and what it was learned from.
    ///
    /// # Errors
    /// [`CheckpointError`], also when the checkpoint has no shared space.
    pub fn read_shared(path: &Path) -> Result<(SharedSpace, TokenShape, TrainingRecord), CheckpointError> {
        let facts = read_facts(path)?;
        if facts.kind != RidgeKind::Shared {
            let problem = "kind is `direct`: it has no shared space for another participant's front-end; make one with \
                           --new-shared-space WIDTH";
            return Err(CheckpointError::Format { path: path.join("ridge.toml"), problem: problem.into() });
        }
        let file = path.join("shared.safetensors");
        let shared = SharedSpace::read(&file)?;
        let tokens = facts.token_shape();
        require(&file, "outputs of `shared.decoder`", shared.outputs(), "T x D of ridge.toml", tokens.outputs())?;
        Ok((shared, tokens, facts.training))
    }

    fn check(&self, path: &Path) -> Result<(), CheckpointError> {
        let (file, facts) = (path.join("ridge.toml"), &self.facts);
        require(&file, "voxels", facts.voxels, "mask_voxels of ridge.safetensors", self.ridge.mask_voxels)?;
        require(&file, "voxels", facts.voxels, "voxels of zscore.safetensors", self.zscore.voxels())?;
        let tokens = facts.token_shape().outputs();
        let Some(shared) = &self.shared else {
            return require(&file, "T x D", tokens, "outputs of ridge.safetensors", self.ridge.outputs());
        };
        require(&file, "T x D", tokens, "outputs of shared.safetensors", shared.outputs())?;
        require(
            &file,
            "width of shared.safetensors",
            shared.width(),
            "outputs of ridge.safetensors",
            self.ridge.outputs(),
        )
    }

    /// Writes all files into `staging`, with `folder`'s mask, reference and recipe.
    pub(crate) fn write(&self, staging: &Staging, folder: &TrainingFolder) -> Result<(), CheckpointError> {
        let at = |name: &str| staging.path().join(name);
        let facts = toml::to_string(&self.facts)
            .map_err(|e| CheckpointError::Format { path: at("ridge.toml"), problem: e.to_string() })?;
        staging.write("ridge.toml", facts)?;
        self.ridge.write(&at("ridge.safetensors"))?;
        if let Some(shared) = &self.shared {
            shared.write(&at("shared.safetensors"))?;
        }
        self.write_own(staging, folder)
    }

    /// What belongs to the participant beside the front-end: z-scores, the images that were seen, and the data's own files.
    pub(super) fn write_own(&self, staging: &Staging, folder: &TrainingFolder) -> Result<(), CheckpointError> {
        self.zscore.write(&staging.path().join("zscore.safetensors"))?;
        staging.write(TrainingRecord::IMAGES, self.facts.training.image_list())?;
        for name in ["mask.nii.gz", "reference.nii.gz", "preprocess.toml", "hrf_index.nii.gz"] {
            let source = folder.path().join(name);
            if source.is_file() {
                staging.copy(&source, name)?;
            }
        }
        Ok(())
    }

    /// Tokens f32[rows, T D] from z-scored betas f32[rows, voxels].
    ///
    /// # Errors
    /// [`RidgeError::Disagree`] for another number of voxels.
    pub fn tokens(&self, patterns: ArrayView2<'_, f32>) -> Result<Array2<f32>, RidgeError> {
        let predicted = self.ridge.predict(patterns)?;
        match &self.shared {
            None => Ok(predicted),
            Some(shared) => shared.outputs_at(&predicted),
        }
    }
}

impl RidgeFacts {
    /// A record of this version.
    #[must_use]
    pub fn new(kind: RidgeKind, voxels: usize, shape: TokenShape, training: TrainingRecord) -> Self {
        let TokenShape { tokens, token_dim } = shape;
        Self { format: FORMAT.into(), kind, voxels, tokens, token_dim, training }
    }

    /// Tokens and their width.
    #[must_use]
    pub fn token_shape(&self) -> TokenShape {
        TokenShape { tokens: self.tokens, token_dim: self.token_dim }
    }
}

fn read_facts(path: &Path) -> Result<RidgeFacts, CheckpointError> {
    let read = |name: &str| {
        let path = path.join(name);
        std::fs::read_to_string(&path).map_err(|source| CheckpointError::File { path, source })
    };
    let wrong = |problem: String| CheckpointError::Format { path: path.join("ridge.toml"), problem };
    let mut facts: RidgeFacts = toml::from_str(&read("ridge.toml")?).map_err(|e| wrong(e.message().into()))?;
    if facts.format != FORMAT {
        return Err(wrong(format!("format `{}`, this version reads `{FORMAT}`", facts.format)));
    }
    facts.training.images = TrainingRecord::images_of(&read(TrainingRecord::IMAGES)?);
    Ok(facts)
}

fn require(path: &Path, left: &str, l: usize, right: &str, r: usize) -> Result<(), CheckpointError> {
    if l == r {
        return Ok(());
    }
    Err(CheckpointError::Format { path: path.to_owned(), problem: format!("{left} {l}, {right} {r}") })
}
