//! The folder holds exactly the listed files, each with the listed length and digest; `engines/` keeps its own list.

use super::{BundleError, ENGINES, MANIFEST};
use mindeye_config::{BundleManifest, FileEntry, sha256_of_file};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Checks the list itself, then the folder against it; lengths of all files come before the first hash.
pub(super) fn check(dir: &Path, manifest: &BundleManifest, required: &[&str]) -> Result<(), BundleError> {
    let listed = unique(manifest.file.iter().map(|file| file.path.as_str()))?;
    for path in required {
        require(&listed, path, "every bundle")?;
    }
    let mut present = BTreeSet::new();
    collect(dir, "", &mut present)?;
    present.retain(|path| !path.starts_with(ENGINES));
    check_presence(&listed, &present)?;
    for file in &manifest.file {
        check_length(dir, file)?;
    }
    for file in &manifest.file {
        check_digest(dir, file)?;
    }
    Ok(())
}

/// The names as a set; a name that comes twice is an error.
pub(super) fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Result<BTreeSet<&'a str>, BundleError> {
    let mut set = BTreeSet::new();
    for name in names {
        if !set.insert(name) {
            return Err(BundleError::Twice { name: name.to_owned() });
        }
    }
    Ok(set)
}

/// `path` must be listed because `needed_by` needs it.
pub(super) fn require(listed: &BTreeSet<&str>, path: &str, needed_by: &'static str) -> Result<(), BundleError> {
    if listed.contains(path) { Ok(()) } else { Err(BundleError::Incomplete { path: path.to_owned(), needed_by }) }
}

/// Adds every file below `dir` to `present` as a path with `/`, relative to the bundle; links are refused.
pub(super) fn collect(dir: &Path, prefix: &str, present: &mut BTreeSet<String>) -> Result<(), BundleError> {
    for entry in fs::read_dir(dir).map_err(BundleError::unreadable(dir))? {
        let entry = entry.map_err(BundleError::unreadable(dir))?;
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().map_err(BundleError::unreadable(&entry.path()))?;
        if kind.is_dir() {
            collect(&entry.path(), &format!("{path}/"), present)?;
        } else if kind.is_file() {
            present.insert(path);
        } else {
            return Err(BundleError::NotAFile { path });
        }
    }
    Ok(())
}

fn check_presence(listed: &BTreeSet<&str>, present: &BTreeSet<String>) -> Result<(), BundleError> {
    if let Some(path) = listed.iter().find(|path| !present.contains(**path)) {
        return Err(BundleError::Missing { path: (*path).to_owned() });
    }
    match present.iter().find(|path| *path != MANIFEST && !listed.contains(path.as_str())) {
        Some(path) => Err(BundleError::Unlisted { path: path.clone() }),
        None => Ok(()),
    }
}

pub(super) fn check_length(dir: &Path, file: &FileEntry) -> Result<(), BundleError> {
    let path = dir.join(&file.path);
    let found = fs::metadata(&path).map_err(BundleError::unreadable(&path))?.len();
    if found == file.bytes {
        return Ok(());
    }
    Err(BundleError::Length { path: file.path.clone(), listed: file.bytes, found })
}

pub(super) fn check_digest(dir: &Path, file: &FileEntry) -> Result<(), BundleError> {
    let path = dir.join(&file.path);
    let found = sha256_of_file(&path).map_err(BundleError::unreadable(&path))?;
    if found == file.sha256 {
        return Ok(());
    }
    Err(BundleError::Hash { path: file.path.clone(), listed: file.sha256.clone(), found })
}
