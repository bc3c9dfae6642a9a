//! Voxels to CLIP image tokens: MindEye's residual MLP (the backbone) with the projector that serves retrieval.
//!
//! ```text
//!   voxels [B, V] ─ Linear, LN, GELU ─ (+ Linear, LN, GELU) x blocks ─ Linear ─ backbone_tokens [B, T, D]
//!                                                                                    │
//!                         retrieval_tokens [B, T, D] ─ (LN, GELU, Linear) x 3 ───────┘
//! ```
//! Spec: MindEye section 1.

use super::recipes::Drawing;
use super::{Network, beside, tensor_entry};
use crate::onnx::{GraphError, Wire};
use crate::reference::{Array, backbone};
use crate::weights::{Layout, SetAside, StateDict, Weights};
use mindeye_config::TensorEntry;

/// Start of every key.
const PREFIX: &str = "voxel2clip.";

/// Sizes of a backbone, all told by its tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backbone {
    /// Voxels, V.
    pub voxels: usize,
    /// Width of the MLP, H.
    pub hidden: usize,
    /// Residual blocks.
    pub blocks: usize,
    /// Tokens, T.
    pub tokens: usize,
    /// Width of a token, D.
    pub token_dim: usize,
    /// Width of the projector.
    pub projector_hidden: usize,
}

impl Backbone {
    /// Reads the sizes out of the shapes in `weights`.
    #[must_use]
    pub fn of(weights: &Weights) -> Self {
        let first = |places: &[(&str, usize)]| {
            let keys: Vec<_> = places.iter().map(|(key, axis)| (format!("{PREFIX}{key}"), *axis)).collect();
            weights.first_size(&keys.iter().map(|(key, axis)| (key.as_str(), *axis)).collect::<Vec<_>>())
        };
        let token_dim = first(&[("projector.0.weight", 0), ("projector.0.bias", 0), ("projector.8.weight", 0)]);
        let backbone_width = first(&[("lin1.weight", 0), ("lin1.bias", 0)]);
        Self {
            voxels: first(&[("lin0.0.weight", 1)]),
            hidden: first(&[("lin0.0.weight", 0), ("lin0.0.bias", 0), ("lin0.1.weight", 0), ("lin1.weight", 1)]),
            blocks: weights.count(&format!("{PREFIX}mlp.")),
            tokens: backbone_width.checked_div(token_dim).unwrap_or(0),
            token_dim,
            projector_hidden: first(&[("projector.2.weight", 0), ("projector.2.bias", 0), ("projector.5.weight", 0)]),
        }
    }

    fn token_shape(&self, batch: usize) -> [usize; 3] {
        [batch, self.tokens, self.token_dim]
    }

    /// The residual MLP of x [B, V], [B, T D].
    pub(super) fn mlp(&self, net: &mut Drawing<'_, '_>, x: &Wire) -> Result<Wire, GraphError> {
        let mut h = net.norm_gelu(&format!("{PREFIX}lin0"), x)?;
        for block in 0..self.blocks {
            let key = format!("{PREFIX}mlp.{block}");
            let step = net.norm_gelu(&key, &h)?;
            h = net.graph.add(&key, &h, &step)?;
        }
        net.linear(&format!("{PREFIX}lin1"), &h)
    }

    /// Both outputs of the tokens `wide`, [B, T D].
    pub(super) fn finish(&self, net: &mut Drawing<'_, '_>, wide: &Wire, batch: usize) -> Result<(), GraphError> {
        let tokens = net.graph.reshape("tokens", wide, &self.token_shape(batch))?;
        let projected = net.projector(&format!("{PREFIX}projector"), &tokens)?;
        net.graph.output("backbone_tokens", &tokens)?;
        net.graph.output("retrieval_tokens", &projected)
    }
}

impl Network for Backbone {
    fn name(&self) -> &'static str {
        "backbone"
    }

    fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        let hidden = self.hidden;
        layout.linear(&format!("{PREFIX}lin0.0"), hidden, self.voxels);
        layout.norm(&format!("{PREFIX}lin0.1"), hidden);
        for block in 0..self.blocks {
            layout.linear(&format!("{PREFIX}mlp.{block}.0"), hidden, hidden);
            layout.norm(&format!("{PREFIX}mlp.{block}.1"), hidden);
        }
        layout.linear(&format!("{PREFIX}lin1"), self.tokens * self.token_dim, hidden);
        let widths = [self.token_dim, self.projector_hidden, self.projector_hidden, self.token_dim];
        for (i, pair) in widths.windows(2).enumerate() {
            layout.norm(&format!("{PREFIX}projector.{}", 3 * i), pair[0]);
            layout.linear(&format!("{PREFIX}projector.{}", 3 * i + 2), pair[1], pair[0]);
        }
        layout
    }

    fn set_aside(&self) -> Vec<SetAside> {
        vec![
            beside("net.*", "the diffusion prior's"),
            beside("noise_scheduler.*", "the prior's schedule, recomputed where it is needed"),
        ]
    }

    fn inputs(&self, batch: usize) -> Vec<TensorEntry> {
        vec![tensor_entry("voxels", &[batch, self.voxels])]
    }

    fn outputs(&self, batch: usize) -> Vec<TensorEntry> {
        let shape = self.token_shape(batch);
        vec![tensor_entry("backbone_tokens", &shape), tensor_entry("retrieval_tokens", &shape)]
    }

    fn draw(&self, net: &mut Drawing<'_, '_>, batch: usize) -> Result<(), GraphError> {
        let voxels = net.input("voxels", &[batch, self.voxels])?;
        let wide = self.mlp(net, &voxels)?;
        self.finish(net, &wide, batch)
    }

    fn reference(&self, state: &StateDict<'_>, inputs: &[Array]) -> Vec<Array> {
        backbone(self, PREFIX, state, &inputs[0])
    }
}

impl Drawing<'_, '_> {
    /// The projector of every token: layer norm, GELU, linear, three times, under the keys `key.0` to `key.8`.
    pub(super) fn projector(&mut self, key: &str, tokens: &Wire) -> Result<Wire, GraphError> {
        let mut x = tokens.clone();
        for i in 0..3 {
            let norm = format!("{key}.{}", 3 * i);
            x = self.layer_norm(&norm, &x)?;
            x = self.graph.gelu(&format!("{norm}/gelu"), &x)?;
            x = self.linear(&format!("{key}.{}", 3 * i + 2), &x)?;
        }
        Ok(x)
    }

    /// Linear, layer norm, GELU under the keys `key.0` and `key.1`.
    fn norm_gelu(&mut self, key: &str, x: &Wire) -> Result<Wire, GraphError> {
        let mut h = self.linear(&format!("{key}.0"), x)?;
        h = self.layer_norm(&format!("{key}.1"), &h)?;
        self.graph.gelu(&format!("{key}.1/gelu"), &h)
    }
}
