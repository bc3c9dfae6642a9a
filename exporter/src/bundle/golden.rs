//! Golden cases: an input and the answer to it, by the reference and never by the graph that it will judge.

use crate::networks::Network;
use crate::random_init::Noise;
use crate::reference::Array;
use crate::weights::StateDict;
use mindeye_config::TensorEntry;
use safetensors::tensor::{Dtype, TensorView};

/// One network's golden case: `<network>/<tensor>` with shape and numbers, inputs first.
pub struct GoldenCase {
    /// The tensors.
    pub tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
}

/// Steps that every sampler of the method has: the prior counts to 100, the UNet to 1000.
const TIMESTEPS: f64 = 100.0;

/// Standard normal numbers for `entry`, as z-scored voxels and latents are; whole steps for a `timestep`.
#[must_use]
pub fn golden_input(network: &str, entry: &TensorEntry, seed: u64) -> Array {
    let noise = Noise::new(seed, &format!("golden/{network}/{}", entry.name));
    if entry.name == "timestep" {
        let steps = (0..entry.shape.iter().product::<usize>() as u64).map(|i| (noise.uniform(i) * TIMESTEPS).floor());
        return Array::new(&entry.shape, steps.collect());
    }
    // Rounded to float32 before the reference sees it: both sides must start from the same numbers.
    let values = noise.normals(entry.shape.iter().product()).map(|z| f64::from(z as f32));
    Array::new(&entry.shape, values.collect())
}

/// The case of `network`, for a batch of one.
#[must_use]
pub fn golden_case(network: &dyn Network, state: &StateDict<'_>, seed: u64) -> GoldenCase {
    let name = network.name();
    let (entries, answers) = (network.inputs(1), network.outputs(1));
    let inputs: Vec<Array> = entries.iter().map(|entry| golden_input(name, entry, seed)).collect();
    let outputs = network.reference(state, &inputs);
    let tensors = entries.iter().chain(&answers).zip(inputs.iter().chain(&outputs)).map(|(entry, array)| {
        debug_assert_eq!(entry.shape, array.shape, "{name}/{}", entry.name);
        (format!("{name}/{}", entry.name), array.shape.clone(), array.to_f32())
    });
    GoldenCase { tensors: tensors.collect() }
}

/// The bytes of `golden.safetensors`.
pub(super) fn golden_file(cases: &[GoldenCase]) -> Vec<u8> {
    let tensors = cases.iter().flat_map(|case| &case.tensors);
    let bytes: Vec<_> = tensors.map(|(name, shape, values)| (name, shape, float_bytes(values))).collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, (*shape).clone(), bytes);
        (name, view.expect("the reference gives as many numbers as its shape says"))
    });
    safetensors::serialize(views, None).expect("a header with these few names is far below the format's limit")
}

fn float_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}
