//! Haemodynamic responses as differences of two gamma densities, convolved with the stimulus exactly.

use super::gamma;
use mindeye_config::HrfHeight;

/// h(t) = g(t; a₁, b₁) − c g(t; a₂, b₂) on a time axis stretched by s: the double gamma of Friston et al. 1998
/// (NeuroImage 7:30) and Glover 1999 (NeuroImage 9:416), in 1/s, zero after 32 s × s.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DoubleGamma {
    /// Shape and scale in seconds of the peak.
    pub peak: [f64; 2],
    /// Shape and scale in seconds of the undershoot.
    pub undershoot: [f64; 2],
    /// Weight of the undershoot.
    pub ratio: f64,
    /// Factor on the time axis: 1.2 is a response 20 % late and 20 % wide.
    pub stretch: f64,
}

/// Responses end here, seconds, before stretching.
const LENGTH_S: f64 = 32.0;

/// A response below this share of its peak is 0. The newest volume of a fit often holds the first instants of the next
/// trial's response; as a column of one tiny number they would only delete that volume.
const NEGLIGIBLE: f64 = 1e-3;

/// Stimuli shorter than this count as this long, seconds.
const SHORTEST_S: f64 = 0.1;

impl DoubleGamma {
    /// SPM's canonical response: delays 6 and 16 s, dispersions 1, ratio 1/6.
    pub const SPM: Self = Self { peak: [6.0, 1.0], undershoot: [16.0, 1.0], ratio: 1.0 / 6.0, stretch: 1.0 };

    /// Glover's response with the constants of nilearn 0.14.1: delays 6 and 12 s, dispersions 0.9, ratio 0.48.
    /// (Releases of nilearn differ in the ratio; these are frozen.)
    pub const GLOVER: Self = Self { peak: [6.0 / 0.9, 0.9], undershoot: [12.0 / 0.9, 0.9], ratio: 0.48, stretch: 1.0 };

    /// Responses in [`DoubleGamma::library`].
    pub const LIBRARY_SIZE: usize = 20;

    /// Member `index` of the library: SPM's response stretched by 0.7 × 2^(index/19), so that a brief stimulus peaks
    /// from 3.5 s (0) over 5.0 s (10) to 7.0 s (19). GLMsingle's twenty responses (Prince et al. 2022) cover about
    /// the same latencies but are curves fitted to data; this is a family of its own and indices do not carry over.
    ///
    /// # Panics
    /// If `index` is 20 or more.
    #[must_use]
    pub fn library(index: usize) -> Self {
        assert!(index < Self::LIBRARY_SIZE, "the library has {} responses", Self::LIBRARY_SIZE);
        Self { stretch: 0.7 * (index as f64 / (Self::LIBRARY_SIZE - 1) as f64).exp2(), ..Self::SPM }
    }

    /// h at `t` seconds after an instant's stimulus, 1/s.
    #[must_use]
    pub fn density(&self, t: f64) -> f64 {
        let t = t / self.stretch;
        if !(0.0..=LENGTH_S).contains(&t) {
            return 0.0;
        }
        let difference = gamma::density(self.peak[0], self.peak[1], t)
            - self.ratio * gamma::density(self.undershoot[0], self.undershoot[1], t);
        difference / self.stretch
    }

    /// ∫h from 0 to `t` seconds.
    #[must_use]
    pub fn area_until(&self, t: f64) -> f64 {
        let t = (t / self.stretch).min(LENGTH_S);
        gamma::distribution(self.peak[0], self.peak[1], t)
            - self.ratio * gamma::distribution(self.undershoot[0], self.undershoot[1], t)
    }

    /// Seconds until the response to an instant is over.
    #[must_use]
    pub fn length_s(&self) -> f64 {
        LENGTH_S * self.stretch
    }
}

/// The response to a stimulus of some seconds: h convolved with the stimulus, x(t) = (H(t) − H(t − D)) / n with
/// H = ∫h, exactly at any t; n makes the peak, or the plateau of an endless stimulus, 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Regressor {
    shape: DoubleGamma,
    duration_s: f64,
    norm: f64,
    negligible: f64,
}

impl Regressor {
    /// The response of `shape` to `duration_s` seconds; below 0.1 s counts as 0.1 s.
    #[must_use]
    pub fn new(shape: DoubleGamma, duration_s: f64, height: HrfHeight) -> Self {
        let mut regressor = Self { shape, duration_s: duration_s.max(SHORTEST_S), norm: 1.0, negligible: 0.0 };
        let peak = regressor.peak();
        regressor.norm = match height {
            HrfHeight::Peak => peak,
            HrfHeight::Plateau => shape.area_until(shape.length_s()),
        };
        regressor.negligible = NEGLIGIBLE * peak / regressor.norm;
        regressor
    }

