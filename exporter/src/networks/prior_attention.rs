//! The prior's attention: many query heads share one key and value head, similarity is a cosine, and position enters
//! twice, as a rotation and as a bias.
//!
//! With unit vectors q and k, channel pairs turned by position times frequency:
//! logits = 16 q.k + bias(head, i, j), over a learned null key in front of all others. Spec: MindEye section 2.3.

use super::recipes::Drawing;
use crate::onnx::{GraphError, Wire};

/// Root of the scale of the cosine similarity, 16: it goes onto queries and keys alike.
const ROOT_SCALE: f32 = 4.0;
/// Length below which PyTorch's `normalize` does not divide.
const SHORTEST: f32 = 1e-12;
/// Buckets of the position bias.
pub(super) const BUCKETS: usize = 32;
/// Distance from which all keys share the last bucket.
const FARTHEST: f64 = 128.0;

/// Attention of one layer of the prior.
pub(super) struct Attention<'a> {
    pub(super) heads: usize,
    /// Position bias, [heads, N, N + 1].
    pub(super) bias: &'a Wire,
    pub(super) rotation: Rotation,
}

/// A rotation of channel pairs as x cos + (x P) sin, where P turns each pair by a right angle.
pub(super) struct Rotation {
    /// Cosines, [N, d]; 1 for channels that stay.
    cos: Wire,
    /// Sines, [N, d]; 0 for channels that stay.
    sin: Wire,
    /// P, [d, d]: (x P) has -x[2i + 1] at 2i and x[2i] at 2i + 1.
    quarter: Wire,
}

/// The rotation of `n` positions by `frequencies` (radians for one position), of the first channels of `d`.
pub(super) fn rotation(
    net: &mut Drawing<'_, '_>,
    name: &str,
    frequencies: &[f64],
    n: usize,
    d: usize,
) -> Result<Rotation, GraphError> {
    let turned = 2 * frequencies.len();
    if turned > d {
        let (left, right) = (vec![turned], vec![d]);
        return Err(GraphError::Shapes { node: name.to_owned(), op: "rotation of a head", left, right });
    }
    let table = |of: &dyn Fn(f64) -> f64, still: f64| -> Vec<f64> {
        let channel = |p: usize, c: usize| frequencies.get(c / 2).map_or(still, |f| of(p as f64 * f));
        (0..n).flat_map(|p| (0..d).map(move |c| (p, c))).map(|(p, c)| channel(p, c)).collect()
    };
    let mut quarter = vec![0.0; d * d];
    for even in (0..turned).step_by(2) {
        quarter[(even + 1) * d + even] = -1.0;
        quarter[even * d + even + 1] = 1.0;
    }
    Ok(Rotation {
        cos: net.constant(&format!("{name}/cos"), &[n, d], &table(&f64::cos, 1.0)),
        sin: net.constant(&format!("{name}/sin"), &[n, d], &table(&f64::sin, 0.0)),
        quarter: net.constant(&format!("quarter_turn/{turned}_of_{d}"), &[d, d], &quarter),
    })
}

/// Frequencies of the time wave, `half` of them: from 1 down to 1/10000, both included.
pub(super) fn wave_frequencies(half: usize) -> Vec<f64> {
    let step = 10_000_f64.ln() / half.saturating_sub(1).max(1) as f64;
    (0..half).map(|i| (-step * i as f64).exp()).collect()
}

/// The bias [heads, n, n + 1] out of its `table` [[`BUCKETS`], heads]. Keys are numbered with the null key, queries without
/// it, as in dalle2-pytorch.
pub(super) fn position_bias(table: &[f64], heads: usize, n: usize) -> Vec<f64> {
    let pairs = (0..heads).flat_map(|head| (0..n).flat_map(move |i| (0..=n).map(move |j| (head, i, j))));
    pairs.map(|(head, i, j)| table[bucket(i.saturating_sub(j)) * heads + head]).collect()
}

/// The bucket of a key `distance` positions before its query (0 for all that follow): one each for the nearer half of
/// [`BUCKETS`], then ever wider ones up to [`FARTHEST`].
fn bucket(distance: usize) -> usize {
    let exact = BUCKETS / 2;
    if distance < exact {
        return distance;
    }
    let octaves = (distance as f64 / exact as f64).ln() / (FARTHEST / exact as f64).ln();
    (exact + (octaves * (BUCKETS - exact) as f64) as usize).min(BUCKETS - 1)
}

