//! ONNX Runtime's library, opened once in a process and shared by its engines.

use crate::EngineError;
use mindeye_config::{EngineKind, runtime_library};
use ort::environment::Environment;
use ort::logging::LogLevel;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The library allows one environment in a process; it stays until the process ends. A failed start leaves `None`, so
/// that a later start can succeed.
static LOADED: Mutex<Option<Library>> = Mutex::new(None);

/// The opened library.
#[derive(Clone)]
pub(super) struct Library {
    pub(super) environment: Environment,
    /// File name and source commit: the file's name carries the version, which the library tells nobody else.
    pub(super) description: String,
    path: PathBuf,
}

/// Where a kind's library is, and how it gets there.
pub(super) struct Source {
    pub(super) kind: EngineKind,
    /// Path below the runtime folder.
    pub(super) library: &'static str,
    /// The command that fetches it.
    pub(super) remedy: &'static str,
}

impl Source {
    /// Opens the library, or takes the one that is open; another than this kind's is refused.
    pub(super) fn open(&self) -> Result<Library, EngineError> {
        let Self { kind, library, remedy } = *self;
        let path = runtime_library(library).ok_or(EngineError::LibraryMissing { kind, library, remedy })?;
        let unusable = |message| EngineError::LibraryUnusable { kind, path: path.clone(), message };
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        match &*loaded {
            Some(open) if open.path == path => Ok(open.clone()),
            Some(open) => Err(unusable(format!("this process has opened {} already", open.path.display()))),
            None => Ok(loaded.insert(load(&path).map_err(unusable)?).clone()),
        }
    }
}

/// The library's own log lines are off but for fatal ones: failures come back as errors, and a program prints one line.
fn load(path: &Path) -> Result<Library, String> {
    let builder = ort::init_from(path).map_err(|error| one_line(&error))?;
    let environment = builder.with_name("mindeye").with_telemetry(false).build().map_err(|error| one_line(&error))?;
    environment.set_log_level(LogLevel::Fatal);
    Ok(Library { environment, description: describe_library(path), path: path.to_path_buf() })
}

/// As in `libonnxruntime.so.1.31.1 (git-commit-id=6af1a93)`.
fn describe_library(path: &Path) -> String {
    let file = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let commit = ort::info().split([',', ' ']).find(|word| word.starts_with("git-commit-id="));
    format!("{name} ({})", commit.unwrap_or("commit unknown"))
}

pub(super) fn one_line(error: &impl std::fmt::Display) -> String {
    error.to_string().trim().replace('\n', "; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_library_is_refused_in_one_line_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("libonnxruntime.so");
        std::fs::write(&path, "no library").unwrap();
        let message = load(&path).err().expect("no library there");
        assert!(message.contains("libonnxruntime.so") && !message.contains('\n'), "{message}");
    }
}
