//! Pictures that no licence binds: scenes and objects painted from labels, equal bytes for equal seeds on any machine.
//!
//! ```text
//!   seed, picture id ──► Factors ──paint──► Picture u8[side, side, 3]
//!                        category, scene, places, colours, texture, light
//! ```
//!
//! 16 categories x 8 scenes x 6 textures, one to three objects anywhere, free colours, light and details: no two are
//! equal. One scene of each category occurs in the collection `novel` only, which is the second test set.

mod backdrop;
mod colour;
mod factors;
mod object;
mod paint;
mod sheet;

pub use factors::{Category, Factors, Place, Scene, Texture, is_held_out};
pub use sheet::contact_sheet;

use image::{ExtendedColorType, ImageEncoder, ImageError, codecs::png::PngEncoder};
use serde::Serialize;
use std::fmt;

/// The seed of the world that all presets see.
pub const WORLD: u64 = 0x6d69_6e64_6579_6531;

/// Pixels per side that the encoding model takes.
pub const SIDE: usize = 64;

/// Which pictures go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Collection {
    /// To learn from; labels in every combination that is not held out.
    Train = 0,
    /// To test with, from the same combinations.
    Test = 1,
    /// To test with: combinations of category and scene that are nowhere else.
    Novel = 2,
    /// What responses are standardised over; never shown.
    Reference = 3,
}

impl Collection {
    const ALL: [Self; 4] = [Self::Train, Self::Test, Self::Novel, Self::Reference];

    /// The word in names of pictures.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
            Self::Novel => "novel",
            Self::Reference => "reference",
        }
    }

    fn is_held_out(self) -> bool {
        self == Self::Novel
    }
}

/// One picture of the world; its name is `train-00017`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PictureId {
    /// Where it belongs.
    pub collection: Collection,
    /// Number in its collection.
    pub number: u32,
}

impl PictureId {
    /// The picture with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (word, digits) = name.rsplit_once('-')?;
        let collection = Collection::ALL.into_iter().find(|collection| collection.name() == word)?;
        Some(Self { collection, number: digits.parse().ok()? }).filter(|id| id.to_string() == name)
    }
}

impl fmt::Display for PictureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:05}", self.collection.name(), self.number)
    }
}

/// A square picture, u8[side, side, 3], row by row from the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels per side.
    pub side: usize,
    /// Red, green, blue of each pixel as a screen takes them.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// Paints picture `id` of the world `seed` at `side` pixels; the same scene at every size. 64x64 takes about 2 ms.
    #[must_use]
    pub fn of(seed: u64, id: PictureId, side: usize) -> Self {
        paint::paint(&Factors::of(seed, id), side)
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    /// What the encoder says.
    pub fn png(&self) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Vec::new();
        let side = self.side as u32;
        PngEncoder::new(&mut bytes).write_image(&self.rgb, side, side, ExtendedColorType::Rgb8)?;
        Ok(bytes)
    }
}
