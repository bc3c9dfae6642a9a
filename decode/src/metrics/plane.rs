//! A picture as metrics take it: three planes of numbers in 0..1.

use super::MetricError;
use crate::Picture;

/// f64[3, height, width], red, green, blue in 0..1, row by row from the top left.
#[derive(Debug, Clone, PartialEq)]
pub struct Planes {
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
    /// Values, plane after plane.
    pub values: Vec<f64>,
}

impl Planes {
    /// Planes of `values`, f64[3, height, width].
    ///
    /// # Errors
    /// [`MetricError::Disagree`] for another length, [`MetricError::TooFew`] without a pixel.
    pub fn new(height: usize, width: usize, values: Vec<f64>) -> Result<Self, MetricError> {
        super::require_equal("values", ("the picture", values.len()), ("its size", 3 * height * width))?;
        if values.is_empty() {
            return Err(MetricError::TooFew { what: "a picture, in pixels,", least: 1, found: 0 });
        }
        Ok(Self { height, width, values })
    }

    /// Red, green and blue, each [height, width].
    pub(crate) fn channels(&self) -> std::slice::Chunks<'_, f64> {
        self.values.chunks(self.height * self.width)
    }

    /// 0.2125 R + 0.7154 G + 0.0721 B, f64[height, width] (scikit-image's `rgb2gray`).
    pub(crate) fn luminance(&self) -> Vec<f64> {
        const WEIGHTS: [f64; 3] = [0.2125, 0.7154, 0.0721];
        let mut luminance = vec![0.0; self.height * self.width];
        for (plane, weight) in self.channels().zip(WEIGHTS) {
            luminance.iter_mut().zip(plane).for_each(|(y, value)| *y += weight * value);
        }
        luminance
    }
}

/// Levels 0 to 255 become 0..1.
impl From<&Picture> for Planes {
    fn from(picture: &Picture) -> Self {
        let (height, width) = (picture.height() as usize, picture.width() as usize);
        let rgb = picture.rgb();
        let values =
            (0..3).flat_map(|c| rgb.iter().skip(c).step_by(3).map(|level| f64::from(*level) / 255.0)).collect();
        Self { height, width, values }
    }
}
