//! A bundle out of a trained checkpoint, and a renderer where there is one: every graph is held to a golden case before
//! the bundle appears.
//!
//! ```text
//!   CHECKPOINT model.safetensors ─ backbone ──────────────┐
//!              low_level.safetensors ─ (low-level, prior) ├─ graphs ─ held to goldens ─ manifest ─ renamed ─► BUNDLE
//!   RENDERER   unet/ vae/ taesd/ clip-image/ ─────────────┘
//! ```
//! Without a renderer the bundle serves retrieval and scores: backbone alone.

use super::carried::{Carried, read_carried};
use super::gallery::copy_gallery;
use super::golden::{GoldenCase, golden_case, golden_file, hold_to, runtime_case};
use super::loop_graphs::{loop_goldens, write_loop_graphs};
use super::manifest::list_files;
use super::parts::{Parts, copy_parts};
use super::runtime::Runtime;
use super::written::{bundle_batch, redraw, write_network, write_toml};
use crate::inspect::Survey;
use crate::networks::{Choices, Dialect, Network, model_beside, open, trained_token_scale};
use crate::staging::{Staging, write};
use crate::verbs::fitted;
use crate::weights::{StateDict, Weights};
use crate::{ExportError, Progress, Step};
use mindeye_config::{
    BUNDLE_FORMAT, BundleManifest, Dimensions, NetworkEntry, Origin, Precision, PriorConfig, SchedulerConfig, Sha256,
    TensorEntry,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Work above which the plain reference would take minutes, and ONNX Runtime's own answer becomes the golden case.
const MOST_REFERENCE_FLOPS: u64 = 20_000_000_000;
/// Seed of the inputs of golden cases that are made here.
const GOLDEN_SEED: u64 = 1;

/// What a bundle is made of.
#[derive(Debug, Clone, Copy)]
pub struct FromCheckpoint<'a> {
    /// The trained model.
    pub checkpoint: &'a Path,
    /// UNet, VAE and encoders to draw with.
    pub renderer: Option<&'a Path>,
    /// Pictures to retrieve from, as `mindeye-export gallery` makes them.
    pub gallery: Option<&'a Path>,
    /// Arithmetic of the graphs.
    pub precision: Precision,
    /// Whose operators the graphs use; golden cases judge the portable ones in any case.
    pub dialect: Dialect,
    /// Front-end of a MindEye2 checkpoint.
    pub subject: Option<usize>,
}

/// One network and where its weights lie.
struct Source {
    name: &'static str,
    model: PathBuf,
    choices: Choices,
}

/// Writes networks into a bundle and holds each to its golden case.
struct Maker<'a> {
    /// The bundle.
    folder: &'a Path,
    precision: Precision,
    dialect: Dialect,
    /// The trainer's cases that were not used yet.
    carried: Carried,
    runtime: Runtime,
    entries: Vec<NetworkEntry>,
    goldens: Vec<GoldenCase>,
    /// Networks by where their golden case came from.
    told: BTreeMap<&'static str, Vec<&'static str>>,
    /// Digests of weights files, which several networks share.
    digests: BTreeMap<PathBuf, Sha256>,
}

/// Makes the bundle `out`; it appears whole or not at all.
///
/// # Errors
/// A file that is missing, weights that do not fit, parts that do not belong together, a graph that does not reproduce
/// its golden case, no ONNX Runtime, a full disk.
pub fn checkpoint_bundle(
    from: &FromCheckpoint<'_>,
    out: &Path,
    progress: &mut Progress<'_>,
) -> Result<BundleManifest, ExportError> {
    let staging = Staging::for_folder(out)?;
    let folder = staging.path();
    let own = own_folder(from);
    let parts = copy_parts(&own, folder)?;
    let mut maker = Maker::new(folder, &own, from)?;
    let backbone = Source {
        name: "backbone",
        model: from.checkpoint.join("model.safetensors"),
        choices: Choices { subject: from.subject, ..Choices::default() },
    };
    progress(Step { done: 0, of: 1, what: backbone.name });
    maker.network(&backbone)?;
    let entry = &maker.entries[0];
    parts.check_voxels(&backbone.model, entry.inputs[0].shape[1])?;
    let tokens = entry.outputs[1].clone();

    let sources = match from.renderer {
        Some(renderer) => renderer_sources((from.checkpoint, &own), renderer, &tokens)?,
        None => Vec::new(),
    };
    for (before, source) in sources.iter().enumerate() {
        progress(Step { done: before + 1, of: sources.len() + 1, what: source.name });
        maker.network(source)?;
    }
    maker.carried.refuse_strays()?;
    check_chain(&maker.entries, from)?;
    maker.goldens.extend(loop_goldens(&maker.entries, GOLDEN_SEED));
    maker.entries.extend(write_loop_graphs(folder, &maker.entries)?);
    write(folder, "golden.safetensors", golden_file(&maker.goldens))?;
    let gallery = from.gallery.map(|gallery| copy_gallery(gallery, folder, &tokens.shape[1..])).transpose()?;
    let token_scale = trained_token_scale(&Weights::open(&backbone.model)?);
    let prior = PriorConfig { token_scale, ..PriorConfig::default() };
    let latent_scale = latent_scale(from.renderer)?;
    let scheduler = SchedulerConfig { latent_scale, prior, ..SchedulerConfig::default() };
    write_toml(folder, "scheduler.toml", &scheduler)?;

    let manifest = BundleManifest {
        format: BUNDLE_FORMAT.into(),
        name: from.checkpoint.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        created_by: format!("mindeye-export {}", env!("CARGO_PKG_VERSION")),
        origin: Origin::Checkpoint,
        seed: None,
        note: note(from, &parts, &maker),
        dimensions: dimensions(from, &parts, &maker.entries, scheduler.latent_scale)?,
        estimator: parts.recipe.estimator(),
        network: maker.entries,
        gallery,
        file: list_files(folder)?,
    };
    write_toml(folder, "manifest.toml", &manifest)?;
    staging.keep_folder()?;
    Ok(manifest)
}

