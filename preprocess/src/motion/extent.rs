//! The extent of a head turns a difference of two motions into one number: its RMS displacement in millimetres.

use crate::motion::Rigid;
use crate::resample::dot;

/// First and second moments of the places of a head, RAS+ mm about `centre_mm`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extent {
    centre_mm: [f64; 3],
    mean: [f64; 3],
    second: [[f64; 3]; 3],
}

impl Extent {
    /// The extent of these places (RAS+ mm), each as heavy as it says.
    #[must_use]
    pub fn of_places(centre_mm: [f64; 3], places: impl Iterator<Item = ([f64; 3], f64)>) -> Self {
        let (mut total, mut mean, mut second) = (0.0, [0.0; 3], [[0.0; 3]; 3]);
        for (place, weight) in places {
            let d = [0, 1, 2].map(|axis| place[axis] - centre_mm[axis]);
            total += weight;
            for r in 0..3 {
                mean[r] += weight * d[r];
                (0..3).for_each(|c| second[r][c] += weight * d[r] * d[c]);
            }
        }
        Self { centre_mm, mean: mean.map(|m| m / total), second: second.map(|row| row.map(|m| m / total)) }
    }

    /// RMS over the head of |a(x) − b(x)|, mm: with L the difference of the rotations, u that of the centre's images
    /// and d = x − centre, the mean of |L d + u|² is tr(L ⟨d dᵀ⟩ Lᵀ) + 2 u·L⟨d⟩ + |u|².
    #[must_use]
    pub fn rms_mm(&self, a: &Rigid, b: &Rigid) -> f64 {
        let (a, b) = (a.affine(), b.affine());
        let l = [0, 1, 2].map(|r| [0, 1, 2].map(|c| a.linear[r][c] - b.linear[r][c]));
        let (pa, pb) = (a.apply(self.centre_mm), b.apply(self.centre_mm));
        let u = [0, 1, 2].map(|axis| pa[axis] - pb[axis]);
        let spread: f64 = l.iter().map(|row| dot(*row, self.second.map(|m| dot(m, *row)))).sum();
        let cross: f64 = (0..3).map(|r| u[r] * dot(l[r], self.mean)).sum();
        (spread + 2.0 * cross + dot(u, u)).max(0.0).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::motion::Motion;

    #[test]
    fn rms_is_that_of_the_places_themselves() {
        let places: Vec<[f64; 3]> =
            (0..60).map(|n| [n % 7, n % 5, n % 11].map(|v| f64::from(v) * 9.0 - 20.0)).collect();
        let centre = [4.0, -3.0, 10.0];
        let (a, b) = (Motion([1.0, -2.0, 0.5, 0.02, -0.03, 0.05]).about(centre), Motion::STILL.about(centre));
        let far = |place: &[f64; 3]| {
            let (p, q) = (a.affine().apply(*place), b.affine().apply(*place));
            (0..3).map(|axis| (p[axis] - q[axis]).powi(2)).sum::<f64>()
        };
        let expected = (places.iter().map(far).sum::<f64>() / places.len() as f64).sqrt();
        let found = Extent::of_places(centre, places.iter().map(|place| (*place, 2.0))).rms_mm(&a, &b);
        // 1e-12: sums of sixty numbers of a few mm.
        assert!((found - expected).abs() < 1e-12, "{found} against {expected}");
    }
}
