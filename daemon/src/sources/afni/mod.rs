//! AFNI's real-time protocol, receiving side: what `afni -rt` does for Dimon and rtfeedme.
//!
//! A sender names its data channel on the control channel; we open one data channel only, the configured one. There it sends
//! metadata lines ended by a NUL byte and then bare images, each of exactly nx ny nz bytes, until a goodbye or the end of the
//! connection. There are no lengths and no stamps: every number is bounded here, and times are nominal. Commands to AFNI
//! (`DRIVE_AFNI`, graphs, notes) are never obeyed.

mod metadata;
mod receiver;

pub use metadata::{AfniRun, parse_metadata};
pub use receiver::AfniReceiver;

/// First 30 bytes of the image that ends a run.
pub const GOODBYE: &[u8; 30] = b"Et Earello Endorenna utulien!!";
