//! Gauss and Newton's iteration: read the volume where the head is thought to be, and move by what the residual says.

use crate::motion::points::{MEAN, Points, SCALE, Sums, is_structured, without_mean};
use crate::motion::solve::solve;
use crate::motion::{Motion, Rigid};
use crate::resample::{Affine, Lattice};

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Done when a step moves the head by less, mm RMS.
    pub(crate) tolerance_mm: f64,
    /// Readings of the volume at most.
    pub(crate) iterations: u32,
}

/// How well reference and volume agree at a pose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Agreement {
    /// Weighted correlation.
    pub(crate) correlation: f64,
    /// Weighted RMS of f − s g in percent of the mean of f.
    pub(crate) residual_percent: f64,
    /// Share of the weight that lay inside the volume.
    pub(crate) overlap: f64,
}

/// Where one level's iteration ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fit {
    pub(crate) rigid: Rigid,
    /// At the last pose that was read, one step before `rigid`.
    pub(crate) agreement: Agreement,
    pub(crate) iterations: u32,
    pub(crate) converged: bool,
}

/// Minimises Σ w (f(x) − s g(T x))² over rigid T and scale s from `start`; `mm_to_voxel` is the volume's.
/// `None` where the points inside the volume do not fix all six directions.
pub(crate) fn fit(
    points: &Points,
    moving: &Lattice,
    mm_to_voxel: &Affine,
    centre_mm: [f64; 3],
    start: Rigid,
    limits: Limits,
) -> Option<Fit> {
    let mut rigid = start;
    let mut iterations = 0;
    loop {
        iterations += 1;
        let sums = points.read(moving, &rigid.affine().then(mm_to_voxel));
        let agreement = sums.agreement(points)?;
        let step = Motion(sums.step()?).about(centre_mm);
        let converged = points.extent().rms_mm(&step, &Rigid::IDENTITY) < limits.tolerance_mm;
        rigid = step.then(&rigid);
        if converged || iterations >= limits.iterations {
            return Some(Fit { rigid, agreement, iterations, converged });
        }
    }
}

impl Sums {
    /// s = Σ w f g / Σ w g², the scale that fits best at this pose.
    fn scale(&self) -> Option<f64> {
        let s = self.moving[SCALE] / self.moving_square;
        (s.is_finite() && s > 0.0).then_some(s)
    }

    /// δ of (Σ w a aᵀ) (δ, ε) = Σ w a (f − s g) with a = [∂f, f]: the six motions, and the scale left over.
    fn step(&self) -> Option<[f64; 6]> {
        let s = self.scale()?;
        let rhs: [f64; 7] = std::array::from_fn(|r| self.normal[r][SCALE] - s * self.moving[r]);
        let [a, b, c, d, e, f, _] = solve(&without_mean(&self.normal), rhs)?;
        Some([a, b, c, d, e, f])
    }

    /// `None` where no weight lies inside the volume, or the volume is constant there.
    fn agreement(&self, points: &Points) -> Option<Agreement> {
        let n = &self.normal;
        let weight = n[MEAN][MEAN];
        let (mean_f, mean_g) = (n[SCALE][MEAN] / weight, self.moving[MEAN] / weight);
        let variance_f = n[SCALE][SCALE] / weight - mean_f * mean_f;
        let variance_g = self.moving_square / weight - mean_g * mean_g;
        is_structured(self.moving_square / weight, mean_g).then_some(())?;
        let covariance = self.moving[SCALE] / weight - mean_f * mean_g;
        let residual_square = (n[SCALE][SCALE] - self.scale()? * self.moving[SCALE]).max(0.0) / weight;
        Some(Agreement {
            correlation: (covariance / (variance_f * variance_g).sqrt()).min(1.0),
            residual_percent: 100.0 * residual_square.sqrt() / mean_f,
            overlap: weight / points.weight(),
        })
    }
}
