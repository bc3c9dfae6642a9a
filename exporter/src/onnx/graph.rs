//! A graph under construction, whose wires know their shapes: a wrong connection is an error here and not in a scanner.

use super::messages::{
    AttributeProto, DimensionProto, NodeProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
    attribute_type, data_type,
};
use crate::weights::Tensor;
use std::borrow::Cow;
use std::collections::HashMap;

/// Type of the numbers on a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// 32-bit float.
    Float32,
    /// 64-bit integer; only shapes are made of it.
    Int64,
}

impl Element {
    /// Its number in ONNX.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Float32 => data_type::FLOAT,
            Self::Int64 => data_type::INT64,
        }
    }
}

/// One tensor flowing through a graph; its shape is fixed and known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wire {
    name: String,
    element: Element,
    shape: Vec<usize>,
}

impl Wire {
    /// Its name in the graph.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its shape, outermost axis first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// An optional input that is left out.
    pub(super) fn absent() -> Self {
        Self { name: String::new(), element: Element::Float32, shape: Vec::new() }
    }

    /// Name, type and shape as ONNX writes them.
    pub(super) fn value_info(&self) -> ValueInfoProto {
        let dim = self.shape.iter().map(|n| DimensionProto { dim_value: Some(axis(*n)), dim_param: None }).collect();
        let tensor = TensorTypeProto { elem_type: self.element.code(), shape: Some(TensorShapeProto { dim }) };
        ValueInfoProto { name: self.name.clone(), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
    }
}

/// A size as ONNX writes it.
pub(super) fn axis(size: usize) -> i64 {
    i64::try_from(size).expect("a tensor in memory has fewer than 2^63 elements along any axis")
}

/// Why two parts of a graph do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// Two shapes that an operator cannot combine.
    #[error("node `{node}` ({op}): {left:?} does not go with {right:?}")]
    Shapes {
        /// The node.
        node: String,
        /// Its operator.
        op: &'static str,
        /// Shape of what flows in.
        left: Vec<usize>,
        /// Shape that it meets.
        right: Vec<usize>,
    },
    /// Channels that cannot be normalised in equal groups.
    #[error(
        "node `{node}`: {channels} channels do not divide into {groups} groups; set norm_groups or norm_num_groups"
    )]
    Groups {
        /// The node.
        node: String,
        /// Channels.
        channels: usize,
        /// Groups.
        groups: usize,
    },
    /// A width that cannot be shared out among attention heads.
    #[error("node `{node}`: a width of {width} does not divide into {heads} heads; set the heads beside the weights")]
    Heads {
        /// The node.
        node: String,
        /// Width of all heads together.
        width: usize,
        /// Heads.
        heads: usize,
    },
    /// More of something than is drawn.
    #[error("node `{node}`: {found} {what}, at most {most} are drawn")]
    TooMany {
        /// The node.
        node: String,
        /// Of what.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// A tensor that the network's layout does not list.
    #[error("node `{node}`: no tensor `{key}` in the state dict")]
    NoTensor {
        /// The node.
        node: String,
        /// The key.
        key: String,
    },
    /// Two nodes of one name.
    #[error("node `{node}` is drawn twice")]
    Twice {
        /// The node.
        node: String,
    },
}

/// A weight or constant of the graph.
pub(super) struct Initializer<'w> {
    pub(super) wire: Wire,
    pub(super) payload: Payload<'w>,
}

/// Where an initialiser's numbers come from; weights stay in their file until they are written.
pub(super) enum Payload<'w> {
    Weight(Tensor<'w>),
    Constant(Vec<u8>),
}

impl Payload<'_> {
    /// Length of [`Payload::bytes`], without making them.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Weight(tensor) => tensor.len() * size_of::<f32>(),
            Self::Constant(bytes) => bytes.len(),
        }
    }

    /// Little-endian numbers of the initialiser's type.
    pub(super) fn bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Weight(tensor) => tensor.f32_bytes(),
            Self::Constant(bytes) => Cow::Borrowed(bytes),
        }
    }
}

/// A graph under construction. A node's single output carries the node's name.
pub struct Graph<'w> {
    pub(super) name: String,
    pub(super) nodes: Vec<NodeProto>,
    pub(super) inputs: Vec<Wire>,
    pub(super) outputs: Vec<Wire>,
    pub(super) initializers: Vec<Initializer<'w>>,
    /// Every wire but the initialisers, by name: guards against doubles and tells readers the shapes in between.
    pub(super) wires: HashMap<String, Wire>,
}

