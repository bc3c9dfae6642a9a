//! A checkpoint folder: what it holds, and how it changes as one even when the program or the disk gives up.

mod commit;
mod format;
mod mapped;
mod participant;
mod record;

pub use commit::Commit;
pub(crate) use format::write;
pub use format::{Numbers, Stored, read_safetensors, write_safetensors};
pub(crate) use mapped::{Mapped, Unopened};
pub use participant::participant_folder;
pub use record::TrainingRecord;
