//! The run as it came, so that a late truth can be told to it: times and motion of all volumes, voxels of the kept.
//!
//! The voxels take 4 bytes each: a run of 288 volumes of 15,724 voxels is 18 MB. With them a late or corrected event
//! gets its columns of the normal equations summed anew, bit for bit as if it had been known from the start.

use crate::Pattern;
use crate::design::Acquisition;

/// What is known of a volume that came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Volume {
    pub(crate) index: u32,
    pub(crate) acquisition: Acquisition,
    /// Its row in the fit; `None` if it is censored.
    pub(crate) row: Option<usize>,
}

/// The volumes of a run, oldest first.
pub(crate) struct History {
    voxels: usize,
    volumes: Vec<Volume>,
    rows: usize,
    /// `f32[rows, voxels]`, scanner's units.
    patterns: Vec<f32>,
}

impl History {
    /// With room for `planned` volumes; a longer run takes more.
    pub(crate) fn new(voxels: usize, planned: usize) -> Self {
        Self { voxels, volumes: Vec::with_capacity(planned), rows: 0, patterns: Vec::with_capacity(planned * voxels) }
    }

    pub(crate) fn push(&mut self, index: u32, acquisition: Acquisition, kept: Option<&Pattern>) {
        let row = kept.map(|_| self.rows);
        self.volumes.push(Volume { index, acquisition, row });
        if let Some(pattern) = kept {
            self.patterns.extend_from_slice(&pattern.0);
            self.rows += 1;
        }
    }

    pub(crate) fn volumes(&self) -> &[Volume] {
        &self.volumes
    }

    /// Kept volumes with their rows, oldest first.
    pub(crate) fn kept(&self) -> impl Iterator<Item = (usize, &Volume)> {
        self.volumes.iter().filter_map(|volume| Some((volume.row?, volume)))
    }

    /// Kept volumes.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn voxels(&self) -> usize {
        self.voxels
    }

    pub(crate) fn pattern(&self, row: usize) -> &[f32] {
        &self.patterns[row * self.voxels..][..self.voxels]
    }

    pub(crate) fn clear(&mut self) {
        self.volumes.clear();
        self.patterns.clear();
        self.rows = 0;
    }

    /// Kept voxels, bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.patterns.capacity() * size_of::<f32>()
    }
}
