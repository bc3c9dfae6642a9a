//! Image tokens as Versatile Diffusion takes them: the prior's scale undone, and divided by the CLS token's length.

/// Keeps a CLS token of zeros from dividing by zero, as MindEye does.
const SMALLEST_LENGTH: f64 = 1e-6;

/// `predicted` f32[tokens, width] in the prior's scale, divided by that scale and by (‖token 0‖ + 1e-6).
pub(super) fn normalised(predicted: &[f32], scale: f64, width: usize) -> Vec<f32> {
    let unscaled = |v: &f32| f64::from(*v) / scale;
    let length = predicted[..width].iter().map(|v| unscaled(v).powi(2)).sum::<f64>().sqrt() + SMALLEST_LENGTH;
    predicted.iter().map(|v| (unscaled(v) / length) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cls_token_has_length_one_and_the_others_keep_their_ratio() {
        let tokens = normalised(&[6.0, 8.0, 1.0, -2.0], 2.0, 2);
        // 1e-6: the constant that is added to the length 5.
        for (found, expected) in tokens.iter().zip([0.6, 0.8, 0.1, -0.2]) {
            assert!((found - expected).abs() < 1e-6, "{tokens:?}");
        }
        assert_eq!(normalised(&[0.0, 0.0, 1.0, 0.0], 1.0, 2)[0], 0.0);
    }
}
