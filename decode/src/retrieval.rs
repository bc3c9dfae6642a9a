//! A trial's score against every picture of the gallery, blind to which one was shown.
//!
//! Two directions are asked about, and the literature mixes their names up (spec: MindEye section 6). *Brain → image*: which
//! picture does this trial mean? Items are ranked for a trial; that is decoding. *Image → brain*: which trial does this
//! picture belong to? Trials are ranked for an item. What MindEye's paper calls image retrieval is image → brain.

use std::cmp::Ordering;

/// Centred cosine of each gallery item with the decoded tokens, -1 to 1, in the gallery's order.
#[derive(Debug, Clone, PartialEq)]
pub struct Retrieval {
    /// One score per item, all finite.
    pub scores: Vec<f32>,
}

impl Retrieval {
    /// The best `k` items with their scores, best first; of equal scores the earlier item comes first.
    #[must_use]
    pub fn ranked(&self, k: usize) -> Vec<(usize, f32)> {
        let mut order: Vec<usize> = (0..self.scores.len()).collect();
        let better = |a: &usize, b: &usize| descending(self.scores[*a], self.scores[*b]).then(a.cmp(b));
        order.sort_unstable_by(better);
        order.into_iter().take(k).map(|item| (item, self.scores[item])).collect()
    }

    /// The score of the best item; −∞ without items.
    #[must_use]
    pub fn best_score(&self) -> f64 {
        self.scores.iter().fold(f64::NEG_INFINITY, |best, score| best.max(f64::from(*score)))
    }

    /// Brain → image: rank of `item` among the gallery, 1 is best. A tie loses: a gallery whose scores are all equal has found nothing.
    ///
    /// # Panics
    /// As indexing does, when there is no such item; [`Gallery::find`](crate::Gallery::find) gives only items that are.
    #[must_use]
    pub fn rank_of(&self, item: usize) -> usize {
        let own = self.scores[item];
        self.scores.iter().filter(|score| **score >= own).count()
    }
}

/// Image → brain: rank of trial number `trial` among `trials` for the picture `item`, 1 is best. A tie loses.
///
/// # Panics
/// As indexing does, when there is no such trial or item.
#[must_use]
pub fn image_to_brain_rank(trials: &[Retrieval], trial: usize, item: usize) -> usize {
    let own = trials[trial].scores[item];
    trials.iter().filter(|other| other.scores[item] >= own).count()
}

/// Scores are finite, so the order is total.
fn descending(a: f32, b: f32) -> Ordering {
    b.total_cmp(&a)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_come_first_and_equal_scores_keep_the_gallery_order() {
        let retrieval = Retrieval { scores: vec![0.1, 0.9, -0.3, 0.9] };
        assert_eq!(retrieval.ranked(3), [(1, 0.9), (3, 0.9), (0, 0.1)]);
        assert_eq!(retrieval.ranked(99).len(), 4);
        assert!(Retrieval { scores: vec![] }.ranked(3).is_empty());
    }

    #[test]
    fn the_two_directions_differ() {
        // Item 0 is a hub. Trial 1 shows item 1: brain -> image says item 0, image -> brain says trial 1.
        let trials = [[0.9, 0.1], [0.8, 0.5]].map(|scores| Retrieval { scores: scores.to_vec() });
        assert_eq!((trials[1].rank_of(1), image_to_brain_rank(&trials, 1, 1)), (2, 1));
        assert_eq!((trials[1].rank_of(0), image_to_brain_rank(&trials, 1, 0)), (1, 2));
    }

    #[test]
    fn a_tie_loses() {
        let retrieval = Retrieval { scores: vec![0.1, 0.9, -0.3, 0.9] };
        let ranks = [(0, 3), (1, 2), (2, 4), (3, 2)];
        for (item, rank) in ranks {
            assert_eq!(retrieval.rank_of(item), rank, "item {item}");
        }
        let nothing_found = Retrieval { scores: vec![0.0; 300] };
        assert_eq!(nothing_found.rank_of(17), 300);
    }
}
