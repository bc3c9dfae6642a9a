//! The two dialects of ONNX: one for every runtime, and one that ONNX Runtime's CUDA provider computes in fewer kernels.
//!
//! The portable dialect is what TensorRT for RTX fuses and what every CPU runs. ONNX Runtime's CUDA provider recognises
//! none of its patterns: it would write the scores of every attention to memory (537 MB for one block of the published
//! UNet) and normalise groups in five kernels. Its own operators do each in one. Pictures stay [B, C, H, W] in the graph;
//! the provider turns convolutions to channels-last (`prefer_nhwc`), and the transposes around each normalisation, which
//! exists for channels-last only, meet those of the convolutions and vanish.

use super::recipes::{Drawing, TORCH_EPSILON};
use crate::onnx::{Element, GraphError, GroupNorm, Wire};

/// Whose operators a graph may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// ONNX's standard operators.
    #[default]
    Portable,
    /// With those of ONNX Runtime that its CUDA provider has kernels for; runs nowhere else.
    OnnxRuntimeCuda,
}

impl Dialect {
    /// As `--dialect` and a graph's metadata call it.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::OnnxRuntimeCuda => "onnxruntime-cuda",
        }
    }
}

impl Drawing<'_, '_> {
    /// Group normalisation of `x` [B, C, H, W], shifted before by `shift` [B, C] and followed by SiLU where asked for.
    pub(super) fn fused_group_norm(
        &mut self,
        key: &str,
        (x, shift): (&Wire, Option<&Wire>),
        (groups, epsilon): (usize, f32),
        silu: bool,
    ) -> Result<Wire, GraphError> {
        let gain = self.weight_as(Element::Float32, key, &format!("{key}.weight"))?;
        let offset = self.weight_as(Element::Float32, key, &format!("{key}.bias"))?;
        let last = self.channels_last(&format!("{key}/channels_last"), x)?;
        let norm = GroupNorm { gain: &gain, offset: &offset, groups, epsilon, silu };
        let normed = self.graph.group_norm(&format!("{key}/normalise"), &last, shift, norm)?;
        self.channels_first(key, &normed)
    }

    /// The transformer block `key`, each residual sum in one kernel with the bias before and the norm after it.
    pub(super) fn fused_transformer_block(
        &mut self,
        key: &str,
        x: &Wire,
        tokens: &Wire,
        heads: usize,
    ) -> Result<Wire, GraphError> {
        let normed = self.layer_norm(&format!("{key}.norm1"), x)?;
        let mixed = self.heads_of(&format!("{key}.attn1"), &normed, &normed, heads)?;
        let (normed, x) = self.sum_and_norm(key, "attn1", &mixed, x, "norm2")?;
        let mixed = self.heads_of(&format!("{key}.attn2"), &normed, tokens, heads)?;
        let (normed, x) = self.sum_and_norm(key, "attn2", &mixed, &x, "norm3")?;
        let wide = self.linear_without_bias(&format!("{key}.ff.net.0.proj"), &normed)?;
        let bias = self.weight(key, &format!("{key}.ff.net.0.proj.bias"))?;
        let gated = self.graph.bias_split_gelu(&format!("{key}.ff.net.0"), &wide, &bias)?;
        let narrow = self.linear_without_bias(&format!("{key}.ff.net.2"), &gated)?;
        let bias = self.weight(key, &format!("{key}.ff.net.2.bias"))?;
        self.graph.bias_add(key, &narrow, &bias, &x)
    }

    /// Output projection of `attention`, added to `residual`, and the layer norm after it: (normalised, sum).
    fn sum_and_norm(
        &mut self,
        block: &str,
        attention: &str,
        mixed: &Wire,
        residual: &Wire,
        norm: &str,
    ) -> Result<(Wire, Wire), GraphError> {
        let out = format!("{block}.{attention}.to_out.0");
        let projected = self.linear_without_bias(&out, mixed)?;
        let [gain, offset, bias] =
            [format!("{block}.{norm}.weight"), format!("{block}.{norm}.bias"), format!("{out}.bias")]
                .map(|tensor| self.weight(block, &tensor));
        let (node, sum) = (format!("{block}.{norm}"), format!("{block}.{attention}"));
        let parameters = [&gain?, &offset?, &bias?];
        self.graph.skip_layer_normalization((&node, &sum), [&projected, residual], parameters, TORCH_EPSILON)
    }

    /// [B, C, H, W] as [B, H, W, C].
    pub(super) fn channels_last(&mut self, node: &str, x: &Wire) -> Result<Wire, GraphError> {
        self.graph.transpose(node, x, &[0, 2, 3, 1])
    }

    /// [B, H, W, C] as [B, C, H, W].
    pub(super) fn channels_first(&mut self, node: &str, x: &Wire) -> Result<Wire, GraphError> {
        self.graph.transpose(node, x, &[0, 3, 1, 2])
    }
}
