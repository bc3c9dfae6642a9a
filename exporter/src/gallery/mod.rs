//! Pictures to retrieve from, with their vectors in the space of the retrieval tokens.

mod encode;
mod folder;
mod pictures;

pub use encode::{GalleryReport, encode_gallery};
pub use folder::{Item, write_gallery};
pub use pictures::{SIDE as PICTURE_SIDE, picture};
