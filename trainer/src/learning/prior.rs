//! The arithmetic of the diffusion prior (spec: MindEye section 2.3).

use super::net::{Net, softmax};
use super::parameters::Parameters;
use super::precision::full;
use crate::networks::{Prior, bucket};
use tch::{Device, Kind, Tensor};

/// Root of the scale of the cosine similarity, 16: it goes onto queries and keys alike.
const ROOT_SCALE: f64 = 4.0;
/// Length below which PyTorch's `normalize` does not divide.
const SHORTEST: f64 = 1e-12;

/// A prior with what no weight changes: the buckets of all pairs of positions.
pub struct PriorNetwork {
    /// Its sizes.
    pub sizes: Prior,
    /// Bucket of query i and key j (key 0 is the learned null key), `i64[N (N + 1)]`.
    buckets: Tensor,
}

/// Samples whose conditions are kept: `bool[B]`, all of them without one.
pub struct Kept {
    /// Brain tokens.
    pub brain: Tensor,
    /// Noised tokens.
    pub noised: Tensor,
}

impl PriorNetwork {
    /// The prior of these sizes on this device.
    #[must_use]
    pub fn new(sizes: Prior, device: Device) -> Self {
        let n = sizes.sequence();
        let pairs = (0..n).flat_map(|i| (0..=n).map(move |j| bucket(i.saturating_sub(j)) as i64));
        let buckets = Tensor::from_slice(&pairs.collect::<Vec<_>>()).to_device(device);
        Self { sizes, buckets }
    }

    /// Noised tokens `[B, T, D]`, timestep `[B]` and brain tokens `[B, T, D]` to predicted tokens, all in the scaled
    /// space of the target; samples that are not `kept` are answered from the learned null tokens.
    pub fn forward(
        &self,
        parameters: &Parameters,
        noised: &Tensor,
        timestep: &Tensor,
        brain: &Tensor,
        kept: Option<&Kept>,
    ) -> Tensor {
        let net = Net::new(parameters, Prior::PREFIX);
        let (brain, noised) = match kept {
            None => (brain.shallow_clone(), noised.shallow_clone()),
            Some(kept) => (
                where_kept(&kept.brain, brain, net.tensor("null_brain_embeds")),
                where_kept(&kept.noised, noised, net.tensor("null_image_embed")),
            ),
        };
        let time = self.time_token(&net, timestep);
        let mut x = Tensor::cat(&[brain, time, noised + net.tensor("learned_query")], 1);
        let transformer = net.at("causal_transformer");
        let bias = self.position_bias(&transformer);
        let rotation = self.rotation(&transformer);
        for i in 0..self.sizes.depth {
            let layer = transformer.at(&format!("layers.{i}"));
            x = self.attention(&layer.at("0"), &x, &bias, &rotation) + x;
            x = feed_forward(&layer.at("1"), &x) + x;
        }
        // Divided by the largest number, not the largest size, as dalle2-pytorch does.
        let scaled = &x / x.amax(-1, true).detach();
        let normed = transformer.at("norm").gain_norm(&scaled);
        let tokens = self.sizes.tokens as i64;
        full(&transformer.at("project_out").linear_without_bias(&normed.narrow(1, tokens + 1, tokens)))
    }

    /// The timestep as a token `[B, 1, D]`: sines, then cosines, through an MLP.
    fn time_token(&self, net: &Net<'_>, timestep: &Tensor) -> Tensor {
        let half = self.sizes.token_dim as i64 / 2;
        let step = 10_000_f64.ln() / (half - 1).max(1) as f64;
        let frequencies = (Tensor::arange(half, (Kind::Float, timestep.device())) * -step).exp();
        let angles = timestep.to_kind(Kind::Float).unsqueeze(1) * frequencies.unsqueeze(0);
        let wave = Tensor::cat(&[angles.sin(), angles.cos()], 1);
        let mlp = net.at("to_time_embeds.0.1.net");
        let h = mlp.at("0.0").linear(&wave).silu();
        let h = mlp.at("1.0").linear(&h).silu();
        mlp.at("2").linear(&h).unsqueeze(1)
    }

    /// The bias of every query for every key, `[heads, N, N + 1]`.
    fn position_bias(&self, transformer: &Net<'_>) -> Tensor {
        let n = self.sizes.sequence() as i64;
        let table = transformer.tensor("rel_pos_bias.relative_attention_bias.weight");
        table.index_select(0, &self.buckets).view([n, n + 1, -1]).permute([2, 0, 1])
    }

