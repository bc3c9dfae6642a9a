//! Which α: the one whose left-out predictions are nearest to the targets.

use super::left_out::residual_weights;
use super::linalg::{matrix, product};
use super::spectrum::Spectrum;
use super::{LeftOut, RidgeError};
use ndarray::Array2;

/// How α is found.
#[derive(Debug, Clone, PartialEq)]
pub enum AlphaChoice {
    /// This one.
    Fixed(f64),
    /// The best of these for all outputs together; empty for [`relative_grid`]. Costs products of n x n matrices only.
    Common(Vec<f64>),
    /// The best of these for each output; empty for [`relative_grid`]. Costs 2nmK FLOP for each α.
    PerTarget(Vec<f64>),
}

/// How well one α predicts what was left out.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AlphaScore {
    /// The α.
    pub alpha: f64,
    /// Left-out share of the targets' variance explained, all outputs together: 1 − Σe²/Σ(y − ȳ)².
    pub r2: f64,
    /// Share of trials whose left-out prediction is nearest (centred cosine) to its own image among all training images.
    pub retrieval_top1: f64,
}

/// Thirteen values, half a decade apart, from 10⁻³ to 10³ times the mean eigenvalue of the Gram matrix.
#[must_use]
pub fn relative_grid(mean_eigenvalue: f64) -> Vec<f64> {
    (-6..=6).map(|half_decade| mean_eigenvalue * 10f64.powf(f64::from(half_decade) / 2.0)).collect()
}

/// The grid that `choice` means.
pub(crate) fn candidates(choice: &AlphaChoice, spectrum: &Spectrum) -> Result<Vec<f64>, RidgeError> {
    let grid = match choice {
        AlphaChoice::Fixed(alpha) => vec![*alpha],
        AlphaChoice::Common(grid) | AlphaChoice::PerTarget(grid) if grid.is_empty() => relative_grid(spectrum.mean()),
        AlphaChoice::Common(grid) | AlphaChoice::PerTarget(grid) => grid.clone(),
    };
    if grid.iter().all(|alpha| alpha.is_finite() && *alpha > 0.0) {
        return Ok(grid);
    }
    Err(RidgeError::Alpha { found: grid })
}

/// Scores each α from Gram matrices alone: with K_Y = Y Yᵀ of centred targets, Σe² = tr(E K_Y Eᵀ), and a left-out
/// prediction is (I − E) Y, whose products with all targets are (I − E) K_Y.
pub(crate) fn score(
    spectrum: &Spectrum,
    alphas: &[f64],
    target_gram: &Array2<f64>,
    image_of: &[usize],
    left_out: LeftOut,
) -> Vec<AlphaScore> {
    let groups = left_out.groups(image_of);
    let one = |alpha: &f64| {
        let weights = residual_weights(&spectrum.resolvent(*alpha), &groups);
        let errors = product(matrix(&weights), matrix(target_gram));
        let squared: f64 = errors.iter().zip(&weights).map(|(error, weight)| error * weight).sum();
        let r2 = 1.0 - squared / target_gram.diag().sum();
        AlphaScore { alpha: *alpha, r2, retrieval_top1: top1(&weights, &errors, target_gram, image_of) }
    };
    alphas.iter().map(one).collect()
}

/// The score with the largest R²; of equal ones the stronger regularisation.
pub(crate) fn best(scores: &[AlphaScore]) -> AlphaScore {
    let better = |a: &&AlphaScore, b: &&AlphaScore| a.r2.total_cmp(&b.r2).then(a.alpha.total_cmp(&b.alpha));
    *scores.iter().max_by(better).expect("candidates are one or more")
}

fn top1(weights: &Array2<f64>, errors: &Array2<f64>, target_gram: &Array2<f64>, image_of: &[usize]) -> f64 {
    let trials = image_of.len();
    let found = (0..trials).filter(|&trial| {
        let prediction = |other: usize| target_gram[[trial, other]] - errors[[trial, other]];
        // The prediction's own length is common to all its cosines.
        let cosine = |other: usize| prediction(other) / target_gram[[other, other]].sqrt();
        let own = cosine(trial);
        let moved = (0..trials).any(|other| weights[[trial, other]] != 0.0);
        moved && (0..trials).all(|other| image_of[other] == image_of[trial] || cosine(other) < own)
    });
    found.count() as f64 / trials as f64
}
