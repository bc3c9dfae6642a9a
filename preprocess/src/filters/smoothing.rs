//! Smoothing inside the mask: a Gaussian over neighbours that belong to it, so that nothing leaks in from outside.

use crate::zscore::require_equal;
use crate::{Mask, Pattern, PreprocessError, Stage};

/// y_v = Σ_u g(u − v) x_u / Σ_u g(u − v) over the voxels u of the mask, g a Gaussian of `fwhm_mm`: at the border the weights
/// are those of the voxels that are there (a normalised convolution; Knutsson and Westin 1993). A constant stays constant.
///
/// Separable, cut off at four SD as `scipy.ndimage` does: for 64x64x36 at 3 mm and 6 mm FWHM three passes of nine taps over
/// the mask's box, 4 million multiply-adds. The grid's axes are taken to be perpendicular.
#[derive(Debug, Clone)]
pub struct SpatialSmoothing {
    /// The mask's box.
    dim: [usize; 3],
    /// Place of each mask voxel in the box.
    places: Vec<usize>,
    /// Weights from −reach to reach along each axis.
    taps: [Vec<f64>; 3],
    /// Σ g over the mask, per voxel.
    weight: Vec<f64>,
    field: Vec<f64>,
    line: Vec<f64>,
}

/// FWHM of a Gaussian of SD 1: 2 √(2 ln 2).
const FWHM_OF_SD: f64 = 2.354_820_045_030_949_3;
/// Cut-off, SD.
const REACH_SD: f64 = 4.0;

impl SpatialSmoothing {
    /// A Gaussian of `fwhm_mm` > 0 for patterns of `mask`.
    #[must_use]
    pub fn new(mask: &Mask, fwhm_mm: f64) -> Self {
        let (dim, places) = in_box(mask);
        let taps = mask.grid().voxel_sizes_mm().map(|side_mm| gaussian(fwhm_mm / FWHM_OF_SD / side_mm));
        let field = vec![0.0; dim.iter().product()];
        let mut smoothing = Self { dim, places, taps, weight: Vec::new(), field, line: Vec::new() };
        smoothing.convolve(|_| 1.0);
        smoothing.weight = smoothing.places.iter().map(|place| smoothing.field[*place]).collect();
        smoothing
    }

    /// Fills the box with `value` of each voxel in mask order, 0 elsewhere, and smooths it.
    fn convolve(&mut self, value: impl Fn(usize) -> f64) {
        self.field.fill(0.0);
        for (at, place) in self.places.iter().enumerate() {
            self.field[*place] = value(at);
        }
        for axis in 0..3 {
            convolve_axis(&mut self.field, &mut self.line, self.dim, axis, &self.taps[axis]);
        }
    }
}

impl Stage for SpatialSmoothing {
    type In<'a> = Pattern;
    type Out = Pattern;

    fn process_into(&mut self, input: &Pattern, out: &mut Pattern) -> Result<(), PreprocessError> {
        require_equal("volume", "smoothing", "voxels", input.len(), self.places.len())?;
        self.convolve(|at| f64::from(input.0[at]));
        out.0.resize(input.len(), 0.0);
        for ((out, place), weight) in out.0.iter_mut().zip(&self.places).zip(&self.weight) {
            *out = (self.field[*place] / weight) as f32;
        }
        Ok(())
    }

    fn delay_volumes(&self) -> u32 {
        0
    }

    fn reset(&mut self) {}
}

/// Size of the mask's box, and the mask's voxels as linear indices in it, x fastest.
fn in_box(mask: &Mask) -> ([usize; 3], Vec<usize>) {
    let [nx, ny, _] = mask.grid().dim;
    let ijk = |voxel: &u32| {
        let voxel = *voxel as usize;
        [voxel % nx, voxel / nx % ny, voxel / (nx * ny)]
    };
    let all = || mask.voxels().iter().map(ijk);
    let low = all().fold([usize::MAX; 3], |low, at| [0, 1, 2].map(|axis| low[axis].min(at[axis])));
    let high = all().fold([0; 3], |high, at| [0, 1, 2].map(|axis| high[axis].max(at[axis])));
    let dim = [0, 1, 2].map(|axis| high[axis] - low[axis] + 1);
    let place = |at: [usize; 3]| (at[0] - low[0]) + dim[0] * ((at[1] - low[1]) + dim[1] * (at[2] - low[2]));
    (dim, all().map(place).collect())
}

/// Weights at whole voxels of a Gaussian of `sd` voxels, sum 1.
fn gaussian(sd: f64) -> Vec<f64> {
    let reach = (REACH_SD * sd + 0.5) as i64;
    let taps: Vec<f64> = (-reach..=reach).map(|d| (-0.5 * (d as f64 / sd).powi(2)).exp()).collect();
    let sum: f64 = taps.iter().sum();
    taps.into_iter().map(|tap| tap / sum).collect()
}

/// Along one axis, 0 beyond the box.
fn convolve_axis(field: &mut [f64], line: &mut Vec<f64>, dim: [usize; 3], axis: usize, taps: &[f64]) {
    let (step, length): (usize, usize) = (dim[..axis].iter().product(), dim[axis]);
    let reach = taps.len() / 2;
    for first in (0..field.len()).filter(|voxel| (voxel / step).is_multiple_of(length)) {
        line.clear();
        line.extend((0..length).map(|at| field[first + at * step]));
        for at in 0..length {
            let near = at.saturating_sub(reach)..length.min(at + reach + 1);
            field[first + at * step] = near.map(|other| taps[other + reach - at] * line[other]).sum();
        }
    }
}
