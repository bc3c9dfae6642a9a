//! An approximate index of coarse vectors for more than 2 million pictures: usearch's graph, mapped from its file.
//!
//! Kept as f16, 2 kB for 1,024 numbers, plus the graph's links; a search reads some hundred vectors of it.

use super::GalleryError;
use super::index::CoarseIndex;
use std::path::Path;
use usearch::{Index, IndexOptions, MetricKind, ScalarKind};

/// A graph over inner products.
pub struct UsearchIndex {
    index: Index,
}

impl UsearchIndex {
    /// Builds the graph of `vectors`, f32[items, dimensions], and writes it to the file `path`. Its order of insertion is
    /// the items', so equal vectors give equal graphs.
    ///
    /// # Errors
    /// [`GalleryError::Size`] for none or a broken last one, [`GalleryError::Index`] from the library.
    pub fn build(vectors: &[f32], dimensions: usize, path: &Path) -> Result<(), GalleryError> {
        let items = vectors.len().checked_div(dimensions).unwrap_or(0);
        if items == 0 || items * dimensions != vectors.len() {
            return Err(GalleryError::Size { ids: items, values: vectors.len(), width: dimensions });
        }
        let index = Index::new(&options(dimensions)).map_err(failed)?;
        index.reserve(items).map_err(failed)?;
        for (item, vector) in vectors.chunks(dimensions).enumerate() {
            index.add(item as u64, vector).map_err(failed)?;
        }
        index.save(&path.to_string_lossy()).map_err(failed)
    }

    /// Maps the file at `path`, a graph of vectors of `dimensions` numbers; it must not change while it is open.
    ///
    /// # Errors
    /// [`GalleryError::Width`] for another number of dimensions, [`GalleryError::Index`] from the library.
    pub fn view(path: &Path, dimensions: usize) -> Result<Self, GalleryError> {
        let index = Index::new(&options(dimensions)).map_err(failed)?;
        index.view(&path.to_string_lossy()).map_err(failed)?;
        let found = index.dimensions();
        if found != dimensions {
            return Err(GalleryError::Width { expected: dimensions, found });
        }
        Ok(Self { index })
    }
}

impl CoarseIndex for UsearchIndex {
    fn items(&self) -> usize {
        self.index.size()
    }

    fn nearest(&self, query: &[f32], k: usize) -> Result<Vec<(usize, f32)>, GalleryError> {
        let expected = self.index.dimensions();
        if query.len() != expected {
            return Err(GalleryError::Width { expected, found: query.len() });
        }
        let matches = self.index.search(query, k).map_err(failed)?;
        // Its distance is 1 - the inner product.
        let found = matches.keys.iter().zip(&matches.distances);
        Ok(found.map(|(item, distance)| (*item as usize, 1.0 - distance)).collect())
    }
}

/// The library's defaults for connectivity and expansion, which 0 stands for.
fn options(dimensions: usize) -> IndexOptions {
    IndexOptions { dimensions, metric: MetricKind::IP, quantization: ScalarKind::F16, ..IndexOptions::default() }
}

fn failed(error: impl std::fmt::Display) -> GalleryError {
    GalleryError::Index { message: error.to_string().trim().replace('\n', "; ") }
}
