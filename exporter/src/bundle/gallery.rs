//! A gallery goes into a bundle as `mindeye-export gallery` made it, if its vectors are as wide as the model's tokens.

use super::parts::same;
use crate::ExportError;
use crate::gallery::COARSE;
use crate::staging::{make_folder, unwritable};
use crate::weights::Weights;
use mindeye_config::GalleryEntry;
use std::path::Path;

const VECTORS: &str = "vectors.safetensors";
const INDEX: &str = "index.tsv";
const MANIFEST: &str = "manifest.toml";

/// Copies the gallery `from` into `folder/gallery`; its vectors must be as long as `tokens` [T, D] together.
///
/// # Errors
/// A file that is missing or cannot be copied, vectors of another width or number.
pub(super) fn copy_gallery(from: &Path, folder: &Path, tokens: &[usize]) -> Result<GalleryEntry, ExportError> {
    if !from.is_dir() {
        return Err(ExportError::NoSuchFile { path: from.to_path_buf() });
    }
    let index = read(from, INDEX)?;
    let vectors = Weights::open(&from.join(VECTORS))?;
    let shape = [vectors.size("vectors", 0), vectors.size("vectors", 1)];
    let count = index.lines().count().saturating_sub(1);
    let width: usize = tokens.iter().product();
    same(vectors.path(), "shape of `vectors`".into(), &shape, format!("{INDEX} and the backbone"), &[count, width])?;

    let to = make_folder(folder, "gallery")?;
    let thumbs = make_folder(&to, "thumbs")?;
    for name in [VECTORS, INDEX] {
        copy(&from.join(name), &to.join(name))?;
    }
    for line in index.lines().skip(1) {
        let thumb = format!("{}.png", line.split('\t').next().unwrap_or_default());
        copy(&from.join("thumbs").join(&thumb), &thumbs.join(&thumb))?;
    }
    let coarse = copy_coarse(from, &to, &[count, width])?;
    Ok(GalleryEntry { count, vectors_from: vectors_from(from)?, coarse })
}

/// The coarse vectors of [count, width] ones, where the gallery has them; how many numbers each has.
fn copy_coarse(from: &Path, to: &Path, [count, width]: &[usize; 2]) -> Result<Option<usize>, ExportError> {
    let path = from.join(COARSE);
    if !path.exists() {
        return Ok(None);
    }
    let file = Weights::open(&path)?;
    let dimensions = file.size("axes", 0);
    let found = [file.size("axes", 1), file.size("vectors", 0), file.size("vectors", 1)];
    same(&path, "width of `axes`, shape of `vectors`".into(), &found, VECTORS.into(), &[*width, *count, dimensions])?;
    copy(&path, &to.join(COARSE))?;
    Ok(Some(dimensions))
}

/// What the gallery's own manifest says of its encoder.
fn vectors_from(from: &Path) -> Result<String, ExportError> {
    let text = read(from, MANIFEST)?;
    let wrong = |message: String| ExportError::Setting { path: from.join(MANIFEST), key: "encoder", message };
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| wrong(e.message().to_owned()))?;
    let told = |key: &str| table.get(key).and_then(toml::Value::as_str);
    let (Some(encoder), Some(digest)) = (told("encoder"), told("encoder_sha256")) else {
        return Err(wrong("`encoder` and `encoder_sha256` must be text".into()));
    };
    Ok(format!("{encoder} (sha256 {digest})"))
}

fn read(from: &Path, name: &str) -> Result<String, ExportError> {
    let path = from.join(name);
    if !path.exists() {
        return Err(ExportError::Incomplete { folder: from.to_path_buf(), file: name.to_owned() });
    }
    std::fs::read_to_string(&path).map_err(|source| ExportError::Unreadable { path, source })
}

fn copy(from: &Path, to: &Path) -> Result<(), ExportError> {
    if !from.exists() {
        let (folder, file) = (from.parent().unwrap_or(from), from.file_name().unwrap_or_default().to_string_lossy());
        return Err(ExportError::Incomplete { folder: folder.to_path_buf(), file: file.into_owned() });
    }
    std::fs::copy(from, to).map(drop).map_err(unwritable(to))
}
