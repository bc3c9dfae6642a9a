//! Picture to tokens: transformers' `CLIPVisionModelWithProjection`, of any width, as MindEye takes its targets from it.
//!
//! Spec: diffusion section 1.4, MindEye section 3.5.

use super::layout::{Init, Layout};
use mindeye_config::{ModelDimensions, RendererDimensions};

/// Channels of a picture.
const COLOURS: usize = 3;

/// Sizes of an image tower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipImage {
    /// Side of a patch, pixels.
    pub patch: usize,
    /// Tokens: one for each patch of the square picture, and the CLS token in front.
    pub tokens: usize,
    /// Width of a projected token.
    pub token_dim: usize,
    /// Width of the transformer.
    pub width: usize,
    /// Width between the two layers of an MLP.
    pub mlp: usize,
    /// Transformer layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
}

impl ClipImage {
    /// The tower that gives this model's tokens; nothing where they are not those of a square of patches and one more.
    #[must_use]
    pub fn of(model: &ModelDimensions, renderer: &RendererDimensions) -> Option<Self> {
        let grid = model.tokens.checked_sub(1)?.isqrt();
        (grid > 0 && grid * grid + 1 == model.tokens).then_some(Self {
            patch: renderer.encoder_patch,
            tokens: model.tokens,
            token_dim: model.token_dim,
            width: renderer.encoder_width,
            mlp: renderer.encoder_mlp,
            layers: renderer.encoder_layers,
            heads: renderer.encoder_heads,
        })
    }

    /// Side of the picture, pixels.
    #[must_use]
    pub fn side(&self) -> usize {
        (self.tokens - 1).isqrt() * self.patch
    }

    /// Its tensors.
    #[must_use]
    pub fn layout(&self) -> Layout {
        let (mut layout, width) = (Layout::default(), self.width);
        let (embeddings, small) = ("vision_model.embeddings", Init::Normal { sd: 0.02 });
        layout.tensor(format!("{embeddings}.class_embedding"), &[width], small);
        layout.conv(&format!("{embeddings}.patch_embedding"), width, COLOURS, self.patch, false);
        layout.tensor(format!("{embeddings}.position_embedding.weight"), &[self.tokens, width], small);
        layout.norm("vision_model.pre_layrnorm", width); // misspelt in transformers, and so in every checkpoint
        for i in 0..self.layers {
            let layer = format!("vision_model.encoder.layers.{i}");
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_tower_has_its_published_count() {
        let tower = ClipImage { patch: 14, tokens: 257, token_dim: 768, width: 1024, mlp: 4096, layers: 24, heads: 16 };
        // Spec: diffusion section 1.4, to the unit.
        assert_eq!((tower.layout().parameters(), tower.side()), (303_966_208, 224));
    }
}
