//! Coarse vectors of a gallery, for a first look: the directions of most variance of its centred tokens.
//!
//! They go beside the vectors, into `coarse.safetensors`: `axes` f32[dimensions, width], orthonormal, and `vectors`
//! f32[items, dimensions]. Of 1,000 pictures or fewer there is no use in them: the second look takes as many.

use crate::ExportError;
use crate::staging::write;
use crate::weights::Weights;
use mindeye_decode::{CoarseProjection, Gallery};
use safetensors::tensor::{Dtype, TensorView};
use std::path::Path;

/// The file.
pub const COARSE: &str = "coarse.safetensors";
/// Seed of the fit.
const SEED: u64 = 1;

/// Fits at most `dimensions` (1 to 1,024) coarse numbers to the gallery in `folder`, as `mindeye-export gallery` makes it,
/// and writes them into it; how many there are. Fewer come out where the pictures span fewer.
///
/// # Errors
/// A file that is missing or wrong, another number of dimensions, a full disk.
pub fn write_coarse(folder: &Path, dimensions: usize) -> Result<usize, ExportError> {
    let path = folder.join("vectors.safetensors");
    let file = Weights::open(&path)?;
    let wrong = |message: String| ExportError::Setting { path: path.clone(), key: "vectors", message };
    let vectors = file.float_tensor("vectors").ok_or_else(|| wrong("is missing, or not of floats".into()))?;
    let width = vectors.shape[1..].iter().product();
    let ids = (0..vectors.shape[0]).map(|item| item.to_string()).collect();
    let refused = |error: mindeye_decode::GalleryError| wrong(error.to_string());
    let gallery = Gallery::new(ids, &vectors.values().collect::<Vec<f32>>(), width, folder).map_err(refused)?;
    let flag = |error: mindeye_decode::GalleryError| ExportError::Flag { flag: "--coarse", message: error.to_string() };
    let projection = CoarseProjection::fit(&gallery, dimensions, SEED).map_err(flag)?;
    let (axes, coarse) = (projection.axes(), projection.apply_to_all(&gallery));
    let tensors = [
        ("axes", [projection.dimensions(), width], bytes(axes)),
        ("vectors", [gallery.len(), projection.dimensions()], bytes(&coarse)),
    ];
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).expect("as many numbers as the shape says"))
    });
    let file = safetensors::serialize(views, None).expect("a header with two names is far below the format's limit");
    write(folder, COARSE, file)?;
    Ok(projection.dimensions())
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}
