//! Functions of place that vary slowly over the brain: sums of plane waves, so that they need no grid and no memory.

use crate::random::Draws;
use std::f64::consts::{SQRT_2, TAU};

/// A smooth random function of place with mean 0 and SD 1.
pub(crate) struct SmoothField {
    /// Wave vector, turns per mm; phase, turns.
    waves: Vec<([f64; 3], f64)>,
}

impl SmoothField {
    /// `waves` plane waves of about `wavelength_mm`.
    pub(crate) fn new(draws: &mut Draws, waves: usize, wavelength_mm: f64) -> Self {
        let mut wave = || {
            let direction = [draws.normal(), draws.normal(), draws.normal()];
            let length = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
            let wavelength = wavelength_mm * draws.within(0.7, 1.4);
            (direction.map(|d| d / (length * wavelength)), draws.uniform())
        };
        Self { waves: (0..waves).map(|_| wave()).collect() }
    }

    /// Its value at a place, mm: √(2/n) Σ cos 2π(k·x + φ).
    pub(crate) fn at(&self, place: [f64; 3]) -> f64 {
        let phase = |k: &[f64; 3]| (0..3).map(|axis| k[axis] * place[axis]).sum::<f64>();
        let sum: f64 = self.waves.iter().map(|(k, start)| (TAU * (phase(k) + start)).cos()).sum();
        SQRT_2 * sum / (self.waves.len() as f64).sqrt()
    }
}
