//! Which images are for testing: whole images, by a file, by the source, or by a seeded hash of their names.

use crate::training_folder::Split;
use mindeye_config::sha256_of_bytes;
use mindeye_preprocess::bids::{BidsError, Table};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Where the split comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum SplitChoice {
    /// A table with the columns `image` and `split`.
    File(PathBuf),
    /// As the source says; an importer refuses where its source says nothing.
    Source,
    /// About this share of the images to test, by a hash of seed and name.
    Hash {
        /// Seed.
        seed: u64,
        /// Share of images, between 0 and 1.
        test_share: f64,
    },
}

/// Why a split cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    /// The table is malformed.
    #[error(transparent)]
    Table(#[from] BidsError),
    /// The table does not name all images.
    #[error("{}: {missing} of {images} images have no split, first `{first}`", path.display())]
    Incomplete {
        /// The table.
        path: PathBuf,
        /// Images without a line.
        missing: usize,
        /// Images in all.
        images: usize,
        /// The first of them.
        first: String,
    },
    /// One part would be empty.
    #[error("the split of {images} images has {test} for testing and {train} for training; name another seed or share")]
    Empty {
        /// Images in all.
        images: usize,
        /// For testing.
        test: usize,
        /// For training.
        train: usize,
    },
}

/// The split of each of `images` by the table at `path`; lines about other images are of no concern.
pub(crate) fn split_of_file(path: &Path, images: &BTreeSet<String>) -> Result<BTreeMap<String, Split>, SplitError> {
    let table = Table::read(path)?;
    let mut split = BTreeMap::new();
    for row in table.rows() {
        let missing = |column: &str| row.wrong(column, "is missing or empty".into());
        let image = row.cell("image").ok_or_else(|| missing("image"))?;
        let word = row.cell("split").ok_or_else(|| missing("split"))?;
        let part = Split::named(word)
            .ok_or_else(|| row.wrong("split", format!("must be train, validation or test, found `{word}`")))?;
        if split.insert(image.to_owned(), part).is_some_and(|before| before != part) {
            return Err(row.wrong("image", format!("`{image}` has two splits; an image is in one part whole")).into());
        }
    }
    let without: Vec<&String> = images.iter().filter(|image| !split.contains_key(*image)).collect();
    if let Some(first) = without.first() {
        let (missing, first) = (without.len(), (*first).clone());
        return Err(SplitError::Incomplete { path: path.to_owned(), missing, images: images.len(), first });
    }
    Ok(split)
}

/// Image by image: test when SHA-256 of `seed:image`, as a share of its range, is below `test_share`. An image keeps its
/// part when others come or go.
///
/// # Errors
/// [`SplitError::Empty`].
pub fn seeded_split(
    images: &BTreeSet<String>,
    seed: u64,
    test_share: f64,
) -> Result<BTreeMap<String, Split>, SplitError> {
    let part = |image: &String| {
        let digest = sha256_of_bytes(format!("{seed}:{image}").as_bytes());
        let first = u64::from_str_radix(&digest.0[..16], 16).expect("a digest is hexadecimal");
        if (first as f64) < test_share * 2f64.powi(64) { Split::Test } else { Split::Train }
    };
    let split: BTreeMap<String, Split> = images.iter().map(|image| (image.clone(), part(image))).collect();
    let test = split.values().filter(|part| **part == Split::Test).count();
    if test == 0 || test == images.len() {
        return Err(SplitError::Empty { images: images.len(), test, train: images.len() - test });
    }
    Ok(split)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(count: usize) -> BTreeSet<String> {
        (0..count).map(|i| format!("img{i}")).collect()
    }

    #[test]
    fn an_image_keeps_its_part_when_others_come() {
        let (few, many) = (seeded_split(&images(200), 1, 0.2).unwrap(), seeded_split(&images(400), 1, 0.2).unwrap());
        assert!(few.iter().all(|(image, part)| many[image] == *part));
        let test = many.values().filter(|part| **part == Split::Test).count();
        // 80 expected, SD 8; five SD.
        assert!((40..=120).contains(&test), "{test}");
        assert_ne!(many, seeded_split(&images(400), 2, 0.2).unwrap());
    }

    #[test]
    fn a_part_without_images_is_refused() {
        let error = seeded_split(&images(3), 1, 1e-9).unwrap_err();
        assert!(error.to_string().contains("3 images has 0 for testing and 3"), "{error}");
    }

    #[test]
    fn a_split_file_names_every_image_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("split.tsv");
        let cases = [
            ("image\tsplit\nimg0\ttrain\n", "1 of 2 images have no split, first `img1`"),
            ("image\tsplit\nimg0\ttrain\nimg0\ttest\nimg1\ttest\n", "line 3: column `image` `img0` has two splits"),
            ("image\tsplit\nimg0\tlearn\n", "must be train, validation or test, found `learn`"),
        ];
        for (text, expected) in cases {
            std::fs::write(&path, text).unwrap();
            let message = split_of_file(&path, &images(2)).unwrap_err().to_string();
            assert!(message.contains(expected), "{message} should say {expected}");
        }
    }
}
