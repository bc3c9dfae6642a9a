//! Answers of an encoder by the digest of the picture: little-endian float32, with a digest of their own.

use super::EncodeError;
use mindeye_config::{Sha256, sha256_of_bytes};
use std::path::{Path, PathBuf};

/// Digits of a digest, in text.
const DIGITS: usize = 64;

/// One encoder's folder in the cache.
pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The part of the cache `folder` that belongs to the encoder of this digest; made if need be.
    pub(super) fn open(folder: &Path, encoder: &Sha256) -> Result<Self, EncodeError> {
        let folder = folder.join(&encoder.0);
        std::fs::create_dir_all(&folder).map_err(|source| EncodeError::File { path: folder.clone(), source })?;
        Ok(Self { folder })
    }

    /// The `numbers` numbers kept for `picture`. An entry that is damaged, or was cut off, is none.
    pub(super) fn find(&self, picture: &Sha256, numbers: usize) -> Result<Option<Vec<f32>>, EncodeError> {
        let path = self.place(picture);
        if !path.exists() {
            return Ok(None);
        }
        let bytes = std::fs::read(&path).map_err(|source| EncodeError::File { path, source })?;
        if bytes.len() != DIGITS + 4 * numbers {
            return Ok(None);
        }
        let (digest, values) = bytes.split_at(DIGITS);
        let is_whole = sha256_of_bytes(values).0.as_bytes() == digest;
        Ok(is_whole.then(|| values.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()))
    }

    /// Keeps `values` for `picture`.
    pub(super) fn keep(&self, picture: &Sha256, values: &[f32]) -> Result<(), EncodeError> {
        let values: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let bytes = [sha256_of_bytes(&values).0.as_bytes(), &values].concat();
        super::whole(&self.place(picture), |path| std::fs::write(path, bytes))
    }

    fn place(&self, picture: &Sha256) -> PathBuf {
        self.folder.join(format!("{}.f32", picture.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_is_found_and_what_is_damaged_or_of_another_size_is_not() {
        let home = tempfile::tempdir().unwrap();
        let (encoder, picture) = (sha256_of_bytes(b"encoder"), sha256_of_bytes(b"picture"));
        let cache = Cache::open(home.path(), &encoder).unwrap();
        assert_eq!(cache.find(&picture, 3).unwrap(), None);
        cache.keep(&picture, &[1.5, -2.0, 0.25]).unwrap();
        assert_eq!(cache.find(&picture, 3).unwrap(), Some(vec![1.5, -2.0, 0.25]));
        assert_eq!(cache.find(&picture, 4).unwrap(), None);
        let other = Cache::open(home.path(), &sha256_of_bytes(b"another")).unwrap();
        assert_eq!(other.find(&picture, 3).unwrap(), None, "another encoder has other answers");
        let mut bytes = std::fs::read(cache.place(&picture)).unwrap();
        bytes[70] ^= 1;
        std::fs::write(cache.place(&picture), bytes).unwrap();
        assert_eq!(cache.find(&picture, 3).unwrap(), None);
    }
}