impl<'w> Graph<'w> {
    /// An empty graph.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            nodes: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            initializers: Vec::new(),
            wires: HashMap::new(),
        }
    }

    /// Inputs, in order.
    #[must_use]
    pub fn inputs(&self) -> &[Wire] {
        &self.inputs
    }

    /// Outputs, in order.
    #[must_use]
    pub fn outputs(&self) -> &[Wire] {
        &self.outputs
    }

    /// Names of all weights (not of constants), in the order in which they were first used.
    pub fn weight_names(&self) -> impl Iterator<Item = &str> {
        let weights = self.initializers.iter().filter(|i| matches!(i.payload, Payload::Weight(_)));
        weights.map(|i| i.wire.name.as_str())
    }

    /// A new float32 input.
    ///
    /// # Errors
    /// The name is taken.
    pub fn input(&mut self, name: &str, shape: &[usize]) -> Result<Wire, GraphError> {
        let wire = self.new_wire(name, shape)?;
        self.inputs.push(wire.clone());
        Ok(wire)
    }

    /// Lets `wire` leave the graph under `name`.
    ///
    /// # Errors
    /// The name is taken.
    pub fn output(&mut self, name: &str, wire: &Wire) -> Result<(), GraphError> {
        let leaving = self.node("Identity", name, &[wire], Vec::new(), wire.shape())?;
        self.outputs.push(leaving);
        Ok(())
    }

    /// The weight called `key`; asked for again, the same wire.
    pub fn weight(&mut self, key: &str, tensor: &Tensor<'w>) -> Wire {
        self.initializer(key, Element::Float32, &tensor.shape, || Payload::Weight(tensor.clone()))
    }

    /// A float32 constant; asked for again, the same wire.
    pub fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Wire {
        let bytes = || Payload::Constant(values.iter().flat_map(|v| v.to_le_bytes()).collect());
        self.initializer(name, Element::Float32, shape, bytes)
    }

    /// A list of sizes as an int64 constant; asked for again, the same wire.
    pub(super) fn sizes(&mut self, name: &str, values: &[usize]) -> Wire {
        let bytes = || Payload::Constant(values.iter().flat_map(|v| axis(*v).to_le_bytes()).collect());
        self.initializer(name, Element::Int64, &[values.len()], bytes)
    }

    fn initializer(
        &mut self,
        name: &str,
        element: Element,
        shape: &[usize],
        payload: impl FnOnce() -> Payload<'w>,
    ) -> Wire {
        if let Some(known) = self.initializers.iter().find(|i| i.wire.name == name) {
            return known.wire.clone();
        }
        let wire = Wire { name: name.to_owned(), element, shape: shape.to_vec() };
        self.initializers.push(Initializer { wire: wire.clone(), payload: payload() });
        wire
    }

    /// Adds a node; its caller has worked out the shape of the output.
    pub(super) fn node(
        &mut self,
        op: &'static str,
        name: &str,
        inputs: &[&Wire],
        attribute: Vec<AttributeProto>,
        shape: &[usize],
    ) -> Result<Wire, GraphError> {
        let wire = self.new_wire(name, shape)?;
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|wire| wire.name.clone()).collect(),
            output: vec![name.to_owned()],
            name: name.to_owned(),
            op_type: op.to_owned(),
            attribute,
        });
        Ok(wire)
    }

    fn new_wire(&mut self, name: &str, shape: &[usize]) -> Result<Wire, GraphError> {
        let wire = Wire { name: name.to_owned(), element: Element::Float32, shape: shape.to_vec() };
        match self.wires.insert(name.to_owned(), wire.clone()) {
            None => Ok(wire),
            Some(_) => Err(GraphError::Twice { node: name.to_owned() }),
        }
    }
}

/// An integer setting.
pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i: Some(value), r#type: attribute_type::INT, ..Default::default() }
}

/// A setting that lists integers.
pub(super) fn ints(name: &str, values: &[usize]) -> AttributeProto {
    let ints = values.iter().map(|v| axis(*v)).collect();
    AttributeProto { name: name.into(), ints, r#type: attribute_type::INTS, ..Default::default() }
}

/// A float setting.
pub(super) fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.into(), f: Some(value), r#type: attribute_type::FLOAT, ..Default::default() }
}

/// A text setting.
pub(super) fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto { name: name.into(), s: Some(value.into()), r#type: attribute_type::STRING, ..Default::default() }
}
