//! The UNet's transformer: every place of a picture attends to all others, then to the tokens that guide it.
//!
//! ```text
//!   x ─ group norm ─ proj_in ─ [ + attn1(LN) ─ + attn2(LN, tokens) ─ + GEGLU(LN) ]* ─ proj_out ─ + x
//! ```
//! Spec: diffusion section 1.2.

use super::Dialect;
use super::recipes::{Drawing, no_picture};
use crate::onnx::{GraphError, Wire};
use crate::weights::Layout;

/// Epsilon of a transformer's own group normalisation, unlike that of the residual blocks around it.
const NORM_EPSILON: f32 = 1e-6;

/// Sizes of one transformer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TransformerSizes {
    /// Channels, C.
    pub(super) channels: usize,
    /// Width of a token.
    pub(super) token_dim: usize,
    /// Blocks.
    pub(super) blocks: usize,
    /// Whether the projections around the blocks are matrices and not 1x1 convolutions.
    pub(super) linear_projection: bool,
}

/// Appends a transformer's tensors.
pub(super) fn add_transformer(layout: &mut Layout, key: &str, sizes: TransformerSizes) {
    let width = sizes.channels;
    let projection = |layout: &mut Layout, name: &str| match sizes.linear_projection {
        true => layout.linear(&format!("{key}.{name}"), width, width),
        false => layout.conv(&format!("{key}.{name}"), width, width, 1),
    };
    layout.norm(&format!("{key}.norm"), width);
    projection(layout, "proj_in");
    for i in 0..sizes.blocks {
        let block = format!("{key}.transformer_blocks.{i}");
        for (attention, inner) in [("attn1", width), ("attn2", sizes.token_dim)] {
            let attention = format!("{block}.{attention}");
            layout.linear_without_bias(&format!("{attention}.to_q"), width, width);
            layout.linear_without_bias(&format!("{attention}.to_k"), width, inner);
            layout.linear_without_bias(&format!("{attention}.to_v"), width, inner);
            layout.linear(&format!("{attention}.to_out.0"), width, width);
        }
        layout.linear(&format!("{block}.ff.net.0.proj"), 8 * width, width);
        layout.linear(&format!("{block}.ff.net.2"), width, 4 * width);
        for norm in ["norm1", "norm2", "norm3"] {
            layout.norm(&format!("{block}.{norm}"), width);
        }
    }
    projection(layout, "proj_out");
}

impl Drawing<'_, '_> {
    /// The transformer `key` over the picture `x` [B, C, H, W], guided by `tokens` [B, T, D].
    pub(super) fn transformer(
        &mut self,
        key: &str,
        x: &Wire,
        tokens: &Wire,
        sizes: TransformerSizes,
        (groups, heads): (usize, usize),
    ) -> Result<Wire, GraphError> {
        let normed = self.group_norm(&format!("{key}.norm"), x, groups, NORM_EPSILON)?;
        let mut h = if sizes.linear_projection {
            let places = self.places(&format!("{key}/places"), &normed)?;
            self.linear(&format!("{key}.proj_in"), &places)?
        } else {
            let projected = self.conv(&format!("{key}.proj_in"), &normed)?;
            self.places(&format!("{key}/places"), &projected)?
        };
        for i in 0..sizes.blocks {
            h = self.transformer_block(&format!("{key}.transformer_blocks.{i}"), &h, tokens, heads)?;
        }
        let picture = if sizes.linear_projection {
            let projected = self.linear(&format!("{key}.proj_out"), &h)?;
            self.picture(&format!("{key}/picture"), &projected, x.shape())?
        } else {
            let picture = self.picture(&format!("{key}/picture"), &h, x.shape())?;
            self.conv(&format!("{key}.proj_out"), &picture)?
        };
        self.graph.add(key, x, &picture)
    }

