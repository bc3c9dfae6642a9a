//! The text files that BIDS puts beside a run: the table of its events, and the sidecar that knows its TR.

mod error;
mod events;
mod repetition;
mod table;

pub use error::BidsError;
pub use events::{EventRow, event_of, event_rows};
pub use repetition::{RepetitionTime, TrSource, repetition_time, sidecar_path, slice_timing};
pub use table::{Row, Table};
