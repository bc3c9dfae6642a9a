//! The parts of an answer, as they come from the decoder.

use mindeye_decode::effort::Effort;
use mindeye_decode::{Picture, Retrieval};

/// A finished part of an answer.
#[derive(Debug, Clone)]
pub enum Decoded {
    /// Scores of the whole gallery.
    Retrieval(Retrieval),
    /// The blurry picture.
    Blurry(Picture),
    /// A diffusion reconstruction, or a better candidate of it.
    Reconstruction(Reconstructed),
}

/// A picture drawn by diffusion.
#[derive(Debug, Clone)]
pub struct Reconstructed {
    /// The picture.
    pub picture: Picture,
    /// [`Effort::Full`] or [`Effort::Fast`].
    pub effort: Effort,
    /// UNet steps.
    pub steps: usize,
    /// Seed of its noise.
    pub seed: u64,
}

impl Decoded {
    /// Its name in `products`.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Retrieval(_) => "retrieval",
            Self::Blurry(_) => "blurry",
            Self::Reconstruction(_) => "reconstruction",
        }
    }
}
