//! The native volume protocol, version 1: multipart messages between a scanner-side DEALER and our ROUTER.

mod address;
mod header;
mod parse;
mod refusal;

#[cfg(test)]
pub(crate) use header::example_run;
pub use header::{EventFields, EventMessage, RunEnd, RunStart, VolumeHeader, affine_is_finite};
pub use parse::{MAX_HEADER_BYTES, Message, parse};
pub use refusal::{Reason, Refusal};

/// Value of the `protocol` field of every volume message.
pub const VOLUME_PROTOCOL: &str = "mindeye-volume/1";
/// Value of the `protocol` field of every result message.
pub const RESULT_PROTOCOL: &str = "mindeye-result/1";
