//! The retrieval part of a report: both directions by name, raw and centred, each with chance, interval and null.

use super::{Arguments, EvaluateError};
use mindeye_decode::metrics::{
    Centring, Direction, Interval, MetricError, PermutationNull, Scores, as_published, permutation_null, retrieve,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Both directions for one kind of brain (single trials, or repeats averaged).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetrievalReport {
    /// Brain → image.
    pub image_retrieval: Centrings,
    /// Image → brain.
    pub brain_retrieval: Centrings,
    /// Brain → image over the whole test set.
    pub ranks: BTreeMap<&'static str, RankReport>,
}

/// Raw and centred.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Centrings {
    /// Plain cosines.
    pub raw: TopOne,
    /// Less the pool's mean direction.
    pub centred: TopOne,
}

/// One number with all that it needs beside it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TopOne {
    /// Top-1 with its interval by bootstrap over images.
    pub top1: Interval,
    /// SD of top-1 over the trainings whose mean this is; absent for a single model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sd_over_models: Option<f64>,
    /// Pictures in a pool.
    pub pool_size: usize,
    /// Pools.
    pub draws: usize,
    /// 1/pool.
    pub chance: f64,
    /// 1.96 SD/√draws, the paper's; `None` for a single pool.
    pub ci_as_published: Option<f64>,
    /// Over the whole test set, labels shuffled by image.
    pub permutation_null: PermutationNull,
    /// Share of right answers for each image: what a paired difference compares.
    pub per_image: BTreeMap<String, f64>,
    /// Draws of each image of `per_image`, in its order: its weight in the bootstrap.
    #[serde(skip)]
    pub drawn: Vec<f64>,
}

/// Where the right image lies among all test images, ties losing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RankReport {
    /// Images in the pool.
    pub pool_size: usize,
    /// Share of other images that score less than the right one; chance 0.5.
    pub two_way: f64,
    /// Share of brains whose right image is among the best five.
    pub top5: f64,
    /// Median rank, 1 is best.
    pub median_rank: f64,
}

pub(super) fn measure(
    scores: &Scores,
    images: &[String],
    arguments: &Arguments,
) -> Result<RetrievalReport, EvaluateError> {
    let centrings = |direction| -> Result<Centrings, MetricError> {
        let one = |centring| top_one(scores, images, direction, centring, arguments);
        Ok(Centrings { raw: one(Centring::Raw)?, centred: one(Centring::Centred)? })
    };
    let ranks = [("raw", Centring::Raw), ("centred", Centring::Centred)].map(|(name, c)| (name, ranks(scores, c)));
    Ok(RetrievalReport {
        image_retrieval: centrings(Direction::ImageRetrieval)?,
        brain_retrieval: centrings(Direction::BrainRetrieval)?,
        ranks: ranks.into(),
    })
}

fn top_one(
    scores: &Scores,
    images: &[String],
    direction: Direction,
    centring: Centring,
    arguments: &Arguments,
) -> Result<TopOne, MetricError> {
    let retrieved = retrieve(scores, direction, centring, arguments.protocol())?;
    // Images ascend by name, and so do the entries of a map.
    let drawn = images.iter().zip(&retrieved.per_image).filter(|(_, (_, drawn))| *drawn > 0);
    let per_image =
        drawn.clone().map(|(image, (right, drawn))| (image.clone(), *right as f64 / *drawn as f64)).collect();
    let drawn = drawn.map(|(_, (_, drawn))| *drawn as f64).collect();
    Ok(TopOne {
        top1: retrieved.interval(arguments.seed)?,
        sd_over_models: None,
        pool_size: retrieved.pool,
        draws: retrieved.per_draw.len(),
        chance: retrieved.chance(),
        ci_as_published: (retrieved.per_draw.len() > 1).then(|| as_published(&retrieved.per_draw)),
        permutation_null: permutation_null(scores, direction, centring, arguments.permutations, arguments.seed),
        per_image,
        drawn,
    })
}

fn ranks(scores: &Scores, centring: Centring) -> RankReport {
    let pool: Vec<usize> = (0..scores.pictures()).collect();
    let brains: Vec<usize> = (0..scores.brains()).collect();
    let table = scores.pool(&brains, &pool, centring);
    let rank = |brain: usize| {
        let own = table[[brain, scores.own()[brain]]];
        table.row(brain).iter().filter(|score| **score >= own).count()
    };
    let mut ranks: Vec<usize> = brains.iter().map(|brain| rank(*brain)).collect();
    ranks.sort_unstable();
    let (count, others) = (ranks.len() as f64, (pool.len() - 1) as f64);
    RankReport {
        pool_size: pool.len(),
        two_way: ranks.iter().map(|rank| (pool.len() - rank) as f64 / others).sum::<f64>() / count,
        top5: ranks.iter().filter(|rank| **rank <= 5).count() as f64 / count,
        median_rank: (ranks[(ranks.len() - 1) / 2] + ranks[ranks.len() / 2]) as f64 / 2.0,
    }
}
