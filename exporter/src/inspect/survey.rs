//! One ONNX file read without its weights: what it holds, what it computes, what it must move.

use super::attention::{Scores, scores};
use super::work::{Shapes, count, flops, total};
use crate::ExportError;
use crate::onnx::messages::{ModelSurvey, TensorSurvey, ValueInfoProto, data_type};
use crate::weights::map;
use mindeye_config::{Precision, TensorEntry};
use prost::Message;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// Places of a 64x64 latent.
const MANY_PLACES: usize = 64 * 64;
/// A score matrix that one may have to live with: that of the autoencoder's single 512-wide head is 64 MiB in float32.
const BEARABLE_BYTES: u64 = 128 << 20;

/// A graph in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Survey {
    /// The graph's own name.
    pub network: String,
    /// Facts in its metadata: weights, exporter, precision.
    pub metadata: BTreeMap<String, String>,
    /// Inputs in order.
    pub inputs: Vec<TensorEntry>,
    /// Outputs in order.
    pub outputs: Vec<TensorEntry>,
    /// Nodes by operator.
    pub operators: BTreeMap<String, usize>,
    /// Numbers in the weights: as the exporter counted them, else all floats that the file holds.
    pub parameters: u64,
    /// Bytes of those numbers in the file and beside it.
    pub weight_bytes: u64,
    /// Floating-point operations of products and convolutions, two for a multiply-add.
    pub flops: u64,
    /// Weights, inputs and outputs: what must go through memory once, whatever the kernels.
    pub bytes_moved: u64,
    /// Answers of all nodes together: what goes through memory when nothing is fused.
    pub activation_bytes: u64,
    /// The attentions with the largest score matrix first.
    pub attentions: Vec<Scores>,
}

impl Survey {
    /// Reads the ONNX file at `path`.
    ///
    /// # Errors
    /// No such file, or none of ONNX.
    pub fn of(path: &Path) -> Result<Self, ExportError> {
        let bytes = map(path).map_err(|source| ExportError::Unreadable { path: path.to_path_buf(), source })?;
        let wrong = |message: String| ExportError::BadModel { path: path.to_path_buf(), message };
        let model = ModelSurvey::decode(&bytes[..]).map_err(|e| wrong(e.to_string()))?;
        Self::of_model(&model).ok_or_else(|| wrong("it holds no graph".into()))
    }

