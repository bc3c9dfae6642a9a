//! A half-precision graph rewritten so that a CPU rounds as the hardware does: float32 arithmetic, and a rounding to
//! float16 after every operator that makes new numbers.
//!
//! ONNX Runtime's CPU provider runs most float16 operators in float32 and takes the conversions between two of them
//! away, so an overflow or a lost digit in between stays unseen. Here each rounding is a pair of conversions around a
//! change of shape, which it keeps. Sums inside one operator stay float32, as on tensor cores.

use super::graph::{axis, int};
use super::messages::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, TensorProto, TensorShapeProto, TensorTypeProto,
    TypeProto, ValueInfoProto, data_type,
};
use std::collections::HashMap;

/// Extra output of a rewritten graph, `[1]`: the largest absolute number that left any rounded operator; half precision
/// ends at 65504.
pub const LARGEST_ACTIVATION: &str = "largest_activation";

/// Operators that only move numbers about: what they give was rounded before.
const MOVES: [&str; 8] = ["Reshape", "Transpose", "Slice", "Concat", "Expand", "Resize", "Identity", "Relu"];
/// A shape that no network uses, so that changing to it is a change.
const ASIDE: [i64; 6] = [-1, 1, 1, 1, 1, 1];

/// The graph of `model`, float16, as one that rounds on any CPU.
#[must_use]
pub fn rounded(model: &ModelProto) -> ModelProto {
    let Some(graph) = &model.graph else { return model.clone() };
    let mut rewriting = Rewriting::of(graph);
    for tensor in &graph.initializer {
        rewriting.widen(tensor);
    }
    for node in &graph.node {
        rewriting.node(node);
    }
    ModelProto { graph: Some(rewriting.finish(graph)), ..model.clone() }
}

struct Rewriting<'m> {
    /// Type and shape of every wire as the graph writes them.
    wires: HashMap<&'m str, (i32, Vec<i64>)>,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
    /// Wires that hold the largest absolute number of one operator each.
    largest: Vec<String>,
}

impl<'m> Rewriting<'m> {
    fn of(graph: &'m GraphProto) -> Self {
        let values = graph.input.iter().chain(&graph.output).chain(&graph.value_info);
        let wires = values.filter_map(|value| Some((value.name.as_str(), ends(value)?))).collect();
        let initializers = vec![sizes("rounded/aside", &ASIDE), sizes("rounded/one", &[1])];
        Self { wires, nodes: Vec::new(), initializers, largest: Vec::new() }
    }

    /// Keeps an initialiser; one of float16 is stored under another name and widened to its own.
    fn widen(&mut self, tensor: &TensorProto) {
        if tensor.data_type != data_type::FLOAT16 {
            return self.initializers.push(tensor.clone());
        }
        let stored = format!("{}/stored", tensor.name);
        self.add("Cast", &tensor.name, &[&stored], vec![to(data_type::FLOAT)]);
        self.initializers.push(TensorProto { name: stored, ..tensor.clone() });
    }

    fn node(&mut self, node: &NodeProto) {
        let out = &node.output[0];
        let Some((element, shape)) = self.wires.get(out.as_str()).cloned() else {
            return self.nodes.push(node.clone());
        };
        let cast = node.op_type == "Cast";
        let op = if cast { "Identity" } else { node.op_type.as_str() };
        let attribute = if cast { Vec::new() } else { node.attribute.clone() };
        let rounds = element == data_type::FLOAT16 && !MOVES.contains(&node.op_type.as_str());
        let exact = if rounds { format!("{out}/exact") } else { out.clone() };
        let inputs: Vec<&str> = node.input.iter().map(String::as_str).collect();
        self.add(op, &exact, &inputs, attribute);
        if rounds {
            self.round(out, &exact, &shape);
        }
    }

    /// `out` as `exact` rounded to float16.
    fn round(&mut self, out: &str, exact: &str, shape: &[i64]) {
        let [half, aside, wide, back, size, most] =
            ["half", "aside", "wide", "back", "size", "most"].map(|what| format!("{out}/{what}"));
        self.initializers.push(sizes(&back, shape));
        self.add("Cast", &half, &[exact], vec![to(data_type::FLOAT16)]);
        self.add("Reshape", &aside, &[&half, "rounded/aside"], Vec::new());
        self.add("Cast", &wide, &[&aside], vec![to(data_type::FLOAT)]);
        self.add("Reshape", out, &[&wide, &back], Vec::new());
        self.add("Abs", &size, &[out], Vec::new());
        self.add("ReduceMax", &most, &[&size], vec![int("keepdims", 0)]);
        self.largest.push(most);
    }

    fn finish(mut self, graph: &GraphProto) -> GraphProto {
        let all: Vec<String> = std::mem::take(&mut self.largest);
        self.add("Max", "rounded/largest", &all.iter().map(String::as_str).collect::<Vec<_>>(), Vec::new());
        self.add("Reshape", LARGEST_ACTIVATION, &["rounded/largest", "rounded/one"], Vec::new());
        GraphProto {
            node: self.nodes,
            initializer: self.initializers,
            output: graph.output.iter().cloned().chain([float_output(LARGEST_ACTIVATION)]).collect(),
            value_info: Vec::new(),
            ..graph.clone()
        }
    }

    fn add(&mut self, op: &str, out: &str, inputs: &[&str], attribute: Vec<AttributeProto>) {
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|name| (*name).to_owned()).collect(),
            output: vec![out.to_owned()],
            name: out.to_owned(),
            op_type: op.to_owned(),
            attribute,
            domain: String::new(),
        });
    }
}

/// Element type and shape.
fn ends(value: &ValueInfoProto) -> Option<(i32, Vec<i64>)> {
    let tensor = value.r#type.as_ref()?.tensor_type.as_ref()?;
    let axes = tensor.shape.as_ref()?.dim.iter().map(|dim| dim.dim_value.unwrap_or(-1));
    Some((tensor.elem_type, axes.collect()))
}

fn to(element: i32) -> AttributeProto {
    int("to", i64::from(element))
}

fn sizes(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        dims: vec![axis(values.len())],
        data_type: data_type::INT64,
        name: name.to_owned(),
        raw_data: Some(values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        ..Default::default()
    }
}

fn float_output(name: &str) -> ValueInfoProto {
    let dim = vec![DimensionProto { dim_value: Some(1), dim_param: None }];
    let tensor = TensorTypeProto { elem_type: data_type::FLOAT, shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}