/// Where mask, recipe, z-scores, golden cases and low-level network of the chosen subject lie: a checkpoint of several
/// participants has a folder for each but the first, any other checkpoint is one subject's own.
fn own_folder(from: &FromCheckpoint<'_>) -> PathBuf {
    let numbered = |subject: usize| from.checkpoint.join("participants").join(subject.to_string());
    let own = from.subject.filter(|subject| *subject > 0).map(numbered);
    own.filter(|folder| folder.is_dir()).unwrap_or_else(|| from.checkpoint.to_path_buf())
}

/// Everything that a renderer brings, and what of the checkpoint, and of its subject's `own` folder, only a renderer makes
/// use of.
fn renderer_sources(
    (checkpoint, own): (&Path, &Path),
    renderer: &Path,
    tokens: &TensorEntry,
) -> Result<Vec<Source>, ExportError> {
    let unet = renderer.join("unet");
    let sized = Choices { tokens: Some(tokens.shape[1]), ..Choices::default() };
    let (_, network) = open("unet", &unet, &sized)?;
    let latent = Choices { latent_side: Some(network.inputs(1)[0].shape[2]), ..Choices::default() };
    let nothing = Choices::default();
    let (low_level, taesd, clip) =
        (own.join("low_level.safetensors"), renderer.join("taesd"), renderer.join("clip-image"));
    let vae = renderer.join("vae");
    let all = [
        ("prior", checkpoint.join("model.safetensors"), nothing, true),
        ("low-level", low_level.clone(), nothing, low_level.exists()),
        ("unet", unet.clone(), sized, true),
        ("step", unet, nothing, true),
        ("vae-decoder", vae.clone(), latent, true),
        ("vae-encoder", vae, latent, true),
        ("taesd-decoder", taesd.clone(), latent, taesd.exists()),
        ("taesd-encoder", taesd.clone(), latent, taesd.exists()),
        ("clip-image", clip.clone(), nothing, clip.exists()),
    ];
    let there = all.into_iter().filter(|(.., there)| *there);
    Ok(there.map(|(name, model, choices, _)| Source { name, model, choices }).collect())
}

impl<'a> Maker<'a> {
    fn new(folder: &'a Path, own: &Path, from: &FromCheckpoint<'_>) -> Result<Self, ExportError> {
        Ok(Self {
            folder,
            precision: from.precision,
            dialect: from.dialect,
            carried: read_carried(own)?,
            runtime: Runtime::start()?,
            entries: Vec::new(),
            goldens: Vec::new(),
            told: BTreeMap::new(),
            digests: BTreeMap::new(),
        })
    }

    fn network(&mut self, source: &Source) -> Result<(), ExportError> {
        let (weights, network) = open(source.name, &source.model, &source.choices)?;
        let state = fitted(&weights, network.as_ref(), self.precision)?;
        let origin = (weights.path(), self.digest(&weights));
        let entry = write_network(self.folder, network.as_ref(), &state, origin.clone(), self.precision)?;
        let (whose, case) = match self.carried.take(&entry)? {
            Some(case) => ("the trainer's", case),
            None => self.made_here(network.as_ref(), &state, &entry)?,
        };
        hold_to(&self.runtime, self.folder, &entry, &case)?;
        redraw(self.dialect, self.folder, network.as_ref(), &state, origin, self.precision)?;
        self.told.entry(whose).or_default().push(source.name);
        self.goldens.push(case);
        self.entries.push(entry);
        Ok(())
    }

