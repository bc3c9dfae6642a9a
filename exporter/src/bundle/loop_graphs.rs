//! Two small graphs that, beside `step`, keep a sampler's loop on a device; they have no weights, so each bundle draws its own.
//!
//! ```text
//!   branches     samples = (sample, sample)                                  both branches of a guided UNet of batch 2
//!   prior-step   next_sample = c0 sample + c1 predicted_tokens + c2 noise    every walk of the prior (spec: MindEye 2.2)
//! ```
//! Both are float32 in bundles of any precision: they carry a whole trajectory.

use super::golden::{GoldenCase, golden_input, tolerance};
use crate::ExportError;
use crate::onnx::{Graph, GraphError, INLINE_LIMIT, Model, Wire};
use crate::staging::make_folder;
use mindeye_config::{NetworkEntry, Precision, TensorEntry, sha256_of_bytes};
use std::path::Path;

/// A graph without weights.
struct LoopGraph {
    name: &'static str,
    inputs: Vec<TensorEntry>,
    output: TensorEntry,
    draw: fn(&mut Graph<'_>, &[Wire]) -> Result<Wire, GraphError>,
    /// The same in plain f64, for the golden case.
    reference: fn(&[Vec<f64>]) -> Vec<f64>,
}

/// Writes the graphs that go with the prior and the UNet among `entries` into `folder/networks`; their entries.
///
/// # Errors
/// Shapes that do not go together, or what the file system says.
pub fn write_loop_graphs(folder: &Path, entries: &[NetworkEntry]) -> Result<Vec<NetworkEntry>, ExportError> {
    loop_graphs(entries).iter().map(|graph| graph.write(folder)).collect()
}

/// Their golden cases.
pub(super) fn loop_goldens(entries: &[NetworkEntry], seed: u64) -> Vec<GoldenCase> {
    loop_graphs(entries).iter().map(|graph| graph.golden(seed)).collect()
}

fn loop_graphs(entries: &[NetworkEntry]) -> Vec<LoopGraph> {
    let first_input = |name: &str| Some(&entries.iter().find(|entry| entry.name == name)?.inputs.first()?.shape[..]);
    let prior_step = first_input("prior").map(prior_step);
    let branches = first_input("unet").filter(|shape| shape[0] == 2).map(branches);
    prior_step.into_iter().chain(branches).collect()
}

/// For tokens of `shape` [1, tokens, width].
fn prior_step(shape: &[usize]) -> LoopGraph {
    let mut inputs: Vec<_> = ["sample", "predicted_tokens", "noise"].map(|name| entry(name, shape)).into();
    inputs.push(entry("coefficients", &[1, 3]));
    LoopGraph {
        name: "prior-step",
        inputs,
        output: entry("next_sample", shape),
        draw: |graph, inputs| {
            let (tensors, coefficients) = inputs.split_at(3);
            let mut sum: Option<Wire> = None;
            for (i, (tensor, name)) in tensors.iter().zip(["sample", "prediction", "noise"]).enumerate() {
                let factor = graph.slice(&format!("{name}/factor"), &coefficients[0], 1, i..i + 1)?;
                let part = graph.mul(&format!("{name}/part"), tensor, &factor)?;
                sum = Some(match sum {
                    None => part,
                    Some(sum) => graph.add(&format!("{name}/sum"), &sum, &part)?,
                });
            }
            Ok(sum.expect("three tensors are summed"))
        },
        reference: |inputs| {
            let number = |i| inputs[..3].iter().zip(&inputs[3]).map(|(tensor, factor)| factor * tensor[i]).sum();
            (0..inputs[0].len()).map(number).collect()
        },
    }
}

/// For a UNet whose samples have `shape` [2, C, H, W].
fn branches(shape: &[usize]) -> LoopGraph {
    LoopGraph {
        name: "branches",
        inputs: vec![entry("sample", &[&[1], &shape[1..]].concat())],
        output: entry("samples", shape),
        draw: |graph, inputs| graph.concat("both", &[&inputs[0], &inputs[0]], 0),
        reference: |inputs| inputs[0].repeat(2),
    }
}

fn entry(name: &str, shape: &[usize]) -> TensorEntry {
    TensorEntry { name: name.into(), shape: shape.to_vec() }
}

impl LoopGraph {
    fn write(&self, folder: &Path) -> Result<NetworkEntry, ExportError> {
        let refused = |source| ExportError::Graph { path: self.name.into(), source };
        let weights_sha256 = sha256_of_bytes(b"");
        let (graph, precision) = (self.graph().map_err(refused)?, Precision::Fp32);
        let file = format!("{}.onnx", self.name);
        let model = Model { graph, weights_sha256, precision, facts: Vec::new() };
        model.write(&make_folder(folder, "networks")?, &file, INLINE_LIMIT)?;
        Ok(NetworkEntry {
            name: self.name.into(),
            path: format!("networks/{file}"),
            precision,
            tolerance: tolerance(precision),
            inputs: self.inputs.clone(),
            outputs: vec![self.output.clone()],
        })
    }

    fn graph(&self) -> Result<Graph<'static>, GraphError> {
        let mut graph = Graph::new(self.name, Precision::Fp32);
        let mut wires = Vec::new();
        for input in &self.inputs {
            wires.push(graph.input(&input.name, &input.shape)?);
        }
        let made = (self.draw)(&mut graph, &wires)?;
        graph.output(&self.output.name, &made)?;
        Ok(graph)
    }

    fn golden(&self, seed: u64) -> GoldenCase {
        let inputs: Vec<_> = self.inputs.iter().map(|input| golden_input(self.name, input, seed)).collect();
        let answer = (self.reference)(&inputs.iter().map(|array| array.values.clone()).collect::<Vec<_>>());
        let key = |entry: &TensorEntry| (format!("{}/{}", self.name, entry.name), entry.shape.clone());
        let named = |(entry, values): (&TensorEntry, Vec<f32>)| {
            let (name, shape) = key(entry);
            (name, shape, values)
        };
        let values = inputs.iter().map(|array| array.to_f32());
        let answer = answer.iter().map(|v| *v as f32).collect();
        let tensors = self.inputs.iter().zip(values).chain([(&self.output, answer)]).map(named);
        GoldenCase { tensors: tensors.collect() }
    }
}
