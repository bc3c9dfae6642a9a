//! How sure a mean over images is: by drawing the images anew, all presentations of an image together.

use super::correlation::mean;
use super::{Draws, MetricError, Retrieved, require_equal};

/// An estimate with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    /// The estimate.
    pub value: f64,
    /// 2.5th percentile.
    pub low: f64,
    /// 97.5th percentile.
    pub high: f64,
}

/// Resamples of a bootstrap.
const RESAMPLES: usize = 2000;

/// Mean of `per_image`, each value with its weight (0: not drawn), and the percentiles of that mean over 2,000 resamples
/// of the images (Efron and Tibshirani 1993, chapter 13).
///
/// # Errors
/// [`MetricError::TooFew`] below two images with a weight.
pub fn bootstrap_over_images(per_image: &[(f64, f64)], seed: u64) -> Result<Interval, MetricError> {
    let used: Vec<(f64, f64)> = per_image.iter().copied().filter(|(_, weight)| *weight > 0.0).collect();
    if used.len() < 2 {
        return Err(MetricError::TooFew { what: "a bootstrap, in images,", least: 2, found: used.len() });
    }
    let weighted = |pairs: &mut dyn Iterator<Item = (f64, f64)>| {
        let (sum, weight) = pairs.fold((0.0, 0.0), |(s, w), (value, weight)| (s + value * weight, w + weight));
        sum / weight
    };
    let mut random = Draws::new(seed);
    let mut means: Vec<f64> =
        (0..RESAMPLES).map(|_| weighted(&mut (0..used.len()).map(|_| used[random.below(used.len())]))).collect();
    means.sort_by(f64::total_cmp);
    let percentile = |share: f64| means[(share * (RESAMPLES - 1) as f64).round() as usize];
    Ok(Interval { value: weighted(&mut used.iter().copied()), low: percentile(0.025), high: percentile(0.975) })
}

/// Half the width of the paper's interval: 1.96 SD/√draws over pools of the same images (population SD, as numpy's
/// default), which says how well the mean over pools is known and nothing about other images.
#[must_use]
pub fn as_published(per_draw: &[f64]) -> f64 {
    let centre = mean(per_draw);
    let variance = mean(&per_draw.iter().map(|v| (v - centre).powi(2)).collect::<Vec<_>>());
    1.96 * variance.sqrt() / (per_draw.len() as f64).sqrt()
}

/// Mean over images of `a` − `b` with its interval; both have one value for each image.
///
/// # Errors
/// [`MetricError::Disagree`] or as [`bootstrap_over_images`].
pub fn paired_difference(a: &[f64], b: &[f64], seed: u64) -> Result<Interval, MetricError> {
    require_equal("images", ("one model", a.len()), ("the other", b.len()))?;
    let differences: Vec<(f64, f64)> = a.iter().zip(b).map(|(a, b)| (a - b, 1.0)).collect();
    bootstrap_over_images(&differences, seed)
}

impl Retrieved {
    /// Top-1 with its bootstrap interval over images.
    ///
    /// # Errors
    /// As [`bootstrap_over_images`].
    pub fn interval(&self, seed: u64) -> Result<Interval, MetricError> {
        let share = |(right, drawn): &(usize, usize)| (*right as f64 / (*drawn).max(1) as f64, *drawn as f64);
        bootstrap_over_images(&self.per_image.iter().map(share).collect::<Vec<_>>(), seed)
    }
}
