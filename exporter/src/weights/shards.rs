//! Weights in several files: `NAME.safetensors.index.json` says which tensor lies in which of them.

use crate::ExportError;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What the name of an index ends with.
const ENDING: &str = ".safetensors.index.json";

/// The index of a sharded file, as transformers and diffusers write it.
#[derive(Debug, Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The files of a set of weights, and for each the tensors that it must hold; nothing for a file that stands alone.
pub(super) struct Shards {
    pub(super) files: Vec<PathBuf>,
    pub(super) tensors: Option<BTreeMap<String, usize>>,
}

/// The files of the weights at `path`: itself, or those of the index that it is.
///
/// # Errors
/// An index that cannot be read, or that points out of its folder.
pub(super) fn shards(path: &Path) -> Result<Shards, ExportError> {
    if !path.to_string_lossy().ends_with(ENDING) {
        return Ok(Shards { files: vec![path.to_path_buf()], tensors: None });
    }
    let wrong = |message: String| ExportError::BadHeader { path: path.to_path_buf(), message };
    let text = std::fs::read(path).map_err(|source| ExportError::Unreadable { path: path.into(), source })?;
    let index: Index = serde_json::from_slice(&text).map_err(|e| wrong(format!("the index is not valid: {e}")))?;
    let names: BTreeSet<&String> = index.weight_map.values().collect();
    if let Some(name) = names.iter().find(|name| name.is_empty() || name.contains(['/', '\\']) || **name == "..") {
        return Err(wrong(format!("the index points at `{name}`, which is no file beside it")));
    }
    let files: Vec<PathBuf> = names.iter().map(|name| path.with_file_name(name)).collect();
    let place = |name: &String| names.iter().position(|known| *known == name).expect("names were taken from the map");
    let tensors = index.weight_map.iter().map(|(key, name)| (key.clone(), place(name))).collect();
    Ok(Shards { files, tensors: Some(tensors) })
}

impl Shards {
    /// Refuses a tensor `key` that the file number `at` holds though the index does not say so.
    pub(super) fn check_listed(&self, at: usize, key: &str) -> Result<(), String> {
        let Some(listed) = &self.tensors else { return Ok(()) };
        match listed.get(key) {
            Some(place) if *place == at => Ok(()),
            Some(place) => Err(format!("`{key}` lies here, the index says in {}", self.files[*place].display())),
            None => Err(format!("`{key}` is not in the index")),
        }
    }

    /// Refuses a tensor that the index lists and none of `found` is; `found` are the files' own names.
    pub(super) fn check_all_found(&self, found: &BTreeSet<String>) -> Result<(), (PathBuf, String)> {
        let listed = self.tensors.iter().flatten();
        match listed.into_iter().find(|(key, _)| !found.contains(*key)) {
            Some((key, place)) => Err((self.files[*place].clone(), format!("lacks `{key}`, which the index lists"))),
            None => Ok(()),
        }
    }
}
