//! Where a map is strongest: a few voxels, none beside another, with their place in the head.

use mindeye_preprocess::{Grid, Mask};

/// One of the strongest voxels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Peak {
    /// Place in the mask's order.
    pub(crate) at: usize,
    pub(crate) ijk: [usize; 3],
}

/// Peaks lie at least this many voxels apart, so that one patch of cortex is one peak.
const APART_VOXELS: f64 = 8.0;

/// Up to `count` greatest values of `map` (mask order) that are above 0, the greatest first.
pub(crate) fn peaks(map: impl Fn(usize) -> f32, mask: &Mask, count: usize) -> Vec<Peak> {
    let mut order: Vec<usize> = (0..mask.len()).filter(|at| map(*at) > 0.0).collect();
    order.sort_by(|a, b| map(*b).total_cmp(&map(*a)));
    let mut peaks: Vec<Peak> = Vec::new();
    for at in order {
        let ijk = indices(mask.grid(), mask.voxels()[at]);
        if peaks.iter().all(|peak| apart(peak.ijk, ijk) >= APART_VOXELS) {
            peaks.push(Peak { at, ijk });
        }
        if peaks.len() == count {
            break;
        }
    }
    peaks
}

fn indices(grid: &Grid, voxel: u32) -> [usize; 3] {
    let (voxel, [x, y, _]) = (voxel as usize, grid.dim);
    [voxel % x, voxel / x % y, voxel / (x * y)]
}

fn apart(a: [usize; 3], b: [usize; 3]) -> f64 {
    a.iter().zip(b).map(|(p, q)| (*p as f64 - q as f64).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_voxels_are_found_and_neighbours_are_not_counted_again() {
        let affine = [[2., 0., 0., 0.], [0., 2., 0., 0.], [0., 0., 2., 0.], [0., 0., 0., 1.]];
        let mask = Mask::from_voxels(Grid { dim: [30, 2, 1], affine }, (0..60).collect()).unwrap();
        let value = |at: usize| match at {
            3 => 9.0,
            4 => 8.0,
            50 => 7.0,
            29 => 5.0,
            _ => -1.0,
        };
        let found: Vec<_> = peaks(value, &mask, 5).iter().map(|peak| (peak.at, peak.ijk)).collect();
        assert_eq!(found, [(3, [3, 0, 0]), (50, [20, 1, 0]), (29, [29, 0, 0])]);
        assert_eq!(peaks(value, &mask, 1).len(), 1);
    }
}
