//! Why a trial was not decoded, or a decoder not warmed up: network, tensor, amount.

use crate::GalleryError;
use mindeye_engine::EngineError;

/// An error of decoding. None of them leaves the decoder in a bad state: the next trial can be tried.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The engine refused or failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The gallery could not score the tokens.
    #[error("retrieval: {0}")]
    Gallery(#[from] GalleryError),
    /// A network gave a number that is none.
    #[error("network `{network}`: output `{tensor}` is {value} at element {element}")]
    NonFinite {
        /// Name of the network.
        network: &'static str,
        /// Name of the output.
        tensor: String,
        /// Index of the first such element.
        element: usize,
        /// NaN or an infinity.
        value: f32,
    },
    /// A step of a sampler failed.
    #[error("step {step} of {steps} of `{network}`: {source}")]
    Step {
        /// The network that the step evaluates.
        network: &'static str,
        /// The step, from 1.
        step: usize,
        /// Steps of the plan.
        steps: usize,
        /// What happened.
        source: Box<DecodeError>,
    },
    /// The pattern is of another mask.
    #[error("the pattern has {found} voxels, the bundle's mask {expected}")]
    Voxels {
        /// Voxels of the bundle.
        expected: usize,
        /// Voxels of the pattern.
        found: usize,
    },
    /// The bundle cannot make the product.
    #[error("this bundle makes no {product}: it has no {missing}")]
    NoProduct {
        /// `retrieval`, `blurry`, `reconstruction` or `choice`.
        product: &'static str,
        /// The network or gallery that it would need.
        missing: &'static str,
    },
    /// A network does not reproduce its golden case.
    #[error(
        "network `{network}`: output `{output}` is {found} at element {element}, its golden case {golden}: \
         |difference|/(1+|golden|) = {amount:.3e} exceeds the tolerance {tolerance:.3e}"
    )]
    Parity {
        /// Name of the network.
        network: &'static str,
        /// Name of the output.
        output: String,
        /// Index of the worst element.
        element: usize,
        /// What this engine computed there.
        found: f32,
        /// What the golden case holds there.
        golden: f32,
        /// |found - golden|/(1 + |golden|) there, the largest of the output.
        amount: f64,
        /// What the manifest allows.
        tolerance: f64,
    },
    /// Pixels and size of a picture disagree.
    #[error("a {width}x{height} picture needs {expected} bytes, 3 or more, found {found}")]
    PictureSize {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// `3 * width * height`.
        expected: u64,
        /// Bytes of the pixels.
        found: usize,
    },
}

impl DecodeError {
    /// Whether a library or device is missing (exit status 69); everything else at warm-up is a wrong bundle (65).
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Engine(error) if error.is_unavailable())
    }
}
