//! How well retrieval did where the stimulus is known: for scoring and display only.

use mindeye_decode::Retrieval;
use mindeye_decode::confidence::{Null, SessionNull};
use serde::Serialize;

/// Permutations of the null: p is 0.001 at the least, and each costs one addition a trial.
const PERMUTATIONS: u32 = 999;
/// Seed of the permutations, so that equal sessions have equal nulls.
const SEED: u64 = 1;

/// The true picture's place in a retrieval list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TargetScore {
    /// Its id in the gallery.
    pub id: String,
    /// Its score.
    pub score: f32,
    /// Its rank, 1 is best.
    pub rank: usize,
    /// Pictures in the gallery.
    pub pool_size: usize,
}

/// Score of a session so far, over final answers whose stimulus is in the gallery.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RunningScore {
    /// Trials counted.
    pub trials: u32,
    /// Share of trials with rank 1.
    pub top1: Option<f64>,
    /// Mean rank.
    pub mean_rank: Option<f64>,
    /// Pictures in the gallery.
    pub pool_size: Option<usize>,
    /// Share expected by chance.
    pub chance_top1: Option<f64>,
    /// Mean rank against that of the same trials with the pictures exchanged among them; from two trials on.
    pub null: Option<Null>,
    #[serde(skip)]
    session: SessionNull,
    #[serde(skip)]
    hits: u32,
    #[serde(skip)]
    rank_sum: usize,
}

impl RunningScore {
    /// Counts one final answer, whose picture is item `shown` of the gallery that `retrieval` scored.
    pub fn add(&mut self, target: &TargetScore, retrieval: &Retrieval, shown: usize) {
        self.trials += 1;
        self.session.add(retrieval.clone(), shown);
        self.null = (self.trials > 1).then(|| self.session.null(PERMUTATIONS, SEED)).flatten();
        self.hits += u32::from(target.rank == 1);
        self.rank_sum += target.rank;
        self.top1 = Some(f64::from(self.hits) / f64::from(self.trials));
        self.mean_rank = Some(self.rank_sum as f64 / f64::from(self.trials));
        self.pool_size = Some(target.pool_size);
        self.chance_top1 = Some(1.0 / target.pool_size as f64);
    }
}
