//! Where run-time libraries lie: the folder that `cargo xtask setup` fills.

use std::path::{Path, PathBuf};

/// Environment variable that names the folder outright.
pub const RUNTIME_DIR_VARIABLE: &str = "MINDEYE_RUNTIME_DIR";

/// The library `relative` (for example `onnxruntime/lib/libonnxruntime.so`) in the runtime folder: the one named by
/// [`RUNTIME_DIR_VARIABLE`], else the first `.runtime/` above the executable, else above the working directory.
#[must_use]
pub fn runtime_library(relative: &str) -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os(RUNTIME_DIR_VARIABLE) {
        return existing(Path::new(&dir).join(relative));
    }
    let starts = [std::env::current_exe().ok(), std::env::current_dir().ok()];
    starts.into_iter().flatten().find_map(|start| library_above(&start, relative))
}

fn library_above(start: &Path, relative: &str) -> Option<PathBuf> {
    start.ancestors().find_map(|dir| existing(dir.join(".runtime").join(relative)))
}

fn existing(path: PathBuf) -> Option<PathBuf> {
    path.exists().then_some(path)
}