    /// Cosines and sines of position times frequency, `[N, r]` each; the frequencies are shared by all layers.
    fn rotation(&self, transformer: &Net<'_>) -> (Tensor, Tensor) {
        let frequencies = transformer.tensor("layers.0.0.rotary_emb.freqs");
        let positions = Tensor::arange(self.sizes.sequence() as i64, (Kind::Float, frequencies.device()));
        let angles = positions.unsqueeze(1) * frequencies.unsqueeze(0);
        (angles.cos(), angles.sin())
    }

    fn attention(&self, net: &Net<'_>, x: &Tensor, bias: &Tensor, rotation: &(Tensor, Tensor)) -> Tensor {
        let (heads, d) = (self.sizes.heads as i64, self.sizes.head_dim as i64);
        let (batch, n) = (x.size()[0], x.size()[1]);
        let normed = net.at("norm").gain_norm(x);
        let q = net.at("to_q").linear_without_bias(&normed).view([batch, n, heads, d]).transpose(1, 2);
        let kv = net.at("to_kv").linear_without_bias(&normed);
        let (q, k) = (turned(&q, rotation), turned(&kv.narrow(-1, 0, d), rotation));
        let null = net.tensor("null_kv").unsqueeze(1).expand([2, batch, d], false).unsqueeze(2);
        let k = Tensor::cat(&[null.select(0, 0), k], 1);
        let v = Tensor::cat(&[null.select(0, 1), kv.narrow(-1, d, d)], 1);
        let q = (unit(&q) * ROOT_SCALE).reshape([batch, heads * n, d]);
        let k = unit(&k) * ROOT_SCALE;
        let scores = net.bmm(&q, &k.transpose(1, 2)).view([batch, heads, n, n + 1]) + bias;
        let mixed = net.bmm(&softmax(&scores).view([batch, heads * n, n + 1]), &v);
        let joined = mixed.view([batch, heads, n, d]).transpose(1, 2).reshape([batch, n, heads * d]);
        net.at("to_out.1").gain_norm(&net.at("to_out.0").linear_without_bias(&joined))
    }
}

/// x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε, with `kept` = ᾱ_t `[B]` and x_0, ε `[B, ..]`.
pub fn noised(clean: &Tensor, noise: &Tensor, kept: &Tensor) -> Tensor {
    let mut one_each = vec![1; clean.dim()];
    one_each[0] = -1;
    let kept = kept.view(&one_each[..]);
    let rest: Tensor = 1.0 - &kept;
    clean * kept.sqrt() + noise * rest.sqrt()
}

/// 5(value · SiLU(gate)) where value and gate are the halves of 1(norm 0).
fn feed_forward(net: &Net<'_>, x: &Tensor) -> Tensor {
    let halves = net.at("1").linear_without_bias(&net.at("0").gain_norm(x)).chunk(2, -1);
    net.at("5").linear_without_bias(&(&halves[0] * halves[1].silu()))
}

/// The first channels of `x` [.., N, d] turned in neighbouring pairs; the others stay.
fn turned(x: &Tensor, (cos, sin): &(Tensor, Tensor)) -> Tensor {
    let rotated = 2 * cos.size()[1];
    let stay = x.size()[x.dim() - 1] - rotated;
    let pairs = x.narrow(-1, 0, rotated).unflatten(-1, [rotated / 2, 2]);
    let (even, odd) = (pairs.select(-1, 0), pairs.select(-1, 1));
    let both = Tensor::stack(&[&even * cos - &odd * sin, &odd * cos + &even * sin], -1).flatten(-2, -1);
    if stay == 0 { both } else { Tensor::cat(&[both, x.narrow(-1, rotated, stay)], -1) }
}

/// Each row with length 1.
fn unit(x: &Tensor) -> Tensor {
    let x = full(x);
    &x / x.norm_scalaropt_dim(2, [-1], true).clamp_min(SHORTEST)
}

/// `tokens` where a sample is kept, the learned `null` tokens elsewhere.
fn where_kept(kept: &Tensor, tokens: &Tensor, null: &Tensor) -> Tensor {
    tokens.where_self(&kept.view([-1, 1, 1]), null)
}
