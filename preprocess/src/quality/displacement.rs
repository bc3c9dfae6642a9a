//! Framewise displacement is how far the head moved from one volume to the next, in one number of millimetres.

use crate::motion::{Motion, Rigid};
use crate::resample::{Affine, dot};

/// Distance from the centre to the cortex that turns an angle into millimetres (Power et al. 2012, NeuroImage 59:2142).
pub const POWER_RADIUS_MM: f64 = 50.0;

/// Radius of the sphere that stands for the head in FSL's `rmsdiff` (Jenkinson 1999, FMRIB report TR99MJ1).
pub const JENKINSON_RADIUS_MM: f64 = 80.0;

/// Power's framewise displacement: Σ |Δ shift| + 50 mm Σ |Δ angle|, mm.
#[must_use]
pub fn power_displacement_mm(before: &Motion, now: &Motion) -> f64 {
    let change = |n: usize| (now.0[n] - before.0[n]).abs();
    (0..3).map(change).sum::<f64>() + POWER_RADIUS_MM * (3..6).map(change).sum::<f64>()
}

/// Jenkinson's RMS displacement, mm: with now ∘ before⁻¹ − 1 = (A | t), √(R²/5 tr(Aᵀ A) + |t + A c|²) over a sphere of
/// radius R about c.
#[must_use]
pub fn jenkinson_rms_mm(before: &Rigid, now: &Rigid, centre_mm: [f64; 3], radius_mm: f64) -> f64 {
    let change: Affine = *before.inverse().then(now).affine();
    let a = [0, 1, 2].map(|r| [0, 1, 2].map(|c| change.linear[r][c] - Affine::IDENTITY.linear[r][c]));
    let centre = change.apply(centre_mm);
    let shift = [0, 1, 2].map(|axis| centre[axis] - centre_mm[axis]);
    let turn: f64 = a.iter().map(|row| dot(*row, *row)).sum();
    (radius_mm * radius_mm / 5.0 * turn + dot(shift, shift)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn power_adds_shifts_and_angles_on_a_sphere_of_50_mm() {
        let before = Motion([0.1, 0.0, -0.2, 0.001, 0.0, 0.002]);
        let cases = [
            (before, 0.0),
            (Motion([0.4, 0.0, -0.2, 0.001, 0.0, 0.002]), 0.3),
            (Motion([0.1, 0.0, -0.2, 0.001, -0.004, 0.002]), 0.2),
            (Motion([0.0, 0.1, -0.1, 0.002, 0.0, 0.0]), 0.1 + 0.1 + 0.1 + 0.05 + 0.1),
        ];
        for (now, expected) in cases {
            // 1e-12: rounding of tenths.
            assert!((power_displacement_mm(&before, &now) - expected).abs() < 1e-12, "{now:?}");
        }
    }

    #[test]
    fn jenkinson_is_the_rms_over_a_ball() {
        let centre = [5.0, -10.0, 20.0];
        let before = Motion([0.3, -0.2, 0.1, 0.01, 0.02, -0.01]).about(centre);
        let now = Motion([-0.5, 0.4, 0.6, -0.02, 0.01, 0.03]).about(centre);
        let change = before.inverse().then(&now);
        let (mut sum, mut count) = (0.0, 0.0);
        let side = 40;
        for n in 0..side * side * side {
            let unit = [n % side, n / side % side, n / (side * side)].map(|k| (2 * k + 1) as f64 / side as f64 - 1.0);
            if dot(unit, unit) <= 1.0 {
                let p = [0, 1, 2].map(|a| centre[a] + JENKINSON_RADIUS_MM * unit[a]);
                let q = change.affine().apply(p);
                sum += (0..3).map(|a| (q[a] - p[a]).powi(2)).sum::<f64>();
                count += 1.0;
            }
        }
        let expected = f64::sqrt(sum / count);
        let found = jenkinson_rms_mm(&before, &now, centre, JENKINSON_RADIUS_MM);
        // 1 %: the ball is made of cubes of 4 mm.
        assert!((found / expected - 1.0).abs() < 0.01, "{found} against {expected}");
    }

    #[test]
    fn a_pure_shift_is_the_same_in_both() {
        let now = Motion([0.0, 0.7, 0.0, 0.0, 0.0, 0.0]);
        let shift = jenkinson_rms_mm(&Rigid::IDENTITY, &now.about([3.0; 3]), [0.0; 3], JENKINSON_RADIUS_MM);
        // 1e-12: rounding.
        assert!((shift - 0.7).abs() < 1e-12 && power_displacement_mm(&Motion::STILL, &now) == 0.7);
    }
}
