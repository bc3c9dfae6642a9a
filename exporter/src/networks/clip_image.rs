//! Picture to CLIP tokens as MindEye takes them: transformers' `CLIPVisionModelWithProjection`, with the final norm and
//! the projection on every token, all divided by the length of the CLS token.
//!
//! ```text
//!   pixel_values [B, 3, S, S] ─ patches ─ CLS in front, + positions ─ LN ─ [ + attention(LN) ─ + MLP(LN) ]*
//!            image_tokens [B, T, D] = p / |p[0]|,  p = projection(LN) of every token ──────────┘
//! ```
//! Spec: diffusion section 1.4, MindEye section 3.5. Resizing and colour normalisation are the caller's.

use super::recipes::{Drawing, no_picture};
use super::settings::{Activation, ClipSettings};
use super::{Network, beside, tensor_entry};
use crate::onnx::{Element, GraphError, Sweep, Wire};
use crate::reference::{Array, clip_image};
use crate::weights::{Layout, SetAside, StateDict, Weights};
use mindeye_config::TensorEntry;

/// Channels of one head in OpenAI's published towers.
const PUBLISHED_HEAD: usize = 64;
/// Steepness of the sigmoid in `quick_gelu`.
const QUICK_GELU: f32 = 1.702;

/// Sizes of a CLIP image tower.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipImage {
    /// Channels of the picture.
    pub input: usize,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Tokens: one for each patch and the CLS token in front.
    pub tokens: usize,
    /// Width of the transformer.
    pub width: usize,
    /// Width between the two layers of an MLP.
    pub mlp: usize,
    /// Transformer layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of a projected token.
    pub token_dim: usize,
    /// Activation of the MLPs.
    pub activation: Activation,
    /// Epsilon of every layer normalisation.
    pub norm_epsilon: f32,
}

impl ClipImage {
    /// Reads the sizes out of the shapes in `weights`.
    #[must_use]
    pub fn of(weights: &Weights, settings: &ClipSettings) -> Self {
        let patches = "vision_model.embeddings.patch_embedding.weight";
        let width = weights.first_size(&[
            (patches, 0),
            ("vision_model.embeddings.class_embedding", 0),
            ("vision_model.post_layernorm.weight", 0),
        ]);
        let mlp = "vision_model.encoder.layers.0.mlp";
        let (fc1, fc1_bias) = (format!("{mlp}.fc1.weight"), format!("{mlp}.fc1.bias"));
        Self {
            input: weights.size(patches, 1),
            patch: weights.size(patches, 2),
            tokens: weights.size("vision_model.embeddings.position_embedding.weight", 0),
            width,
            mlp: weights.first_size(&[(&fc1, 0), (&fc1_bias, 0)]),
            layers: weights.count("vision_model.encoder.layers."),
            heads: settings.heads.unwrap_or((width / PUBLISHED_HEAD).max(1)),
            token_dim: weights.size("visual_projection.weight", 0),
            activation: settings.activation,
            norm_epsilon: settings.norm_epsilon,
        }
    }

    /// OpenAI's ViT-L/14 at 224 px: 303,966,208 numbers.
    #[must_use]
    pub fn published() -> Self {
        Self {
            input: 3,
            patch: 14,
            tokens: 257,
            width: 1024,
            mlp: 4096,
            layers: 24,
            heads: 16,
            token_dim: 768,
            activation: Activation::QuickGelu,
            norm_epsilon: 1e-5,
        }
    }

    /// Patches along one side of the picture.
    fn grid(&self) -> usize {
        self.tokens.saturating_sub(1).isqrt()
    }

    /// Side of the picture in pixels.
    #[must_use]
    pub fn side(&self) -> usize {
        self.grid() * self.patch
    }

    fn layer(i: usize) -> String {
        format!("vision_model.encoder.layers.{i}")
    }
}

