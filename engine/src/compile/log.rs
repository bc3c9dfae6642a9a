//! What the builder's log says about an engine: nobody else tells, as long as no GPU deserialises it.

use super::Memory;

/// What the builder says of each layer of an attention block: two products and the softmax between them.
const ATTENTION: &str = "to be part of self-attention pattern";
const LAYERS_OF_ATTENTION: usize = 3;

/// Attention blocks that the builder recognised.
pub(super) fn fused_attention(said: &[String]) -> usize {
    said.iter().filter(|line| line.contains(ATTENTION)).count() / LAYERS_OF_ATTENTION
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of TensorRT for RTX 1.7.1.
    const SAID: [&str; 8] = [
        "Found vision_model.encoder.layers.0.self_attn/attention to be part of self-attention pattern.",
        "Found vision_model.encoder.layers.0.self_attn/attention/shares to be part of self-attention pattern.",
        "Found vision_model.encoder.layers.0.self_attn/attention/scores to be part of self-attention pattern.",
        "Layer: {...} Host Persistent: 80 bytes Device Persistent: 0 bytes Scratch Memory: 8222720 bytes",
        "Max Scratch Memory: 8222720 bytes",
        "Total Activation Memory: 8224000 bytes",
        "Total Weights Memory: 1 bytes",
        "Total Weights Memory: 339840 bytes",
    ];

    #[test]
    fn the_log_of_a_build_gives_attention_and_memory() {
        let said = SAID.map(str::to_owned);
        assert_eq!(fused_attention(&said), 1);
        let expected = Memory { weights: Some(339_840), activations: Some(8_224_000), scratch: Some(8_222_720) };
        assert_eq!(memory(&said), expected);
    }

    #[test]
    fn a_log_that_says_nothing_gives_nothing_and_not_zero() {
        assert_eq!((fused_attention(&[]), memory(&[])), (0, Memory::default()));
        let garbled = ["Max Scratch Memory: many bytes".to_owned()];
        assert_eq!(memory(&garbled).scratch, None);
    }
}
