//! The diffusion prior: a sequence of brain tokens, time and noised tokens, through a transformer with one shared key
//! head.

use super::array::Array;
use super::attention::weighted;
use super::layers::{Layer, dot, normalise, silu};
use crate::networks::Prior;
use crate::weights::StateDict;

/// First distance of each bucket from 16 on, 16 * 2^(3k/16) rounded up (32 buckets over distances up to 128).
const BUCKET_STARTS: [usize; 16] = [16, 19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113];

/// Noised tokens [B, T, D], timestep [B] and brain tokens [B, T, D] to predicted tokens (spec: MindEye section 2.3).
pub(crate) fn prior(sizes: &Prior, state: &StateDict<'_>, inputs: &[Array]) -> Array {
    let net = Layer::new(state, sizes.prefix.trim_end_matches('.'));
    let transformer = net.at("causal_transformer");
    let mut x = sequence(sizes, &net, inputs);
    for i in 0..sizes.depth {
        let layer = transformer.at(&format!("layers.{i}"));
        x = attention(sizes, &transformer, &layer.at("0"), &x).plus(&x);
        x = feed_forward(&layer.at("1"), &x).plus(&x);
    }
    for row in x.values.chunks_exact_mut(sizes.token_dim) {
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.iter_mut().for_each(|v| *v /= largest);
    }
    let normed = gain_norm(&transformer.at("norm"), &x);
    let all = transformer.at("project_out").linear(&normed);
    let (one, keep) = (sizes.sequence() * sizes.token_dim, sizes.tokens * sizes.token_dim);
    let last = all.values.chunks_exact(one).flat_map(|example| example[one - keep..].iter().copied());
    Array::new(&inputs[0].shape, last.collect())
}

/// [brain tokens, time token, noised tokens + their learned positions] for each example.
fn sequence(sizes: &Prior, net: &Layer<'_>, inputs: &[Array]) -> Array {
    let (noised, timestep, brain) = (&inputs[0], &inputs[1], &inputs[2]);
    let positions = net.tensor("learned_query").values;
    let one = sizes.tokens * sizes.token_dim;
    let mut values = Vec::new();
    for (b, t) in timestep.values.iter().enumerate() {
        values.extend_from_slice(&brain.values[b * one..(b + 1) * one]);
        values.extend(time_token(sizes, net, *t));
        values.extend(noised.values[b * one..(b + 1) * one].iter().zip(&positions).map(|(x, position)| x + position));
    }
    Array::new(&[timestep.values.len(), sizes.sequence(), sizes.token_dim], values)
}

/// Sines, then cosines, of t times frequencies from 1 to 1/10000, through the MLP.
fn time_token(sizes: &Prior, net: &Layer<'_>, t: f64) -> Vec<f64> {
    let half = sizes.token_dim / 2;
    let angle = |i: usize| t * 10_000_f64.powf(-(i as f64) / (half as f64 - 1.0));
    let wave: Vec<f64> = (0..half).map(|i| angle(i).sin()).chain((0..half).map(|i| angle(i).cos())).collect();
    let mlp = net.at("to_time_embeds.0.1.net");
    let mut x = Array::new(&[1, wave.len()], wave);
    for i in 0..sizes.time_layers - 1 {
        x = mlp.at(&format!("{i}.0")).linear(&x).map(silu);
    }
    mlp.at(&(sizes.time_layers - 1).to_string()).linear(&x).values
}

/// Layer normalisation with a gain `g` and no offset.
fn gain_norm(norm: &Layer<'_>, x: &Array) -> Array {
    let gain = norm.tensor("g").values;
    let mut x = x.clone();
    for row in x.values.chunks_exact_mut(gain.len()) {
        normalise(row, 1e-5);
        row.iter_mut().zip(&gain).for_each(|(v, g)| *v *= g);
    }
    x
}

fn feed_forward(net: &Layer<'_>, x: &Array) -> Array {
    let wide = net.at("1").linear(&gain_norm(&net.at("0"), x));
    let width = wide.shape[2];
    let gated = wide.values.chunks_exact(width).flat_map(|row| {
        let (value, gate) = row.split_at(width / 2);
        value.iter().zip(gate).map(|(value, gate)| value * silu(*gate))
    });
    let gated = Array::new(&[wide.shape[0], wide.shape[1], width / 2], gated.collect());
    net.at("5").linear(&gated)
}

/// Every query head against the one key head, whose first key is learned and belongs to no position.
fn attention(sizes: &Prior, transformer: &Layer<'_>, net: &Layer<'_>, x: &Array) -> Array {
    let normed = gain_norm(&net.at("norm"), x);
    let (q, kv) = (net.at("to_q").linear(&normed), net.at("to_kv").linear(&normed));
    let (n, d, heads) = (sizes.sequence(), sizes.head_dim, sizes.heads);
    let null = net.tensor("null_kv").values;
    let frequencies = net.tensor("rotary_emb.freqs").values;
    let table = transformer.at("rel_pos_bias").tensor("relative_attention_bias.weight").values;
    let mut mixed = Vec::with_capacity(q.values.len());
    for (q, kv) in q.values.chunks_exact(n * heads * d).zip(kv.values.chunks_exact(n * 2 * d)) {
        let mut keys = vec![unit(&null[..d])];
        keys.extend(kv.chunks_exact(2 * d).enumerate().map(|(p, row)| unit(&turned(&row[..d], p, &frequencies))));
        let values: Vec<f64> =
            null[d..].iter().copied().chain(kv.chunks_exact(2 * d).flat_map(|row| row[d..].to_vec())).collect();
        for (i, row) in q.chunks_exact(heads * d).enumerate() {
            for (head, query) in row.chunks_exact(d).enumerate() {
                let query = unit(&turned(query, i, &frequencies));
                let bias = |j: usize| table[bucket(i, j) * heads + head];
                let scores = keys.iter().enumerate().map(|(j, key)| 16.0 * dot(&query, key) + bias(j));
                mixed.extend(weighted(&scores.collect::<Vec<_>>(), &values, d));
            }
        }
    }
    let mixed = Array::new(&q.shape, mixed);
    gain_norm(&net.at("to_out.1"), &net.at("to_out.0").linear(&mixed))
}

/// Bucket of query `i` and key `j`, where key 0 is the learned one.
fn bucket(i: usize, j: usize) -> usize {
    let distance = i.saturating_sub(j);
    if distance < BUCKET_STARTS[0] {
        return distance;
    }
    15 + BUCKET_STARTS.iter().filter(|start| **start <= distance).count()
}

/// Neighbouring channels turned by position times frequency, as far as there are frequencies.
fn turned(channels: &[f64], position: usize, frequencies: &[f64]) -> Vec<f64> {
    let mut turned = channels.to_vec();
    for (pair, frequency) in turned.chunks_exact_mut(2).zip(frequencies) {
        let (sin, cos) = (position as f64 * frequency).sin_cos();
        (pair[0], pair[1]) = (pair[0] * cos - pair[1] * sin, pair[1] * cos + pair[0] * sin);
    }
    turned
}

/// The vector over its length.
fn unit(vector: &[f64]) -> Vec<f64> {
    let length = dot(vector, vector).sqrt().max(1e-12);
    vector.iter().map(|v| v / length).collect()
}
