//! Golden cases: an input and the answer to it, by whoever had no hand in the graph that it will judge.

use super::runtime::Runtime;
use crate::ExportError;
use crate::networks::Network;
use crate::random_init::Noise;
use crate::reference::Array;
use crate::weights::StateDict;
use mindeye_config::{NetworkEntry, Precision, TensorEntry};
use safetensors::tensor::{Dtype, TensorView};
use std::path::Path;

/// Difference |ours - golden|/(1 + |golden|) that warm-up accepts in float32: sums of thousands of products in another
/// order differ by some 1e-6 of numbers of order one; a wrong layer differs by 1e-1.
const TOLERANCE: f64 = 1e-4;
/// The same in half precision, where one rounding is 5e-4: four times the worst of the networks of published size with
/// random weights (prior, 1.2e-2, emulated on a CPU by `tests/oracle/_check_half.py`).
const HALF_TOLERANCE: f64 = 5e-2;

/// What warm-up accepts of a network of `precision`.
pub(super) fn tolerance(precision: Precision) -> f64 {
    match precision {
        Precision::Fp32 => TOLERANCE,
        Precision::Fp16 => HALF_TOLERANCE,
    }
}

/// One network's golden case: `<network>/<tensor>` with shape and numbers, inputs first.
#[derive(Debug, Clone, PartialEq)]
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

/// The case of `network` by the plain f64 reference, for `batch` examples.
#[must_use]
pub fn golden_case(network: &dyn Network, state: &StateDict<'_>, batch: usize, seed: u64) -> GoldenCase {
    let name = network.name();
    let (entries, answers) = (network.inputs(batch), network.outputs(batch));
    let inputs: Vec<Array> = entries.iter().map(|entry| golden_input(name, entry, seed)).collect();
    let outputs = network.reference(state, &inputs);
    let tensors = entries.iter().chain(&answers).zip(inputs.iter().chain(&outputs)).map(|(entry, array)| {
        debug_assert_eq!(entry.shape, array.shape, "{name}/{}", entry.name);
        (format!("{name}/{}", entry.name), array.shape.clone(), array.to_f32())
    });
    GoldenCase { tensors: tensors.collect() }
}

/// The case of `entry` by ONNX Runtime on the graph itself, where the reference would take hours. It shows that another
/// engine agrees with ONNX Runtime on the CPU, not that the graph is right.
///
/// # Errors
/// A graph that does not load or run, an answer that is not finite.
pub(super) fn runtime_case(
    runtime: &Runtime,
    folder: &Path,
    entry: &NetworkEntry,
    seed: u64,
) -> Result<GoldenCase, ExportError> {
    let name = &entry.name;
    let inputs: Vec<Vec<f32>> = entry.inputs.iter().map(|input| golden_input(name, input, seed).to_f32()).collect();
    let outputs = runtime.answers(folder, entry, &inputs.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    let mut tensors = Vec::new();
    for (tensor, values) in entry.inputs.iter().chain(&entry.outputs).zip(inputs.into_iter().chain(outputs)) {
        if let Some(at) = values.iter().position(|v| !v.is_finite()) {
            let message = format!("`{name}/{}` is {} at {at} of {}", tensor.name, values[at], values.len());
            return Err(ExportError::Golden { path: folder.join(&entry.path), message });
        }
        tensors.push((format!("{name}/{}", tensor.name), tensor.shape.clone(), values));
    }
    Ok(GoldenCase { tensors })
}

/// Holds ONNX Runtime's answers of `entry` to `case`; the largest |found - golden|/(1 + |golden|).
///
/// # Errors
/// A graph that does not load or run, or whose answers are farther away than the entry's tolerance.
pub(super) fn hold_to(
    runtime: &Runtime,
    folder: &Path,
    entry: &NetworkEntry,
    case: &GoldenCase,
) -> Result<f64, ExportError> {
    let (inputs, outputs) = case.tensors.split_at(entry.inputs.len());
    let found = runtime.answers(folder, entry, &inputs.iter().map(|(.., v)| v.as_slice()).collect::<Vec<_>>())?;
    let mut worst: f64 = 0.0;
    for (found, (name, _, golden)) in found.iter().zip(outputs) {
        for (at, (found, golden)) in found.iter().zip(golden).enumerate() {
            let amount = f64::from((found - golden).abs()) / (1.0 + f64::from(golden.abs()));
            if amount.is_nan() || amount > entry.tolerance {
                let message = format!(
                    "the graph answers {found} where `{name}` has {golden} (element {at}): {amount:.1e} apart, \
                     allowed {:.1e}",
                    entry.tolerance
                );
                return Err(ExportError::Golden { path: folder.join(&entry.path), message });
            }
            worst = worst.max(amount);
        }
    }
    Ok(worst)
}

/// The bytes of `golden.safetensors`.
pub(super) fn golden_file(cases: &[GoldenCase]) -> Vec<u8> {
    let tensors = cases.iter().flat_map(|case| &case.tensors);
    let bytes: Vec<_> = tensors.map(|(name, shape, values)| (name, shape, float_bytes(values))).collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, (*shape).clone(), bytes);
        (name, view.expect("a case has as many numbers as its shapes say"))
    });
    safetensors::serialize(views, None).expect("a header with these few names is far below the format's limit")
}

fn float_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}
