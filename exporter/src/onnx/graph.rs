//! A graph under construction, whose wires know their shapes: a wrong connection is an error here and not in a scanner.

use super::messages::{
    AttributeProto, DimensionProto, NodeProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
    attribute_type, data_type,
};
use crate::weights::Tensor;
use half::f16;
use mindeye_config::Precision;
use std::borrow::Cow;
use std::collections::HashMap;

/// Operator set of ONNX Runtime's own operators.
pub(crate) const RUNTIME_DOMAIN: &str = "com.microsoft";

/// Type of the numbers on a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// 32-bit float.
    Float32,
    /// IEEE 16-bit float.
    Float16,
    /// 64-bit integer; only shapes are made of it.
    Int64,
}

impl Element {
    /// Its number in ONNX.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Float32 => data_type::FLOAT,
            Self::Float16 => data_type::FLOAT16,
            Self::Int64 => data_type::INT64,
        }
    }

    /// The floats that arithmetic of `precision` is done in.
    #[must_use]
    pub fn of(precision: Precision) -> Self {
        match precision {
            Precision::Fp32 => Self::Float32,
            Precision::Fp16 => Self::Float16,
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

    /// The type of its numbers.
    #[must_use]
    pub fn element(&self) -> Element {
        self.element
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
    /// Numbers of two types that meet in one operator; ONNX converts nothing by itself.
    #[error("node `{node}` ({op}): {left:?} meets {right:?}")]
    Types {
        /// The node.
        node: String,
        /// Its operator.
        op: &'static str,
        /// Type of the first input.
        left: Element,
        /// Type of the odd one.
        right: Element,
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
    /// A tensor and the type that the graph wants it in.
    Weight(Tensor<'w>, Element),
    Constant(Vec<u8>),
}

impl Payload<'_> {
    /// Length of [`Payload::pieces`] together, without making them.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Weight(tensor, element) => tensor.len() * if *element == Element::Float16 { 2 } else { 4 },
            Self::Constant(bytes) => bytes.len(),
        }
    }

    /// Little-endian numbers of the initialiser's type, piece by piece.
    pub(super) fn pieces(&self) -> Box<dyn Iterator<Item = Cow<'_, [u8]>> + '_> {
        match self {
            Self::Weight(tensor, Element::Float16) => Box::new(tensor.f16_pieces()),
            Self::Weight(tensor, _) => Box::new(tensor.f32_pieces()),
            Self::Constant(bytes) => Box::new(std::iter::once(Cow::Borrowed(&bytes[..]))),
        }
    }
}

/// A graph under construction. A node's first output carries the node's name.
pub struct Graph<'w> {
    pub(super) name: String,
    /// Floats of the arithmetic; inputs, outputs and islands are float32 whatever it is.
    arithmetic: Element,
    pub(super) nodes: Vec<NodeProto>,
    pub(super) inputs: Vec<Wire>,
    pub(super) outputs: Vec<Wire>,
    pub(super) initializers: Vec<Initializer<'w>>,
    /// Every wire but the initialisers, by name: guards against doubles and tells readers the shapes in between.
    pub(super) wires: HashMap<String, Wire>,
}

