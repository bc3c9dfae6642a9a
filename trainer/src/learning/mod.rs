//! What needs libtorch: tensors that learn, the networks' arithmetic, the losses, the optimiser, the training itself.
//!
//! ```text
//!   Layout ─► Parameters ─► forward of backbone, prior, low-level ─► losses ─► gradients ─► AdamW ─► Parameters
//! ```
//! Functions of `tch` panic where shapes do not go together; every shape here comes from a checked [`Layout`] or a
//! checked training folder, so a panic is a mistake of this crate.
//!
//! [`Layout`]: crate::networks::Layout

mod adamw;
mod backbone;
mod contrast;
mod device;
mod fit;
mod golden;
mod low_level;
mod low_level_part;
mod mindeye_part;
mod net;
mod parameters;
mod part;
mod precision;
mod prior;
mod ridge_start;
mod state;

pub use adamw::AdamW;
pub use backbone::{BackboneTokens, backbone};
pub use contrast::{bi_mix_co, mix, retrieval, soft_clip, teacher_contrast};
pub use device::device;
pub use fit::{FitOutcome, FitRequest, Witness, fit};
pub use low_level::{LowLevelOutput, low_level};
pub use parameters::Parameters;
pub use part::{PartName, Start};
pub use prior::{Kept, PriorNetwork, noised};
