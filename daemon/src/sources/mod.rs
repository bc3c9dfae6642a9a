//! Every way in beside native ZeroMQ: a source turns what one kind of scanner sends into runs and volumes, nothing else.
//!
//! ```text
//!   DICOM folder ─┐
//!   NIfTI folder ─┤ VolumeSource ─► feeder ─native protocol, inside the process─► router (intake, journal, limits)
//!   Pyneal       ─┤
//!   AFNI         ─┘
//! ```
//!
//! A source is a sender in the house: its volumes meet the same judge and the same journal as those of any other sender.
//! Nothing of a header but what [`dicom`] lists gets past this door; names of files and folders are used to find files only.

pub mod afni;
mod assembler;
mod clocks;
pub mod dicom;
mod dicom_folder;
mod event;
mod feeder;
mod nifti_folder;
mod open;
mod orient;
pub mod pyneal;
mod watch;

pub use assembler::{Assembler, RunRules};
pub use clocks::ClockComparison;
pub use dicom_folder::{DicomFolder, SeriesRules};
pub use event::{IgnoreReason, Ignored, RunPlan, SourceEvent, SourceVolume, VolumeSource};
pub use feeder::{Feeder, FeederParts};
pub use nifti_folder::NiftiFolder;
pub(crate) use open::session;
pub use open::{OpenedSource, SourceStartError, open_source};
pub use orient::AxisMap;
pub use watch::{FolderWatch, WatchRules};

use mindeye_config::{Name, hex};
use sha2::{Digest, Sha256};

/// A name that says nothing: `prefix` and eight digits of a hash of `session` and `secret`.
///
/// The same series has the same name after a restart, and another in another session.
pub(crate) fn veiled_name(prefix: &str, session: &Name, secret: &[u8]) -> Name {
    let digest = Sha256::new().chain_update(session.as_str()).chain_update([0]).chain_update(secret).finalize();
    Name::new(&format!("{prefix}-{}", hex(&digest[..4]))).expect("a short prefix, a dash and digits are a name")
}
