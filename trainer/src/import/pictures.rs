//! Pictures in a folder, one for each image.

use super::ImportError;
use crate::dataset_write::PictureSource;
use std::collections::BTreeSet;
use std::path::Path;

/// The picture files of `images` in `folder`.
///
/// # Errors
/// [`ImportError::Missing`] naming the first image without one.
pub(super) fn of_folder(folder: &Path, images: &BTreeSet<String>) -> Result<Vec<(String, PictureSource)>, ImportError> {
    let find = |image: &String| {
        let candidates = ["png", "jpg", "jpeg"].map(|end| folder.join(format!("{image}.{end}")));
        let found = candidates.into_iter().find(|path| path.is_file());
        let missing = || ImportError::Missing {
            path: folder.join(format!("{image}.png")),
            needed: "every image needs a picture",
        };
        Ok((image.clone(), PictureSource::File(found.ok_or_else(missing)?)))
    };
    images.iter().map(find).collect()
}