impl Attention<'_> {
    /// Draws the attention under `key` over `x` [B, N, D].
    pub(super) fn draw(&self, net: &mut Drawing<'_, '_>, key: &str, x: &Wire) -> Result<Wire, GraphError> {
        let normed = net.gain_norm(&format!("{key}.norm"), x)?;
        let q = net.linear(&format!("{key}.to_q"), &normed)?;
        let q = net.split_heads(&format!("{key}.to_q/heads"), &q, self.heads)?;
        let q = self.rotation.draw(net, &format!("{key}.to_q/rotated"), &q)?;
        let kv = net.linear(&format!("{key}.to_kv"), &normed)?;
        let (k, v) = net.halves(&format!("{key}.to_kv"), &kv)?;
        let k = self.rotation.draw(net, &format!("{key}.to_kv/rotated"), &k)?;
        let (k, v) = (self.with_null(net, key, 0, &k)?, self.with_null(net, key, 1, &v)?);

        let q = net.scaled_unit(&format!("{key}/q"), &q)?;
        let k = net.scaled_unit(&format!("{key}/k"), &k)?;
        let k = net.transposed(&format!("{key}/k_transposed"), &k)?;
        let scores = net.graph.matmul(&format!("{key}/scores"), &q, &k)?;
        let biased = net.graph.add(&format!("{key}/biased"), &scores, self.bias)?;
        let shares = net.softmax(&format!("{key}/shares"), &biased)?;
        let mixed = net.graph.matmul(&format!("{key}/mixed"), &shares, &v)?;
        let joined = net.join_heads(&format!("{key}/joined"), &mixed)?;
        let out = net.linear(&format!("{key}.to_out.0"), &joined)?;
        net.gain_norm(&format!("{key}.to_out.1"), &out)
    }

    /// The shared head `x` [B, N, d] with row `row` of the learned null key and value in front: [B, 1, N + 1, d].
    fn with_null(&self, net: &mut Drawing<'_, '_>, key: &str, row: usize, x: &Wire) -> Result<Wire, GraphError> {
        let &[batch, n, d] = x.shape() else { return Err(super::recipes::no_sequence(key, x)) };
        let node = format!("{key}.null_kv/{row}");
        let both = net.weight(&node, &format!("{key}.null_kv"))?;
        let null = net.graph.slice(&format!("{node}/row"), &both, 0, row..row + 1)?;
        let null = net.graph.expand(&format!("{node}/each"), &null, &[batch, 1, d])?;
        let all = net.graph.concat(&node, &[&null, x], 1)?;
        net.graph.reshape(&format!("{node}/shared"), &all, &[batch, 1, n + 1, d])
    }
}

impl Rotation {
    /// Turns `x` [.., N, d].
    fn draw(&self, net: &mut Drawing<'_, '_>, node: &str, x: &Wire) -> Result<Wire, GraphError> {
        let still = net.graph.mul(&format!("{node}/cos"), x, &self.cos)?;
        let turned = net.graph.matmul(&format!("{node}/quarter"), x, &self.quarter)?;
        let turned = net.graph.mul(&format!("{node}/sin"), &turned, &self.sin)?;
        net.graph.add(node, &still, &turned)
    }
}

impl Drawing<'_, '_> {
    /// Each row of `x` with length [`ROOT_SCALE`].
    fn scaled_unit(&mut self, node: &str, x: &Wire) -> Result<Wire, GraphError> {
        self.island(true, node, x, |net, x| {
            let shortest = net.graph.floats("shortest", x.element(), &[1], &[SHORTEST]);
            let scale = net.graph.floats("root_scale", x.element(), &[1], &[ROOT_SCALE]);
            let length = net.graph.row_lengths(&format!("{node}/length"), x)?;
            let length = net.graph.max(&format!("{node}/length_above_0"), &length, &shortest)?;
            let unit = net.graph.div(&format!("{node}/unit"), x, &length)?;
            net.graph.mul(node, &unit, &scale)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_those_of_the_golden_table() {
        // Spec: MindEye section 14.
        let cases = [(0, 0), (15, 15), (16, 16), (17, 16), (20, 17), (32, 21), (64, 26), (100, 30), (127, 31)];
        for (distance, expected) in cases.into_iter().chain([(128, 31), (514, 31)]) {
            assert_eq!(bucket(distance), expected, "{distance}");
        }
    }

    #[test]
    fn keys_at_and_after_their_query_share_the_first_bucket() {
        let table: Vec<f64> = (0..32).map(f64::from).collect();
        // Rows are queries 0, 1, 2; columns the null key and keys 0, 1, 2, numbered from 0.
        assert_eq!(position_bias(&table, 1, 3), [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 2.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn the_wave_runs_from_1_to_a_ten_thousandth() {
        let wave = wave_frequencies(384);
        assert_eq!(wave[0], 1.0);
        assert!((wave[383] - 1e-4).abs() < 1e-15, "{}", wave[383]);
    }
}
