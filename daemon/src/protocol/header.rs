//! Headers of the volume protocol: JSON objects whose unknown fields are ignored.

use crate::blind::StimulusImage;
use mindeye_config::Name;
use mindeye_preprocess::{Grid, VoxelType};
use serde::{Deserialize, Serialize};

/// Opens a run, or resumes it when equal to the open one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunStart {
    /// Session.
    pub session: Name,
    /// Run, unique in the session.
    pub run: Name,
    /// Repetition time in seconds of the scanner's clock.
    pub tr_s: f64,
    /// Voxels along x, y, z.
    pub shape: [usize; 3],
    /// Voxel to RAS mm, row-major.
    pub affine: [[f64; 4]; 4],
    /// Voxel type of every volume.
    pub dtype: VoxelType,
    /// Volumes planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_volumes: Option<u32>,
    /// Volumes before index 0 that are not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dummy_volumes: Option<u32>,
    /// Acquisition time of each slice inside the TR, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice_timing_s: Option<Vec<f64>>,
    /// Trials known beforehand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventFields>,
    /// How many times faster than the scanner's clock this run is played (simulated scanners); 1 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<f64>,
}

impl RunStart {
    /// The run's voxel grid.
    #[must_use]
    pub fn grid(&self) -> Grid {
        Grid { dim: self.shape, affine: self.affine }
    }

    /// Scanner seconds that pass in one second of this machine.
    #[must_use]
    pub fn speed(&self) -> f64 {
        self.speed.unwrap_or(1.0)
    }
}

/// A trial: what the participant saw, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventFields {
    /// Onset in seconds after the acquisition start of volume 0.
    pub onset_s: f64,
    /// Duration in seconds.
    pub duration_s: f64,
    /// Trial number, unique in the run.
    pub trial: u32,
    /// The picture, for scoring and display only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<StimulusImage>,
    /// Declared condition, a bare number from 0: it is counted, and a run that leans to one is warned of; no beta knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<u16>,
}

/// A trial told or corrected while the run is under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventMessage {
    /// The run.
    pub run: Name,
    /// The trial.
    #[serde(flatten)]
    pub event: EventFields,
}

/// Announces the voxels in the next frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VolumeHeader {
    /// The run.
    pub run: Name,
    /// Place in the run, from 0.
    pub index: u32,
    /// Voxel type.
    pub dtype: VoxelType,
    /// Voxels along x, y, z.
    pub shape: [usize; 3],
    /// Acquisition start on the scanner's clock, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acquired_s: Option<f64>,
}

/// Closes a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEnd {
    /// The run.
    pub run: Name,
    /// Volumes that the scanner sent.
    pub volumes: u32,
}

/// Whether every entry is finite and the last row is that of an affine map.
#[must_use]
pub fn affine_is_finite(affine: &[[f64; 4]; 4]) -> bool {
    affine.iter().flatten().all(|a| a.is_finite()) && affine[3] == [0.0, 0.0, 0.0, 1.0]
}

/// A small run for tests: 2x3x4 voxels of 3 mm, TR 1.5 s, float32, no trials.
#[cfg(test)]
pub(crate) fn example_run(run: &str) -> RunStart {
    RunStart {
        session: Name::new("s").unwrap(),
        run: Name::new(run).unwrap(),
        tr_s: 1.5,
        shape: [2, 3, 4],
        affine: [[3.0, 0.0, 0.0, -12.0], [0.0, 3.0, 0.0, -12.0], [0.0, 0.0, 3.0, -12.0], [0.0, 0.0, 0.0, 1.0]],
        dtype: VoxelType::Float32,
        expected_volumes: None,
        dummy_volumes: None,
        slice_timing_s: None,
        events: Vec::new(),
        speed: None,
    }
}
