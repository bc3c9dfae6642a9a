//! Compiled engines lie beside the bundle, under a table of their own that names the bundle they were made of.

use super::agreement::equal;
use super::{BundleError, ENGINES, ENGINES_MANIFEST, MANIFEST, files};
use mindeye_config::{EnginesManifest, FileEntry, Sha256, load};
use std::collections::BTreeSet;
use std::path::Path;

/// The table in `engines/`, every file of it checked; none where there is no such folder. `bundle` is the digest of the
/// bundle's own table.
pub(super) fn read(dir: &Path, bundle: &Sha256) -> Result<Option<EnginesManifest>, BundleError> {
    let folder = dir.join(ENGINES);
    if !folder.exists() {
        return Ok(None);
    }
    let mut present = BTreeSet::new();
    files::collect(&folder, ENGINES, &mut present)?;
    if !present.remove(ENGINES_MANIFEST) {
        return match present.pop_first() {
            Some(path) => Err(BundleError::UnlistedEngine { path }),
            None => Ok(None),
        };
    }
    let manifest: EnginesManifest = load(&dir.join(ENGINES_MANIFEST))?;
    equal(ENGINES_MANIFEST, "digest of the bundle", &manifest.bundle, MANIFEST, bundle)?;
    check_files(dir, &manifest, present)?;
    Ok(Some(manifest))
}

fn check_files(dir: &Path, manifest: &EnginesManifest, mut present: BTreeSet<String>) -> Result<(), BundleError> {
    files::unique(manifest.engine.iter().map(|engine| engine.path.as_str()))?;
    for engine in &manifest.engine {
        let path = format!("{ENGINES}{}", engine.path);
        // What the compiler reported of it lies beside it, for people and for who compiles again.
        present.remove(&format!("{path}.json"));
        if !present.remove(&path) {
            return Err(BundleError::Missing { path });
        }
        let file = FileEntry { path, sha256: engine.sha256.clone(), bytes: engine.bytes };
        files::check_length(dir, &file)?;
        files::check_digest(dir, &file)?;
    }
    match present.pop_first() {
        Some(path) => Err(BundleError::UnlistedEngine { path }),
        None => Ok(()),
    }
}
