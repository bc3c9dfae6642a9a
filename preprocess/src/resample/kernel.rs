//! A kernel says how much each of the four nearest samples along an axis counts at a place between them.

use mindeye_config::Interpolation;

/// Interpolation between voxels, separable: the weight of a neighbour is the product of its three axis weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Kernel {
    /// Two neighbours along each axis, weighted by nearness. Blurs most: half way between voxels a wave of 4 voxels
    /// keeps 71 % of its height (Keys 88 %, B-spline 97 %).
    Trilinear,
    /// Keys 1981 (a = −1/2), IEEE Trans. ASSP 29:1153: passes through the samples, exact for parabolas, no prefilter.
    Keys,
    /// Cubic B-spline through the samples (Unser 1999, IEEE Signal Proc. Mag. 16:22): a recursive prefilter turns
    /// samples into coefficients. Least blur of the three, and what `scipy.ndimage` means by `order=3`; the default.
    #[default]
    CubicBspline,
}

impl Kernel {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Trilinear, Self::Keys, Self::CubicBspline];

    /// Name in configuration files and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trilinear => "trilinear",
            Self::Keys => "keys",
            Self::CubicBspline => "cubic-bspline",
        }
    }
}

impl From<Interpolation> for Kernel {
    fn from(interpolation: Interpolation) -> Self {
        match interpolation {
            Interpolation::Trilinear => Self::Trilinear,
            Interpolation::Keys => Self::Keys,
            Interpolation::CubicBspline => Self::CubicBspline,
        }
    }
}

/// Weights of samples −1, 0, 1, 2 at `t` in 0..=1 between samples 0 and 1.
pub(crate) fn trilinear(t: f32) -> [f32; 4] {
    [0.0, 1.0 - t, t, 0.0]
}

/// As [`trilinear`]: Keys' cubic convolution with a = −1/2.
pub(crate) fn keys(t: f32) -> [f32; 4] {
    let u = 1.0 - t;
    let near = |d: f32| (1.5 * d - 2.5) * d * d + 1.0;
    [-0.5 * t * u * u, near(t), near(u), -0.5 * u * t * t]
}

/// As [`trilinear`]: the cubic B-spline β³, to be used on coefficients, or on samples as a smoother of 4/12 voxel²
/// variance (FWHM 1.36 voxels).
pub(crate) fn bspline(t: f32) -> [f32; 4] {
    let u = 1.0 - t;
    let near = |d: f32| (3.0 * d - 6.0) * d * d + 4.0;
    [u * u * u, near(t), near(u), t * t * t].map(|w| w / 6.0)
}

/// dβ³/dt, per voxel.
pub(crate) fn bspline_slope(t: f32) -> [f32; 4] {
    let u = 1.0 - t;
    let near = |d: f32| (1.5 * d - 2.0) * d;
    [-0.5 * u * u, near(t), -near(u), 0.5 * t * t]
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: [f32; 5] = [0.0, 0.25, 0.5, 0.8125, 1.0];

    #[test]
    fn weights_sum_to_one_and_reproduce_a_line() {
        for (name, weights) in [("trilinear", trilinear as fn(f32) -> _), ("keys", keys), ("bspline", bspline)] {
            for t in PLACES {
                let [a, b, c, d] = weights(t);
                // 1e-6: some ten roundings of numbers near 1 in f32.
                assert!((a + b + c + d - 1.0).abs() < 1e-6, "{name} at {t}");
                assert!((-a + c + 2.0 * d - t).abs() < 1e-6, "{name} at {t}");
            }
        }
    }

    #[test]
    fn trilinear_and_keys_pass_through_the_samples() {
        for weights in [trilinear, keys] {
            assert_eq!((weights(0.0), weights(1.0)), ([0., 1., 0., 0.], [0., 0., 1., 0.]));
        }
    }

    #[test]
    fn keys_reproduces_a_parabola() {
        for t in PLACES {
            let [a, _, c, d] = keys(t);
            // 1e-6: rounding in f32.
            assert!((a + c + 4.0 * d - t * t).abs() < 1e-6, "at {t}");
        }
    }

    #[test]
    fn the_slope_is_the_derivative_of_the_spline() {
        for t in [0.125f32, 0.5, 0.75] {
            let h = 1.0 / 64.0;
            let (before, after) = (bspline(t - h), bspline(t + h));
            for (tap, slope) in bspline_slope(t).iter().enumerate() {
                let numeric = (after[tap] - before[tap]) / (2.0 * h);
                // h²/6 times a third derivative of at most 3, and f32 rounding divided by 2h.
                assert!((slope - numeric).abs() < 2e-4, "tap {tap} at {t}: {slope} against {numeric}");
            }
        }
    }
}
