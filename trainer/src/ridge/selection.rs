//! Voxels that answer the same image alike: reliability from repeated training presentations only.

use super::RidgeError;
use ndarray::ArrayView2;
use std::collections::BTreeMap;

/// Pearson's correlation, per voxel, between odd and even presentations over repeated images.
#[derive(Debug, Clone, PartialEq)]
pub struct Reliability {
    /// r of each voxel, -1 to 1; 0 for a voxel that does not vary.
    pub r: Vec<f32>,
    /// Images with two or more presentations.
    pub repeated_images: usize,
}

impl Reliability {
    /// Places of voxels with r ≥ `least`, ascending.
    #[must_use]
    pub fn at_least(&self, least: f32) -> Vec<usize> {
        (0..self.r.len()).filter(|voxel| self.r[*voxel] >= least).collect()
    }
}

/// Images with repeats below which a correlation says nothing.
const FEWEST_IMAGES: usize = 8;

/// Reliability of each voxel of `patterns`, f32[trials, voxels], where trial i showed `image_of[i]`. Presentations 1, 3,
/// 5, ... of an image are averaged against 2, 4, 6, ...
///
/// # Errors
/// [`RidgeError::TooFew`] below eight repeated images.
pub fn voxel_reliability(patterns: ArrayView2<'_, f32>, image_of: &[usize]) -> Result<Reliability, RidgeError> {
    let mut shown = BTreeMap::<usize, Vec<usize>>::new();
    image_of.iter().enumerate().for_each(|(trial, image)| shown.entry(*image).or_default().push(trial));
    let images = shown.len();
    let repeated: Vec<Vec<usize>> = shown.into_values().filter(|trials| trials.len() >= 2).collect();
    if repeated.len() < FEWEST_IMAGES {
        let needed = "reliability needs eight or more images with two or more training presentations";
        return Err(RidgeError::TooFew { trials: image_of.len(), images, needed });
    }
    let r = (0..patterns.ncols()).map(|voxel| correlation_of_halves(patterns, &repeated, voxel)).collect();
    Ok(Reliability { r, repeated_images: repeated.len() })
}

fn correlation_of_halves(patterns: ArrayView2<'_, f32>, repeated: &[Vec<usize>], voxel: usize) -> f32 {
    let half = |trials: &[usize], start: usize| {
        let values: Vec<f64> = trials.iter().skip(start).step_by(2).map(|t| f64::from(patterns[[*t, voxel]])).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    let (odd, even): (Vec<f64>, Vec<f64>) = repeated.iter().map(|trials| (half(trials, 0), half(trials, 1))).unzip();
    mindeye_decode::metrics::pearson(&odd, &even).map_or(0.0, |r| r as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    #[test]
    fn a_voxel_that_repeats_itself_is_reliable_and_one_that_does_not_is_not() {
        let image_of: Vec<usize> = (0..20).map(|trial| trial % 10).collect();
        let patterns = Array2::from_shape_fn((20, 3), |(trial, voxel)| match voxel {
            0 => image_of[trial] as f32,
            1 => {
                if trial < 10 {
                    trial as f32
                } else {
                    -(image_of[trial] as f32)
                }
            }
            _ => 4.0,
        });
        let reliability = voxel_reliability(patterns.view(), &image_of).unwrap();
        assert_eq!(reliability.repeated_images, 10);
        assert_eq!(reliability.r, [1.0, -1.0, 0.0]);
        assert_eq!(reliability.at_least(0.2), [0]);
    }

    #[test]
    fn seven_repeated_images_are_too_few() {
        let image_of: Vec<usize> = (0..14).map(|trial| trial % 7).collect();
        let error = voxel_reliability(Array2::zeros((14, 1)).view(), &image_of).unwrap_err();
        assert!(error.to_string().contains("14 trials of 7 images"), "{error}");
    }
}
