//! Every network by its name: where its weights lie, which choices it takes, how its sizes are read.

use super::noise_schedule::check_schedule;
use super::settings::check_tiny;
use super::{
    Backbone, ClipImage, ClipSettings, Half, LowLevel, MindEye2Backbone, Network, Prior, RidgeBackbone, SamplerStep,
    Settings, Taesd, Unet, UnetSettings, VaeDecoder, VaeEncoder,
};
use crate::ExportError;
use crate::weights::{Weights, has_pickle_name};
use std::path::{Path, PathBuf};

/// What a user may decide where neither weights nor configuration do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Choices {
    /// Side of the latent, `--latent-size`.
    pub latent_side: Option<usize>,
    /// Tokens that a UNet attends to, `--tokens`.
    pub tokens: Option<usize>,
    /// Front-end of a MindEye2 checkpoint, `--subject`.
    pub subject: Option<usize>,
}

/// A network by name.
struct Row {
    name: &'static str,
    /// Names of its weights in a folder; the first that exists is taken.
    files: &'static [&'static str],
    /// Choices that mean something to it.
    takes: &'static [&'static str],
    open: Open,
}

/// Reads the sizes of a network out of its weights, the settings beside that path, and the user's choices.
type Open = fn(&Weights, &Path, &Choices) -> Result<Box<dyn Network>, ExportError>;

const LATENT: &str = "--latent-size";
const TOKENS: &str = "--tokens";
const SUBJECT: &str = "--subject";
const MINDEYE: &[&str] = &["model.safetensors"];
const DIFFUSERS: &[&str] = &["diffusion_pytorch_model.safetensors"];

const ROWS: [Row; 10] = [
    Row { name: "backbone", files: MINDEYE, takes: &[SUBJECT], open: backbone },
    Row { name: "prior", files: MINDEYE, takes: &[], open: prior },
    Row {
        name: "low-level",
        files: &["low_level.safetensors"],
        takes: &[],
        open: |weights, path, _| Ok(Box::new(LowLevel::of(weights, &Settings::beside(path)?))),
    },
    Row { name: "unet", files: DIFFUSERS, takes: &[LATENT, TOKENS], open: |w, p, c| Ok(Box::new(unet(w, p, c)?)) },
    Row {
        name: "step",
        files: DIFFUSERS,
        takes: &[LATENT],
        open: |weights, path, choices| Ok(Box::new(SamplerStep::of(&unet(weights, path, choices)?))),
    },
    Row {
        name: "vae-decoder",
        files: DIFFUSERS,
        takes: &[LATENT],
        open: |w, path, choices| Ok(Box::new(VaeDecoder::of(w, &Settings::beside(path)?, choices.latent_side))),
    },
    Row {
        name: "vae-encoder",
        files: DIFFUSERS,
        takes: &[LATENT],
        open: |w, path, choices| Ok(Box::new(VaeEncoder::of(w, &Settings::beside(path)?, choices.latent_side))),
    },
    Row {
        name: "taesd-decoder",
        files: &["diffusion_pytorch_model.safetensors", "taesd_decoder.safetensors"],
        takes: &[LATENT],
        open: |weights, path, choices| taesd(weights, path, choices, Half::Decoder),
    },
    Row {
        name: "taesd-encoder",
        files: &["diffusion_pytorch_model.safetensors", "taesd_encoder.safetensors"],
        takes: &[LATENT],
        open: |weights, path, choices| taesd(weights, path, choices, Half::Encoder),
    },
    Row {
        name: "clip-image",
        files: MINDEYE,
        takes: &[],
        open: |weights, path, _| Ok(Box::new(ClipImage::of(weights, &ClipSettings::beside(path)?))),
    },
];

/// Names of all networks.
#[must_use]
pub fn names() -> Vec<&'static str> {
    ROWS.iter().map(|row| row.name).collect()
}

/// Opens the weights of the network called `name` at `model`, a folder or a file, and reads its sizes.
///
/// # Errors
/// An unknown network, a choice that means nothing to it, no weights, a pickle, a damaged file, settings that cannot be
/// followed.
pub fn open(name: &str, model: &Path, choices: &Choices) -> Result<(Weights, Box<dyn Network>), ExportError> {
    let row = row(name)?;
    row.check(choices)?;
    let path = locate(row, model)?;
    let weights = Weights::open(&path)?;
    let network = (row.open)(&weights, &path, choices)?;
    Ok((weights, network))
}

