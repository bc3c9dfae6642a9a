//! Top-1 retrieval in both directions, over pools drawn as in the paper.

use super::{Centring, Draws, MetricError, Scores};
use ndarray::Array2;

/// Which way one looks; the released code prints them under each other's name (spec: MindEye section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Brain → image: which of the pool's pictures was seen?
    ImageRetrieval,
    /// Image → brain: which of the pool's brains saw this picture?
    BrainRetrieval,
}

/// How pools are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Protocol {
    /// Pictures in a pool; a smaller test set is one pool as a whole.
    pub pool: usize,
    /// Pools.
    pub draws: usize,
    /// Seed of the draws.
    pub seed: u64,
}

/// Pools of 300, drawn 30 times without replacement.
impl Default for Protocol {
    fn default() -> Self {
        Self { pool: 300, draws: 30, seed: 0 }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Retrieved {
    /// Pictures in each pool.
    pub pool: usize,
    /// Share of right answers in each draw.
    pub per_draw: Vec<f64>,
    /// Right answers and draws of each test picture.
    pub per_image: Vec<(usize, usize)>,
}

impl Retrieved {
    /// Mean over draws.
    #[must_use]
    pub fn top1(&self) -> f64 {
        super::correlation::mean(&self.per_draw)
    }

    /// Expectation of a guess.
    #[must_use]
    pub fn chance(&self) -> f64 {
        1.0 / self.pool as f64
    }
}

/// Draws pools and counts right answers. Each draw takes one brain for each picture, at random where several saw it, so
/// that both directions have one right answer among `pool`. Where every draw would be the same one, there is one draw.
///
/// # Errors
/// [`MetricError::TooFew`] for a pool below two or no draws.
pub fn retrieve(
    scores: &Scores,
    direction: Direction,
    centring: Centring,
    protocol: Protocol,
) -> Result<Retrieved, MetricError> {
    let pictures = scores.pictures();
    let pool = protocol.pool.min(pictures);
    for (what, least, found) in [("a pool, in pictures,", 2, pool), ("retrieval, in draws,", 1, protocol.draws)] {
        if found < least {
            return Err(MetricError::TooFew { what, least, found });
        }
    }
    let only_one = pool == pictures && scores.brains() == pictures;
    let draws = if only_one { 1 } else { protocol.draws };
    let mut random = Draws::new(protocol.seed);
    let mut retrieved = Retrieved { pool, per_draw: Vec::with_capacity(draws), per_image: vec![(0, 0); pictures] };
    for _ in 0..draws {
        let chosen = random.sample(pictures, pool);
        let brains: Vec<usize> = chosen.iter().map(|p| one_of(scores.brains_of(*p), &mut random)).collect();
        let right = right_answers(&scores.pool(&brains, &chosen, centring), direction);
        retrieved.per_draw.push(right.iter().filter(|right| **right).count() as f64 / pool as f64);
        for (picture, right) in chosen.iter().zip(right) {
            let (found, drawn) = &mut retrieved.per_image[*picture];
            *found += usize::from(right);
            *drawn += 1;
        }
    }
    Ok(retrieved)
}

fn one_of(brains: &[usize], random: &mut Draws) -> usize {
    match brains {
        [only] => *only,
        several => several[random.below(several.len())],
    }
}

/// Whether row i (or column i, for image → brain) has its largest score at i, alone.
pub(crate) fn right_answers(square: &Array2<f64>, direction: Direction) -> Vec<bool> {
    let n = square.nrows();
    let score = |query: usize, candidate: usize| match direction {
        Direction::ImageRetrieval => square[[query, candidate]],
        Direction::BrainRetrieval => square[[candidate, query]],
    };
    (0..n).map(|q| (0..n).all(|c| c == q || score(q, c) < score(q, q))).collect()
}
