//! The published metrics of reconstruction and retrieval, each as its reference computes it (spec: MindEye sections 6, 7).
//!
//! ```text
//!   pictures ──resize 425──► pixcorr, ssim            features ──► two_way, correlation_distance
//!   cosines brain x image ──pool, centre──► top-1 both ways ──► bootstrap over images, permutation null, paired difference
//! ```
//!
//! Directions carry their names, since the released code swaps them: `image_retrieval` is brain → image (which picture was
//! seen?), `brain_retrieval` is image → brain. Ties lose everywhere. Random choices come from a seed and nothing else.
//!
//! Deliberately absent: networks (a feature extractor comes through the engine's seam), large products (a caller brings
//! cosines), files.

mod correlation;
mod features;
mod interval;
mod permutation;
mod pixels;
mod plane;
mod random;
mod resize;
mod retrieval;
mod scores;
mod ssim;
mod two_way;

pub use correlation::{correlation_distance, pearson};
pub use features::{ChannelScale, FeatureExtractor};
pub use interval::{Interval, as_published, bootstrap_over_images, paired_difference};
pub use permutation::{PermutationNull, permutation_null};
pub use pixels::pixcorr;
pub use plane::Planes;
pub use random::Draws;
pub use resize::{Antialias, resize};
pub use retrieval::{Direction, Protocol, Retrieved, retrieve};
pub use scores::{Centring, Scores};
pub use ssim::ssim;
pub use two_way::two_way_identification;

/// Why a metric has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// Two things that must be of one size.
    #[error("{left} has {left_value} {what}, {right} has {right_value}")]
    Disagree {
        /// One side.
        left: &'static str,
        /// Its size.
        left_value: usize,
        /// What is counted.
        what: &'static str,
        /// The other side.
        right: &'static str,
        /// Its size.
        right_value: usize,
    },
    /// Too few of something.
    #[error("{what} needs {least} or more, found {found}")]
    TooFew {
        /// What needs them, with the thing counted.
        what: &'static str,
        /// How many are needed.
        least: usize,
        /// How many there are.
        found: usize,
    },
    /// A side that does not vary has no correlation.
    #[error("{what} {index} does not vary (or is not finite): it has no correlation")]
    Constant {
        /// What does not vary.
        what: &'static str,
        /// Which, from 0.
        index: usize,
    },
}

pub(crate) fn require_equal(
    what: &'static str,
    (left, left_value): (&'static str, usize),
    (right, right_value): (&'static str, usize),
) -> Result<(), MetricError> {
    if left_value == right_value {
        return Ok(());
    }
    Err(MetricError::Disagree { left, left_value, what, right, right_value })
}
