//! A finished graph goes to disk tensor by tensor, so that memory holds one tensor and not the model.
//!
//! A protobuf message inside another is a tag, its length and its bytes; all lengths are known before the first weight
//! is touched, so the file is written front to back. Above [`INLINE_LIMIT`] weights go to `<name>.data`, each at a
//! multiple of 4096 so that runtimes can map it.

use super::graph::{Graph, Initializer, RUNTIME_DOMAIN, Wire, axis};
use super::messages::{EXTERNAL, GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto, TensorProto};
use super::sink::{Sink, field_length, field_start, long};
use crate::ExportError;
use crate::networks::{Dialect, Network};
use crate::weights::StateDict;
pub use mindeye_config::Precision;
use mindeye_config::Sha256;
use prost::Message;
use std::path::Path;

/// Version of the file format that goes with the operator set.
const IR_VERSION: i64 = 9;
/// Operator set: the first with `Gelu`.
const OPSET: i64 = 20;
/// The largest model in one file. Protobuf could go to 2 GiB, but a runtime parses and copies what lies inside, and maps
/// what lies beside.
pub const INLINE_LIMIT: u64 = 256 << 20;
/// Alignment of a tensor in a `.data` file: a page, so that it can be mapped.
const PAGE: u64 = 4096;
/// Tensors shorter than this stay in the model: shapes and scales, which readers want at hand.
const SMALLEST_EXTERNAL: usize = 1024;
/// Field numbers of the three messages that are written by hand.
const MODEL_GRAPH: u32 = 7;
const GRAPH_INITIALIZER: u32 = 5;
const TENSOR_RAW_DATA: u32 = 9;

/// A graph with what a reader wants to know about its origin.
pub struct Model<'w> {
    /// The graph.
    pub graph: Graph<'w>,
    /// Digest of the weights file.
    pub weights_sha256: Sha256,
    /// Arithmetic of the graph.
    pub precision: Precision,
    /// Further facts for readers: precision policy, parameters.
    pub facts: Vec<(&'static str, String)>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// File names, the model first.
    pub files: Vec<String>,
    /// Their lengths together.
    pub bytes: u64,
}

/// Bytes of one initialiser's message but for its numbers, and where those go.
struct Placed {
    /// Name, type, shape and, for external data, location.
    head: Vec<u8>,
    /// Bytes of numbers that follow inside the model; 0 when external.
    inline: u64,
    /// Offset in the `.data` file.
    external: Option<u64>,
}

/// The dialect that the nodes of `graph` are of.
fn dialect_of(graph: &Graph<'_>) -> Dialect {
    let standard = graph.nodes.iter().all(|node| node.domain.is_empty());
    if standard { Dialect::Portable } else { Dialect::OnnxRuntimeCuda }
}

impl<'w> Model<'w> {
    /// The `graph` that `network` drew from the tensors of `state`.
    #[must_use]
    pub fn new(
        graph: Graph<'w>,
        network: &dyn Network,
        state: &StateDict<'_>,
        precision: Precision,
        weights_sha256: Sha256,
    ) -> Self {
        let facts = vec![
            ("precision_policy", network.islands().policy(precision)),
            ("dialect", dialect_of(&graph).key().to_owned()),
            ("parameters", state.parameters().to_string()),
            ("tensors", state.keys().count().to_string()),
        ];
        Self { graph, weights_sha256, precision, facts }
    }

