//! A grid says where each voxel lies in the head: its size in voxels and its map from voxel index to RAS+ millimetres.

use serde::{Deserialize, Serialize};

/// A regular lattice of voxels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grid {
    /// Voxels along x, y, z.
    pub dim: [usize; 3],
    /// Row-major 4x4 map of voxel index (i, j, k, 1) to RAS+ millimetres.
    pub affine: [[f64; 4]; 4],
}

impl Grid {
    /// Voxels in the grid.
    #[must_use]
    pub fn voxel_count(&self) -> usize {
        self.dim.iter().product()
    }

    /// Linear index of voxel (i, j, k), x fastest.
    #[must_use]
    pub fn linear_index(&self, [i, j, k]: [usize; 3]) -> usize {
        i + self.dim[0] * (j + self.dim[1] * k)
    }

    /// Centre of voxel (i, j, k) in RAS+ millimetres; fractional indices lie between centres.
    #[must_use]
    pub fn to_mm(&self, [i, j, k]: [f64; 3]) -> [f64; 3] {
        let row = |r: usize| {
            let a = self.affine[r];
            a[0] * i + a[1] * j + a[2] * k + a[3]
        };
        [row(0), row(1), row(2)]
    }

    /// Length of a voxel's sides along x, y, z of the grid, mm.
    #[must_use]
    pub fn voxel_sizes_mm(&self) -> [f64; 3] {
        [0, 1, 2].map(|axis| (0..3).map(|row| self.affine[row][axis].powi(2)).sum::<f64>().sqrt())
    }

    /// Largest distance in millimetres between equal corner voxels of two grids: 0 for equal grids, and it grows with
    /// shift, rotation and voxel size alike, so that one tolerance covers them all. Infinite if the sizes differ.
    #[must_use]
    pub fn corner_distance_mm(&self, other: &Self) -> f64 {
        if self.dim != other.dim {
            return f64::INFINITY;
        }
        let distances = self.corners().map(|corner| distance_mm(self.to_mm(corner), other.to_mm(corner)));
        distances.into_iter().fold(0.0, larger)
    }

    fn corners(&self) -> [[f64; 3]; 8] {
        let last = self.dim.map(|n| n.saturating_sub(1) as f64);
        std::array::from_fn(|c| std::array::from_fn(|axis| if c >> axis & 1 == 1 { last[axis] } else { 0.0 }))
    }
}

fn distance_mm(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(p, q)| (p - q) * (p - q)).sum::<f64>().sqrt()
}

/// `f64::max` drops NaN; here a NaN in an affine must not look like agreement.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::INFINITY } else { a.max(b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid_3mm() -> Grid {
        let affine = [[3.0, 0., 0., -94.5], [0., 3.0, 0., -94.5], [0., 0., 3.0, -52.5], [0., 0., 0., 1.]];
        Grid { dim: [64, 64, 36], affine }
    }

    #[test]
    fn linear_index_runs_x_fastest() {
        let grid = grid_3mm();
        let cases = [([0, 0, 0], 0), ([1, 0, 0], 1), ([0, 1, 0], 64), ([0, 0, 1], 4096), ([63, 63, 35], 147_455)];
        for (ijk, linear) in cases {
            assert_eq!(grid.linear_index(ijk), linear);
        }
        assert_eq!(grid.voxel_count(), 147_456);
    }

    #[test]
    fn corner_distance_sees_shift_rotation_size_and_nan() {
        let grid = grid_3mm();
        let with = |change: &dyn Fn(&mut Grid)| {
            let mut other = grid.clone();
            change(&mut other);
            other.corner_distance_mm(&grid)
        };
        assert_eq!(with(&|_| ()), 0.0);
        assert_eq!(with(&|g| g.affine[1][3] += 0.25), 0.25);
        // 0.01 mm per voxel over 63 voxels.
        assert!((with(&|g| g.affine[0][0] += 0.01) - 0.63).abs() < 1e-9);
        // A rotation's off-diagonal: 0.02 mm of y per voxel of z, over 35 voxels.
        assert!((with(&|g| g.affine[1][2] = 0.02) - 0.70).abs() < 1e-9);
        assert_eq!(with(&|g| g.dim[2] = 35), f64::INFINITY);
        assert_eq!(with(&|g| g.affine[2][2] = f64::NAN), f64::INFINITY);
    }

    #[test]
    fn sides_are_those_of_the_voxel_and_not_of_its_shadow() {
        // 20 degrees oblique about x.
        let affine =
            [[-2., 0., 0., 0.], [0., 1.879_385, -1.026_060, 0.], [0., 0.684_040, 2.819_078, 0.], [0., 0., 0., 1.]];
        let sizes = Grid { dim: [4, 4, 4], affine }.voxel_sizes_mm();
        // 1e-5: the affine above has six decimals.
        assert!(
            sizes.iter().zip([2.0, 2.0, 3.0]).all(|(found, expected)| (found - expected).abs() < 1e-5),
            "{sizes:?}"
        );
    }

    #[test]
    fn voxel_centres_are_in_ras_millimetres() {
        assert_eq!(grid_3mm().to_mm([31.5, 31.5, 17.5]), [0.0, 0.0, 0.0]);
        assert_eq!(grid_3mm().to_mm([0.0, 63.0, 35.0]), [-94.5, 94.5, 52.5]);
    }
}
