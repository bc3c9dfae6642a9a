//! Ridge regression in dual form: minutes of data from a new participant, solved exactly in seconds.
//!
//! With Z the z-scored betas [trials n, voxels V] and Y the targets [n, outputs K], both centred over trials,
//!
//! ```text
//!   K = Z Zᵀ        C = (K + αI)⁻¹ Y        ŷ = ȳ + (z − z̄) Zᵀ C
//!   basis Z [n, V], coefficients C [n, K]   (Saunders, Gammerman & Vovk 1998)
//! ```
//!
//! The primal weights Zᵀ C would be [V, K] = 15,724 x 197,376 x 4 bytes = 12.4 GB; basis and coefficients of 1,000 trials
//! are 0.06 + 0.79 GB. Work: n²V = 16 GFLOP for K (half of it is its mirror image), m²K = 197 GFLOP for the Gram matrix
//! of the m images' targets, 2nmK = 395 GFLOP for C: some 610 GFLOP, in f32. Memory: targets (mapped from their file)
//! 0.79 GB, C 0.79 GB, Z 0.06 GB, and a few n x n matrices of 8 MB; outputs are taken in blocks, so nothing else grows.
//!
//! α comes from leaving trials out in closed form: with G = (K + αI)⁻¹ (and the mean refitted), the error of a left-out
//! group g is Gₑₑ⁻¹ (G Y)ₑ (Golub, Heath & Wahba 1979), so one eigendecomposition of K serves every α.
//!
//! Deliberately absent: gradients, z-scoring (the caller's, with `preprocess`), any trial that is not for training.

mod alpha;
mod dual;
mod error;
mod fit;
mod left_out;
mod linalg;
mod selection;
mod shared;
mod spectrum;
mod store;

pub use alpha::{AlphaChoice, AlphaScore, relative_grid};
pub use dual::DualRidge;
pub use error::RidgeError;
pub use fit::{Fit, Problem, Settings, fit};
pub use left_out::LeftOut;
pub(crate) use linalg::matrix;
pub use linalg::{cross, gram, product};
pub use selection::{Reliability, voxel_reliability};
pub use shared::SharedSpace;
