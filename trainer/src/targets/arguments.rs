//! The command line of `targets`.

use mindeye_config::Failure;
use std::path::PathBuf;

/// What is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TargetKind {
    /// Image tokens, the high-level targets: centre square, bicubic, CLIP's normalisation
    Tokens,
    /// The VAE's latents, the low-level targets: means of its moments times 0.18215
    Latents,
}

impl TargetKind {
    /// The file in the training folder.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Self::Tokens => "targets.npy",
            Self::Latents => "latents.npy",
        }
    }
}

/// Computes a training folder's image targets from its pictures.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Training folder with a picture for every image
    #[arg(long, value_name = "DIR")]
    pub(super) data: PathBuf,
    /// Exported encoder (TOML: onnx, input, side, output, shape, mean, sd; as for `evaluate --features`)
    #[arg(long, value_name = "FILE")]
    pub(super) encoder: PathBuf,
    /// What is computed
    #[arg(long, value_enum, default_value = "tokens")]
    pub(super) kind: TargetKind,
    /// Where answers are kept by the digests of encoder and picture [default: DATA/.target-cache]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

impl Arguments {
    /// What is named on the command line is there.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let named = [("--data", &self.data), ("--encoder", &self.encoder)];
        match named.into_iter().find(|(_, path)| !path.exists()) {
            Some((flag, path)) => Err(Failure::usage(format!("{flag} {}: does not exist", path.display()))),
            None => Ok(()),
        }
    }

    pub(super) fn cache_folder(&self) -> PathBuf {
        self.cache.clone().unwrap_or_else(|| self.data.join(".target-cache"))
    }
}
