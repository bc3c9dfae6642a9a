//! What a scene does to the phantom's voxels, over voxels and over time.

use super::hash;
use mindeye_config::PreprocessConfig;

/// Peak response of a voxel of one unit, percent of its intensity: a strong single trial of visual cortex at 3 T.
pub const AMPLITUDE_PERCENT: f64 = 1.0;

/// Response of one voxel (linear index in the phantom's grid) to a scene: independent N(0, 1) numbers that do not
/// depend on any seed, so that a gallery planted from them fits every run.
#[must_use]
pub fn response(scene: u32, voxel: u32) -> f32 {
    hash::normal(RESPONSE_KEY, u64::from(scene) << 31 | u64::from(voxel)) as f32
}

const RESPONSE_KEY: u64 = 0x6d69_6e64_6579_6521;

/// Name of a scene in galleries and events: `scene-017`.
#[must_use]
pub fn scene_id(scene: u32) -> String {
    format!("scene-{scene:03}")
}

/// Expected noiseless beta, in percent, of a voxel of one unit: [`AMPLITUDE_PERCENT`] times the mean of the response
/// over the window up to the last revision lag. With this as SD and 0 as mean, z ≈ response.
///
/// The window is averaged continuously; a run samples it at a few volumes, which moves the mean by some percent.
#[must_use]
pub fn window_gain(recipe: &PreprocessConfig, stimulus_s: f64) -> f64 {
    let haemodynamics = Haemodynamics::new(stimulus_s);
    let last_lag_s = recipe.revision_lags_s.last().copied().unwrap_or(recipe.beta.window_end_s);
    let (from, to) = (recipe.beta.window_start_s, recipe.beta.window_end_s.min(last_lag_s));
    let steps = 256;
    let at = |step: i32| from + (to - from) * (f64::from(step) + 0.5) / f64::from(steps);
    AMPLITUDE_PERCENT * (0..steps).map(|step| haemodynamics.at(at(step))).sum::<f64>() / f64::from(steps)
}

/// Time course of a response with peak 1: SPM's double gamma convolved with the stimulus.
///
/// h(t) = g₆(t) − g₁₆(t)/6 with g_k the gamma density of shape k and scale 1 s (spec: rtfmri section 3.8). Its
/// integral is H = F₆ − F₁₆/6 with F_k the Erlang distribution, so the convolution with a stimulus of D seconds is
/// H(t) − H(t − D), exactly.
pub(crate) struct Haemodynamics {
    stimulus_s: f64,
    peak: f64,
}

/// SPM's response is cut here, seconds after the stimulus ends; less than 1e-4 of the peak is left by then.
const LENGTH_S: f64 = 32.0;

impl Haemodynamics {
    /// The response to a stimulus of `stimulus_s` seconds; shorter than 0.1 s counts as 0.1 s.
    pub(crate) fn new(stimulus_s: f64) -> Self {
        let mut shape = Self { stimulus_s: stimulus_s.max(0.1), peak: 1.0 };
        let hundredths = 0..((shape.stimulus_s + LENGTH_S) * 100.0) as u32;
        shape.peak = hundredths.map(|t| shape.at(f64::from(t) / 100.0)).fold(0.0, f64::max);
        shape
    }

    /// Height at `t` seconds after onset, 1 at the peak; 0 before the onset and once the response is over.
    pub(crate) fn at(&self, t: f64) -> f64 {
        if t <= 0.0 || t >= self.stimulus_s + LENGTH_S {
            return 0.0;
        }
        (integral(t) - integral(t - self.stimulus_s)) / self.peak
    }
}

fn integral(t: f64) -> f64 {
    erlang(6, t) - erlang(16, t) / 6.0
}

/// F_k(t) = 1 − e^(−t) Σ_{i<k} tⁱ/i!, 0 before 0.
fn erlang(shape: u32, t: f64) -> f64 {
    if t <= 0.0 {
        return 0.0;
    }
    let mut term = 1.0;
    let mut sum = 1.0;
    for i in 1..shape {
        term *= t / f64::from(i);
        sum += term;
    }
    1.0 - (-t).exp() * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brief_stimulus_peaks_after_five_seconds_and_undershoots_after_fifteen() {
        let shape = Haemodynamics::new(0.1);
        let peak_s = (0..3200).map(|t| f64::from(t) / 100.0).max_by(|a, b| shape.at(*a).total_cmp(&shape.at(*b)));
        // SPM's canonical response peaks at 5.0 s (the mode of a gamma of shape 6) and 0.05 s is half the stimulus.
        assert!((peak_s.unwrap() - 5.05).abs() < 0.05, "{peak_s:?}");
        assert!(shape.at(15.5) < -0.08 && shape.at(15.5) > -0.11, "{}", shape.at(15.5));
        assert_eq!(shape.at(0.0), 0.0);
        assert!(shape.at(31.9).abs() < 1e-3);
    }

    #[test]
    fn the_integral_has_the_density_as_its_slope() {
        for t in [0.5, 3.0, 6.0, 12.0, 20.0_f64] {
            let density = t.powi(5) * (-t).exp() / 120.0 - t.powi(15) * (-t).exp() / 1_307_674_368_000.0 / 6.0;
            let slope = (integral(t + 1e-4) - integral(t - 1e-4)) / 2e-4;
            // 1e-7: a central difference of step 1e-4 errs by 1e-8 times the third derivative, which is below 1.
            assert!((slope - density).abs() < 1e-7, "at {t}: {slope} against {density}");
        }
    }

    #[test]
    fn responses_are_standard_normal_and_differ_between_scenes() {
        let (a, b): (Vec<f32>, Vec<f32>) = (0..10_000).map(|v| (response(3, v), response(4, v))).unzip();
        let mean_of = |f: &dyn Fn(usize) -> f32| (0..a.len()).map(|i| f64::from(f(i))).sum::<f64>() / a.len() as f64;
        // 0.01 is the standard error of mean and correlation over 10,000 voxels, 0.014 that of the variance; 5 of each.
        assert!(mean_of(&|i| a[i]).abs() < 0.05);
        assert!((mean_of(&|i| a[i] * a[i]) - 1.0).abs() < 0.07);
        assert!(mean_of(&|i| a[i] * b[i]).abs() < 0.05);
        assert_eq!(scene_id(17), "scene-017");
    }
}
