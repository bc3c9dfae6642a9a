//! The files of a renderer folder: weights under diffusers' and transformers' names, and the `config.json` beside each.

use super::golden;
use super::parameters::Parameters;
use crate::TrainError;
use crate::checkpoint::Commit;
use crate::networks::{Autoencoder, ClipImage, Layout, Unet};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tch::Device;

/// Folder and weights file of the autoencoder.
pub(super) const VAE: [&str; 2] = ["vae", "diffusion_pytorch_model.safetensors"];
/// Those of the picture encoder.
pub(super) const ENCODER: [&str; 2] = ["clip-image", "model.safetensors"];
/// Those of the UNet.
pub(super) const UNET: [&str; 2] = ["unet", "diffusion_pytorch_model.safetensors"];

/// Writes weights and configuration of one network.
pub(super) fn write(
    commit: &Commit,
    [folder, file]: [&str; 2],
    parameters: &Parameters,
    config: &Value,
) -> Result<(), TrainError> {
    golden::write_weights(parameters, &commit.place(&format!("{folder}/{file}"))?, |_| true)?;
    commit.write(&format!("{folder}/config.json"), format!("{config:#}\n"))
}

/// Where the weights of a network lie in the renderer folder `out`.
pub(super) fn weights(out: &Path, [folder, file]: [&str; 2]) -> PathBuf {
    out.join(folder).join(file)
}

/// The weights of a network that another part needs, which no training moves any more.
///
/// # Errors
/// [`TrainError::Unavailable`] telling which part to train first; weights that do not fit.
pub(super) fn read(
    out: &Path,
    names: [&str; 2],
    part: &str,
    layout: Layout,
    device: Device,
) -> Result<Parameters, TrainError> {
    let path = weights(out, names);
    if !path.exists() {
        let what = format!("{}: not there, and this part learns from its answers", path.display());
        return Err(TrainError::Unavailable {
            what,
            remedy: format!("train `--part {part}` into the same --out first"),
        });
    }
    Parameters::read(&path, layout, |_| false, device)
}

/// Latents are this times what the autoencoder in `out` decodes.
///
/// # Errors
/// A configuration that cannot be read or lacks the factor.
pub(super) fn latent_scale(out: &Path) -> Result<f64, TrainError> {
    let path = out.join(VAE[0]).join("config.json");
    let text = std::fs::read(&path).map_err(TrainError::unreadable(&path))?;
    let config: Value = serde_json::from_slice(&text).map_err(|e| TrainError::malformed(&path, e.to_string()))?;
    let factor = config.get("scaling_factor").and_then(Value::as_f64).filter(|factor| *factor > 0.0);
    factor.ok_or_else(|| TrainError::malformed(&path, "`scaling_factor` must be a positive number"))
}

/// `config.json` of diffusers' AutoencoderKL.
pub(super) fn vae_config(sizes: &Autoencoder, latent_scale: f64) -> Value {
    let stages = sizes.channels.len();
    json!({
        "_class_name": "AutoencoderKL", "act_fn": "silu", "block_out_channels": sizes.channels,
        "down_block_types": vec!["DownEncoderBlock2D"; stages], "in_channels": 3,
        "latent_channels": Autoencoder::LATENT, "layers_per_block": sizes.resnets,
        "norm_num_groups": sizes.norm_groups, "out_channels": 3, "sample_size": sizes.picture_side(),
        "scaling_factor": latent_scale, "up_block_types": vec!["UpDecoderBlock2D"; stages],
    })
}

/// `config.json` of transformers' CLIPVisionModelWithProjection.
pub(super) fn encoder_config(sizes: &ClipImage) -> Value {
    json!({
        "architectures": ["CLIPVisionModelWithProjection"], "hidden_act": "quick_gelu", "hidden_size": sizes.width,
        "image_size": sizes.side(), "intermediate_size": sizes.mlp, "layer_norm_eps": 1e-5,
        "model_type": "clip_vision_model", "num_attention_heads": sizes.heads, "num_channels": 3,
        "num_hidden_layers": sizes.layers, "patch_size": sizes.patch, "projection_dim": sizes.token_dim,
    })
}

/// `config.json` of diffusers' UNet2DConditionModel.
pub(super) fn unet_config(sizes: &Unet) -> Value {
    let block = |with: &'static str, without: &'static str| move |attends: &bool| if *attends { with } else { without };
    let down: Vec<&str> = sizes.attends.iter().map(block("CrossAttnDownBlock2D", "DownBlock2D")).collect();
    let up: Vec<&str> = sizes.attends.iter().rev().map(block("CrossAttnUpBlock2D", "UpBlock2D")).collect();
    json!({
        "_class_name": "UNet2DConditionModel", "act_fn": "silu", "attention_head_dim": sizes.heads,
        "block_out_channels": sizes.channels, "center_input_sample": false, "cross_attention_dim": sizes.token_dim,
        "down_block_types": down, "downsample_padding": 1, "flip_sin_to_cos": true, "freq_shift": 0,
        "in_channels": Autoencoder::LATENT, "layers_per_block": sizes.resnets, "mid_block_scale_factor": 1,
        "norm_eps": 1e-5, "norm_num_groups": sizes.norm_groups, "out_channels": Autoencoder::LATENT,
        "sample_size": sizes.latent_side, "up_block_types": up,
    })
}
