//! What retrieval would be if brains had nothing to do with pictures: the same scores, labels shuffled by image.

use super::retrieval::Direction;
use super::{Centring, Draws, Scores};
use ndarray::Array2;

/// Top-1 over the whole test set under shuffled labels.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PermutationNull {
    /// Top-1 with the true labels, mean over brains.
    pub observed: f64,
    /// Mean over permutations.
    pub mean: f64,
    /// Largest of them.
    pub largest: f64,
    /// (1 + permutations that reach `observed`)/(1 + permutations).
    pub p: f64,
    /// Permutations.
    pub permutations: usize,
    /// Top-1 of each permutation, in the order of the draws.
    #[serde(skip)]
    pub shares: Vec<f64>,
}

impl PermutationNull {
    /// `observed` beside the top-1 of each permutation.
    #[must_use]
    pub fn of(observed: f64, shares: Vec<f64>) -> Self {
        let reached = shares.iter().filter(|share| **share >= observed).count();
        Self {
            observed,
            mean: shares.iter().sum::<f64>() / shares.len().max(1) as f64,
            largest: shares.iter().copied().fold(0.0, f64::max),
            p: (1 + reached) as f64 / (1 + shares.len()) as f64,
            permutations: shares.len(),
            shares,
        }
    }

    /// Several models' answers to the same brains averaged, under the same permutations.
    ///
    /// # Panics
    /// When there are none, or they have different numbers of permutations: then they are not those of one seed.
    #[must_use]
    pub fn mean_of(nulls: &[&Self]) -> Self {
        let count = nulls.len() as f64;
        let permutations = nulls[0].shares.len();
        assert!(nulls.iter().all(|null| null.shares.len() == permutations), "permutations of one seed");
        let share = |draw: usize| nulls.iter().map(|null| null.shares[draw]).sum::<f64>() / count;
        let observed = nulls.iter().map(|null| null.observed).sum::<f64>() / count;
        Self::of(observed, (0..permutations).map(share).collect())
    }
}

/// Shuffles which picture belongs to which, keeping the presentations of a picture together, and counts top-1 over one
/// pool of all test pictures (for image → brain: a right answer is any brain that saw the picture).
#[must_use]
pub fn permutation_null(
    scores: &Scores,
    direction: Direction,
    centring: Centring,
    permutations: usize,
    seed: u64,
) -> PermutationNull {
    let pictures: Vec<usize> = (0..scores.pictures()).collect();
    let brains: Vec<usize> = pictures.iter().flat_map(|p| scores.brains_of(*p).to_vec()).collect();
    let own: Vec<usize> = pictures.iter().flat_map(|p| vec![*p; scores.brains_of(*p).len()]).collect();
    let winners = winners(&scores.pool(&brains, &pictures, centring), direction, &own);
    let share = |label: &[usize]| {
        let right = winners.iter().filter(|(query, winner)| winner.is_some_and(|w| label[*query] == w)).count();
        right as f64 / winners.len() as f64
    };
    let mut label = pictures;
    let observed = share(&label);
    let mut random = Draws::new(seed);
    let null: Vec<f64> = (0..permutations)
        .map(|_| {
            random.shuffle(&mut label);
            share(&label)
        })
        .collect();
    PermutationNull::of(observed, null)
}

/// For each query its picture, and the picture of the best candidate; none when two candidates of different pictures tie.
fn winners(scores: &Array2<f64>, direction: Direction, own: &[usize]) -> Vec<(usize, Option<usize>)> {
    match direction {
        Direction::ImageRetrieval => {
            let best = |b: usize| best(scores.row(b).iter().copied().zip(0..));
            own.iter().enumerate().map(|(b, picture)| (*picture, best(b))).collect()
        }
        Direction::BrainRetrieval => {
            let best = |p: usize| best(scores.column(p).iter().copied().zip(own.iter().copied()));
            (0..scores.ncols()).map(|p| (p, best(p))).collect()
        }
    }
}

fn best(candidates: impl Iterator<Item = (f64, usize)>) -> Option<usize> {
    let (mut top, mut winner) = (f64::NEG_INFINITY, None);
    for (score, picture) in candidates {
        if score > top {
            (top, winner) = (score, Some(picture));
        } else if score == top && winner != Some(picture) {
            winner = None;
        }
    }
    winner
}
