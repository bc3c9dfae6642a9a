//! Multiplications of a graph: two floating-point operations for each multiply-add of its products and convolutions,
//! which are all but a percent of its arithmetic.

use crate::onnx::messages::NodeProto;
use std::collections::HashMap;

/// Shapes by wire, weights included.
pub(super) type Shapes<'m> = HashMap<&'m str, Vec<usize>>;

/// Operations of one node.
pub(super) fn flops(node: &NodeProto, shapes: &Shapes<'_>) -> u64 {
    let shape = |name: Option<&String>| name.and_then(|name| shapes.get(name.as_str())).map_or(&[][..], Vec::as_slice);
    let (out, left, right) = (shape(node.output.first()), shape(node.input.first()), shape(node.input.get(1)));
    let products = match node.op_type.as_str() {
        "Gemm" | "MatMul" => left.last().map_or(0, |inner| *inner as u64),
        // Each output is a sum over input channels and kernel cells.
        "Conv" => right.get(1..).map_or(0, count),
        // Queries with each key, and shares with each value.
        "MultiHeadAttention" => right.get(1).map_or(0, |keys| 2 * *keys as u64),
        _ => 0,
    };
    count(out).saturating_mul(2).saturating_mul(products)
}

/// Numbers in a tensor; a hostile file may claim more than there are.
pub(super) fn count(shape: &[usize]) -> u64 {
    shape.iter().fold(1, |count: u64, size| count.saturating_mul(*size as u64))
}

/// The sum of numbers that a hostile file may have made too large for one.
pub(super) fn total(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}
