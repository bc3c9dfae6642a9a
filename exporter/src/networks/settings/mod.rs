//! What tensor shapes do not tell: read from `config.json` or `model.toml` beside the weights, else as published.

mod autoencoder;
mod clip;
mod unet;

pub use clip::{Activation, ClipSettings};
pub use unet::UnetSettings;

pub(super) use autoencoder::check_tiny;

use crate::ExportError;
use autoencoder::AutoencoderConfig;
use mindeye_config::ModelDimensions;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// `config/model/mindeye1-subj01.toml`: what a `model.toml` need not repeat.
const PUBLISHED_MODEL: &str = include_str!("../../../../config/model/mindeye1-subj01.toml");
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
        if let Some((path, config)) = config_beside::<AutoencoderConfig>(weights)? {
            config.check(&path)?;
            settings.norm_groups = config.norm_num_groups.unwrap_or(settings.norm_groups);
            settings.sample_size = config.sample_size.or(settings.sample_size);
        }
        Ok(settings)
    }
}

/// `config.json` beside the weights file at `weights`, where there is one.
fn config_beside<T: DeserializeOwned>(weights: &Path) -> Result<Option<(PathBuf, T)>, ExportError> {
    let path = weights.with_file_name("config.json");
    if !path.exists() {
        return Ok(None);
    }
    let config = serde_json::from_str(&read(&path)?).map_err(|e| refuse(&path, ".", e.to_string()))?;
    Ok(Some((path, config)))
}

/// The dimensions in `model.toml` beside the weights file at `weights`, else the published model's.
///
/// # Errors
/// A file that cannot be read.
pub(crate) fn model_beside(weights: &Path) -> Result<ModelDimensions, ExportError> {
    let path = weights.with_file_name("model.toml");
    if path.exists() {
        return read_model(&path);
    }
    Ok(toml::from_str(PUBLISHED_MODEL).expect("a preset of this repository is valid TOML"))
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

/// Refuses a side of a picture or latent that nobody can mean.
fn check_side(path: &Path, side: Option<usize>) -> Result<(), ExportError> {
    match side.filter(|side| !(1..=LARGEST_SAMPLE).contains(side)) {
        Some(side) => Err(refuse(path, "sample_size", format!("must be 1 to {LARGEST_SAMPLE}, found {side}"))),
        None => Ok(()),
    }
}

/// Refuses a `key` that has another value than the only one that is drawn; a key that is absent has it.
fn must_be<T: PartialEq + std::fmt::Debug>(
    path: &Path,
    key: &'static str,
    found: Option<&T>,
    drawn: &T,
) -> Result<(), ExportError> {
    match found.filter(|found| *found != drawn) {
        Some(found) => Err(refuse(path, key, format!("this version draws {drawn:?}, found {found:?}"))),
        None => Ok(()),
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
            (
                r#"{"_class_name": "VQModel"}"#,
                r#"key `_class_name`: this version draws "AutoencoderKL", found "VQModel""#,
            ),
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
