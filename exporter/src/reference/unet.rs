//! The UNet: down with skips, through the middle, up with the skips taken back.

use super::array::Array;
use super::attention::attention;
use super::layers::{Layer, gelu, silu};
use super::pictures::{double_nearest, every_second, from_places, joined, to_places};
use crate::networks::Unet;
use crate::weights::StateDict;

/// Applies the transformer at a key (with so many heads) to a picture.
type Attend<'a> = dyn Fn(&Layer<'_>, usize, &Array) -> Array + 'a;

/// Sample [B, 4, H, W], timestep [B] and tokens [B, T, D] to the noise in the sample (spec: diffusion section 1.2).
pub(crate) fn unet(sizes: &Unet, state: &StateDict<'_>, inputs: &[Array]) -> Array {
    let attend = |key: &Layer<'_>, heads: usize, x: &Array| transformer(sizes, key, heads, x, &inputs[2]);
    forward(sizes, state, &inputs[0], &inputs[1], &attend)
}

/// The dual-guided UNet that MindEye runs: each transformer of `unet` has a second one, for text, under
/// `transformers.1`, and the block's answer is x + r (text(x) - x) + (1 - r) (image(x) - x) with text weight r. `state`
/// holds the tensors of both; `inputs` are sample, timestep, image tokens and text tokens.
///
/// # Panics
/// When `state` lacks the text half.
#[must_use]
pub fn dual_guided_unet(sizes: &Unet, state: &StateDict<'_>, inputs: &[Array], text_weight: f64) -> Array {
    let attend = |key: &Layer<'_>, heads: usize, x: &Array| {
        let image = transformer(sizes, key, heads, x, &inputs[2]);
        let text = transformer(sizes, &key.at("transformers.1"), heads, x, &inputs[3]);
        let answers = x.values.iter().zip(image.values.iter().zip(&text.values));
        let mixed = answers.map(|(x, (image, text))| x + text_weight * (text - x) + (1.0 - text_weight) * (image - x));
        Array::new(&x.shape, mixed.collect())
    };
    forward(sizes, state, &inputs[0], &inputs[1], &attend)
}

fn forward(sizes: &Unet, state: &StateDict<'_>, sample: &Array, timestep: &Array, attend: &Attend<'_>) -> Array {
    let net = Layer::new(state, "");
    let time = time_embedding(&net, timestep, sizes.levels[0].channels);
    let levels = sizes.levels.len();
    let mut x = net.at("conv_in").conv(sample);
    let mut skips = vec![x.clone()];
    for (i, level) in sizes.levels.iter().enumerate() {
        let block = net.at(&format!("down_blocks.{i}"));
        for j in 0..sizes.resnets {
            x = resnet(sizes, &block.at(&format!("resnets.{j}")), &x, &time);
            if level.attends_down {
                x = attend(&block.at(&format!("attentions.{j}")), level.heads, &x);
            }
            skips.push(x.clone());
        }
        if i + 1 < levels {
            x = every_second(&block.at("downsamplers.0.conv").conv(&x), 0);
            skips.push(x.clone());
        }
    }
    x = resnet(sizes, &net.at("mid_block.resnets.0"), &x, &time);
    x = attend(&net.at("mid_block.attentions.0"), sizes.levels[levels - 1].heads, &x);
    x = resnet(sizes, &net.at("mid_block.resnets.1"), &x, &time);
    for (i, level) in sizes.levels.iter().rev().enumerate() {
        let block = net.at(&format!("up_blocks.{i}"));
        for j in 0..=sizes.resnets {
            let skip = skips.pop().expect("as many skips as residual blocks on the way up");
            x = resnet(sizes, &block.at(&format!("resnets.{j}")), &joined(&x, &skip), &time);
            if level.attends_up {
                x = attend(&block.at(&format!("attentions.{j}")), level.heads, &x);
            }
        }
        if i + 1 < levels {
            x = block.at("upsamplers.0.conv").conv(&double_nearest(&x));
        }
    }
    let epsilon = f64::from(sizes.norm_epsilon);
    net.at("conv_out").conv(&net.at("conv_norm_out").group_norm(&x, sizes.norm_groups, epsilon).map(silu))
}

