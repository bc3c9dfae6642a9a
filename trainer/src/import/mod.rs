//! `mindeye-train import`: recorded data of four kinds become one kind of training folder.
//!
//! ```text
//!   npz         one file: voxels, image, session, run, split
//!   bids        derivative folders of `mindeye-preprocess run`, one a run
//!   nsd         the root of the Natural Scenes Dataset, one subject
//!   webdataset  MindEye's tar shards
//! ```
//!
//! Whole images are in one part of the split. The folder appears whole or not at all; what had to be assumed is written into its
//! `dataset.toml`. Deliberately absent: z-scoring, image encoders, anything that reaches out of this machine.

mod arguments;
mod bids;
mod error;
mod hdf5;
mod npz;
mod nsd;
mod nsd_behaviour;
mod numpy;
mod pictures;
mod recorded;
mod webdataset;

pub use arguments::{Arguments, Source};
pub use error::ImportError;
pub use recorded::{Recorded, RecordedTrial};

use mindeye_config::Failure;

/// Runs the verb.
///
/// # Errors
/// A [`Failure`] with the status that the shell sees.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    arguments.check()?;
    let recorded = read(arguments).map_err(Failure::data)?;
    let folder = recorded.into_folder(arguments).map_err(Failure::data)?;
    folder.write(&arguments.out).map_err(crate::output_failure)?;
    arguments.tell(&folder);
    Ok(())
}

fn read(arguments: &Arguments) -> Result<Recorded, ImportError> {
    match arguments.from {
        Source::Npz => npz::read(&arguments.source),
        Source::Bids => bids::read(&arguments.source, &arguments.events),
        Source::Nsd => nsd::read(&arguments.source, arguments),
        Source::Webdataset => webdataset::read(&arguments.source),
    }
}