impl Network for ClipImage {
    fn name(&self) -> &'static str {
        "clip-image"
    }

    fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        let width = self.width;
        let embeddings = "vision_model.embeddings";
        layout.tensor(&format!("{embeddings}.class_embedding"), &[width]);
        layout.conv_without_bias(&format!("{embeddings}.patch_embedding"), width, self.input, self.patch);
        layout.tensor(&format!("{embeddings}.position_embedding.weight"), &[self.tokens, width]);
        // Misspelt in transformers, and so in every checkpoint.
        layout.norm("vision_model.pre_layrnorm", width);
        for i in 0..self.layers {
            let layer = Self::layer(i);
            for projection in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                layout.linear(&format!("{layer}.self_attn.{projection}"), width, width);
            }
            layout.norm(&format!("{layer}.layer_norm1"), width);
            layout.linear(&format!("{layer}.mlp.fc1"), self.mlp, width);
            layout.linear(&format!("{layer}.mlp.fc2"), width, self.mlp);
            layout.norm(&format!("{layer}.layer_norm2"), width);
        }
        layout.norm("vision_model.post_layernorm", width);
        layout.linear_without_bias("visual_projection", self.token_dim, width);
        layout
    }

    fn set_aside(&self) -> Vec<SetAside> {
        vec![beside("vision_model.embeddings.position_ids", "the numbers from 0, counted anew")]
    }

    fn inputs(&self, batch: usize) -> Vec<TensorEntry> {
        vec![tensor_entry("pixel_values", &[batch, self.input, self.side(), self.side()])]
    }

    fn outputs(&self, batch: usize) -> Vec<TensorEntry> {
        vec![tensor_entry("image_tokens", &[batch, self.tokens, self.token_dim])]
    }

    fn draw(&self, net: &mut Drawing<'_, '_>, batch: usize) -> Result<(), GraphError> {
        let pixels = net.input("pixel_values", &self.inputs(batch)[0].shape)?;
        let mut x = self.embed(net, &pixels)?;
        x = net.layer_norm_with("vision_model.pre_layrnorm", &x, self.norm_epsilon)?;
        for i in 0..self.layers {
            x = self.draw_layer(net, &Self::layer(i), &x)?;
        }
        x = net.layer_norm_with("vision_model.post_layernorm", &x, self.norm_epsilon)?;
        x = net.linear("visual_projection", &x)?;
        x = net.graph.cast("tokens/wide", &x, Element::Float32)?;
        let cls = net.graph.slice("cls", &x, 1, 0..1)?;
        let length = net.graph.row_lengths("cls/length", &cls)?;
        x = net.graph.div("tokens_over_cls", &x, &length)?;
        net.graph.output("image_tokens", &x)
    }

    fn reference(&self, state: &StateDict<'_>, inputs: &[Array]) -> Vec<Array> {
        vec![clip_image(self, state, &inputs[0])]
    }
}

impl ClipImage {
    /// One token per patch, the CLS token in front, positions added: [B, T, width].
    fn embed(&self, net: &mut Drawing<'_, '_>, pixels: &Wire) -> Result<Wire, GraphError> {
        let node = "vision_model.embeddings";
        let key = format!("{node}.patch_embedding");
        let map = net.conv_moved(&key, pixels, Sweep::patches(self.patch))?;
        let &[batch, width, ..] = map.shape() else { return Err(no_picture(&key, &map)) };
        let patches = net.places(&format!("{key}/places"), &map)?;
        let cls = net.weight(node, &format!("{node}.class_embedding"))?;
        let cls = net.graph.reshape(&format!("{node}/cls"), &cls, &[1, 1, width])?;
        let cls = net.graph.expand(&format!("{node}/cls/each"), &cls, &[batch, 1, width])?;
        let tokens = net.graph.concat(&format!("{node}/tokens"), &[&cls, &patches], 1)?;
        let positions = net.weight(node, &format!("{node}.position_embedding.weight"))?;
        net.graph.add(node, &tokens, &positions)
    }

    fn draw_layer(&self, net: &mut Drawing<'_, '_>, key: &str, x: &Wire) -> Result<Wire, GraphError> {
        let normed = net.layer_norm_with(&format!("{key}.layer_norm1"), x, self.norm_epsilon)?;
        let mixed = self.self_attention(net, &format!("{key}.self_attn"), &normed)?;
        let x = net.graph.add(&format!("{key}.self_attn"), x, &mixed)?;
        let normed = net.layer_norm_with(&format!("{key}.layer_norm2"), &x, self.norm_epsilon)?;
        let wide = net.linear(&format!("{key}.mlp.fc1"), &normed)?;
        let active = self.activate(net, &format!("{key}.mlp/activation"), &wide)?;
        let narrow = net.linear(&format!("{key}.mlp.fc2"), &active)?;
        net.graph.add(key, &x, &narrow)
    }

    fn self_attention(&self, net: &mut Drawing<'_, '_>, key: &str, x: &Wire) -> Result<Wire, GraphError> {
        let mut projected = |name: &str| net.linear(&format!("{key}.{name}"), x);
        let (q, k, v) = (projected("q_proj")?, projected("k_proj")?, projected("v_proj")?);
        let joined = net.multi_head(key, [&q, &k, &v], self.heads)?;
        net.linear(&format!("{key}.out_proj"), &joined)
    }

    fn activate(&self, net: &mut Drawing<'_, '_>, node: &str, x: &Wire) -> Result<Wire, GraphError> {
        if self.activation == Activation::Gelu {
            return net.graph.gelu(node, x);
        }
        let steepness = net.graph.floats("quick_gelu", x.element(), &[1], &[QUICK_GELU]);
        let steep = net.graph.mul(&format!("{node}/steep"), x, &steepness)?;
        let gate = net.graph.sigmoid(&format!("{node}/gate"), &steep)?;
        net.graph.mul(node, x, &gate)
    }
}
