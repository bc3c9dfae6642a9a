//! From normal equations to one trial's beta in every voxel by ordinary least squares.
//!
//! The fewest operations: c = (A + Λ)⁻¹ e_last is one row of the inverse, the same for all voxels, and β = cᵀm takes P
//! multiply-adds and 8 P bytes per voxel. V = 15,724 and P = 17 (LSS, motion-6) are 0.27 million and 2 MB; P = 85
//! (ridge-LSA at the end of a run) 1.3 million and 11 MB. Weights over volumes instead of moments would be n = 288
//! multiply-adds. The row costs P³/6, 0.1 million at P = 85, and the standard error of 32 voxels 0.2 million.

use super::autoregressive;
use super::model::{Model, System};
use super::running::Running;
use super::solve::dot;
use super::statistics::{Statistics, combine};

/// One trial's beta in every voxel of a group, in scanner's units per unit of the regressor.
pub(crate) struct Fit {
    pub(crate) beta: Vec<f64>,
    /// (voxel, standard error) for some voxels, evenly spaced.
    pub(crate) errors: Vec<(usize, f64)>,
}

/// Standard errors are computed for about this many voxels. Each needs all coefficients of its voxel, P² operations
/// where the beta needs P, and their mean is what is reported.
const ERRORS: usize = 32;

/// The fit of `model`'s last term, or `None` where the volumes do not determine it. `running` spares AR(1) work where
/// it is the fit of the model's base.
pub(crate) fn fit(statistics: &Statistics, model: &Model, running: Option<&Running>) -> Option<Fit> {
    match statistics.lag_one() {
        None => ordinary(statistics, model),
        Some(lag_one) => autoregressive::fit(statistics, lag_one, model, running),
    }
}

fn ordinary(statistics: &Statistics, model: &Model) -> Option<Fit> {
    let system = System::new(&model.gram(statistics.gram()), model.ridge(), statistics.rows().len())?;
    let weights = model.of_moments(&system.weights);
    let beta = combine(&weights, |slot| statistics.moments(slot), statistics.voxels());
    let error = |voxel: usize| {
        let moments = at_voxel(model, |slot| statistics.moments(slot), voxel);
        (voxel, standard_error(&system, &moments, statistics.squares()[voxel]))
    };
    Some(Fit { beta, errors: spaced(statistics.voxels()).map(error).collect() })
}

/// σ̂ √(wᵀAw) with σ̂² = (yᵀy − bᵀm − Σλb²) / degrees of freedom.
fn standard_error(system: &System, moments: &[f64], squares: f64) -> f64 {
    let b = system.factor.solve(moments);
    let residual = squares - dot(&b, moments) - system.penalty(&b);
    (residual.max(0.0) / system.freedom * system.variance).sqrt()
}

fn at_voxel<'a>(model: &Model, column: impl Fn(usize) -> &'a [f64], voxel: usize) -> Vec<f64> {
    let of_term = |moments: &Vec<(usize, f64)>| moments.iter().map(|(slot, f)| f * column(*slot)[voxel]).sum();
    model.terms.iter().map(|term| of_term(&term.moments)).collect()
}

/// The voxels whose standard error is computed.
pub(crate) fn spaced(voxels: usize) -> impl Iterator<Item = usize> {
    (0..voxels).step_by((voxels / ERRORS).max(1))
}
