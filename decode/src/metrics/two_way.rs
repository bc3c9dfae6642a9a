//! Two-way identification: would the picture be told from another by its features?

use super::correlation::pearson;
use super::{MetricError, require_equal};
use ndarray::ArrayView2;

/// Share, per picture, of the other real pictures that correlate less with the reconstruction than the right one does;
/// a tie loses. Features f32[pictures, features] of both. Chance is 0.5; the metric is the mean.
///
/// # Errors
/// [`MetricError::Disagree`] for other shapes, [`MetricError::TooFew`] below two pictures, [`MetricError::Constant`].
pub fn two_way_identification(
    real: ArrayView2<'_, f32>,
    predicted: ArrayView2<'_, f32>,
) -> Result<Vec<f64>, MetricError> {
    require_equal("pictures", ("the real features", real.nrows()), ("the predicted ones", predicted.nrows()))?;
    require_equal("features", ("a real picture", real.ncols()), ("a predicted one", predicted.ncols()))?;
    let pictures = real.nrows();
    if pictures < 2 {
        return Err(MetricError::TooFew { what: "two-way identification, in pictures,", least: 2, found: pictures });
    }
    let (real, predicted) = (rows(real), rows(predicted));
    let correlation = |i: usize, j: usize| {
        pearson(&real[i], &predicted[j]).ok_or(MetricError::Constant { what: "features of picture", index: j })
    };
    (0..pictures)
        .map(|j| {
            let own = correlation(j, j)?;
            let others = (0..pictures).filter(|i| *i != j).map(|i| correlation(i, j));
            let below = others.map(|c| c.map(|c| usize::from(c < own))).sum::<Result<usize, _>>()?;
            Ok(below as f64 / (pictures - 1) as f64)
        })
        .collect()
}

fn rows(x: ArrayView2<'_, f32>) -> Vec<Vec<f64>> {
    x.rows().into_iter().map(|row| row.iter().map(|v| f64::from(*v)).collect()).collect()
}
