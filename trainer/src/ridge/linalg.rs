//! Products of matrices on all cores of the caller's pool: `faer` computes, `ndarray` keeps.

use faer::linalg::matmul;
use faer::linalg::matmul::triangular::BlockStructure;
use faer::traits::ComplexField;
use faer::{Accum, MatMut, MatRef, Par};
use ndarray::{Array2, ArrayView2};

/// Columns that are copied, centred and multiplied at once: 32 MB of f32 at 1,000 rows.
pub(crate) const BLOCK_COLUMNS: usize = 8192;

/// A B.
///
/// # Panics
/// When A has not as many columns as B rows.
#[must_use]
pub fn product<T: ComplexField + From<u8>>(a: MatRef<'_, T>, b: MatRef<'_, T>) -> Array2<T>
where
    Array2<T>: Zeroed,
{
    let mut out = Array2::zeroed(a.nrows(), b.ncols());
    product_into(&mut out, a, b);
    out
}

/// `out` = A B.
pub(crate) fn product_into<T: ComplexField + From<u8>>(out: &mut Array2<T>, a: MatRef<'_, T>, b: MatRef<'_, T>) {
    matmul::matmul(matrix_mut(out), Accum::Replace, a, b, T::from(1), Par::rayon(0));
}

/// X Xᵀ in f64, f64[rows, rows], of X f32[rows, columns]: products in f32 within blocks of columns, sums in f64 between
/// them; `centre`, one number per column, is taken off first. Half of it is computed, the other half mirrored.
#[must_use]
pub fn gram(x: ArrayView2<'_, f32>, centre: Option<&[f32]>) -> Array2<f64> {
    let rows = x.nrows();
    let mut sum = Array2::<f64>::zeros((rows, rows));
    let mut part = Array2::<f32>::zeros((rows, rows));
    for first in (0..x.ncols()).step_by(BLOCK_COLUMNS) {
        let block = block_of(x, first, centre);
        let block = matrix(&block);
        matmul::triangular::matmul(
            matrix_mut(&mut part),
            BlockStructure::TriangularLower,
            Accum::Replace,
            block,
            BlockStructure::Rectangular,
            block.transpose(),
            BlockStructure::Rectangular,
            1.0,
            Par::rayon(0),
        );
        sum.zip_mut_with(&part, |sum, part| *sum += f64::from(*part));
    }
    mirror_lower(&mut sum);
    sum
}

/// A Bᵀ in f64 of f32[rows, columns] each: products in f32 within blocks of columns, sums in f64 between them.
///
/// # Panics
/// When the columns differ in number.
#[must_use]
pub fn cross(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>) -> Array2<f64> {
    let mut sum = Array2::<f64>::zeros((a.nrows(), b.nrows()));
    for first in (0..a.ncols()).step_by(BLOCK_COLUMNS) {
        let (a, b) = (block_of(a, first, None), block_of(b, first, None));
        let part = product(matrix(&a), matrix(&b).transpose());
        sum.zip_mut_with(&part, |sum, part| *sum += f64::from(*part));
    }
    sum
}

/// Columns `first..first + BLOCK_COLUMNS` (or to the end) of `x` less `centre`, in one piece.
pub(crate) fn block_of(x: ArrayView2<'_, f32>, first: usize, centre: Option<&[f32]>) -> Array2<f32> {
    let end = (first + BLOCK_COLUMNS).min(x.ncols());
    let mut block = x.slice(ndarray::s![.., first..end]).as_standard_layout().into_owned();
    if let Some(centre) = centre {
        let centre = &centre[first..end];
        for mut row in block.rows_mut() {
            row.iter_mut().zip(centre).for_each(|(x, c)| *x -= c);
        }
    }
    block
}

fn mirror_lower(x: &mut Array2<f64>) {
    for row in 0..x.nrows() {
        for column in 0..row {
            x[[column, row]] = x[[row, column]];
        }
    }
}

/// A matrix in row-major order as `faer` sees it.
pub(crate) fn matrix<T>(x: &Array2<T>) -> MatRef<'_, T> {
    let values = x.as_slice().expect("arrays made here are in row-major order");
    MatRef::from_row_major_slice(values, x.nrows(), x.ncols())
}

fn matrix_mut<T>(x: &mut Array2<T>) -> MatMut<'_, T> {
    let (rows, columns) = x.dim();
    let values = x.as_slice_mut().expect("arrays made here are in row-major order");
    MatMut::from_row_major_slice_mut(values, rows, columns)
}

/// Arrays that can begin as zeros.
pub trait Zeroed {
    /// Zeros, [rows, columns].
    fn zeroed(rows: usize, columns: usize) -> Self;
}

impl Zeroed for Array2<f32> {
    fn zeroed(rows: usize, columns: usize) -> Self {
        Self::zeros((rows, columns))
    }
}

impl Zeroed for Array2<f64> {
    fn zeroed(rows: usize, columns: usize) -> Self {
        Self::zeros((rows, columns))
    }
}