impl<'w> Graph<'w> {
    /// An empty graph whose arithmetic is of `precision`.
    #[must_use]
    pub fn new(name: &str, precision: Precision) -> Self {
        Self {
            name: name.to_owned(),
            arithmetic: Element::of(precision),
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
        let weights = self.initializers.iter().filter(|i| matches!(i.payload, Payload::Weight(..)));
        weights.map(|i| i.wire.name.as_str())
    }

    /// A new float32 input.
    ///
    /// # Errors
    /// The name is taken.
    pub fn input(&mut self, name: &str, shape: &[usize]) -> Result<Wire, GraphError> {
        let wire = self.new_wire(name, Element::Float32, shape)?;
        self.inputs.push(wire.clone());
        Ok(wire)
    }

    /// Lets `wire` leave the graph under `name`, as float32.
    ///
    /// # Errors
    /// The name is taken.
    pub fn output(&mut self, name: &str, wire: &Wire) -> Result<(), GraphError> {
        let leaving = match wire.element {
            Element::Float32 => self.node("Identity", name, &[wire], Vec::new(), wire.shape())?,
            _ => self.cast(name, wire, Element::Float32)?,
        };
        self.outputs.push(leaving);
        Ok(())
    }

    /// Floats of the graph's arithmetic.
    #[must_use]
    pub fn arithmetic(&self) -> Element {
        self.arithmetic
    }

    /// `x` with its numbers as `element`; `x` itself where they are.
    ///
    /// # Errors
    /// The name is taken.
    pub fn cast(&mut self, node: &str, x: &Wire, element: Element) -> Result<Wire, GraphError> {
        if x.element == element {
            return Ok(x.clone());
        }
        let to = int("to", i64::from(element.code()));
        self.typed_node("Cast", node, element, &[x], vec![to], &x.shape)
    }

    /// The weight called `key` as numbers of type `element`; asked for again, the same wire.
    pub fn weight(&mut self, key: &str, element: Element, tensor: &Tensor<'w>) -> Wire {
        self.initializer(key, element, &tensor.shape, || Payload::Weight(tensor.clone(), element))
    }

    /// A constant of type `element`; asked for again, the same wire. In the islands of a half-precision graph its name
    /// tells it from one of the same numbers outside.
    pub fn floats(&mut self, name: &str, element: Element, shape: &[usize], values: &[f32]) -> Wire {
        let island = element != self.arithmetic;
        let name = if island { format!("{name}/fp32") } else { name.to_owned() };
        let bytes = || {
            Payload::Constant(match element {
                Element::Float16 => values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
                _ => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            })
        };
        self.initializer(&name, element, shape, bytes)
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

    /// Adds a node whose output is of its inputs' type; its caller has worked out the shape of the output.
    pub(super) fn node(
        &mut self,
        op: &'static str,
        name: &str,
        inputs: &[&Wire],
        attribute: Vec<AttributeProto>,
        shape: &[usize],
    ) -> Result<Wire, GraphError> {
        let left = inputs.first().map_or(self.arithmetic, |wire| wire.element);
        let odd = inputs.iter().find(|wire| wire.element != Element::Int64 && wire.element != left);
        if let Some(right) = odd.map(|wire| wire.element) {
            return Err(GraphError::Types { node: name.to_owned(), op, left, right });
        }
        self.typed_node(op, name, left, inputs, attribute, shape)
    }

    /// Adds a node whose output is of type `element`, whatever its inputs are.
    pub(super) fn typed_node(
        &mut self,
        op: &'static str,
        name: &str,
        element: Element,
        inputs: &[&Wire],
        attribute: Vec<AttributeProto>,
        shape: &[usize],
    ) -> Result<Wire, GraphError> {
        let wire = self.new_wire(name, element, shape)?;
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|wire| wire.name.clone()).collect(),
            output: vec![name.to_owned()],
            name: name.to_owned(),
            op_type: op.to_owned(),
            attribute,
            domain: String::new(),
        });
        Ok(wire)
    }

    /// Adds a node of ONNX Runtime's own operator set, which writes `outputs`; an absent one is not computed.
    pub(super) fn runtime_node(
        &mut self,
        op: &'static str,
        name: &str,
        inputs: &[&Wire],
        attribute: Vec<AttributeProto>,
        outputs: &[&Wire],
    ) {
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|wire| wire.name.clone()).collect(),
            output: outputs.iter().map(|wire| wire.name.clone()).collect(),
            name: name.to_owned(),
            op_type: op.to_owned(),
            attribute,
            domain: RUNTIME_DOMAIN.to_owned(),
        });
    }

    pub(super) fn new_wire(&mut self, name: &str, element: Element, shape: &[usize]) -> Result<Wire, GraphError> {
        let wire = Wire { name: name.to_owned(), element, shape: shape.to_vec() };
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
