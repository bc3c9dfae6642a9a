//! `config.json` of diffusers' autoencoders: what is read of it, and what would need another graph.

use super::{check_side, config_beside, must_be, refuse};
use crate::ExportError;
use serde::Deserialize;
use std::path::Path;

/// The part of `AutoencoderKL`'s configuration that changes a graph; the rest is told by tensor shapes.
#[derive(Debug, Deserialize)]
pub(super) struct AutoencoderConfig {
    #[serde(rename = "_class_name")]
    class_name: Option<String>,
    act_fn: Option<String>,
    mid_block_add_attention: Option<bool>,
    pub(super) norm_num_groups: Option<usize>,
    pub(super) sample_size: Option<usize>,
}

impl AutoencoderConfig {
    pub(super) fn check(&self, path: &Path) -> Result<(), ExportError> {
        must_be(path, "_class_name", self.class_name.as_ref(), &"AutoencoderKL".to_owned())?;
        must_be(path, "mid_block_add_attention", self.mid_block_add_attention.as_ref(), &true)?;
        let activation = self.act_fn.as_deref().unwrap_or("silu");
        if !["silu", "swish"].contains(&activation) {
            return Err(refuse(path, "act_fn", format!("AutoencoderKL is drawn with silu, found {activation}")));
        }
        check_side(path, self.sample_size)
    }
}

/// The part of `AutoencoderTiny`'s configuration that changes a graph.
#[derive(Debug, Deserialize)]
struct TinyConfig {
    #[serde(rename = "_class_name")]
    class_name: Option<String>,
    act_fn: Option<String>,
    latent_magnitude: Option<f64>,
    scaling_factor: Option<f64>,
    upsample_fn: Option<String>,
    upsampling_scaling_factor: Option<usize>,
}

/// Refuses an `AutoencoderTiny` beside the weights file at `weights` that differs from the published one in more than
/// its shapes.
pub(in super::super) fn check_tiny(weights: &Path) -> Result<(), ExportError> {
    let Some((path, config)) = config_beside::<TinyConfig>(weights)? else { return Ok(()) };
    must_be(&path, "_class_name", config.class_name.as_ref(), &"AutoencoderTiny".to_owned())?;
    must_be(&path, "act_fn", config.act_fn.as_ref(), &"relu".to_owned())?;
    must_be(&path, "latent_magnitude", config.latent_magnitude.as_ref(), &3.0)?;
    must_be(&path, "scaling_factor", config.scaling_factor.as_ref(), &1.0)?;
    must_be(&path, "upsample_fn", config.upsample_fn.as_ref(), &"nearest".to_owned())?;
    must_be(&path, "upsampling_scaling_factor", config.upsampling_scaling_factor.as_ref(), &2)
}
