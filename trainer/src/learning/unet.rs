//! The arithmetic of the UNet (spec: diffusion section 1.2).

use super::net::{Net, VAE_EPSILON};
use super::parameters::Parameters;
use super::picture_blocks::{Norm, doubled, heads_attention, resnet};
use super::precision::full;
use crate::networks::{Unet, UnetStage};
use tch::{Kind, Tensor};

/// ε of the normalisations outside the transformers.
const EPSILON: f64 = 1e-5;
/// Longest wavelength of the time embedding, in units of 2π timesteps.
const LONGEST_PERIOD: f64 = 10_000.0;

/// Latents `[B, 4, h, w]`, timesteps `[B]` and tokens `[B, T, D]` to the noise in the latents `[B, 4, h, w]`.
pub fn unet(sizes: &Unet, parameters: &Parameters, sample: &Tensor, timestep: &Tensor, tokens: &Tensor) -> Tensor {
    let net = Net::new(parameters, "");
    let run = Run { sizes, norm: Norm { groups: sizes.norm_groups, epsilon: EPSILON }, tokens };
    let time = run.time(&net.at("time_embedding"), timestep);
    let mut x = net.at("conv_in").conv(sample);
    let mut skips = vec![x.shallow_clone()];
    for stage in sizes.down() {
        for j in 0..stage.resnets.len() {
            x = run.block(&net, &stage, j, &x, &time);
            skips.push(x.shallow_clone());
        }
        if stage.resizes {
            x = net.at(&stage.key).at("downsamplers.0.conv").conv_moved(&x, 2, 1);
            skips.push(x.shallow_clone());
        }
    }
    x = resnet(&net.at("mid_block.resnets.0"), &x, run.norm, Some(&time));
    x = run.transformer(&net.at("mid_block.attentions.0"), &x);
    x = resnet(&net.at("mid_block.resnets.1"), &x, run.norm, Some(&time));
    for stage in sizes.up() {
        for j in 0..stage.resnets.len() {
            let skip = skips.pop().expect("the way down left one skip for each residual block of the way up");
            x = run.block(&net, &stage, j, &Tensor::cat(&[x, skip], 1), &time);
        }
        if stage.resizes {
            x = net.at(&stage.key).at("upsamplers.0.conv").conv(&doubled(&x));
        }
    }
    let normed = net.at("conv_norm_out").group_norm_with(&x, run.norm.groups, run.norm.epsilon);
    full(&net.at("conv_out").conv(&normed.silu()))
}

/// What every block of one run shares.
struct Run<'a> {
    sizes: &'a Unet,
    norm: Norm,
    tokens: &'a Tensor,
}

impl Run<'_> {
    /// SiLU of the embedded time `[B, E]`: cosines, then sines, through an MLP.
    fn time(&self, net: &Net<'_>, timestep: &Tensor) -> Tensor {
        let half = self.sizes.channels[0] as i64 / 2;
        let exponents = Tensor::arange(half, (Kind::Float, timestep.device())) * (-LONGEST_PERIOD.ln() / half as f64);
        let angles = timestep.to_kind(Kind::Float).unsqueeze(1) * exponents.exp().unsqueeze(0);
        let wave = Tensor::cat(&[angles.cos(), angles.sin()], 1);
        net.at("linear_2").linear(&net.at("linear_1").linear(&wave).silu()).silu()
    }

    /// Residual block `j` of `stage` and the transformer after it.
    fn block(&self, net: &Net<'_>, stage: &UnetStage, j: usize, x: &Tensor, time: &Tensor) -> Tensor {
        let stage_net = net.at(&stage.key);
        let x = resnet(&stage_net.at(&format!("resnets.{j}")), x, self.norm, Some(time));
        if stage.attends { self.transformer(&stage_net.at(&format!("attentions.{j}")), &x) } else { x }
    }

    /// Every place attends to all others, then to the tokens.
    fn transformer(&self, net: &Net<'_>, x: &Tensor) -> Tensor {
        let (channels, side) = (x.size()[1], x.size()[2]);
        let normed = net.at("norm").group_norm_with(x, self.norm.groups, VAE_EPSILON);
        let mut h = net.at("proj_in").conv(&normed).flatten(2, 3).transpose(1, 2);
        let block = net.at("transformer_blocks.0");
        let own = block.at("norm1").layer_norm(&h);
        h = self.attention(&block.at("attn1"), &own, &own) + h;
        h = self.attention(&block.at("attn2"), &block.at("norm2").layer_norm(&h), self.tokens) + h;
        let wide = block.at("ff.net.0.proj").linear(&block.at("norm3").layer_norm(&h)).chunk(2, -1);
        h = block.at("ff.net.2").linear(&(&wide[0] * wide[1].gelu("none"))) + h;
        let picture = h.transpose(1, 2).reshape([-1, channels, side, side]);
        net.at("proj_out").conv(&picture) + x
    }

    /// Queries from `x`, keys and values from `context`.
    fn attention(&self, net: &Net<'_>, x: &Tensor, context: &Tensor) -> Tensor {
        let factors = [("to_q", x), ("to_k", context), ("to_v", context)];
        let factors = factors.map(|(name, from)| net.at(name).linear_without_bias(from));
        net.at("to_out.0").linear(&heads_attention(net, factors, self.sizes.heads))
    }
}
