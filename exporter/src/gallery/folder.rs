//! A gallery on disk: `vectors.safetensors`, `index.tsv` and one thumbnail per picture.

use crate::ExportError;
use crate::staging::{make_folder, unwritable, write};
use image::RgbImage;
use safetensors::tensor::{Dtype, TensorView};
use std::path::Path;

/// One picture of a gallery.
pub struct Item {
    /// Its name: letters, digits, `_` and `-`.
    pub id: String,
    /// Where the picture comes from, as a file name.
    pub file: String,
    /// Where the picture comes from, for people.
    pub source: String,
    /// A small version for pages.
    pub thumb: RgbImage,
}

/// Writes `items` with `vectors` f32[items, width] into `folder`, which exists.
///
/// # Errors
/// What the file system says.
pub fn write_gallery(folder: &Path, items: &[Item], vectors: &[f32]) -> Result<(), ExportError> {
    write(folder, "vectors.safetensors", vectors_file(items.len(), vectors))?;
    let rows = items.iter().map(|item| format!("{}\t{}\t{}\n", item.id, item.file, item.source));
    write(folder, "index.tsv", format!("id\tfile\tsource\n{}", rows.collect::<String>()))?;
    let thumbs = make_folder(folder, "thumbs")?;
    for item in items {
        write_png(&thumbs.join(format!("{}.png", item.id)), &item.thumb)?;
    }
    Ok(())
}

fn vectors_file(items: usize, vectors: &[f32]) -> Vec<u8> {
    let bytes: Vec<u8> = vectors.iter().flat_map(|v| v.to_le_bytes()).collect();
    let shape = vec![items, vectors.len().checked_div(items).unwrap_or(0)];
    let view = TensorView::new(Dtype::F32, shape, &bytes).expect("every item has a vector of the same width");
    safetensors::serialize([("vectors", view)], None).expect("a header with one name is far below the format's limit")
}

fn write_png(path: &Path, picture: &RgbImage) -> Result<(), ExportError> {
    let other = |error: image::ImageError| unwritable(path)(std::io::Error::other(error));
    picture.save_with_format(path, image::ImageFormat::Png).map_err(other)
}
