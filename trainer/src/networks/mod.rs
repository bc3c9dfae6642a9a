//! The networks of the method as lists of tensors: keys, shapes, how each begins, without a single number in memory.
//!
//! The keys are MindEye1's, so that a published checkpoint loads here and one made here exports
//! (`mindeye-export graph`). What the tensors do stands in `learning/`, which needs libtorch.

mod autoencoder;
mod backbone;
mod clip_image;
mod layout;
mod low_level;
mod picture_blocks;
mod prior;
mod unet;

pub use autoencoder::Autoencoder;
pub use backbone::{Backbone, FrontEnd};
pub use clip_image::ClipImage;
pub use layout::{Init, Layout, Role, Slot};
pub use low_level::LowLevel;
pub use prior::{BUCKETS, Prior, bucket};
pub use unet::{Unet, UnetStage};
