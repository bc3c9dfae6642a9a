//! Motion: where each volume's head lies against the session's reference, and the volume read where the head is.
//!
//! ```text
//!   Reference ──► Points (gradients, normal equations; once)
//!                    │
//!   RawVolume ──► Pyramid ──► Estimator ──► MotionEstimate ──┐
//!                    │       coarse to fine                  ▼
//!                    └──────────────────────────────────► Resampler ──► Pattern     (one reading)
//! ```
//!
//! [`MotionCorrector`] is the stage; [`register`] joins two sessions.
//!
//! Deliberately absent: threads, a clock, non-rigid distortion, slice-by-slice motion, susceptibility.

mod corrector;
mod estimate;
mod extent;
mod fit;
mod points;
mod pyramid;
mod reference;
mod register;
mod report;
mod rigid;
mod session;
mod smooth;
mod solve;
mod weight;

pub use corrector::{Corrected, MotionCorrector, MotionSettings};
pub use estimate::MotionEstimate;
pub use extent::Extent;
pub(crate) use reference::check_grid;
pub use reference::{Reference, can_be_registered};
pub use register::{Objection, Registration, RegistrationLimits, register, register_to};
pub use report::RegistrationReport;
pub use rigid::{Motion, Rigid, centre_mm};
pub use session::SessionReference;
