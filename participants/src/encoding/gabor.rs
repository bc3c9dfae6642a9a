//! Energy of quadrature Gabor pairs at three frequencies and six orientations, as in models of V1 (Adelson & Bergen 1985).
//!
//! g(x, y) = exp(−(x² + y²)/2σ²) exp(2πi(x cos θ + y sin θ)/λ) with σ = λ/2 falls apart into a factor of x and one of y, so
//! a picture costs about 4 million multiplications. Outside the picture is middle grey.

use crate::picture::{Picture, SIDE};
use std::f64::consts::{PI, TAU};

/// Cycles per picture.
pub const FREQUENCIES: [f64; 3] = [4.0, 8.0, 16.0];
/// Orientations, evenly spaced over half a turn; 0 has vertical stripes.
pub const ORIENTATIONS: usize = 6;
/// Gabor energies, then red, green, blue, yellow, then luminance.
pub const CHANNELS: usize = 3 * ORIENTATIONS + 5;
/// Places per side at which a channel is read.
pub const CELLS: usize = 16;
/// Visual angle of a picture's side, degrees (NSD's).
pub const DEGREES: f64 = 8.4;

/// Samples per side before they are averaged in twos.
const SAMPLES: usize = 2 * CELLS;
/// Pixels between two samples.
const STRIDE: usize = SIDE / SAMPLES;
/// A filter ends at this many σ.
const REACH: f64 = 3.0;

/// All channels of a picture, f32[[`CHANNELS`], [`CELLS`]²], places row by row from the top; `picture` has [`SIDE`] pixels.
pub(crate) fn channels(picture: &Picture) -> Vec<f32> {
    assert_eq!(picture.side, SIDE, "the encoding model takes pictures of 64x64");
    let planes = Planes::of(picture);
    let mut out = Vec::with_capacity(CHANNELS * CELLS * CELLS);
    for frequency in FREQUENCIES {
        for orientation in 0..ORIENTATIONS {
            out.extend(energy(&planes.luminance, frequency, PI * orientation as f64 / ORIENTATIONS as f64));
        }
    }
    for opponent in [planes.red_green, planes.blue_yellow] {
        for sign in [1.0, -1.0] {
            out.extend(block_means(SIDE, &opponent.iter().map(|v| (sign * v).max(0.0)).collect::<Vec<_>>()));
        }
    }
    out.extend(block_means(SIDE, &planes.luminance));
    out
}

/// Luminance about middle grey (Rec. 601), red minus green, blue minus yellow; -1 to 1.
struct Planes {
    luminance: Vec<f32>,
    red_green: Vec<f32>,
    blue_yellow: Vec<f32>,
}

impl Planes {
    fn of(picture: &Picture) -> Self {
        let pixels = || picture.rgb.as_chunks::<3>().0.iter().map(|rgb| rgb.map(|c| f32::from(c) / 255.0));
        Self {
            luminance: pixels().map(|[r, g, b]| 2.0 * (0.299 * r + 0.587 * g + 0.114 * b) - 1.0).collect(),
            red_green: pixels().map(|[r, g, _]| r - g).collect(),
            blue_yellow: pixels().map(|[r, g, b]| b - 0.5 * (r + g)).collect(),
        }
    }
}

/// One axis of the filter: distance in pixels from −reach to reach, (Re, Im).
fn axis_factor(wavelength: f64, along: f64) -> Vec<[f32; 2]> {
    let sigma = wavelength / 2.0;
    let reach = (REACH * sigma).ceil() as i32;
    let one = |d: i32| {
        // A sample lies between two pixels.
        let d = f64::from(d) - 0.5;
        let (sin, cos) = (TAU * d * along / wavelength).sin_cos();
        let envelope = (-d * d / (2.0 * sigma * sigma)).exp();
        [(envelope * cos) as f32, (envelope * sin) as f32]
    };
    (1 - reach..=reach).map(one).collect()
}

/// Magnitude of the complex response; a grating of full contrast in the filter's direction gives 1 where it fills it.
fn energy(luminance: &[f32], frequency: f64, orientation: f64) -> Vec<f32> {
    let wavelength = SIDE as f64 / frequency;
    let (sin, cos) = orientation.sin_cos();
    let (across, down) = (axis_factor(wavelength, cos), axis_factor(wavelength, sin));
    let rows = filter_rows(luminance, &across);
    let area: f64 = {
        let sum = |axis: &[[f32; 2]]| axis.iter().map(|[re, im]| f64::from(*re).hypot(f64::from(*im))).sum::<f64>();
        sum(&across) * sum(&down)
    };
    let gain = (2.0 / area) as f32;
    let magnitude = |n: usize| {
        let [re, im] = filter_column(&rows, n % SAMPLES, n / SAMPLES, &down);
        gain * (re * re + im * im).sqrt()
    };
    block_means(SAMPLES, &(0..SAMPLES * SAMPLES).map(magnitude).collect::<Vec<_>>())
}

