//! Where a simulated scanner's volumes come from: a recorded NIfTI run, or the built-in phantom.

use super::events::read_events;
use crate::blind::StimulusImage;
use crate::protocol::EventFields;
use mindeye_config::Name;
use mindeye_preprocess::bids::{BidsError, repetition_time};
use mindeye_preprocess::phantom::{Phantom, scene_id};
use mindeye_preprocess::{AffineSource, Bold, Grid, VoxelType, read_bold};
use std::path::Path;

/// Volumes and trials of one run.
pub trait ScanSource {
    /// Voxel grid.
    fn grid(&self) -> &Grid;
    /// Voxel type.
    fn dtype(&self) -> VoxelType;
    /// Repetition time, seconds.
    fn tr_s(&self) -> f64;
    /// Volumes.
    fn volume_count(&self) -> u32;
    /// Voxels of volume `index`, little-endian, x fastest.
    fn volume(&mut self, index: u32) -> Vec<u8>;
    /// Trials in order of onset.
    fn events(&self) -> &[EventFields];
}

/// Why a run cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The NIfTI file.
    #[error(transparent)]
    Bold(#[from] mindeye_preprocess::PreprocessError),
    /// The events file, or the TR.
    #[error(transparent)]
    Bids(#[from] BidsError),
}

/// A recorded run.
pub struct NiftiSource {
    bold: Bold,
    tr_s: f64,
    events: Vec<EventFields>,
}

impl NiftiSource {
    /// Reads `bold` and the BIDS events at `events`. The TR is `tr_s`, else the sidecar's, else the header's where it
    /// states a unit.
    ///
    /// # Errors
    /// [`SourceError`] naming the file; header and sidecar that disagree, where `tr_s` does not decide.
    pub fn read(path: &Path, tr_s: Option<f64>, events: Option<&Path>) -> Result<Self, SourceError> {
        let bold = read_bold(path)?;
        let tr_s = repetition_time(tr_s, path, &bold)?.tr_s;
        let events = events.map(read_events).transpose()?.unwrap_or_default();
        Ok(Self { bold, tr_s, events })
    }

    /// Whether the file says where the head is.
    #[must_use]
    pub fn affine_source(&self) -> AffineSource {
        self.bold.affine_source
    }
}

impl ScanSource for NiftiSource {
    fn grid(&self) -> &Grid {
        &self.bold.grid
    }

    fn dtype(&self) -> VoxelType {
        self.bold.dtype
    }

    fn tr_s(&self) -> f64 {
        self.tr_s
    }

    fn volume_count(&self) -> u32 {
        u32::try_from(self.bold.volumes.len()).unwrap_or(u32::MAX)
    }

    fn volume(&mut self, index: u32) -> Vec<u8> {
        self.bold.volumes[index as usize].clone()
    }

    fn events(&self) -> &[EventFields] {
        &self.events
    }
}

/// The built-in phantom.
pub struct PhantomSource {
    phantom: Phantom,
    events: Vec<EventFields>,
}

impl PhantomSource {
    /// A phantom whose trials name the scenes of the demo gallery.
    #[must_use]
    pub fn new(phantom: Phantom) -> Self {
        let named = |scene| Name::new(&scene_id(scene)).ok().map(StimulusImage);
        let events = phantom.events().into_iter().map(|(event, scene)| EventFields {
            onset_s: event.onset_s,
            duration_s: event.duration_s,
            trial: event.trial,
            image: named(scene),
            condition: None,
        });
        Self { events: events.collect(), phantom }
    }
}

impl ScanSource for PhantomSource {
    fn grid(&self) -> &Grid {
        self.phantom.grid()
    }

    fn dtype(&self) -> VoxelType {
        VoxelType::Int16
    }

    fn tr_s(&self) -> f64 {
        self.phantom.config().tr_s
    }

    fn volume_count(&self) -> u32 {
        self.phantom.volume_count()
    }

    fn volume(&mut self, index: u32) -> Vec<u8> {
        self.phantom.volume(index).iter().flat_map(|voxel| voxel.to_le_bytes()).collect()
    }

    fn events(&self) -> &[EventFields] {
        &self.events
    }
}