    fn transformer_block(&mut self, key: &str, x: &Wire, tokens: &Wire, heads: usize) -> Result<Wire, GraphError> {
        if self.dialect == Dialect::OnnxRuntimeCuda {
            return self.fused_transformer_block(key, x, tokens, heads);
        }
        let normed = self.layer_norm(&format!("{key}.norm1"), x)?;
        let mixed = self.cross_attention(&format!("{key}.attn1"), &normed, &normed, heads)?;
        let x = self.graph.add(&format!("{key}.attn1"), &mixed, x)?;
        let normed = self.layer_norm(&format!("{key}.norm2"), &x)?;
        let mixed = self.cross_attention(&format!("{key}.attn2"), &normed, tokens, heads)?;
        let x = self.graph.add(&format!("{key}.attn2"), &mixed, &x)?;
        let normed = self.layer_norm(&format!("{key}.norm3"), &x)?;
        let wide = self.linear(&format!("{key}.ff.net.0.proj"), &normed)?;
        let gated = self.geglu(&format!("{key}.ff.net.0"), &wide)?;
        let narrow = self.linear(&format!("{key}.ff.net.2"), &gated)?;
        self.graph.add(key, &narrow, &x)
    }

    fn cross_attention(&mut self, key: &str, x: &Wire, context: &Wire, heads: usize) -> Result<Wire, GraphError> {
        let joined = self.heads_of(key, x, context, heads)?;
        self.linear(&format!("{key}.to_out.0"), &joined)
    }

    /// Queries from `x`, keys and values from `context`: what the heads make of them, side by side.
    pub(super) fn heads_of(&mut self, key: &str, x: &Wire, context: &Wire, heads: usize) -> Result<Wire, GraphError> {
        let mut projected = |name: &str, from: &Wire| self.linear(&format!("{key}.{name}"), from);
        let (q, k, v) = (projected("to_q", x)?, projected("to_k", context)?, projected("to_v", context)?);
        self.multi_head(key, [&q, &k, &v], heads)
    }

    /// First half of the last axis times the GELU of its second half.
    fn geglu(&mut self, node: &str, x: &Wire) -> Result<Wire, GraphError> {
        let (value, gate) = self.halves(node, x)?;
        let gate = self.graph.gelu(&format!("{node}/gelu"), &gate)?;
        self.graph.mul(node, &value, &gate)
    }

    /// The two halves of the last axis.
    pub(super) fn halves(&mut self, node: &str, x: &Wire) -> Result<(Wire, Wire), GraphError> {
        let axis = x.shape().len().saturating_sub(1);
        let half = x.shape().last().map_or(0, |width| width / 2);
        let first = self.graph.slice(&format!("{node}/first"), x, axis, 0..half)?;
        let second = self.graph.slice(&format!("{node}/second"), x, axis, half..2 * half)?;
        Ok((first, second))
    }

    /// A picture [B, C, H, W] as a sequence of its places [B, H W, C].
    pub(super) fn places(&mut self, node: &str, x: &Wire) -> Result<Wire, GraphError> {
        let &[batch, channels, h, w] = x.shape() else { return Err(no_picture(node, x)) };
        if self.dialect == Dialect::OnnxRuntimeCuda {
            let last = self.channels_last(&format!("{node}/channels_last"), x)?;
            return self.graph.reshape(node, &last, &[batch, h * w, channels]);
        }
        let flat = self.graph.reshape(&format!("{node}/flat"), x, &[batch, channels, h * w])?;
        self.graph.transpose(node, &flat, &[0, 2, 1])
    }

    /// A sequence of places [B, H W, C] as the picture of `shape` [B, C, H, W].
    pub(super) fn picture(&mut self, node: &str, x: &Wire, shape: &[usize]) -> Result<Wire, GraphError> {
        if let (Dialect::OnnxRuntimeCuda, &[batch, channels, h, w]) = (self.dialect, shape) {
            let last = self.graph.reshape(&format!("{node}/channels_last"), x, &[batch, h, w, channels])?;
            return self.channels_first(node, &last);
        }
        let flat = self.graph.transpose(&format!("{node}/channels"), x, &[0, 2, 1])?;
        self.graph.reshape(node, &flat, shape)
    }
}
