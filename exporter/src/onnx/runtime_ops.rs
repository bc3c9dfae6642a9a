//! ONNX Runtime's own operators (`com.microsoft`), for which its CUDA provider has one kernel where the standard set
//! needs several. Its documentation of contrib operators is their source; no other runtime knows them.

use super::graph::{Graph, GraphError, Wire, axis, float, int};
use super::ops::mismatch;

/// Channels of a bias with one kernel for "+ bias + residual".
const BIASED: [usize; 3] = [320, 640, 1280];
/// Halves of a gated layer with one kernel for "+ bias, gate by GELU".
const GATED: [usize; 3] = [1280, 2560, 5120];

/// What a group normalisation is told beside its tensors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupNorm<'a> {
    /// Gain of each channel, `[C]`, float32.
    pub gain: &'a Wire,
    /// Offset of each channel, `[C]`, float32.
    pub offset: &'a Wire,
    /// Groups.
    pub groups: usize,
    /// Epsilon.
    pub epsilon: f32,
    /// Whether `x sigmoid(x)` follows.
    pub silu: bool,
}

impl Graph<'_> {
    /// Group normalisation of `x` [B, H, W, C], channels last; of `x` plus `shift` [B, C] where there is one.
    ///
    /// # Errors
    /// Shapes that do not go together; so for every operator here.
    pub fn group_norm(
        &mut self,
        node: &str,
        x: &Wire,
        shift: Option<&Wire>,
        norm: GroupNorm<'_>,
    ) -> Result<Wire, GraphError> {
        let GroupNorm { gain, offset, groups, epsilon, silu } = norm;
        let &[batch, _, _, channels] = x.shape() else { return mismatch(node, "GroupNorm", x, gain) };
        if gain.shape() != [channels] || offset.shape() != [channels] {
            return mismatch(node, "GroupNorm", x, gain);
        }
        if let Some(shift) = shift.filter(|shift| shift.shape() != [batch, channels]) {
            return mismatch(node, "SkipGroupNorm", x, shift);
        }
        let attributes = vec![
            int("activation", i64::from(silu)),
            int("channels_last", 1),
            float("epsilon", epsilon),
            int("groups", axis(groups)),
        ];
        let out = self.new_wire(node, x.element(), x.shape())?;
        let op = if shift.is_some() { "SkipGroupNorm" } else { "GroupNorm" };
        let inputs: Vec<&Wire> = [x, gain, offset].into_iter().chain(shift).collect();
        self.runtime_node(op, node, &inputs, attributes, &[&out]);
        Ok(out)
    }

    /// Softmax attention of `heads` heads, q [B, S, W] over k and v [B, L, W], with the usual scale: [B, S, W].
    ///
    /// # Errors
    /// Shapes that do not go together.
    pub fn multi_head_attention(
        &mut self,
        node: &str,
        [q, k, v]: [&Wire; 3],
        heads: usize,
    ) -> Result<Wire, GraphError> {
        let (&[batch, _, width], &[keys_of, _, inner]) = (q.shape(), k.shape()) else {
            return mismatch(node, "MultiHeadAttention", q, k);
        };
        if batch != keys_of || width != inner {
            return mismatch(node, "MultiHeadAttention", q, k);
        }
        if v.shape() != k.shape() {
            return mismatch(node, "MultiHeadAttention", k, v);
        }
        if heads == 0 || width % heads != 0 {
            return Err(GraphError::Heads { node: node.to_owned(), width, heads });
        }
        let out = self.new_wire(node, q.element(), q.shape())?;
        let attributes = vec![int("num_heads", axis(heads))];
        self.runtime_node("MultiHeadAttention", node, &[q, k, v], attributes, &[&out]);
        Ok(out)
    }

    /// The sum `x + residual + bias`, called `sum`, and its layer normalisation over the last axis: (normalised, sum).
    ///
    /// # Errors
    /// Shapes that do not go together.
    pub fn skip_layer_normalization(
        &mut self,
        (node, sum): (&str, &str),
        [x, residual]: [&Wire; 2],
        [gain, offset, bias]: [&Wire; 3],
        epsilon: f32,
    ) -> Result<(Wire, Wire), GraphError> {
        if x.shape() != residual.shape() {
            return mismatch(node, "SkipLayerNormalization", x, residual);
        }
        for parameter in [gain, offset, bias] {
            if x.shape().last().map(std::slice::from_ref) != Some(parameter.shape()) {
                return mismatch(node, "SkipLayerNormalization", x, parameter);
            }
        }
        let normed = self.new_wire(node, x.element(), x.shape())?;
        let sum = self.new_wire(sum, x.element(), x.shape())?;
        let (inputs, none) = ([x, residual, gain, offset, bias], Wire::absent());
        let attributes = vec![float("epsilon", epsilon)];
        self.runtime_node("SkipLayerNormalization", node, &inputs, attributes, &[&normed, &none, &none, &sum]);
        Ok((normed, sum))
    }

    /// First half of the last axis of `x + bias` times the GELU of its second half, `x` [B, S, 2W]. One kernel for the
    /// widths of Stable Diffusion, several for others.
    ///
    /// # Errors
    /// Shapes that do not go together.
    pub fn bias_split_gelu(&mut self, node: &str, x: &Wire, bias: &Wire) -> Result<Wire, GraphError> {
        let &[batch, places, width] = x.shape() else { return mismatch(node, "BiasSplitGelu", x, bias) };
        if bias.shape() != [width] {
            return mismatch(node, "BiasSplitGelu", x, bias);
        }
        let half = width / 2;
        if !GATED.contains(&half) {
            let x = self.add(&format!("{node}/biased"), x, bias)?;
            let value = self.slice(&format!("{node}/first"), &x, 2, 0..half)?;
            let gate = self.slice(&format!("{node}/second"), &x, 2, half..width)?;
            let gate = self.gelu(&format!("{node}/gelu"), &gate)?;
            return self.mul(node, &value, &gate);
        }
        let out = self.new_wire(node, x.element(), &[batch, places, half])?;
        self.runtime_node("BiasSplitGelu", node, &[x, bias], Vec::new(), &[&out]);
        Ok(out)
    }

    /// `x + bias + residual`, `x` [B, S, W]. One kernel for the widths of Stable Diffusion, two for others.
    ///
    /// # Errors
    /// Shapes that do not go together.
    pub fn bias_add(&mut self, node: &str, x: &Wire, bias: &Wire, residual: &Wire) -> Result<Wire, GraphError> {
        if x.shape() != residual.shape() {
            return mismatch(node, "BiasAdd", x, residual);
        }
        let fits = x.shape().len() == 3 && bias.shape() == &x.shape()[2..];
        if !fits {
            return mismatch(node, "BiasAdd", x, bias);
        }
        if !BIASED.contains(&x.shape()[2]) {
            let biased = self.add(&format!("{node}/biased"), x, bias)?;
            return self.add(node, &biased, residual);
        }
        let out = self.new_wire(node, x.element(), x.shape())?;
        self.runtime_node("BiasAdd", node, &[x, bias, residual], Vec::new(), &[&out]);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::super::graph::Element;
    use super::*;
    use mindeye_config::Precision;

    fn wires(shapes: &[&[usize]]) -> (Graph<'static>, Vec<Wire>) {
        let mut graph = Graph::new("test", Precision::Fp32);
        let wire = |(i, shape): (usize, &&[usize])| {
            graph.floats(&format!("w{i}"), Element::Float32, shape, &vec![0.0; shape.iter().product()])
        };
        let wires = shapes.iter().enumerate().map(wire).collect();
        (graph, wires)
    }

    #[test]
    fn a_wrong_connection_names_the_node_and_both_shapes() {
        type Draw = fn(&mut Graph<'static>, &[Wire]) -> Result<Wire, GraphError>;
        let cases: [(&str, &[&[usize]], Draw); 4] = [
            ("MultiHeadAttention", &[&[2, 4, 8], &[2, 4, 6]], |g, w| {
                g.multi_head_attention("n", [&w[0], &w[1], &w[1]], 2)
            }),
            ("SkipLayerNormalization", &[&[2, 4, 8], &[2, 4, 6]], |g, w| {
                g.skip_layer_normalization(("n", "s"), [&w[0], &w[1]], [&w[0]; 3], 1e-5).map(|(normed, _)| normed)
            }),
            ("BiasSplitGelu", &[&[2, 4, 8], &[6]], |g, w| g.bias_split_gelu("n", &w[0], &w[1])),
            ("BiasAdd", &[&[2, 4, 8], &[6]], |g, w| g.bias_add("n", &w[0], &w[1], &w[0])),
        ];
        for (op, shapes, draw) in cases {
            let (mut graph, wires) = wires(shapes);
            let expected = GraphError::Shapes { node: "n".into(), op, left: shapes[0].into(), right: shapes[1].into() };
            assert_eq!(draw(&mut graph, &wires), Err(expected));
        }
    }

    #[test]
    fn widths_without_a_kernel_get_standard_operators() {
        let (mut graph, w) = wires(&[&[1, 2, 64], &[64], &[1, 2, 2560], &[2560]]);
        graph.bias_split_gelu("small", &w[0], &w[1]).unwrap();
        assert!(graph.nodes.iter().all(|node| node.domain.is_empty()));
        assert_eq!(graph.bias_split_gelu("large", &w[2], &w[3]).unwrap().shape(), [1, 2, 1280]);
        assert_eq!(graph.nodes.last().unwrap().op_type, "BiasSplitGelu");
    }
}
