//! A safetensors file as it lies on the disk: mapped, not read, its header checked once; the one door for every reader here.

use crate::training_folder::map_file;
use memmap2::Mmap;
use safetensors::tensor::SafeTensors;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;

/// Ends of names under which pickles come.
const PICKLES: [&str; 5] = ["pth", "pt", "bin", "ckpt", "pkl"];

/// A mapped file whose header is sound.
pub(crate) struct Mapped {
    map: Mmap,
}

/// Why a file cannot be opened; its reader adds the path.
#[derive(Debug)]
pub(crate) enum Unopened {
    /// It is not there.
    Missing(std::io::Error),
    /// It runs code when opened.
    Pickle,
    /// The system refused.
    System(std::io::Error),
    /// Its header is not one.
    Broken(String),
}

impl Mapped {
    /// Opens the file at `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, Unopened> {
        let map = map_file(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Unopened::Missing(error),
            _ => Unopened::System(error),
        })?;
        let has_pickle_name = path.extension().is_some_and(|end| PICKLES.iter().any(|pickle| end == *pickle));
        let begins_as_pickle =
            map.get(8) != Some(&b'{') && (map.starts_with(&[0x80]) || map.starts_with(b"PK\x03\x04"));
        if has_pickle_name || begins_as_pickle {
            return Err(Unopened::Pickle);
        }
        SafeTensors::deserialize(&map)
            .map_err(|error| Unopened::Broken(format!("not a whole safetensors file: {error}")))?;
        Ok(Self { map })
    }

    /// Its tensors.
    pub(crate) fn tensors(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.map).expect("checked when it was opened, and the map does not change")
    }

    /// The text entries of its header.
    pub(crate) fn metadata(&self) -> HashMap<String, String> {
        let (_, header) = SafeTensors::read_metadata(&self.map).expect("checked when it was opened");
        header.metadata().clone().unwrap_or_default()
    }
}
