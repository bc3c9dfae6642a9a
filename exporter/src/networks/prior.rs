//! MindEye's diffusion prior: noised CLIP tokens and the brain's tokens become a prediction of the clean CLIP tokens.
//!
//! ```text
//!   brain_tokens [B, T, D] ─┐
//!   timestep ─ wave ─ MLP ──┼─ sequence [B, 2T+1, D] ─ (+ attention, + feed-forward) x depth ─ norm ─ project_out
//!   noised_tokens + query ──┘                         predicted_tokens [B, T, D] = its last T positions ──┘
//! ```
//! Spec: MindEye sections 2.3, 2.4. MindEye2's prior is the same network under `diffusion_prior.net.*`, 1664 wide.
//! Predictions are in the scaled space of the training target (times `image_embed_scale`). Classifier-free guidance is
//! not drawn: MindEye samples with scale 1, which leaves the null tokens unused.

use super::prior_attention::{Attention, BUCKETS, rotation, wave_frequencies};
use super::recipes::{Drawing, TORCH_EPSILON};
use super::{Network, beside, tensor_entry};
use crate::onnx::{GraphError, Wire};
use crate::reference::{Array, prior};
use crate::weights::{Layout, SetAside, StateDict, Weights};
use mindeye_config::{TensorEntry, TokenScale};

/// Start of every key in MindEye1's checkpoints and in MindEye2's.
const PREFIXES: [&str; 2] = ["net.", "diffusion_prior.net."];
/// Width of the feed-forward against that of a token.
const FEED_FORWARD: usize = 4;
/// More biases than this, a gigabyte of them, no prior has: MindEye2's has 8.4 million.
const MOST_PAIRS: usize = 1 << 27;
/// The time MLP, which dalle2-pytorch wraps twice.
const TIME: &str = "to_time_embeds.0.1.net";

/// Sizes of a prior, all told by its tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prior {
    /// Start of its keys, with the dot.
    pub prefix: &'static str,
    /// Tokens, T.
    pub tokens: usize,
    /// Width of a token, D.
    pub token_dim: usize,
    /// Transformer layers.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Rotary frequencies, each of which turns two channels of a head.
    pub rotary: usize,
    /// Width of the feed-forward behind its gate.
    pub feed_forward: usize,
    /// Layers of the time MLP.
    pub time_layers: usize,
    /// Width between those layers.
    pub time_width: usize,
}

impl Prior {
    /// Reads the sizes out of the shapes in `weights`.
    #[must_use]
    pub fn of(weights: &Weights) -> Self {
        let of_mindeye2 = weights.keys().any(|key| key.starts_with(PREFIXES[1]));
        let prefix = PREFIXES[usize::from(of_mindeye2)];
        let first = |places: &[(&str, usize)]| {
            let keys: Vec<_> = places.iter().map(|(key, axis)| (format!("{prefix}{key}"), *axis)).collect();
            weights.first_size(&keys.iter().map(|(key, axis)| (key.as_str(), *axis)).collect::<Vec<_>>())
        };
        let layer = |key: &str| format!("causal_transformer.layers.0.{key}");
        let (null_kv, to_kv) = (layer("0.null_kv"), layer("0.to_kv.weight"));
        let (narrow, wide) = (layer("1.5.weight"), layer("1.1.weight"));
        let query = [("learned_query", 0), ("null_image_embed", 0), ("null_brain_embeds", 0)];
        let head_dim = match first(&[(&null_kv, 1)]) {
            0 => first(&[(&to_kv, 0)]) / 2,
            told => told,
        };
        let all_heads = first(&[(&layer("0.to_q.weight"), 0), (&layer("0.to_out.0.weight"), 1)]);
        Self {
            prefix,
            tokens: first(&query),
            token_dim: first(&query.map(|(key, _)| (key, 1))),
            depth: weights.count(&format!("{prefix}causal_transformer.layers.")),
            heads: all_heads.checked_div(head_dim).unwrap_or(0),
            head_dim,
            rotary: first(&[(&layer("0.rotary_emb.freqs"), 0), ("causal_transformer.layers.1.0.rotary_emb.freqs", 0)]),
            feed_forward: match first(&[(&narrow, 1)]) {
                0 => first(&[(&wide, 0)]) / 2,
                told => told,
            },
            time_layers: weights.count(&format!("{prefix}{TIME}.")),
            time_width: first(&[(&format!("{TIME}.0.0.weight"), 0), (&format!("{TIME}.0.0.bias"), 0)]),
        }
    }

    /// A prior of the usual proportions: MindEye1's with 257 tokens of 768 from 6 layers of 12 heads of 64, MindEye2's
    /// with 256 of 1664 from 6 layers of 32 heads of 52.
    #[must_use]
    pub fn with(tokens: usize, token_dim: usize, depth: usize, heads: usize, head_dim: usize) -> Self {
        Self {
            prefix: PREFIXES[0],
            tokens,
            token_dim,
            depth,
            heads,
            head_dim,
            rotary: head_dim.min(32) / 2,
            feed_forward: FEED_FORWARD * token_dim,
            time_layers: 3,
            time_width: 2 * token_dim,
        }
    }

