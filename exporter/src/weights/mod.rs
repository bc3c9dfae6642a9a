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
mod shards;
mod state_dict;
mod tensor;

pub use layout::{Entry, Layout};
pub(crate) use map::map;
pub use misfit::{Misfit, Misshaped};
pub use pickle::CONVERSION;
pub(crate) use pickle::has_pickle_name;
pub use state_dict::{SetAside, StateDict};
pub use tensor::{Numbers, Storage, Tensor};

use crate::ExportError;
use mindeye_config::{Sha256, sha256_of_bytes};
use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use shards::Shards;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The largest size that is believed: products of two of them cannot overflow.
const LARGEST_SIZE: usize = 1 << 31;

/// The tensors of a safetensors file, or of several that belong together, under their canonical names.
pub struct Weights {
    path: PathBuf,
    files: Vec<Bytes>,
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
    /// Which of the files.
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    range: Range<usize>,
}

impl Weights {
    /// Maps the safetensors file at `path`, or all files of the `.safetensors.index.json` at `path`.
    ///
    /// # Errors
    /// No such file, a pickle (with the command that converts it), a damaged header, one tensor under two names, an
    /// index that its files do not keep to.
    pub fn open(path: &Path) -> Result<Self, ExportError> {
        if !path.exists() {
            return Err(ExportError::NoSuchFile { path: path.to_path_buf() });
        }
        let shards = shards::shards(path)?;
        let mut files = Vec::new();
        for file in &shards.files {
            if !file.exists() {
                let (folder, name) = (file.with_file_name(""), file.file_name().unwrap_or_default().to_string_lossy());
                return Err(ExportError::Incomplete { folder, file: name.into_owned() });
            }
            let map = map(file).map_err(|source| ExportError::Unreadable { path: file.clone(), source })?;
            files.push(Bytes::Mapped(map));
        }
        Self::from_storage(path, &shards, files)
    }

    /// Reads the bytes of a safetensors file that was made here; `path` is only for messages.
    ///
    /// # Errors
    /// As [`Weights::open`].
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Self, ExportError> {
        let alone = Shards { files: vec![path.to_path_buf()], tensors: None };
        Self::from_storage(path, &alone, vec![Bytes::Made(bytes)])
    }

    fn from_storage(path: &Path, shards: &Shards, files: Vec<Bytes>) -> Result<Self, ExportError> {
        let mut weights =
            Self { path: path.to_path_buf(), files: Vec::new(), tensors: BTreeMap::new(), metadata: HashMap::new() };
        let mut found = BTreeSet::new();
        for (at, (file, bytes)) in shards.files.iter().zip(&files).enumerate() {
            if pickle::is_pickle(file, bytes) {
                return Err(ExportError::Pickle { path: file.clone() });
            }
            let wrong = |message| ExportError::BadHeader { path: file.clone(), message };
            let header = header::read(bytes).map_err(wrong)?;
            for (name, info) in header.tensors {
                shards.check_listed(at, &name).map_err(wrong)?;
                weights.insert(at, &name, &info).map_err(wrong)?;
                found.insert(name);
            }
            weights.metadata.extend(header.metadata);
        }
        shards.check_all_found(&found).map_err(|(path, message)| ExportError::BadHeader { path, message })?;
        weights.files = files;
        Ok(weights)
    }

    /// Takes in the tensor stored as `name` in file number `file`.
    fn insert(&mut self, file: usize, name: &str, info: &TensorInfo) -> Result<(), String> {
        let key = names::canonical(name);
        let shape = names::canonical_shape(&key, &info.shape);
        let stored = Stored { file, dtype: info.dtype, shape, range: info.data_offsets.0..info.data_offsets.1 };
        match self.tensors.insert(key.clone(), stored) {
            None => Ok(()),
            Some(_) => Err(format!("tensor `{key}` is stored under two names")),
        }
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

    /// Digest of the whole file; of several, of their digests one after the other.
    #[must_use]
    pub fn sha256(&self) -> Sha256 {
        match &self.files[..] {
            [alone] => sha256_of_bytes(alone),
            files => sha256_of_bytes(files.iter().map(|file| sha256_of_bytes(file).0).collect::<String>().as_bytes()),
        }
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
