//! From a trial's z-scored beta to a retrieval list and a picture, with networks that proved themselves first.
//!
//! ```text
//!   folder ──Bundle::open()──► Bundle ──Decoder::warm_up()──► Decoder
//!            every byte hashed         every golden case run     │
//!                                                                ├─ retrieve: voxels ─backbone─► tokens ─gallery─► scores
//!                                                                ├─ blurry:   voxels ─low-level─► latent ─decoder─► picture
//!                                                                └─ begin ──► Reconstruction, one network run a step:
//!                                                                     backbone, prior, low-level, UNet, decoder, CLIP
//! ```
//!
//! A [`Bundle`] is opened whole or not at all, and says which file or number disagrees with which. Warming up runs the
//! bundle's golden cases on the engine at hand: that is the parity test, on the machine that will be used. A
//! [`Reconstruction`] can stop after any network run; [`effort::next_action`] says when it should. [`sampler`] holds the
//! equations, [`confidence`] says what a score is worth.
//!
//! Deliberately absent: sockets, threads, deadlines kept by itself (the policy is pure, the caller has the clock), training,
//! and the identity of the stimulus (a [`Retrieval`] scores every picture alike).

mod bundle;
pub mod confidence;
mod decoder;
pub mod effort;
mod error;
mod front_end;
mod gallery;
pub mod metrics;
mod network;
mod noise;
mod normals;
mod parity;
mod picture;
mod reconstruction;
mod retrieval;
mod running;
pub mod sampler;
mod tensors;

pub use bundle::{Bundle, BundleError};
pub use decoder::{Decoder, Products};
pub use error::DecodeError;
pub use front_end::{FrontEnd, FrontEndError, FrontEndFit};
#[cfg(feature = "usearch")]
pub use gallery::UsearchIndex;
pub use gallery::{
    CoarseIndex, CoarseProjection, ExactIndex, Found, Gallery, GalleryError, Shortlist, TwoStageGallery,
};
pub use network::Network;
pub use noise::{CounterNoise, Draw, NoiseSource, TrialNoise};
pub use parity::{NetworkReport, Parity, WarmUpReport};
pub use picture::Picture;
pub use reconstruction::{Candidate, Progress, Reconstruction, clip_pixel_values};
pub use retrieval::{Retrieval, image_to_brain_rank};
