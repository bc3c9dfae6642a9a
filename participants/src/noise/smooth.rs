//! Spatially smooth noise: white noise on the grid through a Gaussian, with SD 1 everywhere.

use crate::anatomy::coordinates;
use mindeye_preprocess::Grid;
use mindeye_preprocess::phantom::hash::Noise;

/// A Gaussian is cut here, SDs.
const REACH: f64 = 3.0;

/// FWHM over SD of a Gaussian.
const FWHM_PER_SD: f64 = 2.354_820_045;

/// Draws smooth noise at some voxels of a grid. One draw at the visual mask's 4,000 voxels takes 30,000 random numbers and
/// 0.6 million multiplications.
pub(crate) struct SmoothNoise {
    /// Corner and size of the box around the voxels, in voxels.
    corner: [usize; 3],
    size: [usize; 3],
    /// Half of the symmetric kernel along each axis: weight at distance 0, 1, ...; squares of the whole sum to 1.
    kernels: [Vec<f32>; 3],
    /// Place of each voxel in the box.
    places: Vec<[usize; 3]>,
}

impl SmoothNoise {
    /// At `voxels` (linear indices of `grid`, one or more), with this full width at half maximum.
    pub(crate) fn new(grid: &Grid, voxels: &[u32], fwhm_mm: f64) -> Self {
        let at: Vec<[usize; 3]> = voxels.iter().map(|v| coordinates(grid, *v as usize).map(|c| c as usize)).collect();
        let least = |axis: usize| at.iter().map(|p| p[axis]).min().expect("one or more voxels");
        let most = |axis: usize| at.iter().map(|p| p[axis]).max().expect("one or more voxels");
        let corner = [0, 1, 2].map(least);
        let size = [0, 1, 2].map(|axis| most(axis) + 1 - corner[axis]);
        let kernels = grid.voxel_sizes_mm().map(|side| half_kernel(fwhm_mm / FWHM_PER_SD / side));
        let places = at.iter().map(|p| [0, 1, 2].map(|axis| p[axis] - corner[axis])).collect();
        Self { corner, size, kernels, places }
    }

    /// Noise number `index` of `seed`, f32[voxels], SD 1.
    pub(crate) fn draw(&self, seed: u64, index: u32) -> Vec<f32> {
        let reach = self.kernels.each_ref().map(|k| k.len() - 1);
        let padded = [0, 1, 2].map(|axis| self.size[axis] + 2 * reach[axis]);
        let noise = Noise::new(seed, index, 1.0);
        let mut values: Vec<f32> = (0..padded.iter().product::<usize>()).map(|n| noise.at(n)).collect();
        let mut size = padded;
        for axis in 0..3 {
            values = smooth_axis(&values, size, axis, &self.kernels[axis]);
            size[axis] = self.size[axis];
        }
        self.places.iter().map(|[i, j, k]| values[i + size[0] * (j + size[1] * k)]).collect()
    }

    /// Correlation of the noise at two voxels that lie `offset` voxels apart: Π over axes of Σ k(i) k(i + offset).
    pub(crate) fn correlation(&self, offset: [usize; 3]) -> f64 {
        (0..3).map(|axis| overlap(&self.kernels[axis], offset[axis])).product()
    }

    /// Coordinates of a voxel in the grid, by its place in the list.
    pub(crate) fn place(&self, voxel: usize) -> [usize; 3] {
        [0, 1, 2].map(|axis| self.places[voxel][axis] + self.corner[axis])
    }
}

fn half_kernel(sd: f64) -> Vec<f32> {
    let reach = (REACH * sd).ceil() as usize;
    let half: Vec<f64> = (0..=reach).map(|d| (-(d as f64).powi(2) / (2.0 * sd * sd)).exp()).collect();
    let squares = half[0] + 2.0 * half[1..].iter().map(|w| w * w).sum::<f64>();
    half.iter().map(|w| (w / squares.sqrt()) as f32).collect()
}

fn overlap(half: &[f32], offset: usize) -> f64 {
    let reach = half.len() as i64 - 1;
    let at = |d: i64| half.get(d.unsigned_abs() as usize).map_or(0.0, |w| f64::from(*w));
    (-reach..=reach).map(|d| at(d) * at(d + offset as i64)).sum()
}

/// `values` through the kernel along one axis, whose ends (kernel's reach) fall away.
fn smooth_axis(values: &[f32], size: [usize; 3], axis: usize, half: &[f32]) -> Vec<f32> {
    let stride: usize = size[..axis].iter().product();
    let reach = half.len() - 1;
    let kept = size[axis] - 2 * reach;
    let outer: usize = size[axis + 1..].iter().product();
    let mut out = vec![0.0; stride * kept * outer];
    for block in 0..outer {
        let from = &values[block * stride * size[axis]..][..stride * size[axis]];
        let to = &mut out[block * stride * kept..][..stride * kept];
        for (d, to) in to.chunks_exact_mut(stride).enumerate() {
            for tap in 0..=2 * reach {
                let weight = half[tap.abs_diff(reach)];
                let line = &from[(d + tap) * stride..][..stride];
                to.iter_mut().zip(line).for_each(|(t, f)| *t += weight * f);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use mindeye_preprocess::phantom::{grid, mask};

    #[test]
    fn noise_has_unit_variance_and_the_correlation_that_it_says() {
        let (grid, voxels) = (grid(), mask().voxels()[..600].to_vec());
        let noise = SmoothNoise::new(&grid, &voxels, 7.0);
        let draws: Vec<Vec<f32>> = (0..4000).map(|index| noise.draw(9, index)).collect();
        let product = |a: usize, b: usize| draws.iter().map(|d| f64::from(d[a] * d[b])).sum::<f64>() / 4000.0;
        for (a, b) in [(0, 0), (5, 5), (300, 300), (0, 1), (10, 300), (100, 130), (7, 9)] {
            let (p, q) = (noise.place(a), noise.place(b));
            let expected = noise.correlation([0, 1, 2].map(|axis| p[axis].abs_diff(q[axis])));
            // The standard error of a product moment over 4,000 draws is at most 0.022; four and a half of it.
            assert!((product(a, b) - expected).abs() < 0.1, "{a}, {b}: {} for {expected}", product(a, b));
        }
    }

    #[test]
    fn the_width_is_the_one_asked_for() {
        let noise = SmoothNoise::new(&grid(), &[0], 7.0);
        // A Gaussian of SD σ correlates as one of SD √2 σ: half at FWHM/2 x √2 = 4.95 mm, 1.65 voxels of 3 mm.
        let (near, far) = (noise.correlation([1, 0, 0]), noise.correlation([2, 0, 0]));
        assert!(near > 0.5 && far < 0.5, "{near}, {far}");
    }
}
