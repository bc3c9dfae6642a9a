//! A fitted ridge as it is kept and served: training patterns, and what each of them adds to every output.

use super::RidgeError;
use super::error::require_equal;
use super::linalg::{matrix, product};
use ndarray::{Array2, ArrayView2, Axis};

/// ŷ = bias + `z[voxels]` · basisᵀ · coefficients.
#[derive(Debug, Clone, PartialEq)]
pub struct DualRidge {
    /// Centred z-scored training betas, f32[trials, selected voxels].
    pub basis: Array2<f32>,
    /// f32[trials, outputs].
    pub coefficients: Array2<f32>,
    /// ȳ − z̄ basisᵀ coefficients, `f32[outputs]`.
    pub bias: Vec<f32>,
    /// Places of the selected voxels in mask order, ascending.
    pub voxels: Vec<usize>,
    /// Voxels of the whole mask.
    pub mask_voxels: usize,
    /// Regularisation: one α, or one per output.
    pub alpha: Vec<f64>,
}

impl DualRidge {
    /// Training trials.
    #[must_use]
    pub fn trials(&self) -> usize {
        self.basis.nrows()
    }

    /// Outputs, K.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.coefficients.ncols()
    }

    /// Bytes of basis, coefficients and bias in f32.
    #[must_use]
    pub fn bytes(&self) -> usize {
        4 * (self.basis.len() + self.coefficients.len() + self.bias.len())
    }

    /// Predicts f32[rows, outputs] from z-scored betas of the whole mask, f32[rows, mask voxels].
    /// One row costs 2(nV + nK) FLOP: 0.43 GFLOP at full size, and one pass over 0.85 GB.
    ///
    /// # Errors
    /// [`RidgeError::Disagree`] when the number of voxels is not the mask's.
    pub fn predict(&self, patterns: ArrayView2<'_, f32>) -> Result<Array2<f32>, RidgeError> {
        require_equal("voxels", ("a z-scored pattern", patterns.ncols()), ("the ridge's mask", self.mask_voxels))?;
        let selected = select(patterns, &self.voxels);
        let similarity = product(matrix(&selected), matrix(&self.basis).transpose());
        let mut out = product(matrix(&similarity), matrix(&self.coefficients));
        for mut row in out.rows_mut() {
            row.iter_mut().zip(&self.bias).for_each(|(y, bias)| *y += bias);
        }
        Ok(out)
    }

    /// Sizes agree with each other.
    pub(crate) fn check(&self) -> Result<(), RidgeError> {
        let (basis, coefficients) = ("ridge.basis", "ridge.coefficients");
        require_equal("trials", (basis, self.basis.nrows()), (coefficients, self.coefficients.nrows()))?;
        require_equal("voxels", (basis, self.basis.ncols()), ("ridge.voxels", self.voxels.len()))?;
        require_equal("outputs", (coefficients, self.outputs()), ("ridge.bias", self.bias.len()))?;
        if self.alpha.len() != 1 {
            require_equal("outputs", ("ridge.alpha", self.alpha.len()), (coefficients, self.outputs()))?;
        }
        Ok(())
    }
}

/// The columns `voxels` of `patterns`.
pub(crate) fn select(patterns: ArrayView2<'_, f32>, voxels: &[usize]) -> Array2<f32> {
    patterns.select(Axis(1), voxels).as_standard_layout().into_owned()
}
