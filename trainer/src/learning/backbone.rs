//! The arithmetic of the backbone (spec: MindEye section 1).

use super::net::Net;
use super::parameters::Parameters;
use super::precision::full;
use crate::networks::{Backbone, FrontEnd};
use mindeye_config::DropoutConfig;
use tch::Tensor;

/// What a backbone makes of voxels.
pub struct BackboneTokens {
    /// `[B, T, D]`, not normalised: the condition of the prior.
    pub tokens: Tensor,
    /// `[B, T, D]`: what retrieval compares.
    pub projected: Tensor,
}

/// Voxels `[B, V]` of participant number `participant` to tokens; with `dropout` while training, without to answer.
#[must_use]
pub fn backbone(
    sizes: &Backbone,
    parameters: &Parameters,
    voxels: &Tensor,
    participant: usize,
    dropout: Option<&DropoutConfig>,
) -> BackboneTokens {
    after_front_end(sizes, parameters, &front_end(sizes, parameters, voxels, participant), dropout)
}

/// What the MLP reads of voxels `[B, V]` of participant number `participant`: their places in the shared space, `[B, H]`,
/// or the voxels themselves where there is none.
pub fn front_end(sizes: &Backbone, parameters: &Parameters, voxels: &Tensor, participant: usize) -> Tensor {
    match &sizes.front_end {
        FrontEnd::None => voxels.shallow_clone(),
        FrontEnd::Ridge { .. } => {
            Net::new(parameters, Backbone::PREFIX).at(&format!("ridge.{participant}")).linear(voxels)
        }
    }
}

/// What [`front_end`] gives, of any participants, to tokens.
#[must_use]
pub fn after_front_end(
    sizes: &Backbone,
    parameters: &Parameters,
    places: &Tensor,
    dropout: Option<&DropoutConfig>,
) -> BackboneTokens {
    let net = Net::new(parameters, Backbone::PREFIX);
    let flat = match &sizes.front_end {
        FrontEnd::None => mlp(sizes, &net, places, dropout),
        FrontEnd::Ridge { .. } => {
            net.at("linear").linear(places) + mlp(sizes, &net, places, dropout) * net.tensor("gate")
        }
    };
    let tokens = full(&flat).view([-1, sizes.tokens as i64, sizes.token_dim as i64]);
    let projected = full(&projector(&net.at("projector"), &tokens));
    BackboneTokens { tokens, projected }
}

/// The residual MLP, `[B, inputs]` to `[B, T D]`.
fn mlp(sizes: &Backbone, net: &Net<'_>, x: &Tensor, dropout: Option<&DropoutConfig>) -> Tensor {
    let layer = |at: Net<'_>, x: &Tensor| at.at("1").layer_norm(&at.at("0").linear(x)).gelu("none");
    let mut h = dropped(layer(net.at("lin0"), x), dropout.map(|d| d.first));
    for block in 0..sizes.blocks {
        let step = dropped(layer(net.at(&format!("mlp.{block}")), &h), dropout.map(|d| d.blocks));
        h = step + h;
    }
    net.at("lin1").linear(&h)
}

/// Three times layer norm, GELU, linear, on every token.
fn projector(net: &Net<'_>, tokens: &Tensor) -> Tensor {
    let mut x = tokens.shallow_clone();
    for (norm, linear) in [("0", "2"), ("3", "5"), ("6", "8")] {
        x = net.at(linear).linear(&net.at(norm).layer_norm(&x).gelu("none"));
    }
    x
}

/// Dropout with probability `p` while training.
pub(super) fn dropped(x: Tensor, p: Option<f64>) -> Tensor {
    match p {
        Some(p) if p > 0.0 => x.dropout(p, true),
        _ => x,
    }
}
