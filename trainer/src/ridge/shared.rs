//! A space that participants share: the directions in which the targets of images vary, known once and for all.
//!
//! With Y centred targets of the first participant's training images = U S Vᵀ, the first `width` rows of Vᵀ are the
//! decoder, and an image's place in the space is (y − ȳ) V. A participant's ridge predicts places, `width` numbers, and
//! not K tokens; a new participant's front-end goes in front of the same decoder (MindEye2 learns such a space by
//! gradient descent, Scotti et al. 2024, section 2.1; this one is in closed form).

use super::RidgeError;
use super::error::require_equal;
use super::linalg::{BLOCK_COLUMNS, block_of, gram, matrix, product};
use faer::Side;
use ndarray::{Array2, ArrayView2, s};

/// Eigenvalues of D Dᵀ below this share of the largest belong to dimensions that a trained model hardly uses.
const LEAST_USED: f64 = 1e-3;

/// y = bias + place · decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedSpace {
    /// f32[width, outputs], orthonormal rows by falling variance.
    pub decoder: Array2<f32>,
    /// ȳ, `f32[outputs]`.
    pub bias: Vec<f32>,
}

impl SharedSpace {
    /// The first `width` principal components of `targets`, f32[images, outputs].
    ///
    /// # Errors
    /// [`RidgeError::Width`] when the targets vary in fewer directions.
    pub fn of(targets: ArrayView2<'_, f32>, width: usize) -> Result<Self, RidgeError> {
        let images = targets.nrows();
        let bias = column_means(targets);
        let gram = gram(targets, Some(&bias));
        let eigen = matrix(&gram).self_adjoint_eigen(Side::Lower).map_err(|_| RidgeError::Eigen { trials: images })?;
        let variance = |from_largest: usize| eigen.S().column_vector()[images - 1 - from_largest];
        // Centring takes one direction; what f32 targets leave of it is rounding (2^-24 of the largest, with room).
        let found = (0..images).take_while(|i| variance(*i) > 1e-7 * variance(0).max(f64::MIN_POSITIVE)).count();
        if width == 0 || found < width {
            return Err(RidgeError::Width { width, images, found });
        }
        let left = Array2::from_shape_fn((width, images), |(row, image)| {
            (eigen.U()[(image, images - 1 - row)] / variance(row).sqrt()) as f32
        });
        Ok(Self { decoder: times_blocks(&left, targets, &bias), bias })
    }

    /// Dimensions of the space.
    #[must_use]
    pub fn width(&self) -> usize {
        self.decoder.nrows()
    }

    /// Outputs, K.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.decoder.ncols()
    }

    /// Places f32[images, width] of `targets`, f32[images, outputs], by least squares: (Y − ȳ) Dᵀ (D Dᵀ)⁺. The decoder of
    /// [`SharedSpace::of`] has D Dᵀ = 1; a trained model's own map need not, and dimensions that it hardly uses get 0.
    ///
    /// # Errors
    /// [`RidgeError::Disagree`] when the targets have another number of outputs.
    pub fn places(&self, targets: ArrayView2<'_, f32>) -> Result<Array2<f32>, RidgeError> {
        require_equal("outputs", ("the targets", targets.ncols()), ("the shared space", self.outputs()))?;
        let mut places = Array2::<f32>::zeros((targets.nrows(), self.width()));
        for first in (0..self.outputs()).step_by(BLOCK_COLUMNS) {
            let block = block_of(targets, first, Some(&self.bias));
            let decoder = self.decoder.slice(s![.., first..first + block.ncols()]).as_standard_layout().into_owned();
            places += &product(matrix(&block), matrix(&decoder).transpose());
        }
        self.less_overlap(places)
    }

    /// `projections` (D Dᵀ)⁺, without the directions whose eigenvalue is below [`LEAST_USED`] of the largest: the ridge
    /// would have to reach far along them for a change of the tokens that nobody sees.
    fn less_overlap(&self, projections: Array2<f32>) -> Result<Array2<f32>, RidgeError> {
        let overlap = gram(self.decoder.view(), None);
        let failed = |_| RidgeError::Eigen { trials: self.width() };
        let eigen = matrix(&overlap).self_adjoint_eigen(Side::Lower).map_err(failed)?;
        let (values, vectors) = (eigen.S().column_vector(), eigen.U());
        let least = LEAST_USED * values[self.width() - 1];
        let inverse = |i: usize| if values[i] > least { values[i].recip() } else { 0.0 };
        let along = product(matrix(&projections.mapv(f64::from)), vectors);
        let shrunk = Array2::from_shape_fn(along.dim(), |(row, i)| along[[row, i]] * inverse(i));
        Ok(product(matrix(&shrunk), vectors.transpose()).mapv(|place| place as f32))
    }

    /// Outputs f32[rows, outputs] at `places`, f32[rows, width].
    ///
    /// # Errors
    /// [`RidgeError::Disagree`] when the places have another width.
    pub fn outputs_at(&self, places: &Array2<f32>) -> Result<Array2<f32>, RidgeError> {
        require_equal("dimensions", ("a place", places.ncols()), ("the shared space", self.width()))?;
        let mut out = product(matrix(places), matrix(&self.decoder));
        out.rows_mut().into_iter().for_each(|mut row| row.iter_mut().zip(&self.bias).for_each(|(y, b)| *y += b));
        Ok(out)
    }
}

fn column_means(x: ArrayView2<'_, f32>) -> Vec<f32> {
    let mut mean = vec![0.0_f64; x.ncols()];
    let rows = x.nrows() as f64;
    x.rows().into_iter().for_each(|row| mean.iter_mut().zip(row).for_each(|(m, v)| *m += f64::from(*v) / rows));
    mean.into_iter().map(|m| m as f32).collect()
}

/// `left` (X − 1 biasᵀ), block by block of columns.
fn times_blocks(left: &Array2<f32>, x: ArrayView2<'_, f32>, bias: &[f32]) -> Array2<f32> {
    let mut out = Array2::zeros((left.nrows(), x.ncols()));
    for first in (0..x.ncols()).step_by(BLOCK_COLUMNS) {
        let block = product(matrix(left), matrix(&block_of(x, first, Some(bias))));
        out.slice_mut(s![.., first..first + block.ncols()]).assign(&block);
    }
    out
}
