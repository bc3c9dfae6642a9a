//! What one voxel likes: orientations and frequencies, colours, and labels.

use super::gabor::{CELLS, CHANNELS, DEGREES, FREQUENCIES, ORIENTATIONS};
use super::labels::{LABELS, OBJECT_LABELS};
use crate::anatomy::{Area, Site, SmoothField};
use crate::random::Draws;
use std::f64::consts::{PI, TAU};

/// Tuning of a voxel.
#[derive(Debug, Clone)]
pub struct Tuning {
    /// Weight of each place, summing to 1; f32[[`CELLS`]²], row by row from the top.
    pub field: Vec<f32>,
    /// Weight of each Gabor channel, then of each colour channel and luminance.
    pub channels: [f32; CHANNELS],
    /// Exponent of the form response (compressive summation, Kay et al. 2013).
    pub exponent: f32,
    /// Weight of each label.
    pub(crate) labels: [f32; LABELS],
    /// Shares of form, colour and meaning in the response; their squares sum to 1.
    pub shares: [f32; 3],
    pub(crate) centre_deg: [f32; 2],
    pub(crate) radius_deg: f32,
}

/// Slow maps over the cortex, from which neighbours take similar tuning.
pub(crate) struct Maps {
    labels: Vec<SmoothField>,
}

/// Distance over which preferences for labels change, mm.
const LABEL_MAP_MM: f64 = 45.0;
/// Share of the variance of label weights that a map explains; neighbours differ in the rest.
const MAPPED: f64 = 0.5;

impl Maps {
    pub(crate) fn new(draws: &mut Draws) -> Self {
        Self { labels: (0..LABELS).map(|_| SmoothField::new(draws, 6, LABEL_MAP_MM)).collect() }
    }
}

impl Tuning {
    /// The tuning of the voxel at `site`.
    pub(crate) fn new(site: &Site, maps: &Maps, draws: &mut Draws) -> Self {
        Self {
            field: field(site),
            channels: channels(site, draws),
            exponent: exponent(site.area),
            labels: label_weights(site, maps, draws),
            shares: shares(site.area, draws),
            centre_deg: site.centre_deg.map(|c| c as f32),
            radius_deg: site.radius_deg as f32,
        }
    }
}

/// A Gaussian on the picture's places.
fn field(site: &Site) -> Vec<f32> {
    let degrees = |n: usize| ((n as f64 + 0.5) / CELLS as f64 - 0.5) * DEGREES;
    let weight = |n: usize| {
        let (x, y) = (degrees(n % CELLS) - site.centre_deg[0], -degrees(n / CELLS) - site.centre_deg[1]);
        (-(x * x + y * y) / (2.0 * site.radius_deg * site.radius_deg)).exp()
    };
    let weights: Vec<f64> = (0..CELLS * CELLS).map(weight).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|w| (w / sum) as f32).collect()
}

/// Frequency: a Gaussian over octaves about a preference that falls with the field's size. Orientation: a bias of a
/// population of neurons. Colours: one liked more than the others.
fn channels(site: &Site, draws: &mut Draws) -> [f32; CHANNELS] {
    let mut out = [0.0; CHANNELS];
    let preferred = (12.0 / (0.5 + site.radius_deg)).clamp(3.0, 18.0) * (0.4 * draws.normal()).exp();
    let (angle, bias) = (PI * draws.uniform(), draws.within(0.5, 1.0));
    for (f, frequency) in FREQUENCIES.into_iter().enumerate() {
        let octaves = (frequency / preferred).log2();
        for orientation in 0..ORIENTATIONS {
            let difference = PI * orientation as f64 / ORIENTATIONS as f64 - angle;
            let tuned = (1.0 + bias * (2.0 * difference).cos()).powi(2);
            out[f * ORIENTATIONS + orientation] = ((-octaves * octaves / 0.98).exp() * tuned) as f32;
        }
    }
    let liked = TAU * draws.uniform();
    for colour in 0..4 {
        out[3 * ORIENTATIONS + colour] = (0.4 + 1.5 * (liked - PI / 2.0 * colour as f64).cos()) as f32;
    }
    out[CHANNELS - 1] = (1.2 * draws.normal()) as f32;
    out
}

fn exponent(area: Area) -> f32 {
    match area {
        Area::V1 => 0.75,
        Area::V2 => 0.65,
        Area::V3 => 0.55,
        Area::V4 => 0.45,
        Area::Lateral | Area::Ventral | Area::Dorsal => 0.35,
    }
}

/// Form, colour and meaning by area, somewhat different in every voxel.
fn shares(area: Area, draws: &mut Draws) -> [f32; 3] {
    let shares: [f64; 3] = match area {
        Area::V1 => [0.75, 0.55, 0.0],
        Area::V2 => [0.7, 0.6, 0.05],
        Area::V3 => [0.75, 0.5, 0.1],
        Area::V4 => [0.45, 0.75, 0.35],
        Area::Lateral => [0.4, 0.3, 0.85],
        Area::Ventral => [0.3, 0.4, 0.85],
        Area::Dorsal => [0.5, 0.2, 0.8],
    };
    let varied = shares.map(|share| share * draws.within(0.6, 1.4));
    let length = varied.iter().map(|s| s * s).sum::<f64>().sqrt();
    varied.map(|s| (s / length) as f32)
}

/// How much an area cares for each group of labels: objects, scene, place, size and count, colour and texture, light.
fn label_gains(area: Area) -> [f64; 6] {
    match area {
        Area::Lateral => [1.5, 0.3, 0.6, 0.6, 0.4, 0.2],
        Area::Ventral => [1.0, 1.3, 0.2, 0.3, 0.6, 0.5],
        Area::Dorsal => [0.4, 0.4, 1.3, 1.0, 0.2, 0.4],
        Area::V1 | Area::V2 | Area::V3 | Area::V4 => [0.8, 0.6, 0.8, 0.5, 0.8, 0.4],
    }
}

fn label_weights(site: &Site, maps: &Maps, draws: &mut Draws) -> [f32; LABELS] {
    // Ends of the groups in the order of `labels`.
    const ENDS: [usize; 6] = [OBJECT_LABELS, 28, 37, 43, 55, LABELS];
    let gains = label_gains(site.area);
    let mut out = [0.0; LABELS];
    for (label, weight) in out.iter_mut().enumerate() {
        let group = ENDS.iter().position(|end| label < *end).expect("the last end is the number of labels");
        let mapped = MAPPED.sqrt() * maps.labels[label].at(site.place_mm);
        *weight = (gains[group] * (mapped + (1.0 - MAPPED).sqrt() * draws.normal())) as f32;
    }
    out
}
