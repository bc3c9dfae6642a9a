//! One name for each tensor: wrappers' prefixes and older naming generations are translated on the way in.

/// Attention projections as diffusers 0.13 called them, which MindEye used, and as it calls them now.
const ATTENTION: [(&str, &str); 4] = [("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")];

/// Today's name of the tensor stored as `stored`: without the `module.` that distributed training puts in front, with
/// `attentions.N.{query,key,value,proj_attn}` as `attentions.N.{to_q,to_k,to_v,to_out.0}`, and with the image half of a
/// dual-guided UNet's transformers, `attentions.N.transformers.0.*`, as the image UNet's only one, `attentions.N.*`.
pub(super) fn canonical(stored: &str) -> String {
    let key = stored.strip_prefix("module.").unwrap_or(stored);
    let mut parts: Vec<&str> = key.split('.').collect();
    if let Some(at) = parts.iter().position(|part| *part == "transformers")
        && at >= 2
        && parts[at - 2] == "attentions"
        && parts.get(at + 1) == Some(&"0")
    {
        parts.drain(at..at + 2);
    }
    let renamed = parts.iter().enumerate().map(|(i, part)| {
        let of_attention = i >= 2 && parts[i - 2] == "attentions";
        let current = ATTENTION.iter().find(|(old, _)| of_attention && old == part);
        current.map_or(*part, |(_, new)| *new)
    });
    renamed.collect::<Vec<_>>().join(".")
}

/// Today's shape of the tensor called `key`: attention projections that were stored as 1x1 convolutions are matrices.
pub(super) fn canonical_shape(key: &str, shape: &[usize]) -> Vec<usize> {
    match shape {
        [out, inner, 1, 1] if is_projection(key) => vec![*out, *inner],
        _ => shape.to_vec(),
    }
}

fn is_projection(key: &str) -> bool {
    let of_attention = key.contains("attentions.") && !key.contains("transformer_blocks.");
    of_attention && ATTENTION.iter().any(|(_, new)| key.ends_with(&format!(".{new}.weight")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_generations_have_one_name() {
        let cases = [
            ("decoder.mid_block.attentions.0.query.weight", "decoder.mid_block.attentions.0.to_q.weight"),
            ("upsampler.mid_block.attentions.0.proj_attn.bias", "upsampler.mid_block.attentions.0.to_out.0.bias"),
            ("decoder.mid_block.attentions.0.to_k.weight", "decoder.mid_block.attentions.0.to_k.weight"),
            ("module.voxel2clip.lin0.0.weight", "voxel2clip.lin0.0.weight"),
            ("up_blocks.1.attentions.2.transformers.0.norm.bias", "up_blocks.1.attentions.2.norm.bias"),
            // The text half keeps its name, by which it is left aside.
            ("mid_block.attentions.0.transformers.1.norm.bias", "mid_block.attentions.0.transformers.1.norm.bias"),
            ("transformers.0.attentions.0.norm.bias", "transformers.0.attentions.0.norm.bias"),
            // Only a projection right under `attentions.N` is renamed.
            ("encoder.key.value.query", "encoder.key.value.query"),
            ("attentions.0.block.key.weight", "attentions.0.block.key.weight"),
        ];
        for (stored, expected) in cases {
            assert_eq!(canonical(stored), expected);
        }
    }

    #[test]
    fn only_attention_projections_lose_the_axes_of_a_1x1_convolution() {
        let q = "decoder.mid_block.attentions.0.to_q.weight";
        assert_eq!(canonical_shape(q, &[8, 8, 1, 1]), [8, 8]);
        assert_eq!(canonical_shape(q, &[8, 8, 3, 3]), [8, 8, 3, 3]);
        assert_eq!(canonical_shape("post_quant_conv.weight", &[4, 4, 1, 1]), [4, 4, 1, 1]);
    }
}
