//! The reference is looked at once: its sample points, gradients and normal equations serve every volume of a session.

use crate::motion::extent::Extent;
use crate::motion::points::{Layout, Points};
use crate::motion::pyramid::{Pyramid, levels};
use crate::motion::rigid::centre_mm;
use crate::motion::weight::weights;
use crate::resample::{Affine, Volume};
use crate::{Grid, PreprocessError};

/// Motion needs as many voxels along each axis: with fewer, the edges that count for nothing leave no inside.
const LEAST_VOXELS: usize = 8;

/// The coarsest level's smallest voxel side, mm: large motion between sessions is found on it.
pub(crate) const COARSEST_MM: f64 = 12.0;

/// On the finest level: one voxel for the smoothing, one for the spline. Coarser levels only lead there.
const FINEST_MARGIN: f64 = 2.0;

/// A volume that others are registered to, with all that can be computed from it alone.
///
/// 64x64x36 at 3 mm and 3 mm spacing: about 32,000 points on the finest level, 44 bytes each.
#[derive(Debug, Clone)]
pub struct Reference {
    grid: Grid,
    centre_mm: [f64; 3],
    /// Finest first.
    pub(crate) levels: Vec<Points>,
    centre_of_mass_mm: [f64; 3],
}

impl Reference {
    /// Prepares `volume` with sample points `spacing_mm` apart on the finest level, twice as far on each coarser one.
    ///
    /// # Errors
    /// [`PreprocessError::TooFewVoxels`] for an axis of fewer than 8 voxels, [`PreprocessError::FlatGrid`], and
    /// [`PreprocessError::NoContrast`] if its voxels are constant or do not fix all six directions.
    pub fn new(volume: &Volume, spacing_mm: f64) -> Result<Self, PreprocessError> {
        let grid = volume.grid();
        check_grid("the reference", grid)?;
        let grids = levels(grid, COARSEST_MM);
        let (mut values, mut weight) = (Pyramid::new(&grids), Pyramid::new(&grids));
        values.fill_values(volume.values());
        weight.fill_values(&weights(grid, volume.values()));
        let centre_mm = centre_mm(grid);
        let points = |level: usize| {
            let here = if level == 0 { &weight.raw } else { &weight.levels[level] };
            let margin = if level == 0 { FINEST_MARGIN } else { 0.0 };
            let layout = Layout { spacing_mm: spacing_mm * f64::from(1 << level), margin };
            let points = Points::new(&grids[level], &values.levels[level], here, centre_mm, layout);
            points.ok_or(PreprocessError::NoContrast { what: "the reference" })
        };
        let levels: Vec<Points> = (0..grids.len()).map(points).collect::<Result<_, _>>()?;
        let centre_of_mass_mm = centre_of_mass_mm(volume);
        Ok(Self { grid: grid.clone(), centre_mm, levels, centre_of_mass_mm })
    }

    /// Its grid.
    #[must_use]
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The point about which [`Motion`](crate::motion::Motion) turns, RAS+ mm: the centre of the grid.
    #[must_use]
    pub fn centre_mm(&self) -> [f64; 3] {
        self.centre_mm
    }

    /// Where the head is, by weight: turns two poses into the RMS displacement between them.
    #[must_use]
    pub fn extent(&self) -> &Extent {
        self.levels[0].extent()
    }

    /// Sample points per level, finest first.
    #[must_use]
    pub fn point_counts(&self) -> Vec<usize> {
        self.levels.iter().map(Points::len).collect()
    }

    pub(crate) fn centre_of_mass_mm(&self) -> [f64; 3] {
        self.centre_of_mass_mm
    }
}

/// Whether runs on `grid` can be searched for a head at all.
///
/// # Errors
/// [`PreprocessError::TooFewVoxels`] naming an axis of fewer than 8 voxels, [`PreprocessError::FlatGrid`].
pub fn can_be_registered(grid: &Grid) -> Result<(), PreprocessError> {
    check_grid("the run", grid)
}

/// Refuses grids on which motion cannot be estimated, by name.
pub(crate) fn check_grid(what: &'static str, grid: &Grid) -> Result<(), PreprocessError> {
    for (axis, found) in ['x', 'y', 'z'].into_iter().zip(grid.dim) {
        if found < LEAST_VOXELS {
            return Err(PreprocessError::TooFewVoxels { what, axis, found, least: LEAST_VOXELS });
        }
    }
    match Affine::of_grid(grid).inverse() {
        Some(_) => Ok(()),
        None => Err(PreprocessError::FlatGrid { what, grid: Box::new(grid.clone()) }),
    }
}

/// Mean place of the intensity, RAS+ mm; voxels below 10 % of the largest count for nothing, so that a noisy
/// background does not pull it to the middle of the grid.
pub(crate) fn centre_of_mass_mm(volume: &Volume) -> [f64; 3] {
    let (dim, values) = (volume.grid().dim, volume.values());
    let least = 0.1 * values.iter().fold(0.0f32, |a, b| a.max(*b));
    let (mut total, mut sum) = (0.0, [0.0; 3]);
    for (voxel, value) in values.iter().enumerate().filter(|(_, value)| **value > least) {
        let ijk = [voxel % dim[0], voxel / dim[0] % dim[1], voxel / (dim[0] * dim[1])];
        let value = f64::from(*value);
        total += value;
        (0..3).for_each(|axis| sum[axis] += value * ijk[axis] as f64);
    }
    volume.grid().to_mm(sum.map(|s| s / total))
}
