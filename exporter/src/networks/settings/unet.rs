//! `config.json` of diffusers' UNet2DConditionModel: heads, groups and epsilon, and what would need another graph.

use super::{check_side, config_beside, must_be, refuse};
use crate::ExportError;
use serde::Deserialize;
use std::path::Path;

/// What a UNet's tensors leave open.
#[derive(Debug, Clone, PartialEq)]
pub struct UnetSettings {
    /// Attention heads: one count for all levels, or one for each level from the outside in.
    pub heads: Vec<usize>,
    /// Groups of the group normalisations.
    pub norm_groups: usize,
    /// Epsilon of the group normalisations outside the transformers.
    pub norm_epsilon: f32,
    /// Side of the latent.
    pub sample_size: Option<usize>,
}

impl Default for UnetSettings {
    fn default() -> Self {
        Self { heads: vec![8], norm_groups: 32, norm_epsilon: 1e-5, sample_size: None }
    }
}

/// A count for all levels, or one for each.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum PerLevel {
    Same(usize),
    Each(Vec<usize>),
}

/// The part of the configuration that changes a graph; the rest is told by tensor shapes.
#[derive(Debug, Deserialize)]
struct UnetConfig {
    #[serde(rename = "_class_name")]
    class_name: Option<String>,
    act_fn: Option<String>,
    /// Heads, under a name that diffusers keeps for compatibility.
    attention_head_dim: Option<PerLevel>,
    num_attention_heads: Option<PerLevel>,
    center_input_sample: Option<bool>,
    downsample_padding: Option<usize>,
    flip_sin_to_cos: Option<bool>,
    freq_shift: Option<f64>,
    mid_block_scale_factor: Option<f64>,
    norm_eps: Option<f32>,
    norm_num_groups: Option<usize>,
    resnet_time_scale_shift: Option<String>,
    sample_size: Option<usize>,
    time_embedding_type: Option<String>,
}

impl UnetSettings {
    /// Reads `config.json` beside the weights file at `weights`, where it exists.
    ///
    /// # Errors
    /// A file that cannot be read, or that asks for what this exporter does not draw.
    pub fn beside(weights: &Path) -> Result<Self, ExportError> {
        let published = Self::default();
        let Some((path, config)) = config_beside::<UnetConfig>(weights)? else { return Ok(published) };
        config.check(&path)?;
        let heads = match config.num_attention_heads.or(config.attention_head_dim) {
            None => published.heads,
            Some(PerLevel::Same(heads)) => vec![heads],
            Some(PerLevel::Each(heads)) => heads,
        };
        if heads.is_empty() || heads.contains(&0) {
            return Err(refuse(&path, "attention_head_dim", format!("must be 1 or more heads, found {heads:?}")));
        }
        Ok(Self {
            heads,
            norm_groups: config.norm_num_groups.unwrap_or(published.norm_groups),
            norm_epsilon: config.norm_eps.unwrap_or(published.norm_epsilon),
            sample_size: config.sample_size,
        })
    }
}

impl UnetConfig {
    fn check(&self, path: &Path) -> Result<(), ExportError> {
        must_be(path, "_class_name", self.class_name.as_ref(), &"UNet2DConditionModel".to_owned())?;
        must_be(path, "act_fn", self.act_fn.as_ref(), &"silu".to_owned())?;
        must_be(path, "center_input_sample", self.center_input_sample.as_ref(), &false)?;
        must_be(path, "downsample_padding", self.downsample_padding.as_ref(), &1)?;
        must_be(path, "flip_sin_to_cos", self.flip_sin_to_cos.as_ref(), &true)?;
        must_be(path, "freq_shift", self.freq_shift.as_ref(), &0.0)?;
        must_be(path, "mid_block_scale_factor", self.mid_block_scale_factor.as_ref(), &1.0)?;
        must_be(path, "resnet_time_scale_shift", self.resnet_time_scale_shift.as_ref(), &"default".to_owned())?;
        must_be(path, "time_embedding_type", self.time_embedding_type.as_ref(), &"positional".to_owned())?;
        check_side(path, self.sample_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(config: &str) -> Result<UnetSettings, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        UnetSettings::beside(&folder.path().join("weights.safetensors")).map_err(|e| e.to_string())
    }

    #[test]
    fn heads_come_from_either_key_for_all_levels_or_each() {
        let cases: [(&str, &[usize]); 4] = [
            ("{}", &[8]),
            (r#"{"attention_head_dim": 4}"#, &[4]),
            (r#"{"attention_head_dim": [5, 10, 20, 20], "sample_size": 96}"#, &[5, 10, 20, 20]),
            (r#"{"attention_head_dim": 64, "num_attention_heads": 2}"#, &[2]),
        ];
        for (config, heads) in cases {
            assert_eq!(read(config).unwrap().heads, heads, "{config}");
        }
    }

    #[test]
    fn what_is_not_drawn_is_refused_by_its_key() {
        let cases = [
            (r#"{"_class_name": "UNet2DModel"}"#, "key `_class_name`: this version draws \"UNet2DConditionModel\""),
            (r#"{"act_fn": "gelu"}"#, "key `act_fn`"),
            (r#"{"attention_head_dim": []}"#, "key `attention_head_dim`"),
            (r#"{"flip_sin_to_cos": false}"#, "key `flip_sin_to_cos`: this version draws true, found false"),
            (r#"{"freq_shift": 1}"#, "key `freq_shift`"),
            (r#"{"resnet_time_scale_shift": "scale_shift"}"#, "key `resnet_time_scale_shift`"),
            (r#"{"sample_size": 0}"#, "key `sample_size`"),
        ];
        for (config, expected) in cases {
            let message = read(config).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }
}