    /// Writes the model as `folder/name`, and beside it `name.data` if it would pass `inline_limit` bytes.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, folder: &Path, name: &str, inline_limit: u64) -> Result<Written, ExportError> {
        let inside = self.place(None);
        if self.length(&inside) <= inline_limit {
            let bytes = self.write_model(&folder.join(name), &inside)?;
            return Ok(Written { files: vec![name.to_owned()], bytes });
        }
        let data_name = format!("{name}.data");
        let outside = self.place(Some(&data_name));
        let data_bytes = self.write_data(&folder.join(&data_name), &outside)?;
        let bytes = self.write_model(&folder.join(name), &outside)? + data_bytes;
        Ok(Written { files: vec![name.to_owned(), data_name], bytes })
    }

    /// Writes the model file alone, as it is with its weights beside it: all that [`crate::inspect`] reads.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write_outline(&self, path: &Path) -> Result<u64, ExportError> {
        self.write_model(path, &self.place(Some("not-written.data")))
    }

    /// Decides where each initialiser's numbers go: into the model, or into the file called `data_name`.
    fn place(&self, data_name: Option<&str>) -> Vec<Placed> {
        let mut end = 0;
        let mut place = |initializer: &Initializer<'_>| match data_name {
            Some(location) if initializer.payload.len() >= SMALLEST_EXTERNAL => {
                let offset = u64::next_multiple_of(end, PAGE);
                end = offset + length_of(initializer);
                external(initializer, location, offset)
            }
            _ => inline(initializer),
        };
        self.graph.initializers.iter().map(&mut place).collect()
    }

    /// Length of the model file.
    fn length(&self, placed: &[Placed]) -> u64 {
        let graph = self.graph_length(placed);
        long(self.head().encoded_len()) + field_length(MODEL_GRAPH, graph)
    }

    fn graph_length(&self, placed: &[Placed]) -> u64 {
        let tensors = placed.iter().map(|p| field_length(GRAPH_INITIALIZER, p.length()));
        long(self.nodes().encoded_len()) + tensors.sum::<u64>()
    }

    /// The model's message without its graph.
    fn head(&self) -> ModelProto {
        let entry = |key: &str, value: &str| StringStringEntryProto { key: key.into(), value: value.into() };
        let precision = match self.precision {
            Precision::Fp32 => "fp32",
            Precision::Fp16 => "fp16",
        };
        ModelProto {
            ir_version: IR_VERSION,
            producer_name: "mindeye-export".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: None,
            opset_import: self.operator_sets(),
            metadata_props: [
                entry("weights_sha256", &self.weights_sha256.0),
                entry("exporter_version", env!("CARGO_PKG_VERSION")),
                entry("precision", precision),
            ]
            .into_iter()
            .chain(self.facts.iter().map(|(key, value)| entry(key, value)))
            .collect(),
        }
    }

    /// Whether every node is of the standard operator set.
    #[must_use]
    pub fn is_portable(&self) -> bool {
        dialect_of(&self.graph) == Dialect::Portable
    }

    fn operator_sets(&self) -> Vec<OperatorSetIdProto> {
        let set = |domain: &str, version| OperatorSetIdProto { domain: domain.into(), version };
        let own = (!self.is_portable()).then(|| set(RUNTIME_DOMAIN, 1));
        [set("", OPSET)].into_iter().chain(own).collect()
    }

    /// The graph's message without its initialisers.
    fn nodes(&self) -> GraphProto {
        let graph = &self.graph;
        let ends = |wire: &Wire| graph.inputs.contains(wire) || graph.outputs.contains(wire);
        let outputs = graph.nodes.iter().flat_map(|node| &node.output).filter(|name| !name.is_empty());
        let between = outputs.map(|name| &graph.wires[name]).filter(|wire| !ends(wire));
        GraphProto {
            node: graph.nodes.clone(),
            name: graph.name.clone(),
            initializer: Vec::new(),
            input: graph.inputs.iter().map(Wire::value_info).collect(),
            output: graph.outputs.iter().map(Wire::value_info).collect(),
            value_info: between.map(Wire::value_info).collect(),
        }
    }

    fn write_model(&self, path: &Path, placed: &[Placed]) -> Result<u64, ExportError> {
        let mut out = Sink::create(path)?;
        out.write(&self.head().encode_to_vec())?;
        out.write(&field_start(MODEL_GRAPH, self.graph_length(placed)))?;
        out.write(&self.nodes().encode_to_vec())?;
        for (initializer, place) in self.graph.initializers.iter().zip(placed) {
            out.write(&field_start(GRAPH_INITIALIZER, place.length()))?;
            out.write(&place.head)?;
            if place.external.is_none() {
                out.write(&field_start(TENSOR_RAW_DATA, place.inline))?;
                initializer.payload.pieces().try_for_each(|piece| out.write(&piece))?;
            }
        }
        out.finish()
    }

    fn write_data(&self, path: &Path, placed: &[Placed]) -> Result<u64, ExportError> {
        let mut out = Sink::create(path)?;
        for (initializer, place) in self.graph.initializers.iter().zip(placed) {
            let Some(offset) = place.external else { continue };
            let padding = usize::try_from(offset - out.written).expect("padding is shorter than a page");
            out.write(&vec![0; padding])?;
            initializer.payload.pieces().try_for_each(|piece| out.write(&piece))?;
        }
        out.finish()
    }
}

impl Placed {
    /// Length of the initialiser's message.
    fn length(&self) -> u64 {
        let numbers = if self.external.is_none() { field_length(TENSOR_RAW_DATA, self.inline) } else { 0 };
        long(self.head.len()) + numbers
    }
}

fn inline(initializer: &Initializer<'_>) -> Placed {
    let head = tensor_head(initializer).encode_to_vec();
    Placed { head, inline: length_of(initializer), external: None }
}

fn external(initializer: &Initializer<'_>, location: &str, offset: u64) -> Placed {
    let entry = |key: &str, value: String| StringStringEntryProto { key: key.into(), value };
    let external_data = vec![
        entry("location", location.to_owned()),
        entry("offset", offset.to_string()),
        entry("length", length_of(initializer).to_string()),
    ];
    let head = TensorProto { external_data, data_location: Some(EXTERNAL), ..tensor_head(initializer) };
    Placed { head: head.encode_to_vec(), inline: 0, external: Some(offset) }
}

fn tensor_head(initializer: &Initializer<'_>) -> TensorProto {
    let value = initializer.wire.value_info();
    TensorProto {
        dims: initializer.wire.shape().iter().map(|n| axis(*n)).collect(),
        data_type: value.r#type.and_then(|t| t.tensor_type).map_or(0, |t| t.elem_type),
        name: value.name,
        ..Default::default()
    }
}