/// Refuses an unknown network, and choices that mean nothing to the network called `name`.
///
/// # Errors
/// The name or the flag.
pub(crate) fn check_choices(name: &str, choices: &Choices) -> Result<(), ExportError> {
    row(name)?.check(choices)
}

fn row(name: &str) -> Result<&'static Row, ExportError> {
    let unknown = || ExportError::Flag { flag: "<network>", message: format!("`{name}` is none of {:?}", names()) };
    ROWS.iter().find(|row| row.name == name).ok_or_else(unknown)
}

impl Row {
    /// Refuses choices that mean nothing to this network.
    fn check(&self, choices: &Choices) -> Result<(), ExportError> {
        let made = [(LATENT, choices.latent_side), (TOKENS, choices.tokens), (SUBJECT, choices.subject)];
        let stray = made.iter().find(|(flag, choice)| choice.is_some() && !self.takes.contains(flag));
        let Some((flag, _)) = stray else { return Ok(()) };
        let message = match *flag {
            LATENT => format!("`{}` takes no latent", self.name),
            TOKENS => format!("`{}` takes no tokens to attend to", self.name),
            _ => format!("`{}` has no subjects' front-ends", self.name),
        };
        Err(ExportError::Flag { flag, message })
    }
}

fn locate(row: &Row, model: &Path) -> Result<PathBuf, ExportError> {
    if !model.is_dir() {
        return Ok(model.to_path_buf());
    }
    let whole = row.files.iter().map(|file| model.join(file));
    let sharded = row.files.iter().map(|file| model.join(format!("{file}.index.json")));
    if let Some(path) = whole.chain(sharded).find(|path| path.exists()) {
        return Ok(path);
    }
    match a_pickle_in(model)? {
        Some(path) => Err(ExportError::Pickle { path }),
        None => {
            let looked_for = row.files.join(" or ");
            Err(ExportError::NoWeights { folder: model.into(), network: row.name, looked_for })
        }
    }
}

/// The first pickle of a folder by name, which tells the user why nothing else was found.
fn a_pickle_in(folder: &Path) -> Result<Option<PathBuf>, ExportError> {
    let unreadable = |source| ExportError::Unreadable { path: folder.to_path_buf(), source };
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let mut pickles: Vec<_> =
        entries.flatten().map(|entry| entry.path()).filter(|path| has_pickle_name(path)).collect();
    pickles.sort();
    Ok(pickles.into_iter().next())
}

/// MindEye2 and the trainer's ridge variant keep one front-end per subject, which MindEye1 has not.
fn backbone(weights: &Weights, _: &Path, choices: &Choices) -> Result<Box<dyn Network>, ExportError> {
    if weights.count("ridge.linears.") > 0 {
        return Ok(Box::new(MindEye2Backbone::of(weights, choices.subject)?));
    }
    if RidgeBackbone::is_in(weights) {
        return Ok(Box::new(RidgeBackbone::of(weights, choices.subject)?));
    }
    if let Some(subject) = choices.subject {
        let message = format!("MindEye1's layout has no front-end {subject}, only its one subject's");
        return Err(ExportError::Flag { flag: SUBJECT, message });
    }
    Ok(Box::new(Backbone::of(weights)))
}

fn prior(weights: &Weights, _: &Path, _: &Choices) -> Result<Box<dyn Network>, ExportError> {
    for prefix in ["noise_scheduler.", "diffusion_prior.noise_scheduler."] {
        check_schedule(weights, prefix)?;
    }
    Ok(Box::new(Prior::of(weights)))
}

fn unet(weights: &Weights, path: &Path, choices: &Choices) -> Result<Unet, ExportError> {
    let unet = Unet::of(weights, &UnetSettings::beside(path)?, choices.latent_side, choices.tokens);
    let Err(message) = unet.check_side() else { return Ok(unet) };
    Err(match choices.latent_side {
        Some(_) => ExportError::Flag { flag: LATENT, message },
        None => ExportError::Setting { path: path.with_file_name("config.json"), key: "sample_size", message },
    })
}

fn taesd(weights: &Weights, path: &Path, choices: &Choices, half: Half) -> Result<Box<dyn Network>, ExportError> {
    check_tiny(path)?;
    Ok(Box::new(Taesd::of(weights, half, choices.latent_side)))
}
