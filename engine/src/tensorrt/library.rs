//! The two libraries of TensorRT for RTX, opened once in a process from one folder.

use crate::EngineError;
use mindeye_config::{EngineKind, Sha256, runtime_library, sha256_of_file};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const KIND: EngineKind = EngineKind::TensorrtRtx;
/// Names the folder of the libraries outright.
const FOLDER_VARIABLE: &str = "TENSORRT_RTX_LIB_DIR";
const LIBRARY: &str = "tensorrt-rtx/lib/libtensorrt_rtx.so.1";
const PARSER: &str = "libtensorrt_onnxparser_rtx.so.1";
const REMEDY: &str = "cargo xtask setup --with tensorrt";
/// The headers that the binding was built from; the library must be of the same minor version.
const VERSION: &str = "1.7";

static OPENED: Mutex<Option<Library>> = Mutex::new(None);

/// The opened libraries.
#[derive(Debug, Clone)]
pub(crate) struct Library {
    sha256: Sha256,
}

impl Library {
    /// Opens both libraries, or takes those that are open.
    pub(crate) fn open() -> Result<Self, EngineError> {
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(library) = &*opened {
            return Ok(library.clone());
        }
        let path = find(std::env::var_os(FOLDER_VARIABLE).map(PathBuf::from))?;
        load(&path)?;
        let sha256 = sha256_of_file(&path).map_err(|error| unusable(&path, &error))?;
        Ok(opened.insert(Self { sha256 }).clone())
    }

    /// Version and digest, as in `TensorRT for RTX 1.7 (0123456789ab)`: the library tells no patch version.
    pub(crate) fn identity(&self) -> String {
        format!("TensorRT for RTX {VERSION} ({})", self.sha256.short())
    }
}

/// The library in the folder that the user named, else in the runtime folder.
fn find(folder: Option<PathBuf>) -> Result<PathBuf, EngineError> {
    let missing = || EngineError::LibraryMissing { kind: KIND, library: LIBRARY, remedy: REMEDY };
    let Some(folder) = folder else { return runtime_library(LIBRARY).ok_or_else(missing) };
    let path = folder.join(Path::new(LIBRARY).file_name().unwrap_or_default());
    if path.is_file() {
        return Ok(path);
    }
    Err(EngineError::LibraryUnusable { kind: KIND, path, message: format!("no such file; {FOLDER_VARIABLE} named it") })
}

fn load(path: &Path) -> Result<(), EngineError> {
    trtx::dynamically_load_tensorrt(Some(path)).map_err(|error| unusable(path, &error))?;
    let parser = path.with_file_name(PARSER);
    trtx::dynamically_load_tensorrt_onnxparser(Some(&parser)).map_err(|error| unusable(&parser, &error))
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> EngineError {
    let message = error.to_string().trim().replace('\n', "; ");
    EngineError::LibraryUnusable { kind: KIND, path: path.to_path_buf(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_the_library_is_refused_with_the_variable_that_named_it() {
        let refusal = find(Some("/no/such/folder".into())).unwrap_err();
        assert!(refusal.is_unavailable());
        let shown = refusal.to_string();
        assert!(shown.contains("/no/such/folder/libtensorrt_rtx.so.1") && shown.contains(FOLDER_VARIABLE), "{shown}");
    }
}
