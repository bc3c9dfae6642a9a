//! A folder of photographs becomes a gallery: each picture through the CLIP image tower that the model was trained
//! against.
//!
//! Preprocessing is CLIP's own: shorter side to S by bicubic interpolation, centre crop, mean and SD of its training
//! set (spec: diffusion section 1.4).

use super::folder::{Item, write_gallery};
use crate::onnx::outline;
use crate::staging::{Staging, write};
use crate::{ExportError, Progress, Step};
use image::imageops::{FilterType, crop_imm, resize};
use image::{DynamicImage, RgbImage};
use mindeye_config::{EngineConfig, Name, Precision, Sha256, sha256_of_file};
use mindeye_engine::{Buffer, Engine, NetworkFile, Session, TensorSpec};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Mean of each colour in CLIP's training set, 0..1.
const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
/// Its standard deviation.
const SD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];
/// Side of a thumbnail, pixels.
const THUMB_SIDE: u32 = 128;
/// Extensions of pictures.
const PICTURES: [&str; 3] = ["png", "jpg", "jpeg"];

/// What a gallery holds; also its `manifest.toml`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GalleryReport {
    /// `mindeye-gallery/1`.
    pub format: &'static str,
    /// Pictures.
    pub count: usize,
    /// Tokens of a vector.
    pub tokens: usize,
    /// Width of a token.
    pub token_dim: usize,
    /// File name of the encoder.
    pub encoder: String,
    /// Digest of the encoder.
    pub encoder_sha256: Sha256,
}

/// Encodes every picture in `images` with the ONNX file `encoder` (`pixel_values` f32[1, 3, S, S] to `image_tokens`
/// f32[1, T, D]) and writes the gallery `out`.
///
/// # Errors
/// No pictures, a picture that cannot be read, an encoder of another kind, a missing ONNX Runtime.
pub fn encode_gallery(
    images: &Path,
    encoder: &Path,
    out: &Path,
    progress: &mut Progress<'_>,
) -> Result<GalleryReport, ExportError> {
    let staging = Staging::for_folder(out)?;
    let files = pictures_in(images)?;
    let mut encoder = Encoder::open(encoder)?;
    let mut items = Vec::new();
    let mut vectors = Vec::new();
    for (done, file) in files.iter().enumerate() {
        progress(Step { done, of: files.len(), what: &file.to_string_lossy() });
        let picture = image::open(file).map_err(|e| bad_picture(file, e.to_string()))?;
        vectors.extend(encoder.encode(file, &picture)?);
        items.push(item(file, &picture)?);
    }
    write_gallery(staging.path(), &items, &vectors)?;
    let report = encoder.report(items.len())?;
    let manifest = toml::to_string(&report).expect("a flat table of names and numbers is valid TOML");
    write(staging.path(), "manifest.toml", manifest)?;
    staging.keep_folder()?;
    Ok(report)
}

/// The pictures of a folder, sorted by name.
fn pictures_in(folder: &Path) -> Result<Vec<PathBuf>, ExportError> {
    if !folder.is_dir() {
        return Err(ExportError::NoSuchFile { path: folder.to_path_buf() });
    }
    let unreadable = |source| ExportError::Unreadable { path: folder.to_path_buf(), source };
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let is_picture = |path: &PathBuf| {
        let extension = path.extension().unwrap_or_default();
        PICTURES.iter().any(|known| extension.eq_ignore_ascii_case(known))
    };
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_picture).collect();
    files.sort();
    if files.is_empty() {
        return Err(bad_picture(folder, format!("holds no pictures ({})", PICTURES.join(", "))));
    }
    Ok(files)
}

fn item(file: &Path, picture: &DynamicImage) -> Result<Item, ExportError> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let id = Name::new(&stem).map_err(|e| bad_picture(file, e.to_string()))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    Ok(Item { id: id.into(), file: name.into_owned(), source: "folder".into(), thumb: square(picture, THUMB_SIDE) })
}

/// Shorter side to `side` by bicubic interpolation, then the centre.
fn square(picture: &DynamicImage, side: u32) -> RgbImage {
    let picture = picture.to_rgb8();
    let (width, height) = picture.dimensions();
    let shorter = width.min(height).max(1);
    let scaled =
        |length: u32| (f64::from(length) * f64::from(side) / f64::from(shorter)).round().max(f64::from(side)) as u32;
    let resized = resize(&picture, scaled(width), scaled(height), FilterType::CatmullRom);
    let (left, top) = ((resized.width() - side) / 2, (resized.height() - side) / 2);
    crop_imm(&resized, left, top, side, side).to_image()
}

