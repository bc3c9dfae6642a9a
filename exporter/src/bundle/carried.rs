//! Golden cases that a checkpoint carries: its trainer's own answers, `<network>/<tensor>` in `golden.safetensors`.

use super::golden::GoldenCase;
use crate::ExportError;
use crate::networks::names;
use crate::weights::Weights;
use mindeye_config::{NetworkEntry, TensorEntry};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The cases that were not taken yet.
pub(super) struct Carried {
    path: PathBuf,
    weights: Option<Weights>,
    left: BTreeSet<String>,
}

/// Reads `checkpoint/golden.safetensors`, where it exists.
///
/// # Errors
/// A damaged file.
pub(super) fn read_carried(checkpoint: &Path) -> Result<Carried, ExportError> {
    let path = checkpoint.join("golden.safetensors");
    let weights = if path.exists() { Some(Weights::open(&path)?) } else { None };
    let left = weights.iter().flat_map(Weights::keys).map(str::to_owned).collect();
    Ok(Carried { path, weights, left })
}

impl Carried {
    /// The case of the network `entry`, if the trainer gave one.
    ///
    /// # Errors
    /// A case that lacks a tensor, or has one of another shape or type.
    pub(super) fn take(&mut self, entry: &NetworkEntry) -> Result<Option<GoldenCase>, ExportError> {
        let prefix = format!("{}/", entry.name);
        if !self.left.iter().any(|key| key.starts_with(&prefix)) {
            return Ok(None);
        }
        let mut tensors = Vec::new();
        for tensor in entry.inputs.iter().chain(&entry.outputs) {
            tensors.push(self.tensor(&format!("{prefix}{}", tensor.name), tensor)?);
        }
        Ok(Some(GoldenCase { tensors }))
    }

    fn tensor(&mut self, key: &str, entry: &TensorEntry) -> Result<(String, Vec<usize>, Vec<f32>), ExportError> {
        self.left.remove(key);
        let found = self.weights.as_ref().and_then(|weights| weights.float_tensor(key));
        let Some(found) = found else { return Err(self.wrong(format!("no tensor `{key}` of floats"))) };
        if found.shape != entry.shape {
            return Err(self.wrong(format!("`{key}` is {:?}, the graph has {:?}", found.shape, entry.shape)));
        }
        Ok((key.to_owned(), found.shape.clone(), found.values().collect()))
    }

    /// Refuses tensors that belong to no network at all; cases of networks that this bundle leaves out are no error.
    ///
    /// # Errors
    /// The first such tensor.
    pub(super) fn refuse_strays(&self) -> Result<(), ExportError> {
        let of_a_network = |key: &str| names().iter().any(|name| key.split('/').next() == Some(name));
        match self.left.iter().find(|key| !of_a_network(key)) {
            Some(key) => Err(self.wrong(format!("`{key}` is of none of {:?}", names()))),
            None => Ok(()),
        }
    }

    fn wrong(&self, message: String) -> ExportError {
        ExportError::Golden { path: self.path.clone(), message }
    }
}
