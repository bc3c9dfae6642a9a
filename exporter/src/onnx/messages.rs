//! The dozen protobuf messages of ONNX, with the field numbers of the public schema (onnx.proto, IR version 9).
//!
//! Fields that this crate neither writes nor reads are left out; a protobuf reader skips them. Scalars of an attribute
//! are optional so that a zero is written and not left to a default, which checkers of the proto2 schema insist on.

use prost::Message;

/// A model: one graph, the operator sets it uses and who made it.
#[derive(Clone, PartialEq, Message)]
pub struct ModelProto {
    /// Version of the file format.
    #[prost(int64, tag = "1")]
    pub ir_version: i64,
    /// Program that wrote the file.
    #[prost(string, tag = "2")]
    pub producer_name: String,
    /// Its version.
    #[prost(string, tag = "3")]
    pub producer_version: String,
    /// The graph.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphProto>,
    /// Operator sets.
    #[prost(message, repeated, tag = "8")]
    pub opset_import: Vec<OperatorSetIdProto>,
    /// Free-form facts: hash of the weights, precision, exporter.
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<StringStringEntryProto>,
}

/// Nodes in topological order, and the tensors that enter, leave and live in them.
#[derive(Clone, PartialEq, Message)]
pub struct GraphProto {
    /// Nodes, each after those it reads from.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    /// Name of the graph.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Weights and constants.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorProto>,
    /// Inputs, in order.
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    /// Outputs, in order.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
    /// Shapes of the tensors in between.
    #[prost(message, repeated, tag = "13")]
    pub value_info: Vec<ValueInfoProto>,
}

/// One operator with the names of the tensors it reads and writes.
#[derive(Clone, PartialEq, Message)]
pub struct NodeProto {
    /// Names of the inputs; empty for an optional one left out.
    #[prost(string, repeated, tag = "1")]
    pub input: Vec<String>,
    /// Names of the outputs.
    #[prost(string, repeated, tag = "2")]
    pub output: Vec<String>,
    /// Name of the node.
    #[prost(string, tag = "3")]
    pub name: String,
    /// Operator, for example `Gemm`.
    #[prost(string, tag = "4")]
    pub op_type: String,
    /// Settings of the operator.
    #[prost(message, repeated, tag = "5")]
    pub attribute: Vec<AttributeProto>,
    /// Operator set of the operator; empty for the standard one.
    #[prost(string, tag = "7")]
    pub domain: String,
}

/// A named setting of one kind.
#[derive(Clone, PartialEq, Message)]
pub struct AttributeProto {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Value of an [`attribute_type::FLOAT`].
    #[prost(float, optional, tag = "2")]
    pub f: Option<f32>,
    /// Value of an [`attribute_type::INT`].
    #[prost(int64, optional, tag = "3")]
    pub i: Option<i64>,
    /// Value of an [`attribute_type::STRING`].
    #[prost(bytes = "vec", optional, tag = "4")]
    pub s: Option<Vec<u8>>,
    /// Value of an [`attribute_type::INTS`].
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub ints: Vec<i64>,
    /// One of [`attribute_type`].
    #[prost(int32, tag = "20")]
    pub r#type: i32,
}

/// Values of `AttributeProto.type`.
pub mod attribute_type {
    /// 32-bit float.
    pub const FLOAT: i32 = 1;
    /// 64-bit integer.
    pub const INT: i32 = 2;
    /// Bytes of a string.
    pub const STRING: i32 = 3;
    /// List of 64-bit integers.
    pub const INTS: i32 = 7;
}

/// A constant tensor, its bytes inside the message or in a file beside it.
#[derive(Clone, PartialEq, Message)]
pub struct TensorProto {
    /// Shape.
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dims: Vec<i64>,
    /// One of [`data_type`].
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// Name.
    #[prost(string, tag = "8")]
    pub name: String,
    /// Little-endian values, row-major; absent when external.
    #[prost(bytes = "vec", optional, tag = "9")]
    pub raw_data: Option<Vec<u8>>,
    /// `location`, `offset`, `length` when external.
    #[prost(message, repeated, tag = "13")]
    pub external_data: Vec<StringStringEntryProto>,
    /// [`EXTERNAL`] when the bytes lie in another file.
    #[prost(int32, optional, tag = "14")]
    pub data_location: Option<i32>,
}

/// `TensorProto.data_location` of a tensor whose bytes lie in another file.
pub const EXTERNAL: i32 = 1;

