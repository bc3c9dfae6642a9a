//! A bundle with a calibration is another bundle: it says more, so it has another digest.

use super::{BundleError, CALIBRATION, ENGINES_MANIFEST, MANIFEST, read_manifest};
use crate::confidence::Calibration;
use mindeye_config::{EnginesManifest, FileEntry, NewFolder, load, sha256_of_bytes};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Writes the bundle in `from` with `calibration` into the new folder `to`; one that it had is replaced. Files are linked
/// where the file system can, else copied; engines stay, since no graph changes. `to` appears whole or not at all.
///
/// # Errors
/// [`BundleError::Unreadable`] naming the file, also where one cannot be written.
pub(super) fn write(from: &Path, calibration: &Calibration, to: &Path) -> Result<(), BundleError> {
    let (mut manifest, _) = read_manifest(from)?;
    let new = NewFolder::beside(to).map_err(BundleError::unreadable(to))?;
    let partial = new.path();
    let mut paths = BTreeSet::new();
    super::files::collect(from, "", &mut paths)?;
    for path in paths.iter().filter(|path| ![MANIFEST, CALIBRATION, ENGINES_MANIFEST].contains(&path.as_str())) {
        take_over(&from.join(path), &partial.join(path))?;
    }
    let text = text(calibration);
    manifest.file.retain(|file| file.path != CALIBRATION);
    let entry =
        FileEntry { path: CALIBRATION.into(), sha256: sha256_of_bytes(text.as_bytes()), bytes: text.len() as u64 };
    let at = manifest.file.partition_point(|file| *file.path < *entry.path);
    manifest.file.insert(at, entry);
    put(&partial.join(CALIBRATION), &text)?;
    let list = self::text(&manifest);
    put(&partial.join(MANIFEST), &list)?;
    if paths.contains(ENGINES_MANIFEST) {
        let engines: EnginesManifest = load(&from.join(ENGINES_MANIFEST))?;
        let engines = EnginesManifest { bundle: sha256_of_bytes(list.as_bytes()), ..engines };
        put(&partial.join(ENGINES_MANIFEST), &self::text(&engines))?;
    }
    new.keep().map_err(BundleError::unreadable(to))
}

fn take_over(from: &Path, to: &Path) -> Result<(), BundleError> {
    make_parent(to)?;
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    fs::copy(from, to).map(drop).map_err(BundleError::unreadable(to))
}

fn put(path: &Path, text: &str) -> Result<(), BundleError> {
    make_parent(path)?;
    fs::write(path, text).map_err(BundleError::unreadable(path))
}

fn make_parent(path: &Path) -> Result<(), BundleError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    fs::create_dir_all(folder).map_err(BundleError::unreadable(folder))
}

fn text(value: &impl Serialize) -> String {
    toml::to_string(value).expect("configuration types are tables of plain values, which TOML can hold")
}