fn length_of(initializer: &Initializer<'_>) -> u64 {
    long(initializer.payload.len())
}

#[cfg(test)]
mod tests {
    use super::super::graph::Element;
    use super::*;
    use crate::weights::{Numbers, Storage, Tensor};
    use mindeye_config::sha256_of_bytes;

    /// `y = x w^T`, with a weight of 600 numbers (2400 bytes), stored as `storage`.
    fn model(storage: Storage, bytes: &[u8]) -> Model<'_> {
        let mut graph = Graph::new("test", Precision::Fp32);
        let x = graph.input("x", &[1, 20]).unwrap();
        let weight = graph.weight(
            "w",
            Element::Float32,
            &Tensor { shape: vec![30, 20], numbers: Numbers::Stored(storage, bytes) },
        );
        let y = graph.gemm("gemm", &x, &weight, None).unwrap();
        let y = graph.reshape("reshape", &y, &[1, 5, 6]).unwrap();
        graph.output("y", &y).unwrap();
        Model { graph, weights_sha256: sha256_of_bytes(bytes), precision: Precision::Fp32, facts: Vec::new() }
    }

    fn weight_bytes() -> Vec<u8> {
        (0..600_u16).flat_map(|i| f32::from(i).to_le_bytes()).collect()
    }

    fn read(path: &Path) -> ModelProto {
        ModelProto::decode(std::fs::read(path).unwrap().as_slice()).unwrap()
    }

    #[test]
    fn a_streamed_file_is_a_model_with_weights_inside() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = weight_bytes();
        let written = model(Storage::F32, &bytes).write(folder.path(), "m.onnx", INLINE_LIMIT).unwrap();
        assert_eq!(written.files, ["m.onnx"]);
        assert_eq!(written.bytes, std::fs::metadata(folder.path().join("m.onnx")).unwrap().len());

        let read = read(&folder.path().join("m.onnx"));
        // Protobuf's own encoding of what was read has the same length: nothing was lost or doubled.
        assert_eq!(long(read.encoded_len()), written.bytes);
        assert_eq!(read.metadata_props[0].value, sha256_of_bytes(&bytes).0);
        let graph = read.graph.unwrap();
        assert_eq!(graph.initializer[0].dims, [30, 20]);
        assert_eq!(graph.initializer[0].raw_data.as_deref(), Some(bytes.as_slice()));
        let names: Vec<_> = graph.node.iter().map(|n| (n.op_type.as_str(), n.name.as_str())).collect();
        assert_eq!(names, [("Gemm", "gemm"), ("Reshape", "reshape"), ("Identity", "y")]);
    }

    #[test]
    fn above_the_limit_weights_lie_beside_the_model_on_page_boundaries() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = weight_bytes();
        let mut model = model(Storage::F32, &bytes);
        let second = Tensor { shape: vec![600], numbers: Numbers::Stored(Storage::F32, &bytes) };
        model.graph.weight("second", Element::Float32, &second);
        let written = model.write(folder.path(), "m.onnx", 1000).unwrap();
        assert_eq!(written.files, ["m.onnx", "m.onnx.data"]);

        let graph = read(&folder.path().join("m.onnx")).graph.unwrap();
        let data = std::fs::read(folder.path().join("m.onnx.data")).unwrap();
        for (tensor, offset) in [(&graph.initializer[0], 0), (&graph.initializer[2], 4096)] {
            let expected =
                [("location", "m.onnx.data".into()), ("offset", offset.to_string()), ("length", "2400".into())];
            let found: Vec<_> = tensor.external_data.iter().map(|e| (e.key.as_str(), e.value.clone())).collect();
            assert_eq!(found, expected);
            assert_eq!((tensor.data_location, tensor.raw_data.as_ref()), (Some(EXTERNAL), None));
            assert_eq!(data[offset..offset + 2400], bytes);
        }
        // The reshape's sizes are small and stay inside.
        assert_eq!(graph.initializer[1].raw_data.as_ref().map(Vec::len), Some(24));
    }

    #[test]
    fn half_precision_weights_are_widened_when_written() {
        let folder = tempfile::tempdir().unwrap();
        let half: Vec<u8> = (0..600_u16).flat_map(|i| half::f16::from_f32(f32::from(i)).to_le_bytes()).collect();
        model(Storage::F16, &half).write(folder.path(), "m.onnx", INLINE_LIMIT).unwrap();
        let graph = read(&folder.path().join("m.onnx")).graph.unwrap();
        // Integers up to 2048 are exact in half precision.
        assert_eq!(graph.initializer[0].raw_data.as_deref(), Some(weight_bytes().as_slice()));
    }

    #[test]
    fn a_full_disk_is_an_error_that_names_the_file() {
        if !Path::new("/dev/full").exists() {
            eprintln!("skipped: this system has no /dev/full");
            return;
        }
        let bytes = weight_bytes();
        let message =
            model(Storage::F32, &bytes).write(Path::new("/dev"), "full", INLINE_LIMIT).unwrap_err().to_string();
        assert!(message.starts_with("/dev/full: cannot be written"), "{message}");
    }
}
