//! What tensor shapes do not tell: read from `config.json` or `model.toml` beside the weights, else as published.

use crate::ExportError;
use mindeye_config::ModelDimensions;
use serde::Deserialize;
use std::path::Path;

/// `config/model/mindeye1-subj01.toml`: what a `model.toml` need not repeat.
const PUBLISHED_MODEL: &str = include_str!("../../../config/model/mindeye1-subj01.toml");
/// Groups of the published networks' group normalisations.
const PUBLISHED_NORM_GROUPS: usize = 32;
/// The largest picture side that is taken to be meant.
const LARGEST_SAMPLE: usize = 1 << 14;

/// Sizes and counts that a network's tensors leave open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Groups of every group normalisation in VAE and upsampler.
    pub norm_groups: usize,
    /// Side of the picture, in pixels, that a VAE was made for.
    pub sample_size: Option<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { norm_groups: PUBLISHED_NORM_GROUPS, sample_size: None }
    }
}

/// The part of diffusers' `config.json` that changes a graph; the rest is told by tensor shapes.
#[derive(Debug, Deserialize)]
struct AutoencoderConfig {
    #[serde(rename = "_class_name", default)]
    class_name: Option<String>,
    #[serde(default)]
    act_fn: Option<String>,
    #[serde(default)]
    mid_block_add_attention: Option<bool>,
    #[serde(default)]
    norm_num_groups: Option<usize>,
    #[serde(default)]
    sample_size: Option<usize>,
}

impl Settings {
    /// Reads `config.json` and `model.toml` beside the weights file at `weights`, where they exist.
    ///
    /// # Errors
    /// A file that cannot be read, or that asks for what this exporter does not draw.
    pub fn beside(weights: &Path) -> Result<Self, ExportError> {
        let mut settings = Self::default();
        let model = weights.with_file_name("model.toml");
        if model.exists() {
            settings.norm_groups = read_model(&model)?.norm_groups;
        }
        let config = weights.with_file_name("config.json");
        if config.exists() {
            settings.apply_config(&config)?;
        }
        Ok(settings)
    }

    fn apply_config(&mut self, path: &Path) -> Result<(), ExportError> {
        let text = read(path)?;
        let config: AutoencoderConfig = serde_json::from_str(&text).map_err(|e| refuse(path, ".", e.to_string()))?;
        config.check(path)?;
        self.norm_groups = config.norm_num_groups.unwrap_or(self.norm_groups);
        self.sample_size = config.sample_size.or(self.sample_size);
        Ok(())
    }
}

/// The dimensions in `model.toml`; keys that it leaves out are the published model's.
fn read_model(path: &Path) -> Result<ModelDimensions, ExportError> {
    let text = read(path)?;
    let mut model: toml::Table = toml::from_str(PUBLISHED_MODEL).expect("a preset of this repository is valid TOML");
    model.extend(text.parse::<toml::Table>().map_err(|e| refuse(path, ".", e.message().to_owned()))?);
    let model: ModelDimensions =
        model.try_into().map_err(|e: toml::de::Error| refuse(path, ".", e.message().to_owned()))?;
    if model.norm_groups == 0 {
        return Err(refuse(path, "norm_groups", "must be 1 or more, found 0".into()));
    }
    Ok(model)
}

fn read(path: &Path) -> Result<String, ExportError> {
    std::fs::read_to_string(path).map_err(|source| ExportError::Unreadable { path: path.to_path_buf(), source })
}

impl AutoencoderConfig {
    fn check(&self, path: &Path) -> Result<(), ExportError> {
        let class = self.class_name.as_deref().unwrap_or("AutoencoderKL");
        if class != "AutoencoderKL" {
            return Err(refuse(path, "_class_name", format!("this version draws AutoencoderKL, found {class}")));
        }
        let activation = self.act_fn.as_deref().unwrap_or("silu");
        if !["silu", "swish"].contains(&activation) {
            return Err(refuse(path, "act_fn", format!("AutoencoderKL is drawn with silu, found {activation}")));
        }
        if self.mid_block_add_attention == Some(false) {
            return Err(refuse(path, "mid_block_add_attention", "must be true, found false".into()));
        }
        if let Some(side) = self.sample_size.filter(|side| !(1..=LARGEST_SAMPLE).contains(side)) {
            return Err(refuse(path, "sample_size", format!("must be 1 to {LARGEST_SAMPLE}, found {side}")));
        }
        Ok(())
    }
}

fn refuse(path: &Path, key: &'static str, message: String) -> ExportError {
    ExportError::Setting { path: path.to_path_buf(), key, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(config: &str) -> Result<Settings, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        Settings::beside(&folder.path().join("weights.safetensors")).map_err(|e| e.to_string())
    }

    #[test]
    fn a_configuration_fills_in_what_shapes_leave_open() {
        let published = Settings::default();
        let cases = [
            ("{}", published),
            (r#"{"norm_num_groups": 8}"#, Settings { norm_groups: 8, ..published }),
            (
                r#"{"_class_name": "AutoencoderKL", "sample_size": 512}"#,
                Settings { sample_size: Some(512), ..published },
            ),
        ];
        for (config, expected) in cases {
            assert_eq!(read(config).as_ref(), Ok(&expected), "{config}");
        }
    }

    #[test]
    fn a_model_file_may_be_partial_but_not_misspelt() {
        let read = |text: &str| {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("model.toml"), text).unwrap();
            Settings::beside(&folder.path().join("weights.safetensors")).map_err(|e| e.to_string())
        };
        assert_eq!(read("").unwrap().norm_groups, 32);
        assert_eq!(read("norm_groups = 8").unwrap().norm_groups, 8);
        for (text, part) in [
            ("norm_group = 8", "unknown field `norm_group`"),
            ("norm_groups = 0", "key `norm_groups`: must be 1 or more, found 0"),
            ("norm_groups = \"x\"", "model.toml: key `.`"),
            ("=", "model.toml: key `.`"),
        ] {
            let message = read(text).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn an_architecture_that_is_not_drawn_is_refused_by_its_key() {
        let cases = [
            (r#"{"_class_name": "VQModel"}"#, "key `_class_name`: this version draws AutoencoderKL, found VQModel"),
            (r#"{"act_fn": "relu"}"#, "key `act_fn`"),
            (r#"{"mid_block_add_attention": false}"#, "key `mid_block_add_attention`"),
            (r#"{"sample_size": 99999999}"#, "key `sample_size`: must be 1 to 16384"),
            ("[", "key `.`"),
        ];
        for (config, expected) in cases {
            let message = read(config).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }
}
