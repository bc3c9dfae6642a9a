//! A picture through an exported encoder: CLIP's image tower, or the encoder half of the VAE.

use super::TargetKind;
use crate::evaluate::ExtractorFile;
use mindeye_config::{Sha256, sha256_of_file};
use mindeye_decode::metrics::{ChannelScale, FeatureExtractor, Planes};
use mindeye_decode::{DecodeError, Picture, clip_pixel_values};
use mindeye_engine::{EngineError, OnnxRuntime, TensorSpec};
use std::path::{Path, PathBuf};

/// What latents are against what the VAE's decoder takes (Rombach et al. 2022, Stable Diffusion 1).
const LATENT_SCALE: f32 = 0.18215;

/// Why there are no targets.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A picture is missing, or cannot be read.
    #[error("{}: {problem}", path.display())]
    Picture {
        /// The file, or where it should be.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The encoder's description is wrong, or its answers are no numbers.
    #[error("{}: {problem}", path.display())]
    Encoder {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The encoder cannot be opened or run.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl EncodeError {
    /// Whether a library is missing.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Engine(error) if error.is_unavailable())
    }
}

/// An opened encoder.
pub(super) struct Encoder<'e> {
    /// File name of the ONNX file.
    pub(super) name: String,
    /// Digest of the ONNX file.
    pub(super) digest: Sha256,
    path: PathBuf,
    kind: TargetKind,
    side: usize,
    /// Shape of a picture's answer as it is kept.
    shape: Vec<usize>,
    extractor: FeatureExtractor<'e>,
}

impl<'e> Encoder<'e> {
    /// Opens on `engine` the encoder that the TOML file at `path` describes.
    pub(super) fn open(engine: &'e OnnxRuntime, path: &Path, kind: TargetKind) -> Result<Self, EncodeError> {
        let wrong = |problem: String| EncodeError::Encoder { path: path.to_owned(), problem };
        let file = ExtractorFile::read(path).map_err(wrong)?;
        let onnx = path.parent().unwrap_or(Path::new("")).join(&file.onnx);
        let digest = sha256_of_file(&onnx).map_err(|source| EncodeError::File { path: onnx.clone(), source })?;
        let shape = kept_shape(kind, &file.shape).map_err(wrong)?;
        if kind == TargetKind::Tokens && (file.mean, file.sd) != (ChannelScale::CLIP.mean, ChannelScale::CLIP.sd) {
            let scale = ChannelScale::CLIP;
            return Err(wrong(format!(
                "tokens are CLIP's: mean {:?}, sd {:?}, found {:?}, {:?}",
                scale.mean, scale.sd, file.mean, file.sd
            )));
        }
        let scale = ChannelScale { mean: file.mean, sd: file.sd };
        let output = TensorSpec::new(file.output, file.shape);
        let extractor = FeatureExtractor::open(engine, &onnx, (&file.input, file.side), output, scale)?;
        let name = onnx.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, digest, path: path.to_owned(), kind, side: file.side, shape, extractor })
    }

    /// Shape of a picture's answer.
    pub(super) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many numbers that is.
    pub(super) fn numbers(&self) -> usize {
        self.shape.iter().product()
    }

    /// The answer for the picture in the file `path`.
    pub(super) fn encode(&mut self, path: &Path) -> Result<Vec<f32>, EncodeError> {
        let picture = read(path)?;
        let values = match self.kind {
            TargetKind::Tokens => self.extractor.features_of(&clip_pixel_values(&picture, self.side))?,
            TargetKind::Latents => {
                let mut moments = self.extractor.features(&Planes::from(&picture))?;
                // The mode of the posterior: the means, which come before the log-variances.
                moments.truncate(self.numbers());
                moments.iter_mut().for_each(|mean| *mean *= LATENT_SCALE);
                moments
            }
        };
        if values.iter().all(|value| value.is_finite()) {
            return Ok(values);
        }
        let problem = format!("gives NaN or infinite numbers for {}", path.display());
        Err(EncodeError::Encoder { path: self.path.clone(), problem })
    }
}

/// [1, T, D] as it is, [1, 8, h, w] without its log-variances.
fn kept_shape(kind: TargetKind, shape: &[usize]) -> Result<Vec<usize>, String> {
    match (kind, shape) {
        (TargetKind::Tokens, [1, tokens, width]) => Ok(vec![*tokens, *width]),
        (TargetKind::Latents, [1, 8, height, width]) => Ok(vec![4, *height, *width]),
        (TargetKind::Tokens, _) => Err(format!("`shape` must be [1, T, D] for tokens, found {shape:?}")),
        (TargetKind::Latents, _) => Err(format!("`shape` must be [1, 8, h, w] for latents, found {shape:?}")),
    }
}

fn read(path: &Path) -> Result<Picture, EncodeError> {
    let wrong = |problem: String| EncodeError::Picture { path: path.to_owned(), problem };
    let picture = image::open(path).map_err(|error| wrong(error.to_string()))?.to_rgb8();
    let (width, height) = picture.dimensions();
    Picture::new(width, height, picture.into_raw()).map_err(|error: DecodeError| wrong(error.to_string()))
}
