//! Arrays of numbers in `.npy` files, mapped into memory.

use super::FolderError;
use memmap2::Mmap;
use ndarray::{ArrayView2, ArrayViewD, Ix2};
use ndarray_npy::ViewNpyExt;
use std::path::{Path, PathBuf};

/// A C-ordered little-endian f32 array of rank 2 or more, seen as a matrix: all axes after the first are columns.
pub struct NpyMap {
    path: PathBuf,
    map: Mmap,
    shape: Vec<usize>,
}

impl NpyMap {
    /// Maps the array at `path`.
    ///
    /// # Errors
    /// [`FolderError::Missing`], [`FolderError::File`], or [`FolderError::Format`] for another type or order, rank 1 or
    /// an axis of length 0.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        if !path.is_file() {
            return Err(FolderError::Missing { path: path.to_owned(), what: "file" });
        }
        let map = map_file(path).map_err(FolderError::file(path))?;
        let shape = {
            let view = ArrayViewD::<f32>::view_npy(&map)
                .map_err(|e| FolderError::format(path, format!("must be a little-endian float32 array: {e}")))?;
            if view.ndim() < 2 || view.is_empty() || !view.is_standard_layout() {
                let found = view.shape();
                return Err(FolderError::format(
                    path,
                    format!("must have two or more axes in C order, none of them empty, found {found:?}"),
                ));
            }
            view.shape().to_vec()
        };
        Ok(Self { path: path.to_owned(), map, shape })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Shape as stored.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// f32[rows, columns].
    #[must_use]
    pub fn view(&self) -> ArrayView2<'_, f32> {
        let view =
            ArrayViewD::<f32>::view_npy(&self.map).expect("checked when it was mapped, and the map does not change");
        let columns: usize = self.shape[1..].iter().product();
        view.into_shape_with_order((self.shape[0], columns))
            .and_then(|view| view.into_dimensionality::<Ix2>())
            .expect("C order was checked when it was mapped")
    }

    /// `Ok` when every number is finite.
    ///
    /// # Errors
    /// [`FolderError::NotFinite`] naming the first that is not.
    pub fn require_finite(&self) -> Result<(), FolderError> {
        for (row, values) in self.view().rows().into_iter().enumerate() {
            if let Some(column) = values.iter().position(|value| !value.is_finite()) {
                return Err(FolderError::NotFinite { path: self.path.clone(), row, column, value: values[column] });
            }
        }
        Ok(())
    }
}

/// Maps a whole file for reading.
#[expect(unsafe_code, reason = "a map of a file has no safe constructor")]
pub(crate) fn map_file(path: &Path) -> std::io::Result<Mmap> {
    let file = std::fs::File::open(path)?;
    // SAFETY: the map is only read; a file that another program cuts short meanwhile ends this program (SIGBUS), as with
    // every mapped file of weights or betas.
    unsafe { Mmap::map(&file) }
}
