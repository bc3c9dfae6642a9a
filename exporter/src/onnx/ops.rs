//! The operators that networks are drawn with, each of which works out its output's shape or says why it cannot.

use super::graph::{Graph, GraphError, Wire, float, int, ints, text};

impl Graph<'_> {
    /// `x W^T + b` for `x` [M, K], `weight` [N, K] as PyTorch stores it, `bias` [N]: [M, N].
    ///
    /// # Errors
    /// Shapes that do not go together; so for every operator here.
    pub fn gemm(&mut self, node: &str, x: &Wire, weight: &Wire, bias: Option<&Wire>) -> Result<Wire, GraphError> {
        let (&[m, k], &[n, inner]) = (x.shape(), weight.shape()) else { return mismatch(node, "Gemm", x, weight) };
        if k != inner {
            return mismatch(node, "Gemm", x, weight);
        }
        if let Some(bias) = bias.filter(|bias| bias.shape() != [n]) {
            return mismatch(node, "Gemm", weight, bias);
        }
        let inputs: Vec<&Wire> = [x, weight].into_iter().chain(bias).collect();
        self.node("Gemm", node, &inputs, vec![int("transB", 1)], &[m, n])
    }

    /// `a b` over the last two axes; all axes before them are equal: [.., M, K] x [.., K, N] = [.., M, N].
    ///
    /// # Errors
    /// Shapes that do not go together.
    pub fn matmul(&mut self, node: &str, a: &Wire, b: &Wire) -> Result<Wire, GraphError> {
        let ([batch @ .., m, k], [same_batch @ .., inner, n]) = (a.shape(), b.shape()) else {
            return mismatch(node, "MatMul", a, b);
        };
        if batch != same_batch || k != inner {
            return mismatch(node, "MatMul", a, b);
        }
        self.node("MatMul", node, &[a, b], Vec::new(), &[batch, &[*m, *n]].concat())
    }

    /// `a + b`, broadcast as numpy does.
    ///
    /// # Errors
    /// Shapes that do not go together.
    pub fn add(&mut self, node: &str, a: &Wire, b: &Wire) -> Result<Wire, GraphError> {
        self.elementwise("Add", node, a, b)
    }

    /// `a b` element by element, broadcast as numpy does.
    ///
    /// # Errors
    /// Shapes that do not go together.
    pub fn mul(&mut self, node: &str, a: &Wire, b: &Wire) -> Result<Wire, GraphError> {
        self.elementwise("Mul", node, a, b)
    }

    fn elementwise(&mut self, op: &'static str, node: &str, a: &Wire, b: &Wire) -> Result<Wire, GraphError> {
        match broadcast(a.shape(), b.shape()) {
            Some(shape) => self.node(op, node, &[a, b], Vec::new(), &shape),
            None => mismatch(node, op, a, b),
        }
    }

    /// `x (1 + erf(x / sqrt 2)) / 2`.
    ///
    /// # Errors
    /// The name is taken.
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

    /// Softmax over the last axis.
    ///
    /// # Errors
    /// The name is taken.
    pub fn softmax(&mut self, node: &str, x: &Wire) -> Result<Wire, GraphError> {
        self.node("Softmax", node, &[x], vec![int("axis", -1)], x.shape())
    }

    /// Layer normalisation over the last axis, with `gain` and `offset` of its size.
    ///
    /// # Errors
    /// Shapes that do not go together.
    pub fn layer_normalization(
        &mut self,
        node: &str,
        x: &Wire,
        gain: &Wire,
        offset: &Wire,
        epsilon: f32,
    ) -> Result<Wire, GraphError> {
        for parameter in [gain, offset] {
            if x.shape().last().map(std::slice::from_ref) != Some(parameter.shape()) {
                return mismatch(node, "LayerNormalization", x, parameter);
            }
        }
        let attributes = vec![int("axis", -1), float("epsilon", epsilon)];
        self.node("LayerNormalization", node, &[x, gain, offset], attributes, x.shape())
    }

    /// Normalises each channel of each example over all further axes: `x` [B, C, ..], `gain` and `offset` [C].
    ///
    /// # Errors
    /// Shapes that do not go together.
    pub fn instance_normalization(
        &mut self,
        node: &str,
        x: &Wire,
        gain: &Wire,
        offset: &Wire,
        epsilon: f32,
    ) -> Result<Wire, GraphError> {
        for parameter in [gain, offset] {
            if x.shape().len() < 3 || parameter.shape() != &x.shape()[1..2] {
                return mismatch(node, "InstanceNormalization", x, parameter);
            }
        }
        self.node("InstanceNormalization", node, &[x, gain, offset], vec![float("epsilon", epsilon)], x.shape())
    }

    /// Convolution with stride 1 that keeps height and width: `x` [B, I, H, W], `weight` [O, I, K, K] with odd K,
    /// `bias` [O].
    ///
    /// # Errors
    /// Shapes that do not go together.
    pub fn conv(&mut self, node: &str, x: &Wire, weight: &Wire, bias: &Wire) -> Result<Wire, GraphError> {
        let (&[batch, inner, h, w], &[out, wanted, k, k2]) = (x.shape(), weight.shape()) else {
            return mismatch(node, "Conv", x, weight);
        };
        if inner != wanted || k != k2 || k % 2 == 0 {
            return mismatch(node, "Conv", x, weight);
        }
        if bias.shape() != [out] {
            return mismatch(node, "Conv", weight, bias);
        }
        let attributes = vec![ints("kernel_shape", &[k, k]), ints("pads", &[k / 2; 4]), ints("strides", &[1, 1])];
        self.node("Conv", node, &[x, weight, bias], attributes, &[batch, out, h, w])
    }

    /// Repeats every pixel of [B, C, H, W] twice along both sides.
    ///
    /// # Errors
    /// A wire that is no picture.
    pub fn double_nearest(&mut self, node: &str, x: &Wire) -> Result<Wire, GraphError> {
        let scales = self.floats("double/scales", &[4], &[1.0, 1.0, 2.0, 2.0]);
        let &[batch, channels, h, w] = x.shape() else { return mismatch(node, "Resize", x, &scales) };
        let attributes = vec![
            text("mode", "nearest"),
            text("coordinate_transformation_mode", "asymmetric"),
            text("nearest_mode", "floor"),
        ];
        self.node("Resize", node, &[x, &Wire::absent(), &scales], attributes, &[batch, channels, 2 * h, 2 * w])
    }

    /// The same numbers in row-major order under another shape.
    ///
    /// # Errors
    /// The shapes hold different counts of numbers.
    pub fn reshape(&mut self, node: &str, x: &Wire, shape: &[usize]) -> Result<Wire, GraphError> {
        let sizes = self.sizes(&format!("{node}/shape"), shape);
        if x.shape().iter().product::<usize>() != shape.iter().product::<usize>() {
            let (left, right) = (x.shape().to_vec(), shape.to_vec());
            return Err(GraphError::Shapes { node: node.into(), op: "Reshape", left, right });
        }
        self.node("Reshape", node, &[x, &sizes], Vec::new(), shape)
    }

    /// Reorders the axes: axis `i` of the result is axis `order[i]` of `x`.
    ///
    /// # Errors
    /// `order` is no permutation of the axes.
    pub fn transpose(&mut self, node: &str, x: &Wire, order: &[usize]) -> Result<Wire, GraphError> {
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(0..x.shape().len()) {
            let (left, right) = (x.shape().to_vec(), order.to_vec());
            return Err(GraphError::Shapes { node: node.into(), op: "Transpose", left, right });
        }
        let shape: Vec<usize> = order.iter().map(|i| x.shape()[*i]).collect();
        self.node("Transpose", node, &[x], vec![ints("perm", order)], &shape)
    }
}

