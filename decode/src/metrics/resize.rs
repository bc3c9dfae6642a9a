//! Bilinear resizing as PyTorch's `interpolate(align_corners=False)` does it, with and without antialiasing.

use super::Planes;

/// Whether a smaller picture averages what it leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Antialias {
    /// The triangle widens with the factor of reduction (torchvision's default from 0.17 on, and PIL's).
    Yes,
    /// Two neighbours in each direction, whatever the factor (torchvision 0.15 on tensors, the release's pin).
    No,
}

/// `picture` at `height` x `width`. Enlarging is the same with and without antialiasing.
#[must_use]
pub fn resize(picture: &Planes, height: usize, width: usize, antialias: Antialias) -> Planes {
    if (height, width) == (picture.height, picture.width) {
        return picture.clone();
    }
    let across = taps(picture.width, width, antialias);
    let down = taps(picture.height, height, antialias);
    let mut values = Vec::with_capacity(3 * height * width);
    for plane in picture.channels() {
        let rows: Vec<f64> =
            plane.chunks(picture.width).flat_map(|row| across.iter().map(|tap| tap.of(row, 1, 0))).collect();
        values.extend(down.iter().flat_map(|tap| {
            let rows = &rows;
            (0..width).map(move |column| tap.of(rows, width, column))
        }));
    }
    Planes { height, width, values }
}

/// Weights of neighbouring inputs, from `first` on, in one output.
struct Tap {
    first: usize,
    weights: Vec<f64>,
}

impl Tap {
    fn of(&self, values: &[f64], stride: usize, offset: usize) -> f64 {
        let at = |i: usize| values[(self.first + i) * stride + offset];
        self.weights.iter().enumerate().map(|(i, weight)| weight * at(i)).sum()
    }
}

fn taps(from: usize, to: usize, antialias: Antialias) -> Vec<Tap> {
    let scale = from as f64 / to as f64;
    match antialias {
        Antialias::Yes if scale > 1.0 => (0..to).map(|i| wide_tap(i, scale, from)).collect(),
        _ => (0..to).map(|i| narrow_tap(i, scale, from)).collect(),
    }
}

/// Between the two pixel centres around (i + ½) scale − ½, clamped at the edges.
fn narrow_tap(i: usize, scale: f64, from: usize) -> Tap {
    let place = ((i as f64 + 0.5) * scale - 0.5).max(0.0);
    let first = (place.floor() as usize).min(from - 1);
    let second_weight = place - first as f64;
    if first + 1 == from {
        return Tap { first, weights: vec![1.0] };
    }
    Tap { first, weights: vec![1.0 - second_weight, second_weight] }
}

/// A triangle of half-width `scale`, normalised over the pixels that it reaches.
fn wide_tap(i: usize, scale: f64, from: usize) -> Tap {
    let centre = (i as f64 + 0.5) * scale;
    let first = (centre - scale + 0.5).max(0.0) as usize;
    let end = ((centre + scale + 0.5) as usize).min(from);
    let weight = |j: usize| (1.0 - ((j as f64 - centre + 0.5) / scale).abs()).max(0.0);
    let weights: Vec<f64> = (first..end).map(weight).collect();
    let sum: f64 = weights.iter().sum();
    Tap { first, weights: weights.into_iter().map(|w| w / sum).collect() }
}
