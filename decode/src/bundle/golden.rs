//! Golden cases: one input and its outputs per network, computed where the weights came from.

use super::agreement::equal;
use super::{BundleError, GOLDEN, MANIFEST};
use crate::Network;
use crate::tensors::{self, Tensor};
use mindeye_config::{BundleManifest, NetworkEntry, TensorEntry};
use std::collections::BTreeMap;
use std::path::Path;

/// The golden case of each network of a bundle.
#[derive(Default)]
pub(crate) struct Golden {
    cases: BTreeMap<&'static str, Case>,
}

#[derive(Default)]
struct Case {
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
}

impl Golden {
    /// Reads `golden.safetensors`: `<network>/<tensor>` for every input and output of the manifest, and nothing else.
    pub(super) fn read(dir: &Path, manifest: &BundleManifest) -> Result<Self, BundleError> {
        let mut tensors = tensors::read(&dir.join(GOLDEN)).map_err(BundleError::malformed(GOLDEN))?;
        let mut cases = BTreeMap::new();
        for network in Network::ALL {
            let Some(entry) = manifest.network(network.key()) else { continue };
            let inputs = take_all(&mut tensors, entry, &entry.inputs)?;
            let outputs = take_all(&mut tensors, entry, &entry.outputs)?;
            cases.insert(network.key(), Case { inputs, outputs });
        }
        match tensors.keys().next() {
            Some(extra) => Err(malformed(format!("`{extra}` is no tensor of a network in {MANIFEST}"))),
            None => Ok(Self { cases }),
        }
    }

    /// Values of the inputs of `network`, in order; empty for a network that the bundle does not have.
    pub(crate) fn inputs(&self, network: Network) -> Vec<&[f32]> {
        self.values(network, |case| &case.inputs)
    }

    /// Values of its outputs, in order.
    pub(crate) fn outputs(&self, network: Network) -> Vec<&[f32]> {
        self.values(network, |case| &case.outputs)
    }

    fn values(&self, network: Network, side: fn(&Case) -> &Vec<Tensor>) -> Vec<&[f32]> {
        let tensors = self.cases.get(network.key()).map_or(&[][..], |case| side(case));
        tensors.iter().map(|tensor| &tensor.values[..]).collect()
    }
}

fn take_all(
    tensors: &mut BTreeMap<String, Tensor>,
    network: &NetworkEntry,
    entries: &[TensorEntry],
) -> Result<Vec<Tensor>, BundleError> {
    let take = |entry: &TensorEntry| {
        let key = format!("{}/{}", network.name, entry.name);
        let tensor = tensors.remove(&key).ok_or_else(|| malformed(format!("`{key}` is missing")))?;
        equal(GOLDEN, format!("shape of `{key}`"), &tensor.shape, MANIFEST, &entry.shape)?;
        Ok(tensor)
    };
    entries.iter().map(take).collect()
}

fn malformed(problem: String) -> BundleError {
    BundleError::Malformed { path: GOLDEN, problem }
}
