//! What needs libtorch: tensors that learn, the networks' arithmetic, the losses, the optimiser, the training itself.
//!
//! ```text
//!   Layout ─► Parameters ─► forward of the networks ─► losses ─► gradients ─► AdamW ─► Parameters
//! ```
//! Functions of `tch` panic where shapes do not go together; every shape here comes from a checked [`Layout`] or a
//! checked training folder, so a panic is a mistake of this crate.
//!
//! [`Layout`]: crate::networks::Layout

mod adamw;
mod augment;
mod autoencoder;
mod backbone;
mod carried;
mod clip_image;
mod contrast;
mod course;
mod device;
mod encoder_part;
mod fit;
mod fitted;
mod golden;
mod loss_scale;
mod low_level;
mod low_level_part;
mod mindeye_part;
mod net;
mod parameters;
mod part;
mod picture_blocks;
mod picture_setting;
mod precision;
mod prior;
mod renderer_files;
mod ridge_start;
mod state;
mod unet;
mod unet_part;
mod vae_part;

pub use adamw::AdamW;
pub use autoencoder::{Posterior, vae_decode, vae_encode};
pub use backbone::{BackboneTokens, after_front_end, backbone, front_end};
pub use clip_image::clip_image;
pub use contrast::{bi_mix_co, mix, retrieval, soft_clip, teacher_contrast};
pub use device::device;
pub use fit::{FitOutcome, FitRequest, Witness, fit};
pub use fitted::FittedBackbone;
pub use low_level::{LowLevelOutput, low_level};
pub use parameters::Parameters;
pub use part::{PartName, Start};
pub use prior::{Kept, PriorNetwork, noised};
pub use unet::unet;
