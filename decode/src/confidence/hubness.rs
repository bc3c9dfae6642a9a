//! Some pictures are near to everything: the score of such a hub says little (spec: MindEye section 8.4).
//!
//! Cross-domain similarity local scaling (Conneau et al. 2018, arXiv 1710.04087) takes off what an item, and what a query,
//! usually gets: csls(q, i) = 2 s(q, i) − r(q) − r(i), r being the mean of the k best scores. Centring, which the gallery
//! does always, removes the one direction that all have in common; this removes what is left.

use crate::Retrieval;

/// r(i) of each item: the mean of its `k` best scores over `queries`, which must have the gallery's length. Fewer queries
/// than `k` are all taken; without any, nothing is known and every r is 0.
#[must_use]
pub fn hubness(queries: &[Retrieval], items: usize, k: usize) -> Vec<f32> {
    let of_item = |item: usize| mean_of_best(queries.iter().map(|query| query.scores[item]).collect(), k);
    (0..items).map(of_item).collect()
}

/// The scores of `retrieval` scaled locally, by r(i) = `hubness` of each item and its own `k` best scores.
#[must_use]
pub fn csls(retrieval: &Retrieval, hubness: &[f32], k: usize) -> Retrieval {
    let own = mean_of_best(retrieval.scores.clone(), k);
    let scaled = retrieval.scores.iter().zip(hubness).map(|(score, item)| 2.0 * score - own - item);
    Retrieval { scores: scaled.collect() }
}

fn mean_of_best(mut scores: Vec<f32>, k: usize) -> f32 {
    scores.sort_unstable_by(|a, b| b.total_cmp(a));
    scores.truncate(k);
    if scores.is_empty() { 0.0 } else { scores.iter().sum::<f32>() / scores.len() as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queries() -> Vec<Retrieval> {
        // Item 0 is a hub: near to every query, right for none but the first.
        let scores = [[0.9, 0.5, 0.25], [0.75, 0.5, 0.0], [0.75, 0.0, 0.5]];
        scores.map(|scores| Retrieval { scores: scores.to_vec() }).into()
    }

    #[test]
    fn a_hub_is_near_to_all() {
        assert_eq!(hubness(&queries(), 3, 2), [0.825, 0.5, 0.375]);
        assert_eq!(hubness(&[], 3, 2), [0.0; 3]);
        assert_eq!(hubness(&queries()[1..2], 3, 9), [0.75, 0.5, 0.0], "fewer queries than k");
    }

    #[test]
    fn local_scaling_takes_the_hub_off_the_first_place() {
        let hubness = hubness(&queries(), 3, 2);
        let best = |retrieval: &Retrieval| retrieval.ranked(1)[0].0;
        assert_eq!(queries().iter().map(best).collect::<Vec<_>>(), [0, 0, 0]);
        let scaled: Vec<Retrieval> = queries().iter().map(|query| csls(query, &hubness, 2)).collect();
        // By hand for the last query: own r 0.625; 2 s − 0.625 − r(i) = 0.05, −1.125, 0.
        let expected = [0.05, -1.125, 0.0];
        // 1e-6: sums of f32 near one.
        assert!(scaled[2].scores.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{scaled:?}");
    }
}
