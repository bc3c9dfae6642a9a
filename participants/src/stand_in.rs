//! An embedding that stands for CLIP while there is no trained encoder: fixed random networks over pixels and labels.
//!
//! ```text
//!   32x32x3 ──48 filters 5x5, step 2, rectified──► 14x14x48 ──96 filters 4x4, step 2, rectified──► 6x6x96
//!           ──mean of all, and of 4x4 parts of 3x3──► 17 x 96 ──random projection──► 17 tokens of 64 ─┐
//!   labels ──192 random units, rectified──► random projection, other for each token ──────────────────┴─ sum of equal
//!                                                                 variances, divided by the length of all
//! ```
//!
//! Random convolutional features carry much of what trained ones do (Jarrett et al. 2009; Saxe et al. 2011), and CLIP knows
//! what a picture shows, hence the labels. It is not the encoding model: it has no Gabor, no energy, no opponent colours,
//! no receptive fields, no normalisation; its rectifiers are its own. The mixture was set with it and with nothing else.

use crate::encoding::{LABELS, labels_of};
use crate::picture::{Factors, Picture, SIDE};
use crate::random::Draws;
use ndarray::{Array2, Axis};

/// Tokens.
pub const TOKENS: usize = 17;
/// Width of a token.
pub const TOKEN_DIM: usize = 64;

const SEED: u64 = 0x5741_4e44;
const FIRST: Layer = Layer { side: SIDE / 2, channels: 3, window: 5, step: 2, filters: 48 };
const SECOND: Layer = Layer { side: 14, channels: 48, window: 4, step: 2, filters: 96 };
/// Parts per side over which the second layer is averaged, and their width.
const PARTS: usize = 4;
const PART: usize = 3;
/// Units over labels.
const UNITS: usize = 192;
/// Factors that give pixels and labels about the same variance over pictures.
const PIXEL_GAIN: f32 = 1.0;
const LABEL_GAIN: f32 = 0.25;

struct Layer {
    side: usize,
    channels: usize,
    window: usize,
    step: usize,
    filters: usize,
}

impl Layer {
    fn side_out(&self) -> usize {
        (self.side - self.window) / self.step + 1
    }

    fn inputs(&self) -> usize {
        self.window * self.window * self.channels
    }

    /// Every window as a row, f32[places, inputs].
    fn windows(&self, values: &Array2<f32>) -> Array2<f32> {
        let side = self.side_out();
        let at = |place: usize, n: usize| {
            let (row, column) = (place / side * self.step, place % side * self.step);
            let (within, channel) = (n / self.channels, n % self.channels);
            let pixel = (row + within / self.window) * self.side + column + within % self.window;
            values[[pixel, channel]]
        };
        Array2::from_shape_fn((side * side, self.inputs()), |(place, n)| at(place, n))
    }
}

/// The embedding.
pub struct StandIn {
    first: Array2<f32>,
    second: Array2<f32>,
    projection: Array2<f32>,
    units: Array2<f32>,
    meaning: Array2<f32>,
}

impl Default for StandIn {
    fn default() -> Self {
        Self {
            first: random_matrix(1, FIRST.inputs(), FIRST.filters),
            second: random_matrix(2, SECOND.inputs(), SECOND.filters),
            projection: random_matrix(3, SECOND.filters, TOKEN_DIM),
            units: random_matrix(4, LABELS, UNITS),
            meaning: random_matrix(5, UNITS, TOKENS * TOKEN_DIM),
        }
    }
}

/// Normal numbers of SD 1/√inputs; each column of mean 0.
fn random_matrix(layer: u64, inputs: usize, outputs: usize) -> Array2<f32> {
    let mut draws = Draws::new(SEED, &[layer]);
    let sd = 1.0 / (inputs as f64).sqrt();
    let mut matrix = Array2::from_shape_simple_fn((inputs, outputs), || (sd * draws.normal()) as f32);
    for mut column in matrix.columns_mut() {
        let mean = column.sum() / inputs as f32;
        column -= mean;
    }
    matrix
}

impl StandIn {
    /// Tokens of a picture of [`SIDE`] pixels with its labels, f32[[`TOKENS`], [`TOKEN_DIM`]] in one piece; about 1 ms.
    #[must_use]
    pub fn tokens(&self, factors: &Factors, picture: &Picture) -> Vec<f32> {
        let first = FIRST.windows(&halved(picture)).dot(&self.first).mapv(|v| v.max(0.0));
        let second = SECOND.windows(&first).dot(&self.second).mapv(|v| v.max(0.0));
        let pixels = parts(&second).dot(&self.projection);
        let labels = labels_of(factors);
        let labels = Array2::from_shape_fn((1, labels.len()), |(_, n)| labels[n]);
        let meaning = labels.dot(&self.units).mapv(|v| v.max(0.0)).dot(&self.meaning);
        let sum: Vec<f32> = pixels.iter().zip(&meaning).map(|(p, m)| PIXEL_GAIN * p + LABEL_GAIN * m).collect();
        let length = sum.iter().map(|v| v * v).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        sum.into_iter().map(|v| v / length).collect()
    }
}

/// Means of 2x2 pixels, -1 to 1, f32[(SIDE/2)², 3].
fn halved(picture: &Picture) -> Array2<f32> {
    let half = SIDE / 2;
    let pixel =
        |row: usize, column: usize, c: usize| f32::from(picture.rgb[3 * (row * SIDE + column) + c]) / 127.5 - 1.0;
    let mean = |p: usize, c: usize| {
        let (row, column) = (p / half * 2, p % half * 2);
        (0..4).map(|n| pixel(row + n / 2, column + n % 2, c)).sum::<f32>() / 4.0
    };
    Array2::from_shape_fn((half * half, 3), |(p, c)| mean(p, c))
}

/// Means over all places, then over each of the parts.
fn parts(values: &Array2<f32>) -> Array2<f32> {
    let side = SECOND.side_out();
    let mut out = Array2::zeros((TOKENS, values.ncols()));
    out.row_mut(0).assign(&values.mean_axis(Axis(0)).expect("the layer has places"));
    for part in 0..PARTS * PARTS {
        let (top, left) = (part / PARTS, part % PARTS);
        for n in 0..PART * PART {
            let place = (top + n / PART) * side + left + n % PART;
            out.row_mut(part + 1).scaled_add(1.0 / (PART * PART) as f32, &values.row(place));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{Collection, PictureId, WORLD};

    #[test]
    fn pictures_differ_and_equal_ones_do_not() {
        let stand_in = StandIn::default();
        let tokens = |number| {
            let id = PictureId { collection: Collection::Train, number };
            stand_in.tokens(&Factors::of(WORLD, id), &Picture::of(WORLD, id, SIDE))
        };
        let (a, b) = (tokens(0), tokens(1));
        assert_eq!(a.len(), TOKENS * TOKEN_DIM);
        assert_eq!(a, tokens(0));
        let cosine: f32 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
        assert!(cosine < 0.999, "{cosine}");
    }
}
