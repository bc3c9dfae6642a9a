//! The operators that treat every number by itself, alone or with its partner of a second tensor.

use super::graph::{Graph, GraphError, Wire, int, text};
use super::ops::{broadcast, mismatch};

impl Graph<'_> {
    /// `a + b`, broadcast as numpy does.
    ///
    /// # Errors
    /// Shapes that do not go together; so for every operator on two tensors here.
    pub fn add(&mut self, node: &str, a: &Wire, b: &Wire) -> Result<Wire, GraphError> {
        self.pairwise("Add", node, a, b)
    }

    /// `a - b`, broadcast as numpy does.
    ///
    /// # Errors
    /// Shapes that do not go together.
    pub fn sub(&mut self, node: &str, a: &Wire, b: &Wire) -> Result<Wire, GraphError> {
        self.pairwise("Sub", node, a, b)
    }

    /// `a b` element by element, broadcast as numpy does.
    ///
    /// # Errors
    /// Shapes that do not go together.
    pub fn mul(&mut self, node: &str, a: &Wire, b: &Wire) -> Result<Wire, GraphError> {
        self.pairwise("Mul", node, a, b)
    }

    /// `a / b`, broadcast as numpy does.
    ///
    /// # Errors
    /// Shapes that do not go together.
    pub fn div(&mut self, node: &str, a: &Wire, b: &Wire) -> Result<Wire, GraphError> {
        self.pairwise("Div", node, a, b)
    }

    /// The larger of `a` and `b`, broadcast as numpy does.
    ///
    /// # Errors
    /// Shapes that do not go together.
    pub fn max(&mut self, node: &str, a: &Wire, b: &Wire) -> Result<Wire, GraphError> {
        self.pairwise("Max", node, a, b)
    }

    fn pairwise(&mut self, op: &'static str, node: &str, a: &Wire, b: &Wire) -> Result<Wire, GraphError> {
        match broadcast(a.shape(), b.shape()) {
            Some(shape) => self.node(op, node, &[a, b], Vec::new(), &shape),
            None => mismatch(node, op, a, b),
        }
    }

    /// `x (1 + erf(x / sqrt 2)) / 2`.
    ///
    /// # Errors
    /// The name is taken; so for every operator on one tensor here.
    pub fn gelu(&mut self, node: &str, x: &Wire) -> Result<Wire, GraphError> {
        self.node("Gelu", node, &[x], vec![text("approximate", "none")], x.shape())
    }

    /// `1 / (1 + exp(-x))`.
    ///
    /// # Errors
    /// The name is taken.
    pub fn sigmoid(&mut self, node: &str, x: &Wire) -> Result<Wire, GraphError> {
        self.node("Sigmoid", node, &[x], Vec::new(), x.shape())
    }

    /// The larger of `x` and 0.
    ///
    /// # Errors
    /// The name is taken.
    pub fn relu(&mut self, node: &str, x: &Wire) -> Result<Wire, GraphError> {
        self.node("Relu", node, &[x], Vec::new(), x.shape())
    }

    /// Hyperbolic tangent.
    ///
    /// # Errors
    /// The name is taken.
    pub fn tanh(&mut self, node: &str, x: &Wire) -> Result<Wire, GraphError> {
        self.node("Tanh", node, &[x], Vec::new(), x.shape())
    }

    /// Sine of radians.
    ///
    /// # Errors
    /// The name is taken.
    pub fn sin(&mut self, node: &str, x: &Wire) -> Result<Wire, GraphError> {
        self.node("Sin", node, &[x], Vec::new(), x.shape())
    }

    /// Cosine of radians.
    ///
    /// # Errors
    /// The name is taken.
    pub fn cos(&mut self, node: &str, x: &Wire) -> Result<Wire, GraphError> {
        self.node("Cos", node, &[x], Vec::new(), x.shape())
    }

    /// Softmax over the last axis.
    ///
    /// # Errors
    /// The name is taken.
    pub fn softmax(&mut self, node: &str, x: &Wire) -> Result<Wire, GraphError> {
        self.node("Softmax", node, &[x], vec![int("axis", -1)], x.shape())
    }
}
