//! Attention as TensorRT sees it: product, softmax, product with nothing between become one kernel that never writes its
//! scores; anything else between them sends S x S numbers through memory (spec: diffusion sections 7.3, 7.4).

use super::work::{Shapes, count};
use crate::onnx::messages::NodeProto;
use serde::Serialize;
use std::collections::HashMap;

/// Heads wider than this have no fused kernel.
const WIDEST_FUSED_HEAD: usize = 256;
/// Harmless nodes in a row; a damaged file may hold a circle of them.
const LONGEST_WALK: usize = 4;
/// What may stand between a product and its softmax: conversions and an added bias.
const HARMLESS: [&str; 2] = ["Cast", "Add"];

/// The scores of one attention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scores {
    /// The softmax.
    pub node: String,
    /// Shape of the scores, [.., queries, keys].
    pub shape: Vec<usize>,
    /// Channels of a head.
    pub head_dim: usize,
    /// Bytes of the score matrix.
    pub bytes: u64,
    /// Why no fused kernel takes it; nothing if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfused: Option<String>,
}

/// Every attention of a graph; `element_bytes` of one score.
pub(super) fn scores(nodes: &[NodeProto], shapes: &Shapes<'_>, element_bytes: u64) -> Vec<Scores> {
    let makers: HashMap<&str, &NodeProto> =
        nodes.iter().flat_map(|node| node.output.iter().map(move |out| (out.as_str(), node))).collect();
    let mut takers: HashMap<&str, Vec<&NodeProto>> = HashMap::new();
    for node in nodes {
        node.input.iter().for_each(|input| takers.entry(input).or_default().push(node));
    }
    let softmaxes = nodes.iter().filter(|node| node.op_type == "Softmax");
    softmaxes
        .map(|softmax| {
            let shape = shapes.get(first(&softmax.output)).cloned().unwrap_or_default();
            let (before, head_dim) = product_before(softmax, &makers, shapes);
            let unfused = before.or_else(|| no_product_after(softmax, &takers)).or_else(|| too_wide(head_dim));
            let bytes = count(&shape).saturating_mul(element_bytes);
            Scores { node: softmax.name.clone(), shape, head_dim, bytes, unfused }
        })
        .collect()
}

/// Walks up from a softmax to its product: what stands in the way, and the product's inner size.
fn product_before(
    softmax: &NodeProto,
    makers: &HashMap<&str, &NodeProto>,
    shapes: &Shapes<'_>,
) -> (Option<String>, usize) {
    let mut node = softmax;
    for _ in 0..=LONGEST_WALK {
        let Some(maker) = makers.get(first(&node.input)) else { break };
        match maker.op_type.as_str() {
            "MatMul" => {
                let left = shapes.get(first(&maker.input));
                return (None, left.and_then(|shape| shape.last().copied()).unwrap_or(0));
            }
            op if HARMLESS.contains(&op) => node = maker,
            op => return (Some(format!("`{}` ({op}) stands between product and softmax", maker.name)), 0),
        }
    }
    (Some("no product makes its scores".into()), 0)
}

/// Walks down from a softmax: why no product takes all of its shares.
fn no_product_after(softmax: &NodeProto, takers: &HashMap<&str, Vec<&NodeProto>>) -> Option<String> {
    let mut node = softmax;
    for _ in 0..=LONGEST_WALK {
        let taken = takers.get(first(&node.output)).map_or(&[][..], Vec::as_slice);
        let [taker] = taken else { return Some(format!("`{}` is read {} times", node.name, taken.len())) };
        match taker.op_type.as_str() {
            "MatMul" => return None,
            "Cast" => node = taker,
            op => return Some(format!("`{}` ({op}) stands between softmax and product", taker.name)),
        }
    }
    Some("no product takes its shares".into())
}

/// The first name, or one that no wire has.
fn first(names: &[String]) -> &str {
    names.first().map_or("", String::as_str)
}

fn too_wide(head_dim: usize) -> Option<String> {
    let wide = head_dim > WIDEST_FUSED_HEAD;
    wide.then(|| format!("heads of {head_dim} channels; fused kernels end at {WIDEST_FUSED_HEAD}"))
}
