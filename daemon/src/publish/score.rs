//! How well retrieval did where the stimulus is known: for scoring and display only.

use serde::Serialize;

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
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
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
    #[serde(skip)]
    hits: u32,
    #[serde(skip)]
    rank_sum: usize,
}

impl RunningScore {
    /// Counts one final answer.
    pub fn add(&mut self, target: &TargetScore) {
        self.trials += 1;
        self.hits += u32::from(target.rank == 1);
        self.rank_sum += target.rank;
        self.top1 = Some(f64::from(self.hits) / f64::from(self.trials));
        self.mean_rank = Some(self.rank_sum as f64 / f64::from(self.trials));
        self.pool_size = Some(target.pool_size);
        self.chance_top1 = Some(1.0 / target.pool_size as f64);
    }
}