    /// Length of the sequence: brain tokens, the time token, noised tokens.
    #[must_use]
    pub fn sequence(&self) -> usize {
        2 * self.tokens + 1
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn layer(&self, i: usize) -> String {
        self.key(&format!("causal_transformer.layers.{i}"))
    }

    /// Key of a layer of the time MLP; only the last is not wrapped in a sequence of its own.
    fn time_layer(&self, i: usize) -> String {
        let last = i + 1 == self.time_layers;
        self.key(&format!("{TIME}.{i}{}", if last { "" } else { ".0" }))
    }

    fn token_shape(&self, batch: usize) -> [usize; 3] {
        [batch, self.tokens, self.token_dim]
    }
}

/// In which scale the prior of `weights` was trained: MindEye2's takes its tokens as they are.
pub(crate) fn trained_token_scale(weights: &Weights) -> TokenScale {
    match weights.keys().any(|key| key.starts_with(PREFIXES[1])) {
        true => TokenScale::One,
        false => TokenScale::SqrtWidth,
    }
}

impl Network for Prior {
    fn name(&self) -> &'static str {
        "prior"
    }

    fn layout(&self) -> Layout {
        let mut layout = Layout::default();
        let dim = self.token_dim;
        for tokens in ["learned_query", "null_brain_embeds", "null_image_embed"] {
            layout.tensor(&self.key(tokens), &[self.tokens, dim]);
        }
        for i in 0..self.time_layers {
            let inner = if i == 0 { dim } else { self.time_width };
            let out = if i + 1 == self.time_layers { dim } else { self.time_width };
            layout.linear(&self.time_layer(i), out, inner);
        }
        let transformer = self.key("causal_transformer");
        layout.tensor(&format!("{transformer}.rel_pos_bias.relative_attention_bias.weight"), &[BUCKETS, self.heads]);
        for i in 0..self.depth {
            self.add_layer(&mut layout, &self.layer(i));
        }
        layout.tensor(&format!("{transformer}.norm.g"), &[dim]);
        layout.linear_without_bias(&format!("{transformer}.project_out"), dim, dim);
        layout
    }

    fn set_aside(&self) -> Vec<SetAside> {
        if self.prefix == PREFIXES[0] {
            return vec![
                beside("voxel2clip.*", "the backbone's"),
                beside("noise_scheduler.*", "checked: those of the cosine schedule"),
            ];
        }
        vec![
            beside("ridge.*", "the subjects' front-ends"),
            beside("backbone.*", "the backbone's"),
            beside("diffusion_prior.noise_scheduler.*", "checked: those of the cosine schedule"),
        ]
    }

    fn folded(&self) -> Vec<SetAside> {
        vec![
            beside("*.relative_attention_bias.weight", "spread over all pairs of positions"),
            beside("*.rotary_emb.freqs", "turned into tables of cosines and sines"),
            beside("*.null_brain_embeds", "unused at guidance scale 1"),
            beside("*.null_image_embed", "unused at guidance scale 1"),
        ]
    }

    fn inputs(&self, batch: usize) -> Vec<TensorEntry> {
        let tokens = self.token_shape(batch);
        vec![
            tensor_entry("noised_tokens", &tokens),
            tensor_entry("timestep", &[batch]),
            tensor_entry("brain_tokens", &tokens),
        ]
    }

    fn outputs(&self, batch: usize) -> Vec<TensorEntry> {
        vec![tensor_entry("predicted_tokens", &self.token_shape(batch))]
    }

    fn draw(&self, net: &mut Drawing<'_, '_>, batch: usize) -> Result<(), GraphError> {
        let shape = self.token_shape(batch);
        let noised = net.input("noised_tokens", &shape)?;
        let timestep = net.graph.input("timestep", &[batch])?;
        let brain = net.input("brain_tokens", &shape)?;

        let time = self.time_token(net, &timestep)?;
        let query = net.weight("noised", &self.key("learned_query"))?;
        let placed = net.graph.add("noised", &noised, &query)?;
        let mut x = net.graph.concat("sequence", &[&brain, &time, &placed], 1)?;

        let bias = self.position_bias(net)?;
        for i in 0..self.depth {
            let key = self.layer(i);
            let frequencies = net.values(&key, &format!("{key}.0.rotary_emb.freqs"))?;
            let rotation = rotation(net, &format!("{key}.0.rotary_emb"), &frequencies, self.sequence(), self.head_dim)?;
            let attention = Attention { heads: self.heads, bias: &bias, rotation };
            let mixed = attention.draw(net, &format!("{key}.0"), &x)?;
            x = net.graph.add(&format!("{key}.0"), &mixed, &x)?;
            let fed = net.feed_forward(&format!("{key}.1"), &x)?;
            x = net.graph.add(&format!("{key}.1"), &fed, &x)?;
        }
        let transformer = self.key("causal_transformer");
        x = net.stable_norm(&format!("{transformer}.norm"), &x)?;
        x = net.graph.slice("predicted", &x, 1, self.tokens + 1..self.sequence())?;
        x = net.linear(&format!("{transformer}.project_out"), &x)?;
        net.graph.output("predicted_tokens", &x)
    }

