//! Several trainings of one model, which differ by their seed alone, measured as one: means over them, image by image.
//!
//! An interval still draws images anew (their answers first averaged over the trainings), and says nothing about further
//! seeds; the SD over the trainings does. A permutation shuffles the same labels for all of them.

use super::EvaluateError;
use super::retrieval::{Centrings, RankReport, RetrievalReport, TopOne};
use mindeye_decode::metrics::{PermutationNull, bootstrap_over_images};
use std::collections::BTreeMap;

/// The mean of reports on the same brains and images.
///
/// # Errors
/// As the bootstrap.
pub(super) fn mean_of(reports: &[RetrievalReport], seed: u64) -> Result<RetrievalReport, EvaluateError> {
    let tops = |of: fn(&RetrievalReport) -> &TopOne| {
        let tops: Vec<&TopOne> = reports.iter().map(of).collect();
        mean_top(&tops, seed)
    };
    let ranks = reports[0].ranks.keys().map(|name| (*name, mean_ranks(reports, name))).collect();
    Ok(RetrievalReport {
        image_retrieval: Centrings {
            raw: tops(|report| &report.image_retrieval.raw)?,
            centred: tops(|report| &report.image_retrieval.centred)?,
        },
        brain_retrieval: Centrings {
            raw: tops(|report| &report.brain_retrieval.raw)?,
            centred: tops(|report| &report.brain_retrieval.centred)?,
        },
        ranks,
    })
}

fn mean_top(tops: &[&TopOne], seed: u64) -> Result<TopOne, EvaluateError> {
    let first = tops[0];
    let mean_at = |image: &String| mean(tops.iter().map(|top| top.per_image[image]));
    let per_image: BTreeMap<String, f64> =
        first.per_image.keys().map(|image| (image.clone(), mean_at(image))).collect();
    let weighted: Vec<(f64, f64)> = per_image.values().copied().zip(first.drawn.iter().copied()).collect();
    let published: Option<Vec<f64>> = tops.iter().map(|top| top.ci_as_published).collect();
    Ok(TopOne {
        top1: bootstrap_over_images(&weighted, seed)?,
        sd_over_models: Some(sd(&tops.iter().map(|top| top.top1.value).collect::<Vec<_>>())),
        ci_as_published: published.map(|half_widths| mean(half_widths.into_iter())),
        permutation_null: PermutationNull::mean_of(&tops.iter().map(|t| &t.permutation_null).collect::<Vec<_>>()),
        per_image,
        ..first.clone()
    })
}

fn mean_ranks(reports: &[RetrievalReport], name: &str) -> RankReport {
    let of = |value: fn(&RankReport) -> f64| mean(reports.iter().map(|report| value(&report.ranks[name])));
    RankReport {
        pool_size: reports[0].ranks[name].pool_size,
        two_way: of(|ranks| ranks.two_way),
        top5: of(|ranks| ranks.top5),
        median_rank: of(|ranks| ranks.median_rank),
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

/// Sample SD; 0 for a single value.
fn sd(values: &[f64]) -> f64 {
    let centre = mean(values.iter().copied());
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    (squares / (values.len().max(2) - 1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mindeye_decode::metrics::Interval;

    fn top(per_image: [f64; 3], shares: [f64; 4]) -> TopOne {
        let value = per_image.iter().sum::<f64>() / 3.0;
        let names = ["a", "b", "c"].map(str::to_owned);
        TopOne {
            top1: Interval { value, low: 0.0, high: 1.0 },
            sd_over_models: None,
            pool_size: 3,
            draws: 1,
            chance: 1.0 / 3.0,
            ci_as_published: None,
            permutation_null: PermutationNull::of(value, shares.to_vec()),
            per_image: names.into_iter().zip(per_image).collect(),
            drawn: vec![1.0; 3],
        }
    }

    #[test]
    fn answers_are_averaged_image_by_image_and_seeds_have_an_sd() {
        let (one, other) = (top([1.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0]), top([1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0]));
        let both = mean_top(&[&one, &other], 1).unwrap();
        assert_eq!(both.per_image.values().copied().collect::<Vec<_>>(), [1.0, 0.0, 0.5]);
        assert!((both.top1.value - 0.5).abs() < 1e-12);
        // SD of 2/3 and 1/3: their distance over the root of 2.
        assert!((both.sd_over_models.unwrap() - (1.0 / 3.0) / 2f64.sqrt()).abs() < 1e-12);
        // Means of the shuffles: 0, 1, 1/2, 0; two of four reach the observed 1/2.
        let null = &both.permutation_null;
        assert_eq!((null.largest, null.permutations, null.p), (1.0, 4, 3.0 / 5.0));
    }
}
