//! A simulated session for tests of motion: grids, a reference volume, moved volumes, errors in millimetres.
#![allow(dead_code, reason = "each test file uses its own part")]

use mindeye_preprocess::motion::{Extent, Motion, MotionCorrector, MotionSettings, Rigid, centre_mm};
use mindeye_preprocess::phantom::head;
use mindeye_preprocess::resample::{Affine, Volume};
use mindeye_preprocess::{Grid, Mask, Pattern, RawVolume, VoxelType};

/// Cubes of `mm`, RAS+, the grid's centre at 0 mm.
pub(crate) fn axial(dim: [usize; 3], mm: f64) -> Grid {
    let row = |axis: usize| {
        let mut row = [0.0; 4];
        (row[axis], row[3]) = (mm, -mm * (dim[axis] as f64 - 1.0) / 2.0);
        row
    };
    Grid { dim, affine: [row(0), row(1), row(2), [0., 0., 0., 1.]] }
}

pub(crate) fn grid_of(dim: [usize; 3], voxel_to_mm: Affine) -> Grid {
    let row = |r: usize| {
        let [x, y, z] = voxel_to_mm.linear[r];
        [x, y, z, voxel_to_mm.shift[r]]
    };
    Grid { dim, affine: [row(0), row(1), row(2), [0., 0., 0., 1.]] }
}

pub(crate) fn int16(bytes: &[u8]) -> RawVolume<'_> {
    RawVolume::new(VoxelType::Int16, bytes.len() / 2, bytes).unwrap()
}

/// RMS distance over the brain between an estimate and the truth, mm.
pub(crate) fn error_mm(found: &Rigid, truth: Motion, grid: &Grid) -> f64 {
    let [nx, ny, _] = grid.dim;
    let place = |voxel: u32| {
        let voxel = voxel as usize;
        grid.to_mm([voxel % nx, voxel / nx % ny, voxel / (nx * ny)].map(|n| n as f64))
    };
    let centre = centre_mm(grid);
    let places = head::brain_voxels(grid).into_iter().map(|voxel| (place(voxel), 1.0));
    Extent::of_places(centre, places).rms_mm(found, &truth.about(centre))
}

/// A head at rest on a grid, and its reference volume with noise.
pub(crate) struct Scan {
    pub(crate) grid: Grid,
    pub(crate) sfnr: f64,
    pub(crate) reference: Vec<u8>,
    pub(crate) mask: Mask,
}

impl Scan {
    pub(crate) fn new(grid: Grid, sfnr: f64) -> Self {
        let mask = Mask::from_voxels(grid.clone(), head::brain_voxels(&grid)).unwrap();
        let reference = head::acquire(&head::volume(&grid, &Rigid::IDENTITY), sfnr, 11, 0);
        Self { grid, sfnr, reference, mask }
    }

    /// The head after `motion` about the grid's centre, int16.
    pub(crate) fn volume(&self, motion: Motion, index: u32) -> Vec<u8> {
        head::acquire(&head::volume(&self.grid, &motion.about(centre_mm(&self.grid))), self.sfnr, 11, index)
    }

    pub(crate) fn volume_of(&self, bytes: &[u8]) -> Volume {
        Volume::from_raw(self.grid.clone(), int16(bytes)).unwrap()
    }

    pub(crate) fn corrector(&self, settings: MotionSettings) -> MotionCorrector {
        self.corrector_for(&self.grid, settings)
    }

    pub(crate) fn corrector_for(&self, run_grid: &Grid, settings: MotionSettings) -> MotionCorrector {
        let reference = self.volume_of(&self.reference);
        MotionCorrector::new(&reference, run_grid, &self.mask, Rigid::IDENTITY, settings).unwrap()
    }

    pub(crate) fn mask_values(&self, bytes: &[u8]) -> Vec<f32> {
        let mut pattern = Pattern::default();
        self.mask.gather(int16(bytes), &mut pattern).unwrap();
        pattern.0
    }
}
