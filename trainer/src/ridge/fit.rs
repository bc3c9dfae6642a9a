//! The fit itself, in the order of a methods section: centre, Gram matrices, α, coefficients.

use super::alpha::{best, candidates, score};
use super::dual::select;
use super::error::require_equal;
use super::left_out::{require_enough, residual_weights};
use super::linalg::{BLOCK_COLUMNS, block_of, gram, matrix, product};
use super::spectrum::Spectrum;
use super::{AlphaChoice, AlphaScore, DualRidge, LeftOut, RidgeError};
use ndarray::{Array2, ArrayView2, s};

/// Training trials, and nothing else.
#[derive(Debug, Clone, Copy)]
pub struct Problem<'a> {
    /// Z-scored betas of the whole mask, f32[trials, mask voxels].
    pub patterns: ArrayView2<'a, f32>,
    /// Targets of each training image once, f32[images, outputs].
    pub targets: ArrayView2<'a, f32>,
    /// Row of `targets` that each trial showed.
    pub image_of: &'a [usize],
    /// Places of the voxels to use, ascending.
    pub voxels: &'a [usize],
}

/// How to fit.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Regularisation.
    pub alpha: AlphaChoice,
    /// What is left out together to judge it.
    pub left_out: LeftOut,
}

/// A fitted ridge, and how each α did on what was left out.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// The front-end.
    pub ridge: DualRidge,
    /// One score per candidate; for [`AlphaChoice::PerTarget`] too, though each output takes its own.
    pub scores: Vec<AlphaScore>,
    /// The best of `scores`.
    pub best: AlphaScore,
}

/// Fits `problem`.
///
/// # Errors
/// [`RidgeError`] for sizes that differ, numbers that are none, fewer than three groups, or nothing that varies.
pub fn fit(problem: &Problem<'_>, settings: &Settings) -> Result<Fit, RidgeError> {
    check(problem)?;
    let groups = settings.left_out.groups(problem.image_of);
    require_enough(groups.len(), problem.image_of)?;
    let (basis, pattern_mean) = centred_basis(problem);
    let target_mean = mean_over_trials(problem);
    let pattern_gram = gram(basis.view(), None);
    let target_gram = gram(problem.targets, Some(&target_mean));
    let target_gram = by_trial(&target_gram, problem.image_of);
    require_variation("betas", &pattern_gram)?;
    require_variation("targets", &target_gram)?;

    let spectrum = Spectrum::of(&pattern_gram)?;
    let alphas = candidates(&settings.alpha, &spectrum)?;
    let scores = score(&spectrum, &alphas, &target_gram, problem.image_of, settings.left_out);
    let best = best(&scores);
    let (coefficients, alpha) = match settings.alpha {
        AlphaChoice::Fixed(_) | AlphaChoice::Common(_) => {
            (common_coefficients(problem, &spectrum.resolvent(best.alpha), &target_mean), vec![best.alpha])
        }
        AlphaChoice::PerTarget(_) => per_target_coefficients(problem, &spectrum, &alphas, &groups, &target_mean),
    };
    let bias = bias(&basis, &pattern_mean, &coefficients, &target_mean);
    let (voxels, mask_voxels) = (problem.voxels.to_vec(), problem.patterns.ncols());
    Ok(Fit { ridge: DualRidge { basis, coefficients, bias, voxels, mask_voxels, alpha }, scores, best })
}

fn check(problem: &Problem<'_>) -> Result<(), RidgeError> {
    let trials = problem.image_of.len();
    require_equal("trials", ("the betas", problem.patterns.nrows()), ("the list of images shown", trials))?;
    let images = problem.targets.nrows();
    let highest = problem.image_of.iter().max().map_or(0, |image| image + 1);
    if highest > images {
        require_equal("images", ("the list of images shown", highest), ("the targets", images))?;
    }
    require_finite("betas", problem.patterns)?;
    require_finite("targets", problem.targets)
}

fn require_finite(what: &'static str, x: ArrayView2<'_, f32>) -> Result<(), RidgeError> {
    for (row, values) in x.rows().into_iter().enumerate() {
        if let Some(column) = values.iter().position(|value| !value.is_finite()) {
            return Err(RidgeError::NotFinite { what, row, column, value: values[column] });
        }
    }
    Ok(())
}

fn require_variation(what: &'static str, gram: &Array2<f64>) -> Result<(), RidgeError> {
    if gram.diag().sum() > 0.0 { Ok(()) } else { Err(RidgeError::Constant { what }) }
}

/// The selected voxels less their mean over trials, and that mean.
fn centred_basis(problem: &Problem<'_>) -> (Array2<f32>, Vec<f32>) {
    let mut basis = select(problem.patterns, problem.voxels);
    let trials = basis.nrows() as f64;
    let mut mean = vec![0.0_f64; basis.ncols()];
    basis.rows().into_iter().for_each(|row| mean.iter_mut().zip(row).for_each(|(m, z)| *m += f64::from(*z) / trials));
    let mean: Vec<f32> = mean.into_iter().map(|m| m as f32).collect();
    basis.rows_mut().into_iter().for_each(|mut row| row.iter_mut().zip(&mean).for_each(|(z, m)| *z -= m));
    (basis, mean)
}

