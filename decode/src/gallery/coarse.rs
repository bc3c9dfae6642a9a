//! A short vector for a first look: the directions of most variance of the centred tokens.
//!
//! 257 x 768 numbers are 0.79 MB a picture, and a million of them no memory holds. Their inner products are kept well by
//! some hundred directions, found by a randomised subspace iteration (Halko, Martinsson and Tropp 2011, arXiv 0909.4061):
//! only the span matters for inner products, so no eigenvectors are asked for.

use super::exact::{Gallery, GalleryError, dot};
use crate::noise::standard_normal;

/// Pictures that a fit looks at, evenly spread over the gallery.
const SAMPLE: usize = 4096;
/// Passes over the sample, each of which sharpens the span.
const PASSES: usize = 2;
/// Most dimensions of a coarse vector.
pub(super) const MOST_DIMENSIONS: usize = 1024;
/// A direction that keeps less than this of its length lies in the span of those before it.
const IN_SPAN: f64 = 1e-5;

/// Orthonormal axes f32[dimensions, width] in the space of centred directions.
#[derive(Debug, Clone, PartialEq)]
pub struct CoarseProjection {
    axes: Vec<f32>,
    width: usize,
}

impl CoarseProjection {
    /// The axes of a file, f32[dimensions, width]. They must be orthonormal.
    ///
    /// # Errors
    /// [`GalleryError::Size`] for no axes, more than 1,024, or a broken last one.
    pub fn new(axes: Vec<f32>, width: usize) -> Result<Self, GalleryError> {
        let dimensions = axes.len().checked_div(width).unwrap_or(0);
        if dimensions == 0 || dimensions > MOST_DIMENSIONS || axes.len() != dimensions * width {
            return Err(GalleryError::Size { ids: dimensions, values: axes.len(), width });
        }
        Ok(Self { axes, width })
    }

    /// Fits at most `dimensions` axes to `gallery`; equal galleries and seeds give equal bytes. Fewer come out where the
    /// pictures span fewer.
    ///
    /// # Errors
    /// [`GalleryError::Size`] for 0 or more than 1,024 dimensions.
    pub fn fit(gallery: &Gallery, dimensions: usize, seed: u64) -> Result<Self, GalleryError> {
        if !(1..=MOST_DIMENSIONS).contains(&dimensions) {
            return Err(GalleryError::Size { ids: dimensions, values: 0, width: gallery.width() });
        }
        let stride = gallery.len().div_ceil(SAMPLE);
        let sample: Vec<&[f32]> = (0..gallery.len()).step_by(stride).map(|item| gallery.direction(item)).collect();
        let random = standard_normal(seed, dimensions * sample.len());
        let mut axes = orthonormal(combinations(&sample, &random, gallery.width()), gallery.width());
        for _ in 0..PASSES {
            let rows = axes.chunks(gallery.width());
            let weights: Vec<f32> =
                rows.flat_map(|axis| sample.iter().map(|item| dot(item, axis) as f32).collect::<Vec<_>>()).collect();
            axes = orthonormal(combinations(&sample, &weights, gallery.width()), gallery.width());
        }
        Self::new(axes, gallery.width())
    }

    /// Axes f32[dimensions, width], as a file keeps them.
    #[must_use]
    pub fn axes(&self) -> &[f32] {
        &self.axes
    }

    /// Numbers of a coarse vector.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.axes.len() / self.width
    }

    /// The coarse vector of a centred direction.
    #[must_use]
    pub fn apply(&self, direction: &[f32]) -> Vec<f32> {
        self.axes.chunks(self.width).map(|axis| dot(axis, direction) as f32).collect()
    }

    /// The coarse vectors of all items, f32[items, dimensions].
    #[must_use]
    pub fn apply_to_all(&self, gallery: &Gallery) -> Vec<f32> {
        (0..gallery.len()).flat_map(|item| self.apply(gallery.direction(item))).collect()
    }
}

/// Σ weight · item for each row of `weights`, f32[rows, items].
fn combinations(items: &[&[f32]], weights: &[f32], width: usize) -> Vec<f32> {
    let mut sums = Vec::with_capacity(weights.len() / items.len() * width);
    for row in weights.chunks(items.len()) {
        let mut sum = vec![0.0_f32; width];
        for (item, weight) in items.iter().zip(row) {
            sum.iter_mut().zip(*item).for_each(|(s, v)| *s += weight * v);
        }
        sums.extend(sum);
    }
    sums
}

/// Gram and Schmidt, modified, twice over, which makes up for the rounding of once. Rows that add no direction are left
/// out.
fn orthonormal(rows: Vec<f32>, width: usize) -> Vec<f32> {
    let mut axes: Vec<f32> = Vec::with_capacity(rows.len());
    for row in rows.chunks(width) {
        let mut rest = row.to_vec();
        let length = dot(&rest, &rest).sqrt();
        for _ in 0..2 {
            for axis in axes.chunks(width) {
                let along = dot(axis, &rest) as f32;
                rest.iter_mut().zip(axis).for_each(|(r, a)| *r -= along * a);
            }
        }
        let left = dot(&rest, &rest).sqrt();
        if left > IN_SPAN * length {
            axes.extend(rest.iter().map(|v| (f64::from(*v) / left) as f32));
        }
    }
    axes
}