    fn of_model(model: &ModelSurvey) -> Option<Self> {
        let graph = model.graph.as_ref()?;
        let values = || graph.input.iter().chain(&graph.output).chain(&graph.value_info);
        let mut shapes: Shapes<'_> = values().map(|value| (value.name.as_str(), ends(value).1)).collect();
        shapes.extend(graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor.shape())));
        let metadata: BTreeMap<_, _> =
            model.metadata_props.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect();
        let floats: Vec<&TensorSurvey> = graph.initializer.iter().filter(|tensor| tensor.is_float()).collect();
        let counted = total(floats.iter().map(|tensor| count(&tensor.shape())));
        let bytes = |tensor: &&TensorSurvey| count(&tensor.shape()).saturating_mul(width(tensor.data_type));
        let weight_bytes = total(floats.iter().map(bytes));
        let bytes_of = |value: &ValueInfoProto| {
            let (element, shape) = ends(value);
            count(&shape).saturating_mul(width(element))
        };
        let mut operators = BTreeMap::new();
        graph.node.iter().for_each(|node| *operators.entry(node.op_type.clone()).or_insert(0) += 1);
        let half = metadata.get("precision").is_some_and(|precision| precision == "fp16");
        let mut attentions = scores(&graph.node, &shapes, if half { 2 } else { 4 });
        attentions.sort_by_key(|scores| std::cmp::Reverse(scores.bytes));
        let entries = |values: &[ValueInfoProto]| {
            values.iter().map(|value| TensorEntry { name: value.name.clone(), shape: ends(value).1 }).collect()
        };
        Some(Self {
            network: graph.name.clone(),
            inputs: entries(&graph.input),
            outputs: entries(&graph.output),
            operators,
            parameters: metadata.get("parameters").and_then(|text| text.parse().ok()).unwrap_or(counted),
            weight_bytes,
            flops: total(graph.node.iter().map(|node| flops(node, &shapes))),
            bytes_moved: weight_bytes.saturating_add(total(graph.input.iter().chain(&graph.output).map(bytes_of))),
            activation_bytes: total(graph.value_info.iter().map(bytes_of)),
            attentions,
            metadata,
        })
    }

    /// Arithmetic that most of the graph is done in.
    #[must_use]
    pub fn arithmetic(&self) -> Precision {
        match self.metadata.get("precision").map(String::as_str) {
            Some("fp16") => Precision::Fp16,
            _ => Precision::Fp32,
        }
    }

    /// Refuses a self-attention of 64x64 places or more whose scores would go through memory.
    ///
    /// # Errors
    /// The attention, its size and why no fused kernel takes it.
    pub(super) fn refuse_materialised_scores(&self, path: &Path) -> Result<(), ExportError> {
        let many = |scores: &&Scores| matches!(scores.shape[..], [.., q, k] if q >= MANY_PLACES && k >= MANY_PLACES);
        let bad = self.attentions.iter().filter(many).find(|s| s.unfused.is_some() && s.bytes > BEARABLE_BYTES);
        let Some(Scores { node, shape, bytes, unfused: Some(why), .. }) = bad else { return Ok(()) };
        let message = format!("`{node}` would write its {shape:?} scores to memory, {} MiB: {why}", bytes >> 20);
        Err(ExportError::BadModel { path: path.to_path_buf(), message })
    }
}

/// Element type and shape; an open size is 0.
fn ends(value: &ValueInfoProto) -> (i32, Vec<usize>) {
    let Some(tensor) = value.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()) else { return (0, Vec::new()) };
    let axes = tensor.shape.as_ref().map_or(&[][..], |shape| &shape.dim);
    let size = |n: i64| usize::try_from(n).unwrap_or(0);
    (tensor.elem_type, axes.iter().map(|axis| axis.dim_value.map_or(0, size)).collect())
}

/// Bytes of one number.
fn width(element: i32) -> u64 {
    match element {
        data_type::FLOAT16 => 2,
        data_type::INT64 => 8,
        _ => 4,
    }
}

impl fmt::Display for Survey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends = |entries: &[TensorEntry]| -> String {
            entries.iter().map(|e| format!("{} {:?}", e.name, e.shape)).collect::<Vec<_>>().join(", ")
        };
        let fact = |key: &str| self.metadata.get(key).map_or("not told", String::as_str);
        let nodes: usize = self.operators.values().sum();
        writeln!(f, "{}: {} -> {}", self.network, ends(&self.inputs), ends(&self.outputs))?;
        writeln!(f, "  precision {}: {}", fact("precision"), fact("precision_policy"))?;
        writeln!(f, "  weights sha256 {}, exporter {}", fact("weights_sha256"), fact("exporter_version"))?;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        writeln!(f, "  {} parameters, {:.1} MiB, {nodes} nodes", self.parameters, mib(self.weight_bytes))?;
        let (gflop, moved, unfused) = (self.flops as f64 / 1e9, mib(self.bytes_moved), mib(self.activation_bytes));
        write!(f, "  {gflop:.3} GFLOP, {moved:.1} MiB moved at least, {unfused:.1} MiB more if nothing is fused")?;
        let Some(largest) = self.attentions.first() else { return Ok(()) };
        let count = self.attentions.iter().filter(|scores| scores.unfused.is_none()).count();
        let (all, shape) = (self.attentions.len(), &largest.shape);
        write!(f, "\n  {count} of {all} attentions in the fused form; largest scores {shape:?}")
    }
}