    /// A golden case of a network that came without one, and who answered.
    fn made_here(
        &self,
        network: &dyn Network,
        state: &StateDict<'_>,
        entry: &NetworkEntry,
    ) -> Result<(&'static str, GoldenCase), ExportError> {
        if Survey::of(&self.folder.join(&entry.path))?.flops <= MOST_REFERENCE_FLOPS {
            return Ok(("the plain f64 reference's", golden_case(network, state, bundle_batch(network), GOLDEN_SEED)));
        }
        let case = runtime_case(&self.runtime, self.folder, entry, GOLDEN_SEED)?;
        Ok(("ONNX Runtime's own, which shows only that engines agree", case))
    }

    fn digest(&mut self, weights: &Weights) -> Sha256 {
        self.digests.entry(weights.path().to_path_buf()).or_insert_with(|| weights.sha256()).clone()
    }
}

/// What one network hands to the next must have the same shape on both sides.
fn check_chain(entries: &[NetworkEntry], from: &FromCheckpoint<'_>) -> Result<(), ExportError> {
    let links = [
        ("backbone", "backbone_tokens", "prior", "brain_tokens"),
        ("prior", "predicted_tokens", "unet", "encoder_hidden_states"),
        ("low-level", "latent", "unet", "sample"),
        ("unet", "noise_prediction", "vae-decoder", "latent"),
        ("unet", "noise_prediction", "taesd-decoder", "latent"),
        ("backbone", "retrieval_tokens", "clip-image", "image_tokens"),
    ];
    for (giver, output, taker, input) in links {
        let (Some(left), Some(right)) = (shape(entries, giver, output), shape(entries, taker, input)) else { continue };
        if left != right {
            return Err(ExportError::Disagree {
                path: from.renderer.unwrap_or(from.checkpoint).to_path_buf(),
                what: format!("`{input}` of {taker}"),
                found: format!("{right:?}"),
                other: format!("`{output}` of {giver}"),
                expected: format!("{left:?}"),
            });
        }
    }
    Ok(())
}

/// Shape of one example of a network's tensor, where the bundle has it.
fn shape(entries: &[NetworkEntry], network: &str, tensor: &str) -> Option<Vec<usize>> {
    let entry = entries.iter().find(|entry| entry.name == network)?;
    let tensor = entry.inputs.iter().chain(&entry.outputs).find(|t| t.name == tensor)?;
    Some(tensor.shape[1..].to_vec())
}

/// Latents are this times what the VAE's decoder takes: its configuration's word, else Stable Diffusion's.
fn latent_scale(renderer: Option<&Path>) -> Result<f64, ExportError> {
    let published = SchedulerConfig::default().latent_scale;
    let Some(path) = renderer.map(|renderer| renderer.join("vae/config.json")).filter(|path| path.exists()) else {
        return Ok(published);
    };
    let text = std::fs::read(&path).map_err(|source| ExportError::Unreadable { path: path.clone(), source })?;
    let config: serde_json::Value = serde_json::from_slice(&text).map_err(|error| ExportError::Setting {
        path,
        key: ".",
        message: error.to_string(),
    })?;
    Ok(config.get("scaling_factor").and_then(serde_json::Value::as_f64).unwrap_or(published))
}

fn dimensions(
    from: &FromCheckpoint<'_>,
    parts: &Parts,
    entries: &[NetworkEntry],
    latent_scale: f64,
) -> Result<Dimensions, ExportError> {
    let tokens = shape(entries, "backbone", "retrieval_tokens").unwrap_or_default();
    let drawn = (shape(entries, "unet", "sample"), shape(entries, "vae-decoder", "image"));
    let (latent, picture) = match drawn {
        (Some(latent), Some(image)) => ([latent[0], latent[1], latent[2]], [image[1], image[2]]),
        _ => {
            // Nothing draws; the manifest still says what the model was made for.
            let model = model_beside(&from.checkpoint.join("model.safetensors"))?;
            ([4, model.latent_side(), model.latent_side()], [model.picture_side(); 2])
        }
    };
    Ok(Dimensions {
        voxels: parts.mask.len(),
        grid: parts.mask.grid().dim,
        tokens: tokens[0],
        token_dim: tokens[1],
        latent,
        picture,
        latent_scale,
    })
}

fn note(from: &FromCheckpoint<'_>, parts: &Parts, maker: &Maker<'_>) -> String {
    let serves = match from.renderer {
        Some(_) => "Serves retrieval and pictures.",
        None => "Serves retrieval and scores only: made without a renderer.",
    };
    let golden = maker.told.iter().map(|(whose, networks)| format!("{} {whose}", networks.join(", ")));
    let golden = format!("Golden cases: {}.", golden.collect::<Vec<_>>().join("; "));
    let zscore =
        if parts.zscored { "" } else { " No z-scores came with the checkpoint: betas are decoded as they are." };
    format!("{serves} {golden}{zscore}")
}
