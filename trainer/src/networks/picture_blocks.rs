//! Tensors of the blocks that autoencoder, UNet and low-level network are made of: residual block, attention, ends.

use super::layout::Layout;

/// Appends a residual block from `inner` to `out` channels.
pub(super) fn add_resnet(layout: &mut Layout, key: &str, out: usize, inner: usize) {
    layout.norm(&format!("{key}.norm1"), inner);
    layout.conv(&format!("{key}.conv1"), out, inner, 3, true);
    layout.norm(&format!("{key}.norm2"), out);
    layout.conv(&format!("{key}.conv2"), out, out, 3, true);
    if out != inner {
        layout.conv(&format!("{key}.conv_shortcut"), out, inner, 1, true);
    }
}

/// Appends the innermost part of an autoencoder: residual block, single-head attention, residual block.
pub(super) fn add_middle(layout: &mut Layout, key: &str, channels: usize) {
    add_resnet(layout, &format!("{key}.resnets.0"), channels, channels);
    layout.norm(&format!("{key}.attentions.0.group_norm"), channels);
    for projection in ["to_q", "to_k", "to_v", "to_out.0"] {
        layout.linear(&format!("{key}.attentions.0.{projection}"), channels, channels);
    }
    add_resnet(layout, &format!("{key}.resnets.1"), channels, channels);
}

/// Appends the decoder of an autoencoder: from a map of `input` channels through `stages` (outwards; all but the last
/// double the side) of `resnets` residual blocks to `output` channels.
pub(super) fn add_decoder(
    layout: &mut Layout,
    prefix: &str,
    (input, output): (usize, usize),
    stages: &[usize],
    resnets: usize,
) {
    layout.conv(&format!("{prefix}.conv_in"), stages[0], input, 3, true);
    add_middle(layout, &format!("{prefix}.mid_block"), stages[0]);
    let channels = add_stages(layout, &format!("{prefix}.up_blocks"), "upsamplers", stages, resnets);
    add_end(layout, prefix, channels, output);
}

/// Appends the encoder of an autoencoder: a picture of `input` channels through `stages` (inwards; all but the last
/// halve the side) to `output` channels.
pub(super) fn add_encoder(
    layout: &mut Layout,
    prefix: &str,
    (input, output): (usize, usize),
    stages: &[usize],
    resnets: usize,
) {
    layout.conv(&format!("{prefix}.conv_in"), stages[0], input, 3, true);
    let channels = add_stages(layout, &format!("{prefix}.down_blocks"), "downsamplers", stages, resnets);
    add_middle(layout, &format!("{prefix}.mid_block"), channels);
    add_end(layout, prefix, channels, output);
}

/// Appends the residual blocks of `stages`, with a convolution in `resamplers` between one stage and the next; the
/// channels that come out.
fn add_stages(layout: &mut Layout, blocks: &str, resamplers: &str, stages: &[usize], resnets: usize) -> usize {
    let mut channels = stages[0];
    for (i, stage) in stages.iter().enumerate() {
        let key = format!("{blocks}.{i}");
        for j in 0..resnets {
            add_resnet(layout, &format!("{key}.resnets.{j}"), *stage, channels);
            channels = *stage;
        }
        if i + 1 < stages.len() {
            layout.conv(&format!("{key}.{resamplers}.0.conv"), channels, channels, 3, true);
        }
    }
    channels
}

fn add_end(layout: &mut Layout, prefix: &str, channels: usize, output: usize) {
    layout.norm(&format!("{prefix}.conv_norm_out"), channels);
    layout.conv(&format!("{prefix}.conv_out"), output, channels, 3, true);
}