/// Values of `TensorProto.data_type` and `TensorTypeProto.elem_type`.
pub mod data_type {
    /// 32-bit float.
    pub const FLOAT: i32 = 1;
    /// 64-bit integer.
    pub const INT64: i32 = 7;
    /// IEEE 16-bit float.
    pub const FLOAT16: i32 = 10;
}

/// Name and type of a tensor in the graph.
#[derive(Clone, PartialEq, Message)]
pub struct ValueInfoProto {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Type.
    #[prost(message, optional, tag = "2")]
    pub r#type: Option<TypeProto>,
}

/// The type of a value; only tensors occur here.
#[derive(Clone, PartialEq, Message)]
pub struct TypeProto {
    /// Element type and shape.
    #[prost(message, optional, tag = "1")]
    pub tensor_type: Option<TensorTypeProto>,
}

/// Element type and shape of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct TensorTypeProto {
    /// One of [`data_type`].
    #[prost(int32, tag = "1")]
    pub elem_type: i32,
    /// Shape.
    #[prost(message, optional, tag = "2")]
    pub shape: Option<TensorShapeProto>,
}

/// The axes of a shape.
#[derive(Clone, PartialEq, Message)]
pub struct TensorShapeProto {
    /// Axes, outermost first.
    #[prost(message, repeated, tag = "1")]
    pub dim: Vec<DimensionProto>,
}

/// One axis: a number, or a name where the size is left open.
#[derive(Clone, PartialEq, Message)]
pub struct DimensionProto {
    /// Size.
    #[prost(int64, optional, tag = "1")]
    pub dim_value: Option<i64>,
    /// Name of an open size.
    #[prost(string, optional, tag = "2")]
    pub dim_param: Option<String>,
}

/// A version of an operator set.
#[derive(Clone, PartialEq, Message)]
pub struct OperatorSetIdProto {
    /// Empty for the standard set.
    #[prost(string, tag = "1")]
    pub domain: String,
    /// Version.
    #[prost(int64, tag = "2")]
    pub version: i64,
}

/// A key with its value.
#[derive(Clone, PartialEq, Message)]
pub struct StringStringEntryProto {
    /// Key.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// What of a model a caller must know to run it: a [`ModelProto`] read without its weights.
#[derive(Clone, PartialEq, Message)]
pub struct ModelOutline {
    /// The graph's inputs and outputs.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphOutline>,
}

/// A [`GraphProto`] read without nodes and weights.
#[derive(Clone, PartialEq, Message)]
pub struct GraphOutline {
    /// Inputs, in order.
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    /// Outputs, in order.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
}

/// What `inspect` reads: a [`ModelProto`] without the numbers of its weights.
#[derive(Clone, PartialEq, Message)]
pub struct ModelSurvey {
    /// The graph.
    #[prost(message, optional, tag = "7")]
    pub graph: Option<GraphSurvey>,
    /// Free-form facts.
    #[prost(message, repeated, tag = "14")]
    pub metadata_props: Vec<StringStringEntryProto>,
}

/// A [`GraphProto`] whose weights are names and shapes.
#[derive(Clone, PartialEq, Message)]
pub struct GraphSurvey {
    /// Nodes, each after those it reads from.
    #[prost(message, repeated, tag = "1")]
    pub node: Vec<NodeProto>,
    /// Name of the graph.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Weights and constants.
    #[prost(message, repeated, tag = "5")]
    pub initializer: Vec<TensorSurvey>,
    /// Inputs, in order.
    #[prost(message, repeated, tag = "11")]
    pub input: Vec<ValueInfoProto>,
    /// Outputs, in order.
    #[prost(message, repeated, tag = "12")]
    pub output: Vec<ValueInfoProto>,
    /// Shapes of the tensors in between.
    #[prost(message, repeated, tag = "13")]
    pub value_info: Vec<ValueInfoProto>,
}

/// A [`TensorProto`] without its numbers.
#[derive(Clone, PartialEq, Message)]
pub struct TensorSurvey {
    /// Shape.
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub dims: Vec<i64>,
    /// One of [`data_type`].
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// Name.
    #[prost(string, tag = "8")]
    pub name: String,
}

impl TensorSurvey {
    /// Shape, outermost axis first.
    #[must_use]
    pub fn shape(&self) -> Vec<usize> {
        self.dims.iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect()
    }

    /// Whether its numbers are floats.
    #[must_use]
    pub fn is_float(&self) -> bool {
        [data_type::FLOAT, data_type::FLOAT16].contains(&self.data_type)
    }
}
