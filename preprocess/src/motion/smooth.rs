//! One light smoothing, 0.2 0.6 0.2 along each axis, so that reading between voxels sees little beyond Nyquist's limit.
//!
//! With the B-spline that reads it, a FWHM of 2 voxels. Measured on the simulated head at 2 mm: without it the error is
//! 0.0076 mm, with it 0.0027; with twice as much no better, and noise tells more than aliasing from 3 mm on.

use crate::resample::Lattice;

const MIDDLE: f32 = 0.6;
const SIDE: f32 = 0.2;

/// Writes `from` smoothed to `to` (the same size); the outermost voxels of `to` stay unsmoothed along their axis and
/// must not be read. Three multiply-adds per voxel and axis.
pub(crate) fn smooth(from: &Lattice, to: &mut Lattice, scratch: &mut [Vec<f32>; 2]) {
    let [_, ny, nz] = from.dim();
    for k in 0..nz {
        for j in 0..ny {
            smooth_line(from.row(j, k), to.row_mut(j, k));
        }
        smooth_rows(to, ny, |j| (j, k), scratch);
    }
    for j in 0..ny {
        smooth_rows(to, nz, |k| (j, k), scratch);
    }
}

fn smooth_line(from: &[f32], to: &mut [f32]) {
    let n = from.len();
    to[0] = from[0];
    to[n - 1] = from[n - 1];
    for (middle, three) in to[1..n - 1].iter_mut().zip(from.windows(3)) {
        *middle = MIDDLE * three[1] + SIDE * (three[0] + three[2]);
    }
}

/// In place across `count` rows; `at` gives the row (j, k) of each.
fn smooth_rows(lattice: &mut Lattice, count: usize, at: impl Fn(usize) -> (usize, usize), scratch: &mut [Vec<f32>; 2]) {
    let [before, here] = scratch;
    let (j, k) = at(0);
    before.copy_from_slice(lattice.row(j, k));
    for n in 1..count - 1 {
        let (after, middle) = lattice.row_pair(at(n + 1), at(n));
        here.copy_from_slice(middle);
        for ((value, before), after) in middle.iter_mut().zip(&*before).zip(after) {
            *value = MIDDLE * *value + SIDE * (before + after);
        }
        std::mem::swap(before, here);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spike_spreads_by_the_taps_in_three_dimensions() {
        let dim = [7, 6, 8];
        let mut values = vec![0.0; 7 * 6 * 8];
        values[3 + 7 * (2 + 6 * 4)] = 125.0;
        let (mut from, mut to) = (Lattice::new(dim), Lattice::new(dim));
        from.fill_values(&values);
        smooth(&from, &mut to, &mut [vec![0.0; 7], vec![0.0; 7]]);
        let tap = |n: usize, middle: usize| [3.0, 1.0, 0.0][n.abs_diff(middle).min(2)];
        for k in 1..7 {
            for j in 1..5 {
                for i in 1..6 {
                    let expected = tap(i, 3) * tap(j, 2) * tap(k, 4);
                    // 1e-5 of 27: 0.2 and 0.6 are not exact in f32.
                    assert!((to.row(j, k)[i] - expected).abs() < 1e-5, "{i}, {j}, {k}");
                }
            }
        }
    }
}
