//! The pictures to retrieve from: exactly over all tokens, or in two stages where there are too many for that.

mod coarse;
mod exact;
mod index;
mod two_stage;
#[cfg(feature = "usearch")]
mod usearch_index;

pub use coarse::CoarseProjection;
pub use exact::{Gallery, GalleryError};
pub use index::{CoarseIndex, ExactIndex};
pub use two_stage::{Found, Shortlist, TwoStageGallery};
#[cfg(feature = "usearch")]
pub use usearch_index::UsearchIndex;
