//! The arithmetic of the low-level network (spec: MindEye section 4.1).

use super::backbone::dropped;
use super::net::Net;
use super::parameters::Parameters;
use super::picture_blocks::decoder;
use super::precision::full;
use crate::networks::LowLevel;
use mindeye_config::DropoutConfig;
use tch::Tensor;

/// What a low-level network makes of voxels.
pub struct LowLevelOutput {
    /// `[B, 4, side, side]`, scaled.
    pub latent: Tensor,
    /// `[B, S², 512]`, what training compares with the teacher; nothing when answering.
    pub features: Option<Tensor>,
}

/// Voxels `[B, V]` to the latent; with `dropout` (and the auxiliary head) while training, without to answer.
#[must_use]
pub fn low_level(
    sizes: &LowLevel,
    parameters: &Parameters,
    voxels: &Tensor,
    dropout: Option<&DropoutConfig>,
) -> LowLevelOutput {
    let net = Net::new(parameters, "");
    let layer = |at: Net<'_>, x: &Tensor| at.at("1").layer_norm(&at.at("0").linear_without_bias(x)).silu();
    let mut h = dropped(layer(net.at("lin0"), voxels), dropout.map(|d| d.first));
    for block in 0..sizes.blocks {
        let step = dropped(layer(net.at(&format!("mlp.{block}")), &h), dropout.map(|d| d.blocks));
        h = step + h;
    }
    let (channels, side) = (sizes.map_channels as i64, sizes.map_side as i64);
    let map = net.at("lin1").linear_without_bias(&h).view([-1, channels, side, side]);
    let map = net.at("norm").group_norm(&map, 1);
    let features = dropout.map(|_| maps_projector(&net.at("maps_projector"), &map));
    let latent = decoder(&net.at("upsampler"), &map, sizes.channels.len(), LowLevel::RESNETS, sizes.norm_groups);
    LowLevelOutput { latent, features }
}

/// The map as the teacher sees pictures: one row of 512 for each of its places.
fn maps_projector(net: &Net<'_>, map: &Tensor) -> Tensor {
    let mut x = map.shallow_clone();
    for (conv, norm) in [("0", "1"), ("3", "4")] {
        x = net.at(norm).group_norm(&net.at(conv).conv_without_bias(&x), 1).relu();
    }
    full(&net.at("6").conv(&x)).flatten(2, 3).transpose(1, 2)
}
