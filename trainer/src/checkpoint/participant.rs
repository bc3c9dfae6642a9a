//! Where a checkpoint of several participants keeps what is one participant's own.

use std::path::{Path, PathBuf};

/// The folder with mask, reference, recipe, z-scores, golden cases and record of participant number `participant`, from 0:
/// the checkpoint itself for the first, `participants/<number>/` for the others.
#[must_use]
pub fn participant_folder(checkpoint: &Path, participant: usize) -> PathBuf {
    match participant {
        0 => checkpoint.to_owned(),
        other => checkpoint.join("participants").join(other.to_string()),
    }
}
