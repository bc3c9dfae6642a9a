//! What a training leaves to read: a table with one line per epoch, and a page with its curves.

mod curves;
mod log;
mod page;
mod sheet;

pub use log::{EpochRow, Log};
pub use page::{Facts, training_report};
pub use sheet::Sheet;