    /// Height at `t` seconds after onset; 0 where it is below a thousandth of the peak.
    #[must_use]
    pub fn at(&self, t: f64) -> f64 {
        if t <= 0.0 || t >= self.length_s() {
            return 0.0;
        }
        let height = self.unscaled(t) / self.norm;
        if height.abs() < self.negligible { 0.0 } else { height }
    }

    /// Seconds from onset to the end of the response.
    #[must_use]
    pub fn length_s(&self) -> f64 {
        self.shape.length_s() + self.duration_s
    }

    /// Duration of the stimulus, seconds, at least 0.1.
    #[must_use]
    pub fn duration_s(&self) -> f64 {
        self.duration_s
    }

    fn unscaled(&self, t: f64) -> f64 {
        self.shape.area_until(t) - self.shape.area_until(t - self.duration_s)
    }

    /// Highest value: on a grid of 0.05 s, then at the top of the parabola through the highest three.
    fn peak(&self) -> f64 {
        const STEP_S: f64 = 0.05;
        let steps = (self.length_s() / STEP_S) as u32;
        let at = |step: u32| self.unscaled(f64::from(step) * STEP_S);
        let highest = (1..steps).max_by(|a, b| at(*a).total_cmp(&at(*b))).unwrap_or(1);
        let (before, top, after) = (at(highest - 1), at(highest), at(highest + 1));
        let curvature = before - 2.0 * top + after;
        if curvature < 0.0 { top - (after - before).powi(2) / (8.0 * curvature) } else { top }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peak_s(regressor: &Regressor) -> f64 {
        let tenths =
            (0..600).max_by(|a, b| regressor.at(f64::from(*a) / 20.0).total_cmp(&regressor.at(f64::from(*b) / 20.0)));
        f64::from(tenths.unwrap()) / 20.0
    }

    #[test]
    fn responses_peak_when_the_literature_says() {
        // The mode of a gamma of shape a and scale b is (a − 1) b; a stimulus of 0.1 s adds 0.05 s; the grid is 0.05 s.
        let cases = [
            (DoubleGamma::SPM, 5.05),
            (DoubleGamma::GLOVER, 5.05),
            (DoubleGamma::library(0), 3.55),
            (DoubleGamma::library(19), 7.05),
        ];
        for (shape, expected) in cases {
            let found = peak_s(&Regressor::new(shape, 0.1, HrfHeight::Peak));
            assert!((found - expected).abs() < 0.11, "{shape:?}: {found} s against {expected} s");
        }
    }

    #[test]
    fn a_peak_of_one_is_one_and_a_plateau_of_one_is_one() {
        for shape in [DoubleGamma::SPM, DoubleGamma::GLOVER, DoubleGamma::library(3)] {
            for duration_s in [0.0, 1.0, 3.0, 8.0] {
                let regressor = Regressor::new(shape, duration_s, HrfHeight::Peak);
                let highest = (0..5000).map(|t| regressor.at(f64::from(t) / 100.0)).fold(0.0, f64::max);
                // 2e-5: a parabola over 0.05 s, and a grid of 0.01 s here.
                assert!((highest - 1.0).abs() < 2e-5, "{shape:?}, {duration_s} s: {highest}");
            }
            let endless = Regressor::new(shape, 100.0, HrfHeight::Plateau);
            assert!((endless.at(60.0) - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn convolution_is_the_sum_of_its_seconds() {
        let long = Regressor::new(DoubleGamma::GLOVER, 3.0, HrfHeight::Plateau);
        let second = Regressor::new(DoubleGamma::GLOVER, 1.0, HrfHeight::Plateau);
        for tenths in 5..300 {
            let t = f64::from(tenths) / 10.0;
            let sum: f64 = (0..3).map(|s| second.at(t - f64::from(s))).sum();
            // 1e-3 of each peak may have been set to zero.
            assert!((long.at(t) - sum).abs() < 4e-3, "at {t}: {} against {sum}", long.at(t));
        }
    }

    #[test]
    fn what_is_below_a_thousandth_of_the_peak_is_nothing() {
        let regressor = Regressor::new(DoubleGamma::SPM, 3.0, HrfHeight::Peak);
        assert_eq!(regressor.at(0.3), 0.0);
        assert!(regressor.at(1.5) > 1e-3);
        assert_eq!((regressor.at(-1.0), regressor.at(0.0), regressor.at(35.0)), (0.0, 0.0, 0.0));
    }
}
