//! The phantom at rest: an ellipsoid brain with folded intensity, its gradient for motion, and its visual region.

use crate::{Grid, Mask};

/// Intensity of the brain before folding, scanner's units.
pub(crate) const BRAIN_INTENSITY: f64 = 1000.0;

/// Half axes of the brain along x, y, z, mm.
const BRAIN_MM: [f64; 3] = [66.0, 84.0, 50.0];

/// Voxels behind this plane and well inside the brain make the visual region, RAS+ mm.
const VISUAL_BEHIND_MM: f64 = -44.0;

const DIM: [usize; 3] = [64, 64, 36];
const VOXEL_MM: f64 = 3.0;

pub(crate) fn grid() -> Grid {
    let mut affine = [[0.0; 4]; 4];
    for axis in 0..3 {
        affine[axis][axis] = VOXEL_MM;
        affine[axis][3] = -VOXEL_MM * (DIM[axis] as f64 - 1.0) / 2.0;
    }
    affine[3][3] = 1.0;
    Grid { dim: DIM, affine }
}

pub(crate) fn visual_mask() -> Mask {
    let inside = places_mm().enumerate().filter(|(_, mm)| mm[1] < VISUAL_BEHIND_MM && radius(*mm) < 0.95);
    let voxels = inside.map(|(voxel, _)| voxel as u32).collect();
    Mask::from_voxels(grid(), voxels).expect("indices of one pass over the grid ascend, and the test counts them")
}

/// Centres of all voxels, x fastest, RAS+ mm.
fn places_mm() -> impl Iterator<Item = [f64; 3]> {
    let grid = grid();
    (0..grid.voxel_count()).map(move |voxel| {
        let ijk = [voxel % DIM[0], voxel / DIM[0] % DIM[1], voxel / (DIM[0] * DIM[1])];
        grid.to_mm(ijk.map(|n| n as f64))
    })
}

/// 1 on the brain's surface.
fn radius(mm: [f64; 3]) -> f64 {
    mm.iter().zip(BRAIN_MM).map(|(p, half)| (p / half).powi(2)).sum::<f64>().sqrt()
}

/// Intensity at a place: 15 % folds of a few centimetres, falling to 0 over the outer 4 mm or so.
fn intensity_at(mm: [f64; 3]) -> f64 {
    let surface = ((1.03 - radius(mm)) / 0.06).clamp(0.0, 1.0);
    let folds = (mm[0] / 6.0).sin() * (mm[1] / 7.0).sin() * (mm[2] / 5.0).sin();
    BRAIN_INTENSITY * surface * (1.0 + 0.15 * folds)
}

/// The head at rest, voxel by voxel in grid order.
pub(crate) struct Anatomy {
    /// S, scanner's units.
    intensity: Vec<f32>,
    /// −∇S, scanner's units per mm that the head moves along x, y, z.
    per_mm: Vec<[f32; 3]>,
    /// Place in units of the brain's half axes.
    place: Vec<[f32; 3]>,
}

impl Anatomy {
    pub(crate) fn new() -> Self {
        let place = |mm: [f64; 3]| [0, 1, 2].map(|axis| (mm[axis] / BRAIN_MM[axis]) as f32);
        Self {
            intensity: places_mm().map(|mm| intensity_at(mm) as f32).collect(),
            per_mm: places_mm().map(change_per_mm).collect(),
            place: places_mm().map(place).collect(),
        }
    }

    /// S of one voxel.
    pub(crate) fn intensity(&self, voxel: usize) -> f32 {
        self.intensity[voxel]
    }

    /// The head moved by `motion_mm`, to first order.
    pub(crate) fn displaced(&self, motion_mm: [f64; 3]) -> Vec<f32> {
        let [x, y, z] = motion_mm.map(|mm| mm as f32);
        let moved = |(s, d): (&f32, &[f32; 3])| s + d[0] * x + d[1] * y + d[2] * z;
        self.intensity.iter().zip(&self.per_mm).map(moved).collect()
    }

    /// Adds a percentage of S that is 0 in the centre and `percent` at the right, front and top ends of the brain.
    pub(crate) fn add_percent_plane(&self, signal: &mut [f32], percent: [f64; 3]) {
        let [x, y, z] = percent.map(|p| (p / 100.0) as f32);
        for ((signal, s), place) in signal.iter_mut().zip(&self.intensity).zip(&self.place) {
            *signal += s * (x * place[0] + y * place[1] + z * place[2]);
        }
    }
}

/// When the head moves by +1 mm, a voxel sees what lay 1 mm before it: minus the central difference over 1 mm.
fn change_per_mm(mm: [f64; 3]) -> [f32; 3] {
    [0, 1, 2].map(|axis| {
        let (mut before, mut after) = (mm, mm);
        before[axis] -= 0.5;
        after[axis] += 0.5;
        (intensity_at(before) - intensity_at(after)) as f32
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_visual_region_has_about_four_thousand_voxels_behind_the_centre() {
        let mask = visual_mask();
        assert!((3_500..4_500).contains(&mask.len()), "{}", mask.len());
        let places: Vec<_> = places_mm().collect();
        assert!(mask.voxels().iter().all(|v| places[*v as usize][1] < VISUAL_BEHIND_MM));
    }

    #[test]
    fn the_brain_shines_and_the_background_is_dark() {
        let anatomy = Anatomy::new();
        let grid = grid();
        let cases = [([32, 32, 18], 900.0..1100.0), ([0, 0, 0], 0.0..0.1), ([32, 6, 18], 800.0..1200.0)];
        for (ijk, range) in cases {
            let s = anatomy.intensity(grid.linear_index(ijk));
            assert!(range.contains(&s), "{ijk:?}: {s}");
        }
    }

    #[test]
    fn a_moved_head_brightens_the_side_it_moves_to() {
        let anatomy = Anatomy::new();
        let right_edge = grid().linear_index([53, 32, 18]);
        let moved = anatomy.displaced([0.5, 0.0, 0.0]);
        assert!(moved[right_edge] > anatomy.intensity(right_edge));
    }
}
