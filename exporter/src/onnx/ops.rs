//! The operators that carry weights or neighbourhoods: products, convolutions, normalisations, resizing. Each works out
//! its output's shape or says why it cannot.

use super::graph::{Element, Graph, GraphError, Wire, float, int, ints, text};

/// How a square kernel moves over a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sweep {
    /// Pixels from one place to the next, along both sides.
    pub stride: usize,
    /// Zeros around the picture: top, left, bottom, right.
    pub pads: [usize; 4],
}

impl Sweep {
    /// To every pixel, with as many zeros around as keep height and width for an odd kernel of side `k`.
    #[must_use]
    pub fn keeping(k: usize) -> Self {
        Self { stride: 1, pads: [k / 2; 4] }
    }

    /// To every second pixel, with the zeros of [`Sweep::keeping`].
    #[must_use]
    pub fn halving(k: usize) -> Self {
        Self { stride: 2, ..Self::keeping(k) }
    }

    /// To every second pixel of a picture with one row of zeros below and one column at its right, as diffusers'
    /// autoencoder halves.
    #[must_use]
    pub fn halving_after_right_and_bottom() -> Self {
        Self { stride: 2, pads: [0, 0, 1, 1] }
    }

    /// Patch by patch, each of side `k`, without overlap.
    #[must_use]
    pub fn patches(k: usize) -> Self {
        Self { stride: k, pads: [0; 4] }
    }

    /// How many places a kernel of side `k` has along a padded side; none when it does not fit.
    fn places(self, padded: usize, k: usize) -> Option<usize> {
        padded.checked_sub(k)?.checked_div(self.stride).map(|steps| steps + 1)
    }
}

impl Graph<'_> {
    /// `x W^T + b` for `x` [M, K], `weight` [N, K] as PyTorch stores it, `bias` `[N]`: `[M, N]`.
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

    /// `a b` over the last two axes; axes before them broadcast as numpy does: [.., M, K] x [.., K, N] = [.., M, N].
    ///
    /// # Errors
    /// Shapes that do not go together.
    pub fn matmul(&mut self, node: &str, a: &Wire, b: &Wire) -> Result<Wire, GraphError> {
        let ([a_batch @ .., m, k], [b_batch @ .., inner, n]) = (a.shape(), b.shape()) else {
            return mismatch(node, "MatMul", a, b);
        };
        let Some(batch) = broadcast(a_batch, b_batch).filter(|_| k == inner) else {
            return mismatch(node, "MatMul", a, b);
        };
        self.node("MatMul", node, &[a, b], Vec::new(), &[&batch[..], &[*m, *n]].concat())
    }

    /// Layer normalisation over the last axis, with a `gain` and perhaps an `offset` of its size.
    ///
    /// # Errors
    /// Shapes that do not go together.
    pub fn layer_normalization(
        &mut self,
        node: &str,
        x: &Wire,
        gain: &Wire,
        offset: Option<&Wire>,
        epsilon: f32,
    ) -> Result<Wire, GraphError> {
        for parameter in [gain].into_iter().chain(offset) {
            if x.shape().last().map(std::slice::from_ref) != Some(parameter.shape()) {
                return mismatch(node, "LayerNormalization", x, parameter);
            }
        }
        let attributes = vec![int("axis", -1), float("epsilon", epsilon)];
        let inputs: Vec<&Wire> = [x, gain].into_iter().chain(offset).collect();
        self.node("LayerNormalization", node, &inputs, attributes, x.shape())
    }

    /// Normalises each channel of each example over all further axes: `x` [B, C, ..], `gain` and `offset` `[C]`.
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

    /// Convolution of `x` [B, I, H, W] with `weight` [O, I, K, K], moved as `sweep` says, and perhaps a `bias` `[O]`.
    ///
    /// # Errors
    /// Shapes that do not go together.
    pub fn conv(
        &mut self,
        node: &str,
        x: &Wire,
        weight: &Wire,
        bias: Option<&Wire>,
        sweep: Sweep,
    ) -> Result<Wire, GraphError> {
        let (&[batch, inner, h, w], &[out, wanted, k, k2]) = (x.shape(), weight.shape()) else {
            return mismatch(node, "Conv", x, weight);
        };
        let side = |size, before: usize, after: usize| sweep.places(size + before + after, k);
        let [top, left, bottom, right] = sweep.pads;
        let (Some(h), Some(w)) = (side(h, top, bottom), side(w, left, right)) else {
            return mismatch(node, "Conv", x, weight);
        };
        if inner != wanted || k != k2 {
            return mismatch(node, "Conv", x, weight);
        }
        if let Some(bias) = bias.filter(|bias| bias.shape() != [out]) {
            return mismatch(node, "Conv", weight, bias);
        }
        let strides = ints("strides", &[sweep.stride; 2]);
        let attributes = vec![ints("kernel_shape", &[k, k]), ints("pads", &sweep.pads), strides];
        let inputs: Vec<&Wire> = [x, weight].into_iter().chain(bias).collect();
        self.node("Conv", node, &inputs, attributes, &[batch, out, h, w])
    }

    /// Repeats every pixel of [B, C, H, W] twice along both sides.
    ///
    /// # Errors
    /// A wire that is no picture.
    pub fn double_nearest(&mut self, node: &str, x: &Wire) -> Result<Wire, GraphError> {
        let scales = self.floats("double/scales", Element::Float32, &[4], &[1.0, 1.0, 2.0, 2.0]);
        let &[batch, channels, h, w] = x.shape() else { return mismatch(node, "Resize", x, &scales) };
        let attributes = vec![
            text("mode", "nearest"),
            text("coordinate_transformation_mode", "asymmetric"),
            text("nearest_mode", "floor"),
        ];
        let inputs = [x, &Wire::absent(), &scales];
        self.typed_node("Resize", node, x.element(), &inputs, attributes, &[batch, channels, 2 * h, 2 * w])
    }
}

