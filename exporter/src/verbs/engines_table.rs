//! The table of a bundle's compiled engines: `engines/manifest.toml`, which names the bundle and every engine file.

use crate::ExportError;
use crate::staging::{Staging, write};
use mindeye_config::{ENGINES_FORMAT, EngineFileEntry, EnginesManifest, Sha256, sha256_of_file};
use mindeye_engine::CompileReport;
use std::path::Path;

const TABLE: &str = "engines/manifest.toml";

/// The table of `bundle`; an empty one where there is none yet, or where it is of another bundle.
pub(super) fn read(bundle: &Path) -> Result<EnginesManifest, ExportError> {
    let manifest = bundle.join("manifest.toml");
    let digest = sha256_of_file(&manifest).map_err(|_| ExportError::NoSuchFile { path: manifest.clone() })?;
    let path = bundle.join(TABLE);
    if path.is_file() {
        let table: EnginesManifest = mindeye_config::load(&path)?;
        if table.bundle == digest {
            return Ok(table);
        }
    }
    Ok(empty(digest))
}

fn empty(bundle: Sha256) -> EnginesManifest {
    EnginesManifest { format: ENGINES_FORMAT.into(), bundle, engine: Vec::new() }
}

/// Lists the engine of `network`, in the place of an older one.
pub(super) fn list(table: &mut EnginesManifest, network: &str, report: &CompileReport) {
    let identity = &report.identity;
    let target = identity.target.key().to_owned();
    table.engine.retain(|engine| engine.target != target || engine.network != network);
    table.engine.push(EngineFileEntry {
        path: format!("{target}/{network}.engine"),
        target,
        network: network.to_owned(),
        precision: identity.precision,
        built_with: identity.library.clone(),
        sha256: report.engine_sha256.clone(),
        bytes: report.engine_bytes,
    });
}

/// Puts the table into `bundle`, whole.
pub(super) fn keep(bundle: &Path, table: &EnginesManifest) -> Result<(), ExportError> {
    let staging = Staging::for_file(&bundle.join(TABLE))?;
    let text = toml::to_string(table).expect("names, numbers and digests are TOML");
    write(staging.path(), &staging.name(), text)?;
    let files = [staging.name()];
    staging.keep_files(&files)
}
