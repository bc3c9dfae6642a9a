//! Reads a TOML file into a checked type, or says which file and which key is wrong.

use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// A value whose ranges and cross-references can be checked after its types were.
pub trait Checked {
    /// The first thing wrong, named by its key.
    ///
    /// # Errors
    /// A [`Complaint`] that holds the key (dotted path) and what is wrong with its value.
    fn check(&self) -> Result<(), Complaint>;
}

/// One key whose value cannot be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key `{key}`: {message}")]
pub struct Complaint {
    /// Dotted path of the key, for example `deadline.decode_after_s`.
    pub key: String,
    /// What is wrong, with both sides.
    pub message: String,
}

impl Complaint {
    /// A complaint about `key`.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into() }
    }

    /// The same complaint seen from the table that holds it.
    #[must_use]
    pub fn within(self, table: &str) -> Self {
        Self { key: format!("{table}.{}", self.key), ..self }
    }

    /// `Ok` when `value` is finite and above zero.
    pub(crate) fn unless_positive(key: &str, value: f64) -> Result<(), Self> {
        Self::unless(value.is_finite() && value > 0.0, key, || format!("must be above 0, found {value}"))
    }

    /// `Ok` when `value` is finite and not negative.
    pub(crate) fn unless_non_negative(key: &str, value: f64) -> Result<(), Self> {
        Self::unless(value.is_finite() && value >= 0.0, key, || format!("must be 0 or more, found {value}"))
    }

    /// `Ok` when `holds`.
    pub(crate) fn unless(holds: bool, key: &str, message: impl FnOnce() -> String) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self::new(key, message())) }
    }
}

/// Why a configuration file was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is not TOML, or a key is unknown, missing or of the wrong type.
    #[error("{}: key `{key}`: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Dotted path of the key, `.` for the file as a whole.
        key: String,
        /// What the parser said, on one line.
        message: String,
    },
    /// A value is out of its range or contradicts another.
    #[error("{}: {complaint}", path.display())]
    Rejected {
        /// The file.
        path: PathBuf,
        /// The key and what is wrong.
        complaint: Complaint,
    },
}

/// Reads and checks the TOML file at `path`.
///
/// # Errors
/// [`ConfigError`] naming the file and the key.
pub fn load<T: DeserializeOwned + Checked>(path: &Path) -> Result<T, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_path_buf(), source })?;
    from_toml(&text, path)
}

/// Parses and checks TOML `text`; `path` is only for messages.
///
/// # Errors
/// [`ConfigError`] naming `path` and the key.
pub fn from_toml<T: DeserializeOwned + Checked>(text: &str, path: &Path) -> Result<T, ConfigError> {
    let malformed = |key: String, message: &str| ConfigError::Malformed {
        path: path.to_path_buf(),
        key,
        message: message.trim().replace('\n', "; "),
    };
    let document = toml::Deserializer::parse(text)
        .map_err(|error| malformed(".".into(), &format!("line {}: {}", line_of(&error, text), error.message())))?;
    let value: T = serde_path_to_error::deserialize(document)
        .map_err(|error| malformed(error.path().to_string(), error.inner().message()))?;
    value.check().map_err(|complaint| ConfigError::Rejected { path: path.to_path_buf(), complaint })?;
    Ok(value)
}

/// Line, from 1, at which `text` stops being TOML.
fn line_of(error: &toml::de::Error, text: &str) -> usize {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    1 + before.matches('\n').count()
}