/// ȳ over trials: an image shown three times counts three times.
fn mean_over_trials(problem: &Problem<'_>) -> Vec<f32> {
    let mut shown = vec![0.0_f64; problem.targets.nrows()];
    problem.image_of.iter().for_each(|image| shown[*image] += 1.0 / problem.image_of.len() as f64);
    let mut mean = vec![0.0_f64; problem.targets.ncols()];
    for (row, weight) in problem.targets.rows().into_iter().zip(&shown).filter(|(_, weight)| **weight > 0.0) {
        mean.iter_mut().zip(row).for_each(|(m, y)| *m += weight * f64::from(*y));
    }
    mean.into_iter().map(|m| m as f32).collect()
}

fn by_trial(image_gram: &Array2<f64>, image_of: &[usize]) -> Array2<f64> {
    let trials = image_of.len();
    Array2::from_shape_fn((trials, trials), |(i, j)| image_gram[[image_of[i], image_of[j]]])
}

/// M R as f32[trials, images]: what a matrix over trials does to the targets of images, where R tells who saw what.
fn over_images(weights: &Array2<f64>, image_of: &[usize], images: usize) -> Array2<f32> {
    let mut out = Array2::<f64>::zeros((weights.nrows(), images));
    for (row, mut sums) in weights.rows().into_iter().zip(out.rows_mut()) {
        row.iter().zip(image_of).for_each(|(weight, image)| sums[*image] += weight);
    }
    out.mapv(|sum| sum as f32)
}

/// C = G Y, block by block.
fn common_coefficients(problem: &Problem<'_>, resolvent: &Array2<f64>, target_mean: &[f32]) -> Array2<f32> {
    let weights = over_images(resolvent, problem.image_of, problem.targets.nrows());
    let mut coefficients = Array2::zeros((problem.image_of.len(), problem.targets.ncols()));
    for first in (0..problem.targets.ncols()).step_by(BLOCK_COLUMNS) {
        let targets = block_of(problem.targets, first, Some(target_mean));
        let block = product(matrix(&weights), matrix(&targets));
        coefficients.slice_mut(s![.., first..first + block.ncols()]).assign(&block);
    }
    coefficients
}

/// Each output takes the α with the smallest Σe² of its own.
fn per_target_coefficients(
    problem: &Problem<'_>,
    spectrum: &Spectrum,
    alphas: &[f64],
    groups: &[Vec<usize>],
    target_mean: &[f32],
) -> (Array2<f32>, Vec<f64>) {
    let images = problem.targets.nrows();
    let over_images = |weights: &Array2<f64>| over_images(weights, problem.image_of, images);
    let resolvents: Vec<Array2<f64>> = alphas.iter().map(|alpha| spectrum.resolvent(*alpha)).collect();
    let residuals: Vec<_> = resolvents.iter().map(|g| over_images(&residual_weights(g, groups))).collect();
    let solutions: Vec<_> = resolvents.iter().map(over_images).collect();
    let mut coefficients = Array2::zeros((problem.image_of.len(), problem.targets.ncols()));
    let mut chosen = Vec::with_capacity(problem.targets.ncols());
    for first in (0..problem.targets.ncols()).step_by(BLOCK_COLUMNS) {
        let targets = block_of(problem.targets, first, Some(target_mean));
        let winners = smallest_errors(&residuals, &targets);
        for (candidate, solution) in solutions.iter().enumerate() {
            let columns: Vec<usize> = (0..winners.len()).filter(|column| winners[*column] == candidate).collect();
            let block = product(matrix(solution), matrix(&select(targets.view(), &columns)));
            for (from, column) in columns.iter().enumerate() {
                coefficients.column_mut(first + column).assign(&block.column(from));
            }
        }
        chosen.extend(winners.iter().map(|winner| alphas[*winner]));
    }
    (coefficients, chosen)
}

/// Index of the candidate with the smallest Σe² for each column of `targets`.
fn smallest_errors(residuals: &[Array2<f32>], targets: &Array2<f32>) -> Vec<usize> {
    let mut smallest = vec![(f64::INFINITY, 0); targets.ncols()];
    for (candidate, weights) in residuals.iter().enumerate() {
        let errors = product(matrix(weights), matrix(targets));
        let mut squared = vec![0.0_f64; targets.ncols()];
        errors.rows().into_iter().for_each(|row| squared.iter_mut().zip(row).for_each(|(s, e)| *s += f64::from(e * e)));
        for (best, squared) in smallest.iter_mut().zip(squared) {
            if squared < best.0 {
                *best = (squared, candidate);
            }
        }
    }
    smallest.into_iter().map(|(_, candidate)| candidate).collect()
}

/// ȳ − z̄ Zᵀ C.
fn bias(basis: &Array2<f32>, pattern_mean: &[f32], coefficients: &Array2<f32>, target_mean: &[f32]) -> Vec<f32> {
    let mean = Array2::from_shape_vec((1, pattern_mean.len()), pattern_mean.to_vec()).expect("one row");
    let similarity = product(matrix(&mean), matrix(basis).transpose());
    let offset = product(matrix(&similarity), matrix(coefficients));
    target_mean.iter().zip(&offset).map(|(mean, offset)| mean - offset).collect()
}
