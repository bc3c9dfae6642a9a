//! Pearson's correlation, and the distance that the published tables call EffNet-B and SwAV.

use super::{MetricError, require_equal};
use ndarray::ArrayView2;

/// Pearson's r of two equally long rows, in f64; `None` where a length differs or a side does not vary.
#[must_use]
pub fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    if a.len() != b.len() || a.is_empty() {
        return None;
    }
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        ab += a * b;
        aa += a * a;
        bb += b * b;
    }
    let r = ab / (aa * bb).sqrt();
    r.is_finite().then_some(r)
}

/// Mean over pictures of 1 − r(real features, predicted features), 0 to 2, lower is better; both f32[pictures, features].
///
/// # Errors
/// [`MetricError::Disagree`] for other shapes, [`MetricError::Constant`] for features that do not vary.
pub fn correlation_distance(real: ArrayView2<'_, f32>, predicted: ArrayView2<'_, f32>) -> Result<f64, MetricError> {
    require_equal("pictures", ("the real features", real.nrows()), ("the predicted ones", predicted.nrows()))?;
    require_equal("features", ("a real picture", real.ncols()), ("a predicted one", predicted.ncols()))?;
    let mut sum = 0.0;
    for (index, (real, predicted)) in real.rows().into_iter().zip(predicted.rows()).enumerate() {
        let wide = |row: ndarray::ArrayView1<'_, f32>| row.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
        let r = pearson(&wide(real), &wide(predicted));
        sum += 1.0 - r.ok_or(MetricError::Constant { what: "features of picture", index })?;
    }
    Ok(sum / real.nrows() as f64)
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
