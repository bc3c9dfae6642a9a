//! The networks of the method: each knows its sizes, its tensors, its graph and its reference answer.
//!
//! Adding one: a file with a struct of sizes read from tensor shapes, [`Network`] for it, its arithmetic in
//! `reference/`, a row in [`open`]. Everything else (strict reading, writing, goldens, tests) follows from the trait.

mod backbone;
mod kl_decoder;
mod low_level;
mod recipes;
mod settings;
mod vae_decoder;

pub use backbone::Backbone;
pub use kl_decoder::KlDecoder;
pub use low_level::LowLevel;
pub use recipes::Drawing;
pub use settings::Settings;
pub use vae_decoder::VaeDecoder;

use crate::ExportError;
use crate::onnx::{Graph, GraphError};
use crate::reference::Array;
use crate::weights::{Layout, SetAside, StateDict, Weights, has_pickle_name};
use mindeye_config::TensorEntry;
use std::path::{Path, PathBuf};

/// A network of known sizes.
pub trait Network {
    /// Its name in commands, bundles and messages.
    fn name(&self) -> &'static str;
    /// Its tensors.
    fn layout(&self) -> Layout;
    /// Tensors that a file may hold beside its own.
    fn set_aside(&self) -> Vec<SetAside>;
    /// Inputs in order, for `batch` examples.
    fn inputs(&self, batch: usize) -> Vec<TensorEntry>;
    /// Outputs in order, for `batch` examples.
    fn outputs(&self, batch: usize) -> Vec<TensorEntry>;
    /// Draws inputs, layers and outputs.
    ///
    /// # Errors
    /// Shapes that do not go together.
    fn draw(&self, net: &mut Drawing<'_, '_>, batch: usize) -> Result<(), GraphError>;
    /// The outputs for `inputs` (any batch) by plain f64 arithmetic that shares nothing with the graph.
    fn reference(&self, state: &StateDict<'_>, inputs: &[Array]) -> Vec<Array>;
}

/// The graph of `network` with the tensors of `state`.
///
/// # Errors
/// Shapes that do not go together.
pub fn graph<'w>(network: &dyn Network, state: &StateDict<'w>, batch: usize) -> Result<Graph<'w>, GraphError> {
    let mut net = Drawing::new(network.name(), state);
    network.draw(&mut net, batch)?;
    Ok(net.finish())
}

/// Networks that this version exports.
pub const KNOWN: [&str; 3] = ["backbone", "low-level", "vae-decoder"];
/// Networks of the method that a later version exports.
pub const LATER: [&str; 6] = ["unet", "vae-encoder", "taesd-decoder", "taesd-encoder", "clip-image", "prior"];

/// Opens the weights of the network called `name` at `model`, a folder or a file, and reads its sizes.
///
/// # Errors
/// An unknown network, no weights, a pickle, a damaged file, settings that cannot be followed.
pub fn open(name: &str, model: &Path, latent_side: Option<usize>) -> Result<(Weights, Box<dyn Network>), ExportError> {
    let (name, file_name) = file_name(name)?;
    if latent_side.is_some() && name != "vae-decoder" {
        let message = format!("`{name}` takes no latent");
        return Err(ExportError::Flag { flag: "--latent-size", message });
    }
    let path = locate(name, model, file_name)?;
    let weights = Weights::open(&path)?;
    refuse_mindeye2(&weights)?;
    let network: Box<dyn Network> = match name {
        "backbone" => Box::new(Backbone::of(&weights)),
        "low-level" => Box::new(LowLevel::of(&weights, &Settings::beside(&path)?)),
        _ => Box::new(VaeDecoder::of(&weights, &Settings::beside(&path)?, latent_side)),
    };
    Ok((weights, network))
}

/// The network called `name` with the name of its weights in a folder.
fn file_name(name: &str) -> Result<(&'static str, &'static str), ExportError> {
    match name {
        "backbone" => Ok(("backbone", "model.safetensors")),
        "low-level" => Ok(("low-level", "low_level.safetensors")),
        "vae-decoder" => Ok(("vae-decoder", "diffusion_pytorch_model.safetensors")),
        later if LATER.contains(&later) => {
            Err(ExportError::NotYet { what: format!("network `{later}` is"), instead: format!("it exports {KNOWN:?}") })
        }
        unknown => Err(ExportError::Flag {
            flag: "<network>",
            message: format!("`{unknown}` is none of {KNOWN:?}, {LATER:?}"),
        }),
    }
}

fn locate(network: &'static str, model: &Path, file_name: &str) -> Result<PathBuf, ExportError> {
    if !model.is_dir() {
        return Ok(model.to_path_buf());
    }
    let path = model.join(file_name);
    if path.exists() {
        return Ok(path);
    }
    match a_pickle_in(model)? {
        Some(path) => Err(ExportError::Pickle { path }),
        None => Err(ExportError::NoWeights { folder: model.into(), network, looked_for: file_name.into() }),
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

/// MindEye2 keeps one ridge front-end per subject, which MindEye1 has not.
fn refuse_mindeye2(weights: &Weights) -> Result<(), ExportError> {
    if weights.count("ridge.linears.") == 0 {
        return Ok(());
    }
    let what = format!("{}: MindEye2's layout (`ridge.linears.*`) is", weights.path().display());
    Err(ExportError::NotYet { what, instead: "it reads MindEye1's `voxel2clip.*`".into() })
}

/// A known exception.
fn beside(prefix: &'static str, reason: &'static str) -> SetAside {
    SetAside { prefix, reason }
}

fn tensor_entry(name: &str, shape: &[usize]) -> TensorEntry {
    TensorEntry { name: name.to_owned(), shape: shape.to_vec() }
}
