//! MindEye's way from the blurry picture to the start of diffusion: decode, normalise as for CLIP, encode, sample.
//!
//! The encoder was trained on pixels in [−1, 1] and here gets CLIP's normalisation, which raises the contrast by a factor
//! of about 1.86: a quirk of the released code, kept for those who compare with it (spec: diffusion section 2.3).

use crate::noise::{Draw, NoiseSource};

/// Mean of each colour in CLIP's training pictures, [0, 1].
pub(super) const CLIP_MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
/// Its standard deviation.
pub(super) const CLIP_SD: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];
/// Bounds of the log-variance that diffusers keeps.
const LOG_VARIANCE: (f64, f64) = (-30.0, 20.0);

/// A decoded `image`, f32[3, h, w] in [−1, 1], clamped to [0, 1] and normalised with CLIP's mean and SD.
pub(super) fn normalised(image: &[f32]) -> Vec<f32> {
    let pixels = image.len() / 3;
    let unit = |v: f32| (f64::from(v) / 2.0 + 0.5).clamp(0.0, 1.0);
    image.iter().enumerate().map(|(i, v)| ((unit(*v) - CLIP_MEAN[i / pixels]) / CLIP_SD[i / pixels]) as f32).collect()
}

/// The scaled latent, f32[4, h, w], drawn from `moments`, f32[8, h, w]: (mean + exp(½ log-variance) z) · scale.
pub(super) fn sampled(moments: &[f32], latent_scale: f64, source: &dyn NoiseSource) -> Vec<f32> {
    let (mean, log_variance) = moments.split_at(moments.len() / 2);
    let mut latent = vec![0.0; mean.len()];
    source.fill(Draw::Posterior, &mut latent);
    for ((z, mean), log_variance) in latent.iter_mut().zip(mean).zip(log_variance) {
        let sd = (0.5 * f64::from(*log_variance).clamp(LOG_VARIANCE.0, LOG_VARIANCE.1)).exp();
        *z = ((f64::from(*mean) + sd * f64::from(*z)) * latent_scale) as f32;
    }
    latent
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Ones;

    impl NoiseSource for Ones {
        fn fill(&self, draw: Draw, values: &mut [f32]) {
            assert_eq!(draw, Draw::Posterior);
            values.fill(1.0);
        }
    }

    #[test]
    fn pixels_are_clamped_and_normalised_by_colour() {
        let found = normalised(&[-3.0, 0.0, 9.0]);
        let expected =
            [-CLIP_MEAN[0] / CLIP_SD[0], (0.5 - CLIP_MEAN[1]) / CLIP_SD[1], (1.0 - CLIP_MEAN[2]) / CLIP_SD[2]];
        // 1e-6: rounded to f32.
        assert!(found.iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6), "{found:?}");
    }

    #[test]
    fn the_posterior_is_sampled_in_the_diffusions_scale() {
        let ln4 = 4.0_f32.ln();
        let found = sampled(&[1.0, -1.0, ln4, 99.0], 0.5, &Ones);
        // A log-variance of ln 4 is an SD of 2; 99 is cut to 20. 1e-6 relative: exp of an f32.
        let expected = [(1.0 + 2.0) * 0.5, (-1.0 + 10.0_f64.exp()) * 0.5];
        assert!(found.iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6 * b.abs()), "{found:?}");
    }
}
