//! A checkpoint's files of numbers: the weights, and golden cases, which are the trainer's own answers to given inputs.
//!
//! Whoever exports or serves the weights must give these answers (the daemon checks before its first run). The inputs
//! are standard normal numbers, as z-scored voxels and scaled tokens are; nothing of a participant is in them.

use super::autoencoder::{vae_decode, vae_encode};
use super::backbone::backbone;
use super::clip_image::clip_image;
use super::low_level::low_level;
use super::parameters::{Parameters, sizes};
use super::prior::PriorNetwork;
use super::unet::unet;
use crate::checkpoint::{Numbers, Stored, read_safetensors, write_safetensors};
use crate::networks::{Autoencoder, Backbone, ClipImage, LowLevel, Unet};
use crate::{Draws, TrainError};
use std::collections::BTreeMap;
use std::path::Path;
use tch::Tensor;

/// Seed of the inputs: the same for every checkpoint.
const SEED: u64 = 7;
/// The prior's golden timestep, in the middle of its schedule.
const TIMESTEP: f32 = 50.0;

/// `<network>/<tensor>` with its numbers.
pub(super) type Cases = Vec<(String, Tensor)>;

/// Writes the tensors whose keys are wanted.
pub(super) fn write_weights(
    parameters: &Parameters,
    path: &Path,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<(), TrainError> {
    let wanted = parameters.all().filter(|(key, _)| is_wanted(key));
    let tensors: Vec<(String, &dyn Numbers)> =
        wanted.map(|(key, tensor)| (key.to_owned(), tensor as &dyn Numbers)).collect();
    write_safetensors(path, &tensors, &origin())
}

/// Writes `cases` with those of the checkpoint in `previous` that belong to other networks than `ours`.
pub(super) fn write_cases(path: &Path, ours: &[&str], cases: Cases, previous: &Path) -> Result<(), TrainError> {
    let mut all: BTreeMap<String, Box<dyn Numbers>> = BTreeMap::new();
    let before = previous.join("golden.safetensors");
    if before.exists() {
        read_safetensors(&before, |name, view| {
            if !ours.iter().any(|network| name.starts_with(network)) {
                let numbers = view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
                all.insert(name, Box::new(Stored { shape: view.shape().to_vec(), values: numbers.collect() }));
            }
            Ok(())
        })?;
    }
    all.extend(cases.into_iter().map(|(name, tensor)| (name, Box::new(tensor) as Box<dyn Numbers>)));
    let tensors: Vec<(String, &dyn Numbers)> = all.iter().map(|(name, numbers)| (name.clone(), &**numbers)).collect();
    write_safetensors(path, &tensors, &origin())
}

/// Golden cases of the backbone as participant number `participant` uses it, and of the prior, batch 1.
pub(super) fn mindeye(sizes: &Backbone, prior: &PriorNetwork, parameters: &Parameters, participant: usize) -> Cases {
    let device = parameters.get("net.learned_query").device();
    let voxels = normal("backbone/voxels", &[1, sizes.voxels(participant)]).to_device(device);
    let answer = backbone(sizes, parameters, &voxels, participant, None);
    let shape = [1, sizes.tokens, sizes.token_dim];
    let noised = normal("prior/noised_tokens", &shape).to_device(device);
    let brain = normal("prior/brain_tokens", &shape).to_device(device);
    let timestep = Tensor::from_slice(&[TIMESTEP]).to_device(device);
    let predicted = prior.forward(parameters, &noised, &timestep, &brain, None);
    named([
        ("backbone/voxels", voxels),
        ("backbone/backbone_tokens", answer.tokens),
        ("backbone/retrieval_tokens", answer.projected),
        ("prior/noised_tokens", noised),
        ("prior/timestep", timestep),
        ("prior/brain_tokens", brain),
        ("prior/predicted_tokens", predicted),
    ])
}

/// The golden case of the low-level network, batch 1.
pub(super) fn low_level_case(sizes: &LowLevel, parameters: &Parameters) -> Cases {
    let voxels = normal("low-level/voxels", &[1, sizes.voxels]).to_device(parameters.get("lin1.weight").device());
    let answer = low_level(sizes, parameters, &voxels, None);
    named([("low-level/voxels", voxels), ("low-level/latent", answer.latent)])
}

/// Golden cases of both halves of an autoencoder, batch 1.
pub(super) fn vae_cases(sizes: &Autoencoder, parameters: &Parameters) -> Cases {
    let device = parameters.get("quant_conv.weight").device();
    let (side, latent) = (sizes.picture_side(), [1, Autoencoder::LATENT, sizes.latent_side, sizes.latent_side]);
    let image = normal("vae-encoder/image", &[1, 3, side, side]).to_device(device);
    let moments = vae_encode(sizes, parameters, &image);
    let latent = normal("vae-decoder/latent", &latent).to_device(device);
    let decoded = vae_decode(sizes, parameters, &latent);
    named([
        ("vae-encoder/image", image),
        ("vae-encoder/moments", moments),
        ("vae-decoder/latent", latent),
        ("vae-decoder/image", decoded),
    ])
}

/// The golden case of the picture encoder, batch 1.
pub(super) fn clip_image_case(sizes: &ClipImage, parameters: &Parameters) -> Cases {
    let shape = [1, 3, sizes.side(), sizes.side()];
    let pixels =
        normal("clip-image/pixel_values", &shape).to_device(parameters.get("visual_projection.weight").device());
    let tokens = clip_image(sizes, parameters, &pixels);
    named([("clip-image/pixel_values", pixels), ("clip-image/image_tokens", tokens)])
}

/// The golden case of the UNet, batch 2: what a bundle's graph takes, the two halves of guidance.
pub(super) fn unet_case(sizes: &Unet, parameters: &Parameters) -> Cases {
    let device = parameters.get("conv_in.weight").device();
    let shape = [2, Autoencoder::LATENT, sizes.latent_side, sizes.latent_side];
    let sample = normal("unet/sample", &shape).to_device(device);
    let timestep = Tensor::from_slice(&[TIMESTEP, 2.0 * TIMESTEP]).to_device(device);
    let tokens = normal("unet/encoder_hidden_states", &[2, sizes.tokens, sizes.token_dim]).to_device(device);
    let noise = unet(sizes, parameters, &sample, &timestep, &tokens);
    named([
        ("unet/sample", sample),
        ("unet/timestep", timestep),
        ("unet/encoder_hidden_states", tokens),
        ("unet/noise_prediction", noise),
    ])
}

fn named<const N: usize>(cases: [(&str, Tensor); N]) -> Cases {
    cases.into_iter().map(|(name, tensor)| (name.to_owned(), tensor)).collect()
}

/// Standard normal numbers that depend on `name` alone.
fn normal(name: &str, shape: &[usize]) -> Tensor {
    let mut draws = Draws::new(SEED, 0, name);
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| draws.normal() as f32).collect();
    Tensor::from_slice(&values).view(&sizes(shape)[..])
}

fn origin() -> BTreeMap<String, String> {
    [("made_by".to_owned(), concat!("mindeye-train ", env!("CARGO_PKG_VERSION")).to_owned())].into()
}
