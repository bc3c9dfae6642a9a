//! `mindeye-train targets`: image targets computed once from the folder's pictures, by an exported graph in ONNX Runtime.
//!
//! ```text
//!   images/<image>.png ──sha256──► cache? ──no──► prepared ─ encoder.onnx ─► cache ─┬─► targets.npy  f32[images, T, D]
//!                                    └──yes─────────────────────────────────────────┘   latents.npy  f32[images, 4, h, w]
//! ```
//! A picture is encoded once: its answer is kept under the digests of picture and encoder, so that a folder that grows, or
//! another split of the same pictures, costs only what is new. The folder's file appears whole, with `targets.toml` (or
//! `latents.toml`) beside it that says which encoder made it.
//!
//! Deliberately absent: encoders (`mindeye-export graph clip-image|vae-encoder` writes them), augmentation.

mod arguments;
mod cache;
mod encoder;

pub use arguments::{Arguments, TargetKind};
pub use encoder::EncodeError;

use crate::training_folder::TrainingFolder;
use cache::Cache;
use encoder::Encoder;
use mindeye_config::{Failure, Sha256, sha256_of_file};
use mindeye_engine::OnnxRuntime;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What `targets.toml` says.
#[derive(Debug, Serialize)]
struct Made<'a> {
    encoder: &'a str,
    encoder_sha256: &'a Sha256,
    images: usize,
    shape: &'a [usize],
}

/// Runs the verb.
///
/// # Errors
/// A [`Failure`] with the status that the shell sees.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    arguments.check()?;
    let folder = TrainingFolder::open(&arguments.data).map_err(Failure::data)?;
    let pictures = pictures(&folder).map_err(failure)?;
    let engine = OnnxRuntime::on_cpu(0).map_err(|error| failure(error.into()))?;
    let mut encoder = Encoder::open(&engine, &arguments.encoder, arguments.kind).map_err(failure)?;
    let cache = Cache::open(&arguments.cache_folder(), &encoder.digest).map_err(failure)?;
    let (rows, encoded) = encode(&pictures, &mut encoder, &cache).map_err(failure)?;
    write(arguments, &encoder, pictures.len(), rows).map_err(failure)?;
    tell(arguments, pictures.len(), encoded);
    Ok(())
}

fn failure(error: EncodeError) -> Failure {
    if error.is_unavailable() { Failure::unavailable(error) } else { Failure::data(error) }
}

/// The picture of every image of `folder`, in the order of targets.
fn pictures(folder: &TrainingFolder) -> Result<Vec<PathBuf>, EncodeError> {
    let without: Vec<&String> = folder.images().iter().filter(|image| folder.picture(image).is_none()).collect();
    if let Some(first) = without.first() {
        let path = folder.path().join("images").join(format!("{first}.png"));
        let problem =
            format!("{} of {} images have no picture, this is the first", without.len(), folder.images().len());
        return Err(EncodeError::Picture { path, problem });
    }
    Ok(folder.images().iter().filter_map(|image| folder.picture(image)).collect())
}

/// The numbers of all pictures one after the other, and how many of them were not in the cache.
fn encode(pictures: &[PathBuf], encoder: &mut Encoder<'_>, cache: &Cache) -> Result<(Vec<f32>, usize), EncodeError> {
    let (mut rows, mut encoded) = (Vec::with_capacity(pictures.len() * encoder.numbers()), 0);
    for (done, path) in pictures.iter().enumerate() {
        let digest = sha256_of_file(path).map_err(|source| EncodeError::File { path: path.clone(), source })?;
        let known = cache.find(&digest, encoder.numbers())?;
        let row = match known {
            Some(row) => row,
            None => {
                let row = encoder.encode(path)?;
                cache.keep(&digest, &row)?;
                encoded += 1;
                row
            }
        };
        rows.extend(row);
        if (done + 1) % 500 == 0 {
            eprintln!("targets: {} of {} pictures", done + 1, pictures.len());
        }
    }
    Ok((rows, encoded))
}

/// Writes the array and the note beside it; each appears whole.
fn write(arguments: &Arguments, encoder: &Encoder<'_>, images: usize, rows: Vec<f32>) -> Result<(), EncodeError> {
    let shape = [&[images], encoder.shape()].concat();
    let array = ndarray::ArrayD::from_shape_vec(shape.clone(), rows).expect("every picture has as many numbers");
    let out = arguments.data.join(arguments.kind.file());
    whole(&out, |path| ndarray_npy::write_npy(path, &array).map_err(std::io::Error::other))?;
    let made = Made { encoder: &encoder.name, encoder_sha256: &encoder.digest, images, shape: &shape };
    let text = toml::to_string(&made).expect("a flat table of names and numbers is valid TOML");
    whole(&out.with_extension("toml"), |path| std::fs::write(path, text))
}

/// Lets `write` write the file aside, then moves it to `path`.
fn whole(path: &Path, write: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<(), EncodeError> {
    let aside = path.with_file_name(format!(".{}.new", path.file_name().unwrap_or_default().to_string_lossy()));
    let done = write(&aside).and_then(|()| std::fs::rename(&aside, path));
    done.map_err(|source| {
        // What is left of it is of no use; the message is about the file that was wanted.
        let _ = std::fs::remove_file(&aside);
        EncodeError::File { path: path.to_owned(), source }
    })
}

#[expect(clippy::print_stdout, reason = "standard output is where a program's answer goes")]
fn tell(arguments: &Arguments, images: usize, encoded: usize) {
    let out = arguments.data.join(arguments.kind.file());
    println!("{}: {images} images, {encoded} encoded now, {} from the cache", out.display(), images - encoded);
}
