//! A drift basis that grows: a fit of T seconds uses the cosines that T seconds can tell apart, and no more.

use mindeye_config::{Drift, DriftConfig};
use std::f64::consts::PI;

/// Functions of run time that scanner drift is made of; the constant is not among them.
///
/// Cosines: c_k(t) = cos(π k t / L) over the planned length L; at its end they are the discrete cosines of SPM and
/// nilearn. A fit of T seconds takes the first floor(2 T f) for a cut-off of f Hz, nilearn's rule for T. With all of
/// floor(2 L f) from the start, the normal equations of the first minutes have a condition number near 1e19 and
/// their solution is noise (spec: rtfmri section 3.4).
///
/// Legendre polynomials: P_k(2t/L − 1) for k = 1 to 1 + floor(T f). The first k span all polynomials of degree k
/// whatever L is, so the plan does not matter to a beta; AFNI's rule is f = 1/150 s.
///
/// A run that outlasts its plan goes on with Legendre polynomials over twice the length, from its first volume.
#[derive(Debug, Clone, PartialEq)]
pub struct DriftBasis {
    kind: Drift,
    cutoff_hz: f64,
    length_s: f64,
}

impl DriftBasis {
    /// The basis of `config` for a run planned to last `planned_s` seconds.
    #[must_use]
    pub fn new(config: &DriftConfig, planned_s: f64) -> Self {
        Self { kind: config.kind, cutoff_hz: config.cutoff_hz, length_s: planned_s }
    }

    /// Columns, whether in use or not.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.count(self.length_s)
    }

    /// Columns of a fit of `volumes` volumes that ends `elapsed_s` seconds into the run; less than the volumes.
    #[must_use]
    pub fn in_use(&self, elapsed_s: f64, volumes: usize) -> usize {
        self.count(elapsed_s).min(self.columns()).min(volumes.saturating_sub(1))
    }

    /// Appends every column at run time `t` seconds.
    pub fn evaluate(&self, t: f64, out: &mut Vec<f64>) {
        match self.kind {
            Drift::None => {}
            Drift::Cosine => out.extend((1..=self.columns()).map(|k| (PI * k as f64 * t / self.length_s).cos())),
            Drift::Legendre => legendre(2.0 * t / self.length_s - 1.0, self.columns(), out),
        }
    }

    /// The basis for a fit that ends at `elapsed_s`: this one, or Legendre polynomials over a length doubled until it
    /// is enough.
    pub(crate) fn lasting_until(&self, elapsed_s: f64) -> Self {
        let mut basis = self.clone();
        while self.kind != Drift::None && elapsed_s > basis.length_s + SLACK_S {
            basis = Self { kind: Drift::Legendre, length_s: 2.0 * basis.length_s, ..basis };
        }
        basis
    }

    /// 1e-9 keeps 2 × 300 s × 0.01 Hz at 6 columns when a product rounds down.
    fn count(&self, elapsed_s: f64) -> usize {
        let cycles = elapsed_s.max(0.0) * self.cutoff_hz + 1e-9;
        match self.kind {
            Drift::None => 0,
            Drift::Cosine => (2.0 * cycles + 1e-9).floor() as usize,
            Drift::Legendre => 1 + cycles.floor() as usize,
        }
    }
}

/// A clock that runs 0.5 % slow makes ten minutes 3 s longer; a plan may be outlasted by that much, seconds.
const SLACK_S: f64 = 5.0;

/// P_1 to P_n at `x` by Bonnet's recurrence, (k+1) P_{k+1} = (2k+1) x P_k − k P_{k−1}.
fn legendre(x: f64, n: usize, out: &mut Vec<f64>) {
    let (mut before, mut now) = (1.0, x);
    for k in 1..=n {
        out.push(now);
        let k = k as f64;
        (before, now) = (now, ((2.0 * k + 1.0) * x * now - k * before) / (k + 1.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basis(kind: Drift, planned_s: f64) -> DriftBasis {
        DriftBasis::new(&DriftConfig { kind, cutoff_hz: 0.01, planned_s }, planned_s)
    }

    #[test]
    fn columns_grow_by_nilearn_s_rule_and_stay_below_the_volumes() {
        // (seconds, volumes, cosines, polynomials)
        let cases = [
            (0.0, 1, 0, 0),
            (49.5, 33, 0, 1),
            (50.0, 34, 1, 1),
            (300.0, 200, 6, 4),
            (432.0, 288, 8, 5),
            (300.0, 3, 2, 2),
        ];
        for (elapsed_s, volumes, cosines, polynomials) in cases {
            assert_eq!(basis(Drift::Cosine, 432.0).in_use(elapsed_s, volumes), cosines, "cosines at {elapsed_s} s");
            assert_eq!(
                basis(Drift::Legendre, 432.0).in_use(elapsed_s, volumes),
                polynomials,
                "Legendre at {elapsed_s} s"
            );
        }
        assert_eq!(basis(Drift::None, 432.0).in_use(400.0, 288), 0);
    }

    #[test]
    fn a_run_that_outlasts_its_plan_goes_on_with_polynomials_over_twice_the_length() {
        let planned = basis(Drift::Cosine, 300.0);
        assert_eq!(planned.lasting_until(301.5), planned, "a slow clock is not a longer run");
        let longer = planned.lasting_until(306.0);
        assert_eq!((longer.kind, longer.length_s, longer.columns()), (Drift::Legendre, 600.0, 7));
        assert_eq!(planned.lasting_until(1300.0).length_s, 2400.0);
        assert_eq!(basis(Drift::None, 300.0).lasting_until(1e6).columns(), 0);
    }

    #[test]
    fn the_polynomials_are_legendre_s() {
        let mut out = Vec::new();
        basis(Drift::Legendre, 432.0).evaluate(324.0, &mut out);
        // At x = 0.5: P1 = x, P2 = (3x² − 1)/2, P3 = (5x³ − 3x)/2.
        for (found, expected) in out.iter().zip([0.5, -0.125, -0.4375]) {
            assert!((found - expected).abs() < 1e-15, "{found} against {expected}");
        }
    }
}