    fn reference(&self, state: &StateDict<'_>, inputs: &[Array]) -> Vec<Array> {
        vec![prior(self, state, inputs)]
    }
}

impl Prior {
    fn add_layer(&self, layout: &mut Layout, key: &str) {
        let (dim, all_heads) = (self.token_dim, self.heads * self.head_dim);
        let attention = format!("{key}.0");
        layout.tensor(&format!("{attention}.norm.g"), &[dim]);
        layout.tensor(&format!("{attention}.null_kv"), &[2, self.head_dim]);
        layout.linear_without_bias(&format!("{attention}.to_q"), all_heads, dim);
        layout.linear_without_bias(&format!("{attention}.to_kv"), 2 * self.head_dim, dim);
        layout.linear_without_bias(&format!("{attention}.to_out.0"), dim, all_heads);
        layout.tensor(&format!("{attention}.to_out.1.g"), &[dim]);
        layout.tensor(&format!("{attention}.rotary_emb.freqs"), &[self.rotary]);
        layout.tensor(&format!("{key}.1.0.g"), &[dim]);
        layout.linear_without_bias(&format!("{key}.1.1"), 2 * self.feed_forward, dim);
        layout.linear_without_bias(&format!("{key}.1.5"), dim, self.feed_forward);
    }

    /// The timestep [B] as a token [B, 1, D]: a wave of sines, then cosines, through an MLP.
    fn time_token(&self, net: &mut Drawing<'_, '_>, timestep: &Wire) -> Result<Wire, GraphError> {
        let batch = timestep.shape()[0];
        let (sin, cos) = net.waves("time_wave", timestep, &wave_frequencies(self.token_dim / 2))?;
        let mut time = net.graph.concat("time_wave", &[&sin, &cos], 1)?;
        time = net.for_time_mlp("time_wave/half", &time)?;
        for i in 0..self.time_layers {
            let key = self.time_layer(i);
            time = net.linear(&key, &time)?;
            if i + 1 < self.time_layers {
                time = net.silu(&format!("{key}/silu"), &time)?;
            }
        }
        time = net.in_arithmetic("time_token/half", &time)?;
        net.graph.reshape("time_token", &time, &[batch, 1, self.token_dim])
    }

    /// The bias of every query for every key, [heads, N, N + 1], which no input changes: worked out here, once.
    fn position_bias(&self, net: &mut Drawing<'_, '_>) -> Result<Wire, GraphError> {
        let name = self.key("causal_transformer.rel_pos_bias");
        let pairs = self.sequence().saturating_mul(self.sequence() + 1).saturating_mul(self.heads);
        if pairs > MOST_PAIRS {
            return Err(GraphError::TooMany { node: name, what: "biased pairs", found: pairs, most: MOST_PAIRS });
        }
        let table = net.values(&name, &format!("{name}.relative_attention_bias.weight"))?;
        let n = self.sequence();
        let bias = super::prior_attention::position_bias(&table, self.heads, n);
        Ok(net.constant(&name, &[self.heads, n, n + 1], &bias))
    }
}

impl Drawing<'_, '_> {
    /// Layer normalisation over the last axis with a gain `g` and no offset.
    pub(super) fn gain_norm(&mut self, key: &str, x: &Wire) -> Result<Wire, GraphError> {
        self.island(self.islands.norms, key, x, |net, x| {
            let gain = net.weight_as(x.element(), key, &format!("{key}.g"))?;
            net.graph.layer_normalization(key, x, &gain, None, TORCH_EPSILON)
        })
    }

    /// Layer normalisation of x over its largest number, not its largest size: where all are negative the sign turns,
    /// as it does in dalle2-pytorch.
    fn stable_norm(&mut self, key: &str, x: &Wire) -> Result<Wire, GraphError> {
        self.island(true, &format!("{key}/stable"), x, |net, x| {
            let largest = net.graph.row_maxima(&format!("{key}/largest"), x)?;
            let scaled = net.graph.div(&format!("{key}/scaled"), x, &largest)?;
            net.gain_norm(key, &scaled)
        })
    }

    /// 5(SwiGLU(1(norm 0))): the first half of the wide layer times the SiLU of its second half.
    fn feed_forward(&mut self, key: &str, x: &Wire) -> Result<Wire, GraphError> {
        let normed = self.gain_norm(&format!("{key}.0"), x)?;
        let wide = self.linear(&format!("{key}.1"), &normed)?;
        let (value, gate) = self.halves(&format!("{key}.2"), &wide)?;
        let gate = self.silu(&format!("{key}.2/silu"), &gate)?;
        let gated = self.graph.mul(&format!("{key}.2"), &value, &gate)?;
        self.linear(&format!("{key}.5"), &gated)
    }
}
