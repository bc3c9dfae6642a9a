//! Softmax attention, one query at a time.

use super::array::Array;
use super::layers::dot;

/// softmax(q k^T / sqrt(d)) v for every head: q [B, S, heads d], k and v [B, K, heads d].
pub(super) fn attention(q: &Array, k: &Array, v: &Array, heads: usize) -> Array {
    let (places, keys, width) = (q.shape[1], k.shape[1], q.shape[2]);
    let d = width / heads;
    let mut mixed = vec![0.0; q.values.len()];
    for (b, out) in mixed.chunks_exact_mut(places * width).enumerate() {
        for head in 0..heads {
            let of_head = |x: &Array, rows: usize| -> Vec<f64> {
                let rows = x.values[b * rows * width..(b + 1) * rows * width].chunks_exact(width);
                rows.flat_map(|row| row[head * d..(head + 1) * d].iter().copied()).collect()
            };
            let one = one_head(&of_head(q, places), &of_head(k, keys), &of_head(v, keys), d);
            for (row, values) in out.chunks_exact_mut(width).zip(one.chunks_exact(d)) {
                row[head * d..(head + 1) * d].copy_from_slice(values);
            }
        }
    }
    Array::new(&q.shape, mixed)
}

/// softmax(q k^T / sqrt(d)) v for one head, each [S, d].
fn one_head(q: &[f64], k: &[f64], v: &[f64], d: usize) -> Vec<f64> {
    let mut mixed = Vec::with_capacity(q.len());
    for query in q.chunks_exact(d) {
        let scores: Vec<f64> = k.chunks_exact(d).map(|key| dot(query, key) / (d as f64).sqrt()).collect();
        mixed.extend(weighted(&scores, v, d));
    }
    mixed
}

/// Rows of `v` [K, d], weighted with the softmax of `scores` [K].
pub(super) fn weighted(scores: &[f64], v: &[f64], d: usize) -> Vec<f64> {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shares: Vec<f64> = scores.iter().map(|s| (s - largest).exp()).collect();
    let total: f64 = shares.iter().sum();
    let column = |c: usize| shares.iter().zip(v.chunks_exact(d)).map(|(share, value)| share * value[c]).sum::<f64>();
    (0..d).map(|c| column(c) / total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attention_to_equal_keys_is_the_mean_and_to_a_strong_key_its_value() {
        let v = [1.0, 10.0, 3.0, 30.0];
        assert_eq!(one_head(&[5.0, 5.0], &[1.0, 1.0, 1.0, 1.0], &v, 2), [2.0, 20.0]);
        let strong = one_head(&[100.0, 0.0], &[100.0, 0.0, 0.0, 0.0], &v, 2);
        // exp(-7000) is 0 in doubles.
        assert_eq!(strong, [1.0, 10.0]);
    }

    #[test]
    fn heads_see_their_own_columns_only() {
        // Two places, two heads of one channel: the first head's scores are 0, the second's favour the second place.
        let q = Array::new(&[1, 1, 2], vec![0.0, 1000.0]);
        let k = Array::new(&[1, 2, 2], vec![7.0, 0.0, 7.0, 1.0]);
        let v = Array::new(&[1, 2, 2], vec![1.0, 10.0, 3.0, 30.0]);
        assert_eq!(attention(&q, &k, &v, 2).values, [2.0, 30.0]);
    }
}
