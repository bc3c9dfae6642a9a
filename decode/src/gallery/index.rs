//! Where coarse vectors are searched: all of them, or in a graph.

use super::GalleryError;
use super::exact::dot;

/// Up to this many items all coarse vectors are compared: 2 million of 768 f16 numbers are 3 GB, some 50 ms of a
/// workstation's memory bandwidth (spec: diffusion section 8). Beyond, an index of another kind is asked for.
pub(super) const MOST_FOR_EXACT: usize = 2_000_000;

/// Coarse vectors that can be searched by inner product; a clustered engine is another implementation.
pub trait CoarseIndex: Send + Sync {
    /// Items.
    fn items(&self) -> usize;

    /// The `k` items with the largest inner products with `query`, best first, with them.
    ///
    /// # Errors
    /// [`GalleryError::Width`] for a query of another width, [`GalleryError::Index`] from a library.
    fn nearest(&self, query: &[f32], k: usize) -> Result<Vec<(usize, f32)>, GalleryError>;

    /// The inner product of every item, in the gallery's order; `None` from an index that looks at a part of them.
    ///
    /// # Errors
    /// As [`CoarseIndex::nearest`].
    fn scores(&self, query: &[f32]) -> Result<Option<Vec<f32>>, GalleryError> {
        let _ = query;
        Ok(None)
    }
}

/// Compares with every item.
#[derive(Debug, Clone)]
pub struct ExactIndex {
    vectors: Vec<f32>,
    dimensions: usize,
}

impl ExactIndex {
    /// An index of `vectors`, f32[items, dimensions].
    ///
    /// # Errors
    /// [`GalleryError::Size`] for none or a broken last one, [`GalleryError::TooMany`] beyond 2 million.
    pub fn new(vectors: Vec<f32>, dimensions: usize) -> Result<Self, GalleryError> {
        let items = vectors.len().checked_div(dimensions).unwrap_or(0);
        if items == 0 || items * dimensions != vectors.len() {
            return Err(GalleryError::Size { ids: items, values: vectors.len(), width: dimensions });
        }
        if items > MOST_FOR_EXACT {
            return Err(GalleryError::TooMany { items, most: MOST_FOR_EXACT });
        }
        Ok(Self { vectors, dimensions })
    }
}

impl ExactIndex {
    fn compare(&self, query: &[f32]) -> Result<Vec<f32>, GalleryError> {
        if query.len() != self.dimensions {
            return Err(GalleryError::Width { expected: self.dimensions, found: query.len() });
        }
        Ok(self.vectors.chunks(self.dimensions).map(|vector| dot(vector, query) as f32).collect())
    }
}

impl CoarseIndex for ExactIndex {
    fn items(&self) -> usize {
        self.vectors.len() / self.dimensions
    }

    fn nearest(&self, query: &[f32], k: usize) -> Result<Vec<(usize, f32)>, GalleryError> {
        let mut scored: Vec<(usize, f32)> = self.compare(query)?.into_iter().enumerate().collect();
        let better = |a: &(usize, f32), b: &(usize, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if k < scored.len() {
            scored.select_nth_unstable_by(k, better);
            scored.truncate(k);
        }
        scored.sort_unstable_by(better);
        Ok(scored)
    }

    fn scores(&self, query: &[f32]) -> Result<Option<Vec<f32>>, GalleryError> {
        self.compare(query).map(Some)
    }
}
