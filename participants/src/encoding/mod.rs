//! What a picture does to a voxel, before any noise: a voxel-wise encoding model.
//!
//! ```text
//!   Picture ──► Stimulus: Gabor energy 3 x 6, colour opponency 4, luminance 1, each on 16 x 16 places; labels
//!                 │ receptive field (Gaussian) ─► form, colour   (early areas, and a share of the later ones)
//!                 └ labels, gated by the field  ─► meaning        (later areas)
//!   form, colour, meaning, each standardised over reference pictures, mixed by area ─► response, mean 0, SD 1
//! ```
//!
//! It is no decoder's embedding and no linear map of one: energies are magnitudes, divided by local contrast and raised to a
//! power; meaning comes from the painter's labels, which no network sees, through a rectifier.
//!
//! Deliberately absent: time (`bold`), anything that differs between two showings (`trial`), noise.

mod gabor;
mod labels;
mod model;
mod stimulus;
mod tuning;

pub use gabor::{CELLS, CHANNELS, DEGREES, FREQUENCIES, ORIENTATIONS};
pub(crate) use labels::{LABELS, labels as labels_of};
pub use model::{Encoder, ReferenceResponses};
pub use stimulus::Stimulus;
pub use tuning::Tuning;