/// CLIP's input: planes of red, green and blue, each normalised.
fn pixel_values(picture: &RgbImage) -> Vec<f32> {
    let plane = |c: usize| picture.pixels().map(move |p| (f32::from(p.0[c]) / 255.0 - MEAN[c]) / SD[c]);
    (0..3).flat_map(plane).collect()
}

/// An opened CLIP image tower.
struct Encoder {
    path: PathBuf,
    side: u32,
    engine: Box<dyn Engine>,
    session: Box<dyn Session>,
    pixels: Buffer,
    tokens: Buffer,
}

impl Encoder {
    fn open(path: &Path) -> Result<Self, ExportError> {
        let ends = outline(path)?;
        let wrong = |message: String| ExportError::BadModel { path: path.to_path_buf(), message };
        let spec = |(name, shape): &(String, Vec<usize>)| TensorSpec::new(name.as_str(), shape.as_slice());
        let (inputs, outputs): (Vec<_>, Vec<_>) =
            (ends.inputs.iter().map(spec).collect(), ends.outputs.iter().map(spec).collect());
        let side = match (&inputs[..], &outputs[..]) {
            ([pixels], [tokens]) if tokens.shape.len() == 3 => square_input(pixels),
            _ => None,
        };
        let wanted = "a CLIP tower takes `pixel_values` f32[1, 3, S, S] and gives `image_tokens` f32[1, T, D]";
        let side = side.ok_or_else(|| wrong(format!("{wanted}; this takes {inputs:?} and gives {outputs:?}")))?;
        let precision = Precision::Fp32; // the CPU's engine, which runs here, computes what the graph says in any case
        let network = NetworkFile { name: "clip-image".into(), path: path.to_path_buf(), precision, inputs, outputs };
        let engine = mindeye_engine::start(&EngineConfig::default())?;
        let session = engine.open(&network)?;
        let (pixels, tokens) = (engine.buffer(&network.inputs[0])?, engine.buffer(&network.outputs[0])?);
        Ok(Self { path: path.to_path_buf(), side, engine, session, pixels, tokens })
    }

    fn encode(&mut self, file: &Path, picture: &DynamicImage) -> Result<Vec<f32>, ExportError> {
        self.engine.upload(&mut self.pixels, &pixel_values(&square(picture, self.side)))?;
        self.session.run(&[&self.pixels], &mut [&mut self.tokens])?;
        let mut vector = vec![0.0; self.tokens.spec().element_count()];
        self.engine.download(&self.tokens, &mut vector)?;
        match vector.iter().all(|v| v.is_finite()) {
            true => Ok(vector),
            false => Err(bad_picture(file, format!("{} gives NaN or infinite tokens", self.path.display()))),
        }
    }

    fn report(&self, count: usize) -> Result<GalleryReport, ExportError> {
        let shape = &self.tokens.spec().shape;
        let unreadable = |source| ExportError::Unreadable { path: self.path.clone(), source };
        Ok(GalleryReport {
            format: "mindeye-gallery/1",
            count,
            tokens: shape[1],
            token_dim: shape[2],
            encoder: self.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            encoder_sha256: sha256_of_file(&self.path).map_err(unreadable)?,
        })
    }
}

/// Side of [1, 3, S, S].
fn square_input(pixels: &TensorSpec) -> Option<u32> {
    match pixels.shape[..] {
        [1, 3, height, width] if height == width && height > 0 => u32::try_from(height).ok(),
        _ => None,
    }
}

fn bad_picture(path: &Path, message: String) -> ExportError {
    ExportError::BadPicture { path: path.to_path_buf(), message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn a_picture_becomes_a_square_of_its_centre() {
        // Left third red, middle green, right blue: the centre square of 3:1 is all green.
        let wide = RgbImage::from_fn(96, 32, |x, _| {
            Rgb(match x / 32 {
                0 => [255, 0, 0],
                1 => [0, 255, 0],
                _ => [0, 0, 255],
            })
        });
        let centre = square(&DynamicImage::from(wide), 32);
        assert_eq!(centre.dimensions(), (32, 32));
        assert!(centre.pixels().all(|p| *p == Rgb([0, 255, 0])));
        assert_eq!(square(&DynamicImage::from(RgbImage::new(10, 30)), 8).dimensions(), (8, 8));
    }

    #[test]
    fn pixels_are_planes_normalised_as_clip_was_trained() {
        let values = pixel_values(&RgbImage::from_pixel(2, 1, Rgb([255, 0, 255])));
        let expected = [(1.0 - MEAN[0]) / SD[0], -MEAN[1] / SD[1], (1.0 - MEAN[2]) / SD[2]];
        assert_eq!(values, expected.map(|v| [v, v]).concat());
    }
}
