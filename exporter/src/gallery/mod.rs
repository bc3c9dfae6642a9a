//! Pictures to retrieve from, with their vectors in the space of the retrieval tokens.

mod coarse;
mod encode;
mod folder;
mod pictures;

pub use coarse::{COARSE, write_coarse};
pub use encode::{GalleryReport, encode_gallery};
pub use folder::{Item, write_gallery};
pub use pictures::{SIDE as PICTURE_SIDE, picture};
