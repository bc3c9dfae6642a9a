//! What the builder's log says about an engine: nobody else tells, as long as no GPU deserialises it.

use super::Memory;

/// Attention blocks that the builder recognised.
pub(super) fn fused_attention(said: &[String]) -> usize {
    said.iter().filter(|line| line.contains("part of self-attention pattern")).count()
}

/// Bytes that the builder planned.
pub(super) fn memory(said: &[String]) -> Memory {
    Memory {
        weights: bytes_after(said, "Total Weights Memory:"),
        activations: bytes_after(said, "Total Activation Memory:"),
        scratch: bytes_after(said, "Max Scratch Memory:"),
    }
}

/// The number after the last `label` that was said.
fn bytes_after(said: &[String], label: &str) -> Option<u64> {
    let rest = said.iter().rev().find_map(|line| line.split_once(label))?.1;
    rest.split_whitespace().next()?.parse().ok()
}