/// Cosines, then sines, of t / 10000^(i / half), through two layers: [B, time_width].
fn time_embedding(net: &Layer<'_>, timestep: &Array, channels: usize) -> Array {
    let half = channels / 2;
    let angle = |t: f64, i: usize| t * (-(10_000_f64.ln()) * i as f64 / half as f64).exp();
    let wave = |t: &f64| -> Vec<f64> {
        let t = *t;
        (0..half).map(|i| angle(t, i).cos()).chain((0..half).map(|i| angle(t, i).sin())).collect()
    };
    let waves = Array::new(&[timestep.values.len(), 2 * half], timestep.values.iter().flat_map(wave).collect());
    net.at("time_embedding.linear_2").linear(&net.at("time_embedding.linear_1").linear(&waves).map(silu))
}

fn resnet(sizes: &Unet, block: &Layer<'_>, x: &Array, time: &Array) -> Array {
    let norm =
        |key: &str, x: &Array| block.at(key).group_norm(x, sizes.norm_groups, f64::from(sizes.norm_epsilon)).map(silu);
    let mut h = block.at("conv1").conv(&norm("norm1", x));
    let shift = block.at("time_emb_proj").linear(&time.clone().map(silu));
    let cells = h.shape[2] * h.shape[3];
    for (channel, shift) in h.values.chunks_exact_mut(cells).zip(&shift.values) {
        channel.iter_mut().for_each(|v| *v += shift);
    }
    h = block.at("conv2").conv(&norm("norm2", &h));
    let shortcut = block.at("conv_shortcut");
    if shortcut.exists() { h.plus(&shortcut.conv(x)) } else { h.plus(x) }
}

/// The transformer at `net` over the picture x, guided by `tokens`.
fn transformer(sizes: &Unet, net: &Layer<'_>, heads: usize, x: &Array, tokens: &Array) -> Array {
    let normed = net.at("norm").group_norm(x, sizes.norm_groups, 1e-6);
    let mut h = if sizes.linear_projection {
        net.at("proj_in").linear(&to_places(&normed))
    } else {
        to_places(&net.at("proj_in").conv(&normed))
    };
    for i in 0..sizes.transformer_blocks {
        let block = net.at(&format!("transformer_blocks.{i}"));
        let own = block.at("norm1").layer_norm(h.clone());
        h = attend(&block.at("attn1"), heads, &own, &own).plus(&h);
        h = attend(&block.at("attn2"), heads, &block.at("norm2").layer_norm(h.clone()), tokens).plus(&h);
        h = geglu(&block.at("ff.net"), block.at("norm3").layer_norm(h.clone())).plus(&h);
    }
    let out = if sizes.linear_projection {
        from_places(&net.at("proj_out").linear(&h), &x.shape)
    } else {
        net.at("proj_out").conv(&from_places(&h, &x.shape))
    };
    out.plus(x)
}

fn attend(net: &Layer<'_>, heads: usize, x: &Array, context: &Array) -> Array {
    let (q, k, v) = (net.at("to_q").linear(x), net.at("to_k").linear(context), net.at("to_v").linear(context));
    net.at("to_out.0").linear(&attention(&q, &k, &v, heads))
}

/// 2(value gelu(gate)), value and gate the halves of 0.proj(x).
fn geglu(net: &Layer<'_>, x: Array) -> Array {
    let wide = net.at("0.proj").linear(&x);
    let width = wide.shape[2];
    let gated = wide.values.chunks_exact(width).flat_map(|row| {
        let (value, gate) = row.split_at(width / 2);
        value.iter().zip(gate).map(|(value, gate)| value * gelu(*gate))
    });
    let gated = Array::new(&[wide.shape[0], wide.shape[1], width / 2], gated.collect());
    net.at("2").linear(&gated)
}
