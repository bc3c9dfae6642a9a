//! `manifest.toml`: what a bundle holds, with the hash of every file and the identity of its estimator.

use crate::{Checked, Complaint, Estimator, Sha256};
use serde::{Deserialize, Serialize};

/// The `format` of bundles that this version reads and writes.
pub const BUNDLE_FORMAT: &str = "mindeye-bundle/1";

/// The `format` of the table of compiled engines.
pub const ENGINES_FORMAT: &str = "mindeye-engines/1";

/// A bundle's table of contents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleManifest {
    /// [`BUNDLE_FORMAT`].
    pub format: String,
    /// Name shown on pages and in results.
    pub name: String,
    /// Program and version that wrote it.
    pub created_by: String,
    /// Where the weights come from.
    pub origin: Origin,
    /// Seed of random weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// A sentence for people about what this bundle can and cannot do.
    pub note: String,
    /// Sizes that every part must agree with.
    pub dimensions: Dimensions,
    /// What made the betas that the model was trained on.
    pub estimator: Estimator,
    /// The compiled networks.
    #[serde(default)]
    pub network: Vec<NetworkEntry>,
    /// The pictures to retrieve from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gallery: Option<GalleryEntry>,
    /// Every file of the bundle but this one.
    #[serde(default)]
    pub file: Vec<FileEntry>,
}

/// Where a bundle's weights come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A trained checkpoint.
    Checkpoint,
    /// Random numbers: for latency and wiring only, never for a participant.
    RandomInit,
}

/// Sizes that every part of a bundle must agree with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dimensions {
    /// Voxels in the mask.
    pub voxels: usize,
    /// Voxel grid of the mask, [x, y, z].
    pub grid: [usize; 3],
    /// CLIP tokens.
    pub tokens: usize,
    /// Width of a token.
    pub token_dim: usize,
    /// Latent [channels, height, width].
    pub latent: [usize; 3],
    /// Picture [height, width] in pixels.
    pub picture: [usize; 2],
    /// Latents are this times what the VAE's decoder takes.
    pub latent_scale: f64,
}

/// Arithmetic of a network's graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 32-bit floats throughout.
    Fp32,
    /// 16-bit floats with 32-bit inputs and outputs.
    Fp16,
}

/// One network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkEntry {
    /// `backbone`, `low-level`, `vae-decoder`, ... as in `mindeye-export graph`.
    pub name: String,
    /// Path of the ONNX file inside the bundle.
    pub path: String,
    /// Arithmetic.
    pub precision: Precision,
    /// Largest difference from its golden case that warm-up accepts: |ours - golden| <= tolerance x (1 + |golden|).
    pub tolerance: f64,
    /// Inputs in order.
    pub inputs: Vec<TensorEntry>,
    /// Outputs in order.
    pub outputs: Vec<TensorEntry>,
}

/// A named float32 tensor of fixed shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorEntry {
    /// Name in the graph.
    pub name: String,
    /// Shape, batch first.
    pub shape: Vec<usize>,
}

/// The gallery of a bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GalleryEntry {
    /// Pictures.
    pub count: usize,
    /// What the vectors are, for people: an encoder's name, or how they were planted.
    pub vectors_from: String,
    /// Numbers of the coarse vectors for a first look, where the gallery has them; see `gallery/coarse.safetensors`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coarse: Option<usize>,
}

/// One file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Path inside the bundle, with `/`.
    pub path: String,
    /// Its digest.
    pub sha256: Sha256,
    /// Its length.
    pub bytes: u64,
}

/// `engines/manifest.toml`: engines compiled from a bundle's networks. It stands beside the bundle's own table, so that
/// compiling does not make another bundle of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnginesManifest {
    /// [`ENGINES_FORMAT`].
    pub format: String,
    /// Digest of the `manifest.toml` whose networks were compiled.
    pub bundle: Sha256,
    /// One entry per engine file.
    #[serde(default)]
    pub engine: Vec<EngineFileEntry>,
}

/// One compiled engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineFileEntry {
    /// What it was compiled for: `sm_89`, ...
    pub target: String,
    /// The network.
    pub network: String,
    /// Path inside `engines/`, with `/`.
    pub path: String,
    /// Arithmetic.
    pub precision: Precision,
    /// Library and version that compiled it.
    pub built_with: String,
    /// Its digest.
    pub sha256: Sha256,
    /// Its length.
    pub bytes: u64,
}

impl Checked for EnginesManifest {
    fn check(&self) -> Result<(), Complaint> {
        Complaint::unless(self.format == ENGINES_FORMAT, "format", || {
            format!("this version reads \"{ENGINES_FORMAT}\", found \"{}\"", self.format)
        })?;
        for engine in &self.engine {
            Complaint::unless(stays_inside(&engine.path), "engine.path", || {
                format!("must stay inside engines/, found \"{}\"", engine.path)
            })?;
        }
        Ok(())
    }
}

impl BundleManifest {
    /// The entry of the network called `name`, if the bundle has it.
    #[must_use]
    pub fn network(&self, name: &str) -> Option<&NetworkEntry> {
        self.network.iter().find(|network| network.name == name)
    }

    fn lists(&self, path: &str) -> bool {
        self.file.iter().any(|file| file.path == path)
    }
}

impl Checked for BundleManifest {
    fn check(&self) -> Result<(), Complaint> {
        Complaint::unless(self.format == BUNDLE_FORMAT, "format", || {
            format!("this version reads \"{BUNDLE_FORMAT}\", found \"{}\"", self.format)
        })?;
        self.estimator.check().map_err(|c| c.within("estimator"))?;
        for file in &self.file {
            Complaint::unless(stays_inside(&file.path), "file.path", || {
                format!("must stay inside the bundle, found \"{}\"", file.path)
            })?;
            Complaint::unless(!file.path.starts_with("engines/"), "file.path", || {
                format!("engines are listed in engines/manifest.toml, found \"{}\"", file.path)
            })?;
        }
        for network in &self.network {
            Complaint::unless(self.lists(&network.path), "network.path", || {
                format!("\"{}\" of network {} is not among the files", network.path, network.name)
            })?;
        }
        Ok(())
    }
}

fn stays_inside(path: &str) -> bool {
    !path.is_empty() && !path.starts_with('/') && path.split('/').all(|part| !part.is_empty() && part != "..")
}
