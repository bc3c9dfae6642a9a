//! Reads HDF5 without its C library: only what NSD's files have (chunked, gzip, shuffled integers).

use super::ImportError;
use hdf5_reader::{Dataset, H5Type, Hdf5File, SliceInfo, SliceInfoElem};
use ndarray::ArrayD;
use std::path::{Path, PathBuf};

/// One array of an HDF5 file, read a stretch of its first axis at a time.
pub(super) struct Hdf5Array {
    path: PathBuf,
    dataset: Dataset,
}

impl Hdf5Array {
    /// Opens the array `name` of the file at `path`, which has `axes` axes.
    pub(super) fn open(path: &Path, name: &str, axes: usize) -> Result<Self, ImportError> {
        let file = Hdf5File::open(path).map_err(|e| ImportError::format(path, format!("is no HDF5 file: {e}")))?;
        let dataset = file.dataset(name).map_err(|e| ImportError::format(path, format!("no array `{name}`: {e}")))?;
        if dataset.ndim() != axes {
            let problem = format!("`{name}` must have {axes} axes, found {:?}", dataset.shape());
            return Err(ImportError::format(path, problem));
        }
        Ok(Self { path: path.to_owned(), dataset })
    }

    /// Sizes, slowest axis first (as h5py; MATLAB counts the other way round).
    pub(super) fn shape(&self) -> Vec<usize> {
        self.dataset.shape().iter().map(|size| *size as usize).collect()
    }

    /// Elements `first..end` of the first axis, all of the others.
    pub(super) fn read<T: H5Type>(&self, first: usize, end: usize) -> Result<ArrayD<T>, ImportError> {
        let mut selections = vec![SliceInfoElem::Slice { start: first as u64, end: end as u64, step: 1 }];
        selections.extend(self.shape()[1..].iter().map(|size| SliceInfoElem::Slice {
            start: 0,
            end: *size as u64,
            step: 1,
        }));
        let slice = self.dataset.read_slice::<T>(&SliceInfo { selections });
        slice.map_err(|e| ImportError::format(&self.path, format!("elements {first} to {end}: {e}")))
    }
}
