//! A simulated scanner: it plays a recorded run or a phantom as a real scanner's sender would, and loses nothing.

mod client;
pub mod emit;
mod events;
mod link;
mod participant;
mod source;
mod window;

pub use client::{Played, Scanner, ScannerError, ScannerOptions};
pub use events::read_events;
pub use participant::ParticipantSource;
pub use source::{NiftiSource, PhantomSource, ScanSource, SourceError};
pub use window::{Frames, Key, Pending, SendWindow};
