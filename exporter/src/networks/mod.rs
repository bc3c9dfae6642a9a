//! The networks of the method: each knows its sizes, its tensors, its graph and its reference answer.
//!
//! Adding one: a file with a struct of sizes read from tensor shapes, [`Network`] for it, its arithmetic in
//! `reference/`, a row in `registry`. Everything else (strict reading, writing, goldens, tests) follows from the trait.

mod backbone;
mod clip_image;
mod dialect;
mod islands;
mod kl_decoder;
mod kl_encoder;
mod low_level;
mod mindeye2_backbone;
mod noise_schedule;
mod picture_blocks;
mod prior;
mod prior_attention;
mod recipes;
mod registry;
mod ridge_backbone;
mod settings;
mod step;
mod taesd;
mod transformer;
mod unet;
mod unet_stages;
mod vae_decoder;
mod vae_encoder;

pub use backbone::Backbone;
pub use clip_image::ClipImage;
pub use dialect::Dialect;
pub use islands::Islands;
pub use kl_decoder::KlDecoder;
pub use kl_encoder::KlEncoder;
pub use low_level::LowLevel;
pub use mindeye2_backbone::MindEye2Backbone;
pub use noise_schedule::NoiseSchedule;
pub use prior::Prior;
pub(crate) use prior::trained_token_scale;
pub use recipes::Drawing;
pub(crate) use registry::check_choices;
pub use registry::{Choices, names, open};
pub use ridge_backbone::RidgeBackbone;
pub(crate) use settings::model_beside;
pub use settings::{Activation, ClipSettings, Settings, UnetSettings};
pub use step::{MADE, MIXED, SamplerStep};
pub use taesd::{Half, Taesd};
pub use unet::Unet;
pub use unet_stages::Level;
pub use vae_decoder::VaeDecoder;
pub use vae_encoder::VaeEncoder;

use crate::onnx::{Graph, GraphError};
use crate::reference::Array;
use crate::weights::{Layout, SetAside, StateDict};
use mindeye_config::{Precision, TensorEntry};

/// A network of known sizes.
pub trait Network {
    /// Its name in commands, bundles and messages.
    fn name(&self) -> &'static str;
    /// Its tensors.
    fn layout(&self) -> Layout;
    /// Tensors that a file may hold beside its own.
    fn set_aside(&self) -> Vec<SetAside>;
    /// Tensors of the layout that the graph holds in another form, or not at all.
    fn folded(&self) -> Vec<SetAside> {
        Vec::new()
    }
    /// Inputs in order, for `batch` examples.
    fn inputs(&self, batch: usize) -> Vec<TensorEntry>;
    /// Outputs in order, for `batch` examples.
    fn outputs(&self, batch: usize) -> Vec<TensorEntry>;
    /// What of a half-precision graph stays in 32 bits.
    fn islands(&self) -> Islands {
        Islands::default()
    }
    /// Draws inputs, layers and outputs.
    ///
    /// # Errors
    /// Shapes that do not go together.
    fn draw(&self, net: &mut Drawing<'_, '_>, batch: usize) -> Result<(), GraphError>;
    /// The outputs for `inputs` (any batch) by plain f64 arithmetic that shares nothing with the graph.
    fn reference(&self, state: &StateDict<'_>, inputs: &[Array]) -> Vec<Array>;
}

/// The graph of `network` with the tensors of `state`, in arithmetic of `precision` but for its own islands.
///
/// # Errors
/// Shapes that do not go together.
pub fn graph<'w>(
    network: &dyn Network,
    state: &StateDict<'w>,
    batch: usize,
    precision: Precision,
) -> Result<Graph<'w>, GraphError> {
    graph_with(network, state, batch, precision, network.islands())
}

/// The graph of `network` as [`graph`] draws it, in `dialect`.
///
/// # Errors
/// Shapes that do not go together.
pub fn graph_in<'w>(
    dialect: Dialect,
    network: &dyn Network,
    state: &StateDict<'w>,
    batch: usize,
    precision: Precision,
) -> Result<Graph<'w>, GraphError> {
    let mut net = Drawing::new(network.name(), state, precision, network.islands()).in_dialect(dialect);
    network.draw(&mut net, batch)?;
    Ok(net.finish())
}

/// The graph of `network` with `islands` of the caller's choice, to measure what they buy.
///
/// # Errors
/// Shapes that do not go together.
pub fn graph_with<'w>(
    network: &dyn Network,
    state: &StateDict<'w>,
    batch: usize,
    precision: Precision,
    islands: Islands,
) -> Result<Graph<'w>, GraphError> {
    let mut net = Drawing::new(network.name(), state, precision, islands);
    network.draw(&mut net, batch)?;
    Ok(net.finish())
}

/// Side of Stable Diffusion's latents, where neither configuration nor user says another.
const PUBLISHED_LATENT_SIDE: usize = 64;

/// A known exception.
fn beside(pattern: &str, reason: &'static str) -> SetAside {
    SetAside { pattern: pattern.to_owned(), reason }
}

fn tensor_entry(name: &str, shape: &[usize]) -> TensorEntry {
    TensorEntry { name: name.to_owned(), shape: shape.to_vec() }
}