pub(super) fn mismatch<T>(node: &str, op: &'static str, left: &Wire, right: &Wire) -> Result<T, GraphError> {
    let (left, right) = (left.shape().to_vec(), right.shape().to_vec());
    Err(GraphError::Shapes { node: node.to_owned(), op, left, right })
}

/// numpy's rule: aligned at the last axis, sizes are equal or one of them is 1 or absent.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
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
    use mindeye_config::Precision;

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
        let mut graph = Graph::new("test", Precision::Fp32);
        let x = graph.input("x", shape).unwrap();
        let values = vec![0.0; other.iter().product()];
        let constant = graph.floats("w", Element::Float32, other, &values);
        (graph, x, constant)
    }

    #[test]
    fn a_wrong_connection_names_the_node_and_both_shapes() {
        type Draw = fn(&mut Graph<'static>, &Wire, &Wire) -> Result<Wire, GraphError>;
        let cases: [(&str, &[usize], &[usize], Draw); 10] = [
            ("Gemm", &[1, 8], &[4, 9], |g, x, w| g.gemm("n", x, w, None)),
            ("Gemm", &[1, 8, 8], &[4, 8], |g, x, w| g.gemm("n", x, w, None)),
            ("MatMul", &[2, 3, 4], &[5, 4, 6], |g, x, w| g.matmul("n", x, w)),
            ("Add", &[2, 3], &[4], |g, x, w| g.add("n", x, w)),
            ("Mul", &[2, 3], &[2], |g, x, w| g.mul("n", x, w)),
            ("MatMul", &[2, 3, 4], &[5, 6], |g, x, w| g.matmul("n", x, w)),
            ("Conv", &[1, 4, 8, 8], &[3, 5, 3, 3], |g, x, w| g.conv("n", x, w, None, Sweep::keeping(3))),
            ("Conv", &[1, 4, 8, 8], &[3, 4, 9, 9], |g, x, w| g.conv("n", x, w, None, Sweep::patches(9))),
            ("LayerNormalization", &[1, 8], &[7], |g, x, w| g.layer_normalization("n", x, w, None, 1e-5)),
            ("InstanceNormalization", &[1, 8, 4], &[4], |g, x, w| g.instance_normalization("n", x, w, w, 1e-5)),
        ];
        for (op, shape, other, draw) in cases {
            let (mut graph, x, w) = graph(shape, other);
            let expected = GraphError::Shapes { node: "n".into(), op, left: shape.into(), right: other.into() };
            assert_eq!(draw(&mut graph, &x, &w), Err(expected));
        }
    }

    #[test]
    fn a_sweep_tells_the_side_of_what_comes_out() {
        let cases = [
            (Sweep::keeping(3), 3, 8),
            (Sweep::keeping(1), 1, 8),
            (Sweep::halving(3), 3, 4),
            (Sweep::halving_after_right_and_bottom(), 3, 4),
            (Sweep::patches(4), 4, 2),
        ];
        for (sweep, k, side) in cases {
            let (mut graph, x, w) = graph(&[2, 5, 8, 8], &[6, 5, k, k]);
            assert_eq!(graph.conv("n", &x, &w, None, sweep).unwrap().shape(), [2, 6, side, side], "{sweep:?}");
        }
    }

    #[test]
    fn products_broadcast_over_the_axes_before_their_matrices() {
        let (mut graph, x, w) = graph(&[2, 7, 3, 4], &[2, 1, 4, 5]);
        assert_eq!(graph.matmul("n", &x, &w).unwrap().shape(), [2, 7, 3, 5]);
    }

    #[test]
    fn a_name_is_used_once() {
        let (mut graph, x, _) = graph(&[2], &[1]);
        graph.gelu("n", &x).unwrap();
        assert_eq!(graph.gelu("n", &x), Err(GraphError::Twice { node: "n".into() }));
    }
}