fn mismatch<T>(node: &str, op: &'static str, left: &Wire, right: &Wire) -> Result<T, GraphError> {
    let (left, right) = (left.shape().to_vec(), right.shape().to_vec());
    Err(GraphError::Shapes { node: node.to_owned(), op, left, right })
}

/// numpy's rule: aligned at the last axis, sizes are equal or one of them is 1 or absent.
fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], i: usize| (i + shape.len()).checked_sub(rank).map_or(1, |at| shape[at]);
    let join = |i| match (size(a, i), size(b, i)) {
        (x, y) if x == y => Some(x),
        (x, 1) | (1, x) => Some(x),
        _ => None,
    };
    (0..rank).map(join).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_follows_numpy() {
        type Shape = &'static [usize];
        let cases: [(Shape, Shape, Option<Shape>); 5] = [
            (&[2, 3], &[3], Some(&[2, 3])),
            (&[4, 1], &[1, 5], Some(&[4, 5])),
            (&[1, 8, 4, 4], &[8, 1, 1], Some(&[1, 8, 4, 4])),
            (&[2, 3], &[2], None),
            (&[], &[7], Some(&[7])),
        ];
        for (a, b, expected) in cases {
            assert_eq!(broadcast(a, b).as_deref(), expected, "{a:?} {b:?}");
        }
    }

    /// A graph with one input `x` of `shape`, and the wire of a constant of shape `other`.
    fn graph(shape: &[usize], other: &[usize]) -> (Graph<'static>, Wire, Wire) {
        let mut graph = Graph::new("test");
        let x = graph.input("x", shape).unwrap();
        let values = vec![0.0; other.iter().product()];
        let constant = graph.floats("w", other, &values);
        (graph, x, constant)
    }

    #[test]
    fn a_wrong_connection_names_the_node_and_both_shapes() {
        type Draw = fn(&mut Graph<'static>, &Wire, &Wire) -> Result<Wire, GraphError>;
        let cases: [(&str, &[usize], &[usize], Draw); 9] = [
            ("Gemm", &[1, 8], &[4, 9], |g, x, w| g.gemm("n", x, w, None)),
            ("Gemm", &[1, 8, 8], &[4, 8], |g, x, w| g.gemm("n", x, w, None)),
            ("MatMul", &[2, 3, 4], &[1, 4, 5], |g, x, w| g.matmul("n", x, w)),
            ("Add", &[2, 3], &[4], |g, x, w| g.add("n", x, w)),
            ("Mul", &[2, 3], &[2], |g, x, w| g.mul("n", x, w)),
            ("Conv", &[1, 4, 8, 8], &[3, 5, 3, 3], |g, x, w| g.conv("n", x, w, w)),
            ("Conv", &[1, 4, 8, 8], &[3, 4, 2, 2], |g, x, w| g.conv("n", x, w, w)),
            ("LayerNormalization", &[1, 8], &[7], |g, x, w| g.layer_normalization("n", x, w, w, 1e-5)),
            ("InstanceNormalization", &[1, 8, 4], &[4], |g, x, w| g.instance_normalization("n", x, w, w, 1e-5)),
        ];
        for (op, shape, other, draw) in cases {
            let (mut graph, x, w) = graph(shape, other);
            let expected = GraphError::Shapes { node: "n".into(), op, left: shape.into(), right: other.into() };
            assert_eq!(draw(&mut graph, &x, &w), Err(expected));
        }
    }

    #[test]
    fn reshape_keeps_the_count_and_transpose_wants_a_permutation() {
        let (mut graph, x, _) = graph(&[2, 6], &[1]);
        assert_eq!(graph.reshape("r", &x, &[3, 4]).unwrap().shape(), [3, 4]);
        assert_eq!(graph.transpose("t", &x, &[1, 0]).unwrap().shape(), [6, 2]);
        assert!(graph.reshape("r2", &x, &[5]).unwrap_err().to_string().contains("[2, 6] does not go with [5]"));
        assert!(graph.transpose("t2", &x, &[0, 0]).is_err());
        assert!(graph.transpose("t3", &x, &[0]).is_err());
    }

    #[test]
    fn a_name_is_used_once() {
        let (mut graph, x, _) = graph(&[2], &[1]);
        graph.gelu("n", &x).unwrap();
        assert_eq!(graph.gelu("n", &x), Err(GraphError::Twice { node: "n".into() }));
    }
}
