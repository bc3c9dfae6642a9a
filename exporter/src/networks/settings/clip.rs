//! `config.json` of transformers' CLIP image tower: activation, heads and epsilon, which no tensor tells.

use super::{config_beside, must_be, refuse};
use crate::ExportError;
use serde::Deserialize;
use std::path::Path;

/// Activation between the two layers of a CLIP block's MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x sigmoid(1.702 x), as OpenAI trained.
    QuickGelu,
    /// x Phi(x), as OpenCLIP trained.
    Gelu,
}

/// What a CLIP image tower's tensors leave open.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClipSettings {
    /// Attention heads; without a configuration, one for every 64 channels as in the published towers of OpenAI.
    pub heads: Option<usize>,
    /// Activation of the MLPs.
    pub activation: Activation,
    /// Epsilon of every layer normalisation.
    pub norm_epsilon: f32,
}

impl Default for ClipSettings {
    fn default() -> Self {
        Self { heads: None, activation: Activation::QuickGelu, norm_epsilon: 1e-5 }
    }
}

#[derive(Debug, Deserialize)]
struct ClipConfig {
    model_type: Option<String>,
    hidden_act: Option<String>,
    layer_norm_eps: Option<f32>,
    num_attention_heads: Option<usize>,
}

impl ClipSettings {
    /// Reads `config.json` beside the weights file at `weights`, where it exists.
    ///
    /// # Errors
    /// A file that cannot be read, or that asks for what this exporter does not draw.
    pub fn beside(weights: &Path) -> Result<Self, ExportError> {
        let published = Self::default();
        let Some((path, config)) = config_beside::<ClipConfig>(weights)? else { return Ok(published) };
        must_be(&path, "model_type", config.model_type.as_ref(), &"clip_vision_model".to_owned())?;
        if config.num_attention_heads == Some(0) {
            return Err(refuse(&path, "num_attention_heads", "must be 1 or more, found 0".into()));
        }
        Ok(Self {
            heads: config.num_attention_heads,
            activation: activation(&path, config.hidden_act.as_deref())?,
            norm_epsilon: config.layer_norm_eps.unwrap_or(published.norm_epsilon),
        })
    }
}

fn activation(path: &Path, name: Option<&str>) -> Result<Activation, ExportError> {
    match name {
        None | Some("quick_gelu") => Ok(Activation::QuickGelu),
        Some("gelu") => Ok(Activation::Gelu),
        Some(other) => Err(refuse(path, "hidden_act", format!("must be quick_gelu or gelu, found {other}"))),
    }
}
