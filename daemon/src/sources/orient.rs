//! The same voxels in the order of the bundle's mask: axes swapped and turned, never interpolated.
//!
//! Scanner programs store a volume from whichever corner they like. Where one of the 48 ways to swap and turn axes brings a run's
//! grid onto the mask's, that way is taken; where none does, the volume stays as it is and the intake says what is wrong.

use super::event::RunPlan;
use mindeye_preprocess::Grid;

/// Where each axis of the result comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AxisMap {
    /// Source axis of each axis of the result, and whether it is walked backwards.
    axes: [(usize, bool); 3],
}

const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

impl AxisMap {
    /// Nothing changes.
    pub const IDENTITY: Self = Self { axes: [(0, false), (1, false), (2, false)] };

    /// The way from `from` that comes closest to `target`; the identity where none has its dimensions.
    #[must_use]
    pub fn onto(from: &Grid, target: &Grid) -> Self {
        let turned = |order: [usize; 3], turns: usize| Self {
            axes: std::array::from_fn(|axis| (order[axis], turns >> axis & 1 == 1)),
        };
        let all = ORDERS.into_iter().flat_map(|order| (0..8).map(move |turns| turned(order, turns)));
        let distance = |map: &Self| map.grid(from).corner_distance_mm(target);
        let best = all.min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(Self::IDENTITY);
        if distance(&best).is_finite() { best } else { Self::IDENTITY }
    }

    /// The grid of the result.
    #[must_use]
    pub fn grid(&self, from: &Grid) -> Grid {
        let dim = self.axes.map(|(source, _)| from.dim[source]);
        let corner: [f64; 3] = std::array::from_fn(|source| {
            let backwards = self.axes.contains(&(source, true));
            if backwards { from.dim[source].saturating_sub(1) as f64 } else { 0.0 }
        });
        let origin = from.to_mm(corner);
        let row = |mm: usize| {
            let step = self.axes.map(|(source, back)| if back { -1.0 } else { 1.0 } * from.affine[mm][source]);
            [step[0], step[1], step[2], origin[mm]]
        };
        Grid { dim, affine: [row(0), row(1), row(2), [0.0, 0.0, 0.0, 1.0]] }
    }

    /// The plan of the result. Slice times stay where slices stay slices.
    #[must_use]
    pub fn plan(&self, plan: RunPlan) -> RunPlan {
        let slice_timing_s = plan.slice_timing_s.clone().filter(|_| self.axes[2].0 == 2).map(|mut times| {
            if self.axes[2].1 {
                times.reverse();
            }
            times
        });
        RunPlan { grid: self.grid(&plan.grid), slice_timing_s, ..plan }
    }

    /// The voxels of the result; `from` is the grid of `voxels`, x fastest, of `width` bytes each.
    #[must_use]
    pub fn voxels(&self, voxels: Vec<u8>, from: &Grid, width: usize) -> Vec<u8> {
        if *self == Self::IDENTITY || voxels.len() != from.voxel_count() * width {
            return voxels;
        }
        let strides = [1, from.dim[0], from.dim[0] * from.dim[1]].map(|stride| (stride * width) as isize);
        let step = self.axes.map(|(source, back)| if back { -strides[source] } else { strides[source] });
        let at = |source: usize| if self.axes.contains(&(source, true)) { from.dim[source] as isize - 1 } else { 0 };
        let corner: isize = (0..3).map(|source| at(source) * strides[source]).sum();
        let dim = self.axes.map(|(source, _)| from.dim[source] as isize);
        let mut out = Vec::with_capacity(voxels.len());
        for k in 0..dim[2] {
            for j in 0..dim[1] {
                let line = corner + k * step[2] + j * step[1];
                for i in 0..dim[0] {
                    // Each index lies in its dimension, so the sum lies in the volume.
                    let begin = (line + i * step[0]) as usize;
                    out.extend_from_slice(&voxels[begin..begin + width]);
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grid() -> Grid {
        let affine = [[-3.0, 0.1, 0.0, 20.0], [0.1, 3.0, 0.2, -30.0], [0.0, -0.2, 3.5, 5.0], [0.0, 0.0, 0.0, 1.0]];
        Grid { dim: [2, 3, 4], affine }
    }

    proptest! {
        #[test]
        fn every_way_of_storing_a_volume_is_found_and_undone(order in 0usize..6, turns in 0usize..8) {
            let stored = AxisMap { axes: std::array::from_fn(|axis| (ORDERS[order][axis], turns >> axis & 1 == 1)) };
            let voxels: Vec<u8> = (0u8..24).collect();
            let from = stored.grid(&grid());
            let elsewhere = stored.voxels(voxels.clone(), &grid(), 1);
            let back = AxisMap::onto(&from, &grid());
            prop_assert_eq!(back.voxels(elsewhere, &from, 1), voxels);
            // 1e-9 mm: sums of a few products of f64.
            prop_assert!(back.grid(&from).corner_distance_mm(&grid()) < 1e-9);
        }
    }
}
