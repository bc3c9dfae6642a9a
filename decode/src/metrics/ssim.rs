//! SSIM with scikit-image's Gaussian settings, as the method uses it (Wang et al. 2004).

use super::pixels::SIDE;
use super::{Antialias, Planes, resize};

/// SD of the window in pixels, and where it is cut off, in SDs: 11 x 11 pixels.
const SIGMA: f64 = 1.5;
const TRUNCATE: f64 = 3.5;
/// (0.01 L)² and (0.03 L)² for a data range L of 1.
const C1: f64 = 1e-4;
const C2: f64 = 9e-4;

/// Mean structural similarity of the luminance of both pictures at 425 x 425, -1 to 1; data range 1, population
/// covariance, edges of 5 pixels left out.
#[must_use]
pub fn ssim(real: &Planes, predicted: &Planes) -> f64 {
    let luminance = |picture| resize(picture, SIDE, SIDE, Antialias::No).luminance();
    ssim_of_planes(&luminance(real), &luminance(predicted), SIDE, SIDE)
}

/// Of two planes f64[height, width].
pub(crate) fn ssim_of_planes(x: &[f64], y: &[f64], height: usize, width: usize) -> f64 {
    let window = Window::gaussian(height, width);
    let products = |a: &[f64], b: &[f64]| window.mean(&a.iter().zip(b).map(|(a, b)| a * b).collect::<Vec<_>>());
    let (ux, uy) = (window.mean(x), window.mean(y));
    let (uxx, uyy, uxy) = (products(x, x), products(y, y), products(x, y));
    let similarity = |i: usize| {
        let (vx, vy, vxy) = (uxx[i] - ux[i] * ux[i], uyy[i] - uy[i] * uy[i], uxy[i] - ux[i] * uy[i]);
        let above = (2.0 * ux[i] * uy[i] + C1) * (2.0 * vxy + C2);
        above / ((ux[i] * ux[i] + uy[i] * uy[i] + C1) * (vx + vy + C2))
    };
    let radius = window.radius();
    let inside =
        (radius..height - radius).flat_map(|row| (radius..width - radius).map(move |column| row * width + column));
    let count = (height - 2 * radius) * (width - 2 * radius);
    inside.map(similarity).sum::<f64>() / count as f64
}

/// A separable Gaussian mean; beyond an edge the picture is mirrored, the edge pixel included (scipy's `reflect`).
struct Window {
    weights: Vec<f64>,
    height: usize,
    width: usize,
}

impl Window {
    fn gaussian(height: usize, width: usize) -> Self {
        let radius = (TRUNCATE * SIGMA + 0.5) as i32;
        let weights: Vec<f64> = (-radius..=radius).map(|i| (-0.5 * f64::from(i * i) / (SIGMA * SIGMA)).exp()).collect();
        let sum: f64 = weights.iter().sum();
        Self { weights: weights.into_iter().map(|w| w / sum).collect(), height, width }
    }

    fn radius(&self) -> usize {
        self.weights.len() / 2
    }

    fn mean(&self, plane: &[f64]) -> Vec<f64> {
        let mut rows = Vec::with_capacity(plane.len());
        plane
            .chunks(self.width)
            .for_each(|row| rows.extend((0..self.width).map(|i| self.at(|j| row[j], i, self.width))));
        let mut out = vec![0.0; plane.len()];
        for (at, value) in out.iter_mut().enumerate() {
            let (row, column) = (at / self.width, at % self.width);
            *value = self.at(|j| rows[j * self.width + column], row, self.height);
        }
        out
    }

    fn at(&self, value: impl Fn(usize) -> f64, centre: usize, length: usize) -> f64 {
        let weighted = |(i, weight): (usize, &f64)| {
            let place = (centre + i) as i64 - self.radius() as i64;
            weight * value(mirrored(place, length as i64))
        };
        self.weights.iter().enumerate().map(weighted).sum()
    }
}

/// ... 1 0 | 0 1 2 ... n−1 | n−1 n−2 ...
fn mirrored(place: i64, length: i64) -> usize {
    let place = place.rem_euclid(2 * length);
    place.min(2 * length - 1 - place) as usize
}
