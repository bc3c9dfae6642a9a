//! Is the session better than chance? The null comes from the session itself: the same scores, the shown items exchanged.
//!
//! Exchanging what was shown between trials keeps everything that could flatter the ranks (hubs, repeated items, the size of
//! the gallery) and breaks only the tie between trial and stimulus.

use crate::Retrieval;
use crate::noise::word;
use serde::Serialize;

/// The mean rank of the shown items, and its null.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Null {
    /// Mean rank of the shown items, 1 is best.
    pub observed: f64,
    /// Mean rank over the permutations.
    pub mean: f64,
    /// Share of permutations, the observed order among them, whose mean rank is as good or better: (1 + n)/(1 + N)
    /// (Phipson and Smyth 2010, arXiv 1603.05766).
    pub p: f64,
}

/// The trials of a session so far, of which only the ranks that a permutation needs are worked out anew with each trial.
#[derive(Debug, Clone, Default)]
pub struct SessionNull {
    trials: Vec<Retrieval>,
    shown: Vec<usize>,
    /// Rank that each trial (row) gives to the shown item of each trial (column).
    ranks: Vec<Vec<u64>>,
}

impl SessionNull {
    /// Takes in a trial that showed item `shown`.
    pub fn add(&mut self, retrieval: Retrieval, shown: usize) {
        for (row, trial) in self.ranks.iter_mut().zip(&self.trials) {
            row.push(trial.rank_of(shown) as u64);
        }
        self.shown.push(shown);
        self.ranks.push(self.shown.iter().map(|item| retrieval.rank_of(*item) as u64).collect());
        self.trials.push(retrieval);
    }

    /// Exchanges the shown items at random `permutations` times, by a counter under `seed`; `None` without trials.
    #[must_use]
    pub fn null(&self, permutations: u32, seed: u64) -> Option<Null> {
        if self.trials.is_empty() {
            return None;
        }
        let total = |order: &[usize]| order.iter().zip(&self.ranks).map(|(column, row)| row[*column]).sum::<u64>();
        let mut order: Vec<usize> = (0..self.shown.len()).collect();
        let observed = total(&order);
        let (mut as_good, mut sum) = (0_u32, 0_u64);
        for permutation in 0..permutations {
            shuffle(&mut order, seed, permutation);
            let permuted = total(&order);
            sum += permuted;
            as_good += u32::from(permuted <= observed);
        }
        let per_trial = self.trials.len() as f64;
        Some(Null {
            observed: observed as f64 / per_trial,
            mean: sum as f64 / f64::from(permutations.max(1)) / per_trial,
            p: f64::from(1 + as_good) / f64::from(1 + permutations),
        })
    }
}

/// [`SessionNull::null`] of `trials` and their `shown` items. `None` without trials or when the lists differ in length.
#[must_use]
pub fn permutation_null(trials: &[Retrieval], shown: &[usize], permutations: u32, seed: u64) -> Option<Null> {
    if trials.len() != shown.len() {
        return None;
    }
    let mut session = SessionNull::default();
    trials.iter().zip(shown).for_each(|(trial, item)| session.add(trial.clone(), *item));
    session.null(permutations, seed)
}

/// Fisher and Yates; every permutation starts from the order that the last one left, which is as random.
fn shuffle(order: &mut [usize], seed: u64, permutation: u32) {
    for last in (1..order.len()).rev() {
        let chosen = (u64::from(word(seed, permutation, last as u32)) * (last as u64 + 1)) >> 32;
        order.swap(last, chosen as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Trials over 40 items whose shown item, number 3 i mod 40, has `lead` over noise in (0, 1).
    fn session(trials: usize, lead: f32) -> (Vec<Retrieval>, Vec<usize>) {
        let shown: Vec<usize> = (0..trials).map(|i| i * 3 % 40).collect();
        let noise = |i: usize, j: usize| word(99, i as u32, j as u32) as f32 / u32::MAX as f32;
        let scores = |i: usize| (0..40).map(|j| noise(i, j) + if j == shown[i] { lead } else { 0.0 }).collect();
        ((0..trials).map(|i| Retrieval { scores: scores(i) }).collect(), shown)
    }

    #[test]
    fn a_session_that_found_everything_has_the_smallest_p_there_is() {
        let (trials, shown) = session(40, 1.0);
        let null = permutation_null(&trials, &shown, 999, 7).unwrap();
        assert_eq!((null.observed, null.p), (1.0, 1.0 / 1000.0));
        // 20.5 is the mean rank of 40 items by chance; 40 trials have a standard error of 1.8 together, 999 draws of 0.06.
        assert!((null.mean - 20.5).abs() < 4.0, "{null:?}");
    }

    #[test]
    fn chance_is_seldom_significant() {
        let significant = (0..100).filter(|seed| {
            let (mut trials, shown) = session(20, 0.0);
            trials.iter_mut().enumerate().for_each(|(i, trial)| {
                let turn = word(*seed, i as u32, 1) as usize % 40;
                trial.scores.rotate_left(turn);
            });
            permutation_null(&trials, &shown, 199, *seed).unwrap().p <= 0.05
        });
        // Expected 5 of 100, standard deviation 2.2; 15 would be 4.5 of them away.
        assert!(significant.count() < 15);
    }

    #[test]
    fn equal_seeds_give_equal_nulls_and_an_empty_session_none() {
        let (trials, shown) = session(10, 0.3);
        assert_eq!(permutation_null(&trials, &shown, 50, 1), permutation_null(&trials, &shown, 50, 1));
        assert_eq!(permutation_null(&[], &[], 50, 1), None);
        assert_eq!(permutation_null(&trials, &shown[..9], 50, 1), None);
    }

    #[test]
    fn every_order_is_equally_likely() {
        let mut counts = std::collections::BTreeMap::new();
        for permutation in 0..6000 {
            let mut order = [0, 1, 2];
            shuffle(&mut order, 3, permutation);
            *counts.entry(order).or_insert(0_i32) += 1;
        }
        assert_eq!(counts.len(), 6);
        // 1,000 each, standard deviation 29; five of them.
        assert!(counts.values().all(|count| (count - 1000).abs() < 145), "{counts:?}");
    }
}
