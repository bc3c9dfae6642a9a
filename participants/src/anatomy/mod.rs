//! A head of its own: the template head, scaled, turned and folded otherwise, and the ribbon of its visual cortex.
//!
//! ```text
//!   place in the scanner ──Warp──► place in the template head ──► intensity, tissue, cortical coordinates
//! ```
//!
//! Visual cortex is the grey ribbon of the posterior brain, as many voxels as the participant has, from the occipital pole
//! forward. Where a voxel lies on the ribbon decides its area and the part of the visual field that it sees.

mod fields;
mod retinotopy;
mod warp;

pub(crate) use fields::SmoothField;
pub use retinotopy::{Area, Site};
pub(crate) use warp::Branch;
pub use warp::Warp;

use crate::parameters::Head;
use mindeye_preprocess::phantom::{grid, head};
use mindeye_preprocess::{Grid, Mask};

/// Mean intensity between these is grey matter more than anything else, shares of [`head::GREY`].
const GREY_SHARE: std::ops::Range<f64> = 0.88..1.12;

/// Below this, template mm, lies the cerebellum.
const CEREBELLUM_BELOW_MM: f64 = -13.0;

/// Ahead of this, template mm, no voxel is visual.
const VISUAL_BEHIND_MM: f64 = -18.0;

/// Places per voxel and axis that are averaged.
const PLACES: usize = 2;

/// The head at rest on the scanner's grid.
pub struct Anatomy {
    /// The visual mask.
    mask: Mask,
    /// Intensity of every voxel of the grid, scanner's units.
    intensity: Vec<f32>,
    /// Linear indices of the voxels of the whole brain, ascending.
    brain: Vec<u32>,
    /// Site of each voxel of the mask.
    sites: Vec<Site>,
}

impl Anatomy {
    /// The anatomy of `head`: 147,456 voxels of 8 places each, about a quarter of a second.
    ///
    /// # Errors
    /// What is wrong when the grey ribbon has fewer voxels than the participant wants.
    pub fn new(head: &Head) -> Result<Self, TooFewVoxels> {
        let (grid, warp) = (grid(), Warp::new(head));
        let intensity: Vec<f32> = voxels(&grid).map(|voxel| mean_intensity(&grid, &warp, voxel)).collect();
        let template = |voxel: usize| warp.to_template(grid.to_mm(coordinates(&grid, voxel)));
        let brain: Vec<u32> = voxels(&grid).filter(|v| head::in_brain(template(*v))).map(|v| v as u32).collect();
        let mut ribbon: Vec<(u32, [f64; 3])> = brain.iter().map(|v| (*v, template(*v as usize))).collect();
        ribbon.retain(|(voxel, place)| is_visual_grey(intensity[*voxel as usize], *place));
        ribbon.sort_by(|(_, a), (_, b)| a[1].total_cmp(&b[1]));
        if ribbon.len() < head.voxels {
            return Err(TooFewVoxels { wanted: head.voxels, found: ribbon.len() });
        }
        ribbon.truncate(head.voxels);
        ribbon.sort_by_key(|(voxel, _)| *voxel);
        let sites = ribbon.iter().map(|(voxel, place)| Site::at(*place, *voxel, head.seed)).collect();
        let mask = Mask::from_voxels(grid, ribbon.iter().map(|(voxel, _)| *voxel).collect());
        Ok(Self { mask: mask.expect("sorted indices of the grid, one or more"), intensity, brain, sites })
    }

    /// The visual mask.
    #[must_use]
    pub fn mask(&self) -> &Mask {
        &self.mask
    }

    /// Voxels and their place.
    #[must_use]
    pub fn grid(&self) -> &Grid {
        self.mask.grid()
    }

    /// Intensity at rest, f32[x, y, z], x fastest, scanner's units.
    #[must_use]
    pub fn intensity(&self) -> &[f32] {
        &self.intensity
    }

    /// Linear indices of the voxels of the whole brain, ascending.
    #[must_use]
    pub fn brain(&self) -> &[u32] {
        &self.brain
    }

    /// What each voxel of the mask is, in mask order.
    #[must_use]
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }
}

/// The ribbon is smaller than the participant wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the visual ribbon of this head has {found} voxels, its participant wants {wanted}")]
pub struct TooFewVoxels {
    /// Voxels of the preset.
    pub wanted: usize,
    /// Voxels of the ribbon.
    pub found: usize,
}

fn voxels(grid: &Grid) -> std::ops::Range<usize> {
    0..grid.voxel_count()
}

/// Coordinates of a linear index.
pub(crate) fn coordinates(grid: &Grid, voxel: usize) -> [f64; 3] {
    let [nx, ny, _] = grid.dim;
    [voxel % nx, voxel / nx % ny, voxel / (nx * ny)].map(|n| n as f64)
}

fn mean_intensity(grid: &Grid, warp: &Warp, voxel: usize) -> f32 {
    let middle = coordinates(grid, voxel);
    let offset = |n: usize| (n as f64 + 0.5) / PLACES as f64 - 0.5;
    let count = PLACES * PLACES * PLACES;
    let within = (0..count).map(|n| [n % PLACES, n / PLACES % PLACES, n / (PLACES * PLACES)].map(offset));
    let at = |o: [f64; 3]| head::intensity(warp.to_template(grid.to_mm([0, 1, 2].map(|axis| middle[axis] + o[axis]))));
    (within.map(at).sum::<f64>() / count as f64) as f32
}

fn is_visual_grey(intensity: f32, place: [f64; 3]) -> bool {
    GREY_SHARE.contains(&(f64::from(intensity) / head::GREY))
        && place[1] < VISUAL_BEHIND_MM
        && place[2] > CEREBELLUM_BELOW_MM
}
