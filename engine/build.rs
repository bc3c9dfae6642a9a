//! Says how to get libclang before the build of `trtx` fails without it.

use std::path::{Path, PathBuf};

const REMEDY: &str = "run `cargo xtask setup --with tensorrt`, or let LIBCLANG_PATH name the folder of one below 22";

fn main() {
    println!("cargo::rerun-if-env-changed=LIBCLANG_PATH");
    if std::env::var_os("CARGO_FEATURE_TENSORRT").is_none() {
        return;
    }
    // Without the variable bindgen looks where the system keeps its own.
    let Some(folder) = std::env::var_os("LIBCLANG_PATH").map(PathBuf::from) else { return };
    println!("cargo::rerun-if-changed={}", folder.display());
    if !holds_libclang(&folder) {
        println!("cargo::error=feature `tensorrt` needs libclang, which is not in {}; {REMEDY}", folder.display());
    }
}

fn holds_libclang(folder: &Path) -> bool {
    let Ok(files) = std::fs::read_dir(folder) else { return false };
    files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("libclang"))
}
