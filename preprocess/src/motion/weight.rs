//! The weight says where the reference can be trusted to show the head: inside and around it, away from the grid's edge.

use crate::Grid;

/// SD of the blur, voxels (AFNI 3dvolreg's 3).
const BLUR_VOXELS: f64 = 3.0;

/// Below this share of the largest weight there is no head (AFNI's 2.5 %).
const LEAST: f32 = 0.025;

/// From this share on a voxel counts fully: least squares wants equal weights where noise is equal, and the edges of the
/// head, where the blur has made the weight small, tell most.
const FULL: f32 = 0.25;

/// Share of each axis, at each end, that counts for nothing: motion brings unknown tissue in there (AFNI's 5 %).
const EDGE: f64 = 0.05;

/// |reference| blurred by a Gaussian of 3 voxels in shares of its maximum: 1 from 25 % on, less below, 0 below 2.5 % and in
/// the outer 5 % of the grid on every side. `f32[x, y, z]`, x fastest. Once per reference: 3 x 19 multiply-adds per voxel.
pub(crate) fn weights(grid: &Grid, values: &[f32]) -> Vec<f32> {
    let mut weights: Vec<f32> = values.iter().map(|v| v.abs()).collect();
    for axis in 0..3 {
        blur_axis(&mut weights, grid.dim, axis);
    }
    let largest = weights.iter().fold(0.0f32, |a, b| a.max(*b));
    for (voxel, weight) in weights.iter_mut().enumerate() {
        let share = *weight / largest;
        *weight = if share >= LEAST && !on_edge(grid.dim, voxel) { (share / FULL).min(1.0) } else { 0.0 };
    }
    weights
}

fn on_edge(dim: [usize; 3], voxel: usize) -> bool {
    let ijk = [voxel % dim[0], voxel / dim[0] % dim[1], voxel / (dim[0] * dim[1])];
    (0..3).any(|axis| {
        let margin = (EDGE * dim[axis] as f64).round() as usize;
        ijk[axis] < margin || ijk[axis] + margin >= dim[axis]
    })
}

/// Gaussian along one axis, 0 outside the grid.
fn blur_axis(values: &mut [f32], dim: [usize; 3], axis: usize) {
    let reach = (3.0 * BLUR_VOXELS) as usize;
    let taps: Vec<f32> = (0..=reach).map(|d| (-0.5 * (d as f64 / BLUR_VOXELS).powi(2)).exp() as f32).collect();
    let step: usize = dim[..axis].iter().product();
    let mut line = vec![0.0; dim[axis]];
    for first in (0..values.len()).filter(|voxel| (voxel / step).is_multiple_of(dim[axis])) {
        for (at, value) in line.iter_mut().enumerate() {
            let near = at.saturating_sub(reach)..dim[axis].min(at + reach + 1);
            *value = near.map(|other| taps[at.abs_diff(other)] * values[first + other * step]).sum();
        }
        line.iter().enumerate().for_each(|(at, value)| values[first + at * step] = *value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bright ball of 60 mm in a dark grid of 40 x 40 x 20 voxels of 6 mm.
    fn ball() -> (Grid, Vec<f32>) {
        let affine = [[6., 0., 0., -117.], [0., 6., 0., -117.], [0., 0., 6., -57.], [0., 0., 0., 1.]];
        let grid = Grid { dim: [40, 40, 20], affine };
        let inside = |voxel: usize| {
            let mm = grid.to_mm([voxel % 40, voxel / 40 % 40, voxel / 1600].map(|n| n as f64));
            mm.iter().map(|v| v * v).sum::<f64>() < 3600.0
        };
        let values = (0..grid.voxel_count()).map(|voxel| if inside(voxel) { 900.0 } else { 0.0 }).collect();
        (grid, values)
    }

    #[test]
    fn the_head_counts_fully_the_air_and_the_edge_of_the_grid_not_at_all() {
        let (grid, values) = ball();
        let weights = weights(&grid, &values);
        let cases = [
            ("centre", [20, 20, 10], 1.0),
            ("surface of the ball", [30, 20, 10], 1.0),
            ("far air", [39 - 3, 3, 10], 0.0),
            ("top slice, above the centre", [20, 20, 19], 0.0),
            ("second slice, below the centre", [20, 20, 1], 1.0),
        ];
        for (name, ijk, expected) in cases {
            assert_eq!(weights[grid.linear_index(ijk)], expected, "{name}");
        }
        assert!(weights.iter().all(|weight| (0.0..=1.0).contains(weight)));
    }

    #[test]
    fn the_sign_and_the_unit_of_the_reference_do_not_matter() {
        let (grid, values) = ball();
        let negative: Vec<f32> = values.iter().map(|v| -0.5 * v).collect();
        assert_eq!(weights(&grid, &values), weights(&grid, &negative));
    }
}
