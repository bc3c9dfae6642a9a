//! The gallery of a bundle: vectors, an index that names them, and one thumbnail each.

use super::agreement::equal;
use super::{BundleError, MANIFEST, files};
use crate::tensors::{self, Tensor};
use crate::{CoarseIndex, CoarseProjection, ExactIndex, Gallery, TwoStageGallery};
use mindeye_config::{BundleManifest, Name};
use std::path::Path;
use std::sync::Arc;

const VECTORS: &str = "gallery/vectors.safetensors";
const INDEX: &str = "gallery/index.tsv";
const COARSE: &str = "gallery/coarse.safetensors";
#[cfg(feature = "usearch")]
const GRAPH: &str = "gallery/coarse.usearch";
const THUMBS: &str = "gallery/thumbs";
const HEADER: &str = "id\tfile\tsource";

/// The gallery that `manifest` declares, or none; gallery files without a declaration are refused.
pub(super) fn read(dir: &Path, manifest: &BundleManifest) -> Result<Option<Gallery>, BundleError> {
    let listed = files::unique(manifest.file.iter().map(|file| file.path.as_str()))?;
    let Some(entry) = &manifest.gallery else {
        return match listed.iter().find(|path| path.starts_with("gallery/")) {
            Some(path) => Err(malformed(MANIFEST, format!("lists `{path}` but has no [gallery]"))),
            None => Ok(None),
        };
    };
    files::require(&listed, VECTORS, "the gallery")?;
    files::require(&listed, INDEX, "the gallery")?;
    let ids = read_index(&dir.join(INDEX))?;
    equal(INDEX, "number of pictures", &ids.len(), MANIFEST, &entry.count)?;
    for id in &ids {
        files::require(&listed, &format!("{THUMBS}/{id}.png"), "the gallery")?;
    }
    let width = manifest.dimensions.tokens * manifest.dimensions.token_dim;
    let vectors = read_vectors(&dir.join(VECTORS), ids.len(), width)?;
    Ok(Some(Gallery::new(ids, &vectors, width, &dir.join(THUMBS))?))
}

/// The coarse vectors of `gallery` for a first look, where `manifest` declares them: `axes` f32[dimensions, width] and
/// `vectors` f32[items, dimensions], or beyond 2 million items `axes` and a graph.
pub(super) fn read_coarse(
    dir: &Path,
    manifest: &BundleManifest,
    gallery: Option<&Arc<Gallery>>,
) -> Result<Option<TwoStageGallery>, BundleError> {
    let declared = manifest.gallery.as_ref().and_then(|entry| entry.coarse);
    let (Some(dimensions), Some(gallery)) = (declared, gallery) else { return Ok(None) };
    let listed = files::unique(manifest.file.iter().map(|file| file.path.as_str()))?;
    files::require(&listed, COARSE, "gallery.coarse")?;
    let mut tensors = tensors::read(&dir.join(COARSE)).map_err(BundleError::malformed(COARSE))?;
    let axes = tensors.remove("axes").ok_or_else(|| malformed(COARSE, "`axes` is missing".into()))?;
    equal(COARSE, "shape of `axes`", &axes.shape[..], MANIFEST, &[dimensions, gallery.width()][..])?;
    let projection = CoarseProjection::new(axes.values, gallery.width())?;
    let index = match tensors.remove("vectors") {
        Some(vectors) => {
            equal(COARSE, "shape of `vectors`", &vectors.shape[..], MANIFEST, &[gallery.len(), dimensions][..])?;
            Box::new(ExactIndex::new(vectors.values, dimensions)?) as Box<dyn CoarseIndex>
        }
        None => graph(dir, dimensions)?,
    };
    Ok(Some(TwoStageGallery::new(gallery.clone(), projection, index)?))
}

#[cfg(feature = "usearch")]
fn graph(dir: &Path, dimensions: usize) -> Result<Box<dyn CoarseIndex>, BundleError> {
    Ok(Box::new(crate::UsearchIndex::view(&dir.join(GRAPH), dimensions)?))
}

#[cfg(not(feature = "usearch"))]
fn graph(_: &Path, _: usize) -> Result<Box<dyn CoarseIndex>, BundleError> {
    let problem = "has no `vectors`; a graph of more than 2 million needs a build with feature `usearch`";
    Err(malformed(COARSE, problem.into()))
}

/// The `id` column of the index: names, each once.
fn read_index(path: &Path) -> Result<Vec<String>, BundleError> {
    let text = std::fs::read_to_string(path).map_err(BundleError::unreadable(path))?;
    let mut lines = text.lines();
    equal(INDEX, "header", lines.next().unwrap_or_default(), "the format", HEADER)?;
    let ids: Vec<String> = lines.zip(2..).map(|(line, number)| read_row(line, number)).collect::<Result<_, _>>()?;
    files::unique(ids.iter().map(String::as_str)).map_err(|error| malformed(INDEX, error.to_string()))?;
    Ok(ids)
}

fn read_row(line: &str, number: usize) -> Result<String, BundleError> {
    let columns: Vec<&str> = line.split('\t').collect();
    let [id, _file, _source] = columns[..] else {
        return Err(malformed(INDEX, format!("line {number} has {} columns, the header 3", columns.len())));
    };
    let name = Name::new(id).map_err(|error| malformed(INDEX, format!("line {number}: {error}")))?;
    Ok(name.into())
}

/// `vectors` f32 or f16 [items, width], the only tensor of its file.
fn read_vectors(path: &Path, items: usize, width: usize) -> Result<Vec<f32>, BundleError> {
    let mut tensors = tensors::read(path).map_err(BundleError::malformed(VECTORS))?;
    let vectors = tensors.remove("vectors").ok_or_else(|| malformed(VECTORS, "`vectors` is missing".into()))?;
    if let Some(extra) = tensors.keys().next() {
        return Err(malformed(VECTORS, format!("holds `vectors` only, found `{extra}`")));
    }
    let Tensor { shape, values } = vectors;
    equal(VECTORS, "shape of `vectors`", &shape[..], MANIFEST, &[items, width][..])?;
    Ok(values)
}

fn malformed(path: &'static str, problem: String) -> BundleError {
    BundleError::Malformed { path, problem }
}
