//! A weights file, memory-mapped and read strictly: what a network needs is there, fits and is finite, and nothing
//! else is.
//!
//! ```text
//!   .safetensors ──map──► header ──names──► Weights ──fit(Layout)──► StateDict ──► graph, reference
//!                                              └─ missing, extra, mis-shaped, NaN: one error that lists all
//! ```

mod header;
mod layout;
mod map;
mod misfit;
mod names;
mod pickle;
mod state_dict;
mod tensor;

pub use layout::{Entry, Layout};
pub(crate) use map::map;
pub use misfit::{Misfit, Misshaped};
pub use pickle::CONVERSION;
pub(crate) use pickle::has_pickle_name;
pub use state_dict::{SetAside, StateDict};
pub use tensor::{Storage, Tensor};

use crate::ExportError;
use mindeye_config::{Sha256, sha256_of_bytes};
use safetensors::Dtype;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The largest size that is believed: products of two of them cannot overflow.
const LARGEST_SIZE: usize = 1 << 31;

/// The tensors of one safetensors file, under their canonical names.
pub struct Weights {
    path: PathBuf,
    bytes: Bytes,
    tensors: BTreeMap<String, Stored>,
    metadata: HashMap<String, String>,
}

/// The bytes of a weights file: in the file, or made here.
enum Bytes {
    Mapped(memmap2::Mmap),
    Made(Vec<u8>),
}

impl std::ops::Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Made(bytes) => bytes,
        }
    }
}

/// Where a tensor lies in the file.
struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    range: Range<usize>,
}

impl Weights {
    /// Maps the safetensors file at `path`.
    ///
    /// # Errors
    /// No such file, a pickle (with the command that converts it), a damaged header, one tensor under two names.
    pub fn open(path: &Path) -> Result<Self, ExportError> {
        if !path.exists() {
            return Err(ExportError::NoSuchFile { path: path.to_path_buf() });
        }
        let map = map(path).map_err(|source| ExportError::Unreadable { path: path.to_path_buf(), source })?;
        Self::from_storage(path, Bytes::Mapped(map))
    }

    /// Reads the bytes of a safetensors file that was made here; `path` is only for messages.
    ///
    /// # Errors
    /// As [`Weights::open`].
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Self, ExportError> {
        Self::from_storage(path, Bytes::Made(bytes))
    }

    fn from_storage(path: &Path, bytes: Bytes) -> Result<Self, ExportError> {
        let path = path.to_path_buf();
        if pickle::is_pickle(&path, &bytes) {
            return Err(ExportError::Pickle { path });
        }
        let header = match header::read(&bytes) {
            Ok(header) => header,
            Err(message) => return Err(ExportError::BadHeader { path, message }),
        };
        let mut tensors = BTreeMap::new();
        for (stored_name, info) in header.tensors {
            let key = names::canonical(&stored_name);
            let shape = names::canonical_shape(&key, &info.shape);
            let stored = Stored { dtype: info.dtype, shape, range: info.data_offsets.0..info.data_offsets.1 };
            if tensors.insert(key.clone(), stored).is_some() {
                return Err(ExportError::BadHeader {
                    path,
                    message: format!("tensor `{key}` is stored under two names"),
                });
            }
        }
        Ok(Self { path, bytes, tensors, metadata: header.metadata })
    }

    /// The file, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The free-form text entries of the file's header.
    #[must_use]
    pub fn metadata(&self) -> &HashMap<String, String> {
        &self.metadata
    }

    /// Digest of the whole file.
    #[must_use]
    pub fn sha256(&self) -> Sha256 {
        sha256_of_bytes(&self.bytes)
    }

    /// The canonical names of all tensors.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Size of `axis` of the tensor `key`; 0, "not told", when there is no such tensor or axis, or when the tensor is
    /// empty or longer along this axis than any network is wide, which only a damaged file is.
    #[must_use]
    pub fn size(&self, key: &str, axis: usize) -> usize {
        let Some(stored) = self.tensors.get(key).filter(|stored| !stored.range.is_empty()) else { return 0 };
        stored.shape.get(axis).copied().filter(|size| *size <= LARGEST_SIZE).unwrap_or(0)
    }

    /// The first size that any of `places` (tensor, axis) tells; 0 when none does.
    #[must_use]
    pub fn first_size(&self, places: &[(&str, usize)]) -> usize {
        places.iter().map(|(key, axis)| self.size(key, *axis)).find(|size| *size > 0).unwrap_or(0)
    }

    /// The different numbers that follow `prefix` in the keys, in order: `mlp.` of `mlp.0.*`, `mlp.1.*`, ...
    #[must_use]
    pub fn numbers(&self, prefix: &str) -> Vec<usize> {
        let after = self.keys().filter_map(|key| key.strip_prefix(prefix)?.split('.').next());
        after.filter_map(|part| part.parse().ok()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// How many different numbers follow `prefix` in the keys.
    #[must_use]
    pub fn count(&self, prefix: &str) -> usize {
        self.numbers(prefix).len()
    }
}
