//! The Gram matrix of the betas, taken apart once, so that every α costs one product of n x n matrices.

use super::RidgeError;
use super::linalg::{matrix, product};
use faer::Side;
use ndarray::Array2;

/// K = Q Λ Qᵀ of centred betas.
pub(crate) struct Spectrum {
    /// Q, f64[n, n]; columns are eigenvectors.
    vectors: Array2<f64>,
    /// λ, ascending; negative rounding is zero.
    values: Vec<f64>,
}

impl Spectrum {
    /// Of a symmetric `gram`.
    pub(crate) fn of(gram: &Array2<f64>) -> Result<Self, RidgeError> {
        let trials = gram.nrows();
        let eigen = matrix(gram).self_adjoint_eigen(Side::Lower).map_err(|_| RidgeError::Eigen { trials })?;
        let vectors = Array2::from_shape_fn((trials, trials), |(row, column)| eigen.U()[(row, column)]);
        let values = (0..trials).map(|i| eigen.S().column_vector()[i].max(0.0)).collect();
        Ok(Self { vectors, values })
    }

    /// Mean eigenvalue: the scale on which α is small or large.
    pub(crate) fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }

    /// G = (K + αI)⁻¹ − 11ᵀ/(αn), f64[n, n]: the resolvent with the mean left free, since 1 is an eigenvector of the
    /// centred K with eigenvalue 0. Its rows sum to 0, and leaving out with it refits the mean as well.
    pub(crate) fn resolvent(&self, alpha: f64) -> Array2<f64> {
        let trials = self.values.len();
        let mut scaled = self.vectors.clone();
        for mut row in scaled.rows_mut() {
            row.iter_mut().zip(&self.values).for_each(|(q, value)| *q /= value + alpha);
        }
        let mut resolvent = product(matrix(&scaled), matrix(&self.vectors).transpose());
        let mean = 1.0 / (alpha * trials as f64);
        resolvent.iter_mut().for_each(|g| *g -= mean);
        resolvent
    }
}
