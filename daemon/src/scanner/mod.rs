//! A simulated scanner: it plays a recorded run or a phantom as a real scanner's sender would, and loses nothing.

mod client;
mod link;
mod source;
mod window;

pub use client::{Played, Scanner, ScannerError, ScannerOptions};
pub use source::{NiftiSource, PhantomSource, ScanSource, SourceError, read_events};
pub use window::{Frames, Key, Pending, SendWindow};
