//! The same run as other programs would send it: DICOM files, Pyneal's ZeroMQ, AFNI's TCP.
//!
//! DICOM headers and the folder's name carry an invented patient in every place where real ones carry theirs, so that a test
//! can look for it in everything that comes out.

mod afni;
mod dicom;
mod element;
mod enhanced;
mod mosaic;
mod pyneal;

pub use afni::AfniEmitter;
pub use dicom::{DicomEmitter, DicomKind, PATIENT};
pub use pyneal::PynealEmitter;

use super::ScanSource;
use mindeye_config::Clock;
use mindeye_preprocess::{Grid, VoxelType};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What an emitter must know of its run.
#[derive(Debug, Clone)]
pub struct EmittedRun {
    /// Voxel grid, RAS mm.
    pub grid: Grid,
    /// Voxel type.
    pub dtype: VoxelType,
    /// Repetition time, seconds.
    pub tr_s: f64,
    /// Volumes that will come.
    pub volumes: u32,
}

/// One way of sending a run.
pub trait Emitter {
    /// Announces the run.
    ///
    /// # Errors
    /// [`EmitError`].
    fn begin(&mut self, run: &EmittedRun) -> Result<(), EmitError>;

    /// Sends volume `index`: `[x, y, z]`, x fastest, little-endian.
    ///
    /// # Errors
    /// [`EmitError`].
    fn volume(&mut self, run: &EmittedRun, index: u32, voxels: &[u8]) -> Result<(), EmitError>;

    /// Ends the run, where the protocol has a word for it.
    ///
    /// # Errors
    /// [`EmitError`].
    fn end(&mut self, run: &EmittedRun) -> Result<(), EmitError>;
}

/// Why a run could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum EmitError {
    /// The format has no such voxels.
    #[error("{format} holds {expected}, the run is {found}")]
    VoxelType {
        /// Format.
        format: &'static str,
        /// What it holds.
        expected: &'static str,
        /// The run's type.
        found: &'static str,
    },
    /// A file or a socket.
    #[error("{place}: {problem}")]
    Peer {
        /// Folder or address.
        place: String,
        /// What the system said.
        problem: String,
    },
}

impl EmitError {
    pub(super) fn peer(place: &str, problem: impl std::fmt::Display) -> Self {
        Self::Peer { place: place.to_owned(), problem: problem.to_string() }
    }
}

/// How a run is paced.
#[derive(Debug, Clone, Copy)]
pub struct EmitPace {
    /// Times faster than the scanner's clock.
    pub speed: f64,
    /// Volumes at most.
    pub volumes: Option<u32>,
}

/// Plays a run to its end, or until told to stop; returns the volumes sent.
///
/// # Errors
/// [`EmitError`].
pub fn emit(
    source: &mut dyn ScanSource,
    emitter: &mut dyn Emitter,
    pace: EmitPace,
    clock: &dyn Clock,
    stop: &AtomicBool,
) -> Result<u32, EmitError> {
    let volumes = pace.volumes.unwrap_or(u32::MAX).min(source.volume_count());
    let run = EmittedRun { grid: source.grid().clone(), dtype: source.dtype(), tr_s: source.tr_s(), volumes };
    emitter.begin(&run)?;
    let begun = clock.now();
    for index in 0..volumes {
        let voxels = source.volume(index);
        let due = begun + Duration::from_secs_f64(f64::from(index + 1) * run.tr_s / pace.speed);
        while clock.now() < due && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(due.since(clock.now()).min(Duration::from_millis(100)));
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(index);
        }
        emitter.volume(&run, index, &voxels)?;
    }
    emitter.end(&run)?;
    Ok(volumes)
}