/// First and last pixel that a filter of `taps` around sample `n` meets, and the tap at the first.
fn window(n: usize, taps: usize) -> (usize, usize, usize) {
    let start = (n * STRIDE + STRIDE / 2) as i64 - taps as i64 / 2;
    let first = start.max(0) as usize;
    let last = ((start + taps as i64) as usize).min(SIDE);
    (first, last, (first as i64 - start) as usize)
}

/// Every row filtered along x at the samples: [Re, Im] of f32[SIDE rows, SAMPLES].
fn filter_rows(luminance: &[f32], taps: &[[f32; 2]]) -> Vec<[f32; 2]> {
    let mut out = Vec::with_capacity(SIDE * SAMPLES);
    for row in luminance.chunks_exact(SIDE) {
        for n in 0..SAMPLES {
            let (first, last, tap) = window(n, taps.len());
            let mut sum = [0.0_f32; 2];
            for (value, [re, im]) in row[first..last].iter().zip(&taps[tap..]) {
                sum = [sum[0] + value * re, sum[1] + value * im];
            }
            out.push(sum);
        }
    }
    out
}

fn filter_column(rows: &[[f32; 2]], column: usize, n: usize, taps: &[[f32; 2]]) -> [f32; 2] {
    let (first, last, tap) = window(n, taps.len());
    let mut sum = [0.0_f32; 2];
    for (row, [re, im]) in (first..last).zip(&taps[tap..]) {
        let [a, b] = rows[row * SAMPLES + column];
        sum = [sum[0] + a * re - b * im, sum[1] + a * im + b * re];
    }
    sum
}

/// Means over the blocks of a square plane that make [`CELLS`]² of it.
fn block_means(side: usize, plane: &[f32]) -> Vec<f32> {
    let block = side / CELLS;
    let mut out = vec![0.0_f32; CELLS * CELLS];
    for (n, value) in plane.iter().enumerate() {
        out[n / side / block * CELLS + n % side / block] += value / (block * block) as f32;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grating(cycles: f64, orientation: f64) -> Picture {
        let (sin, cos) = orientation.sin_cos();
        let value = |n: usize| {
            let (x, y) = ((n % SIDE) as f64 / SIDE as f64, (n / SIDE) as f64 / SIDE as f64);
            (127.5 + 127.5 * (TAU * cycles * (x * cos + y * sin)).cos()).round() as u8
        };
        Picture { side: SIDE, rgb: (0..SIDE * SIDE).flat_map(|n| [value(n); 3]).collect() }
    }

    #[test]
    fn a_grating_excites_its_own_channel_most_and_fills_it() {
        for (f, cycles) in FREQUENCIES.into_iter().enumerate() {
            for orientation in 0..ORIENTATIONS {
                let picture = grating(cycles, PI * orientation as f64 / ORIENTATIONS as f64);
                let channels = channels(&picture);
                let middle = |c: usize| channels[c * CELLS * CELLS + CELLS / 2 * CELLS + CELLS / 2];
                let own = f * ORIENTATIONS + orientation;
                let best = (0..3 * ORIENTATIONS).max_by(|a, b| middle(*a).total_cmp(&middle(*b))).unwrap();
                assert_eq!(best, own, "{cycles} cycles, orientation {orientation}");
                // 2 %: the grating is cut to 256 levels, the filter to 3 σ, and the coarsest meets the picture's edge.
                assert!((middle(own) - 1.0).abs() < 0.02, "{cycles} cycles: {}", middle(own));
            }
        }
    }

    #[test]
    fn a_grey_picture_excites_nothing_and_colours_their_own_channel() {
        let flat = |rgb: [u8; 3]| Picture { side: SIDE, rgb: rgb.repeat(SIDE * SIDE) };
        let mean =
            |channels: &[f32], c: usize| channels[c * CELLS * CELLS..][..CELLS * CELLS].iter().sum::<f32>() / 256.0;
        let grey = channels(&flat([128; 3]));
        // 0.004 is what middle grey is off at 8 bits.
        assert!(
            (0..CHANNELS).all(|c| mean(&grey, c) < 0.005),
            "{:?}",
            (0..CHANNELS).map(|c| mean(&grey, c)).collect::<Vec<_>>()
        );
        for (rgb, expected) in [([255, 0, 0], 18), ([0, 255, 0], 19), ([0, 0, 255], 20), ([255, 255, 0], 21)] {
            let found = channels(&flat(rgb));
            let best = (18..22).max_by(|a, b| mean(&found, *a).total_cmp(&mean(&found, *b))).unwrap();
            assert_eq!(best, expected, "{rgb:?}");
        }
    }
}
