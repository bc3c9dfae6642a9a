//! Global components: patterns that rise and fall in the whole region at once.

use crate::anatomy::SmoothField;
use crate::random::Draws;

/// Global components.
pub(crate) const MODES: usize = 5;

/// Distance over which a mode changes, mm.
const WAVELENGTH_MM: f64 = 110.0;

/// Weight of each mode at each place: the first is 1 everywhere, the others are slow waves of mean square about 1.
pub(crate) struct Modes {
    /// f32[modes, places].
    weights: Vec<Vec<f32>>,
}

impl Modes {
    /// At these places, mm.
    pub(crate) fn new(draws: &mut Draws, places: &[[f64; 3]]) -> Self {
        let mut weights = vec![vec![1.0; places.len()]];
        for _ in 1..MODES {
            let field = SmoothField::new(draws, 3, WAVELENGTH_MM);
            weights.push(places.iter().map(|place| field.at(*place) as f32).collect());
        }
        Self { weights }
    }

    /// Weights of mode `mode`, `f32[places]`.
    pub(crate) fn weights(&self, mode: usize) -> &[f32] {
        &self.weights[mode]
    }

    /// `out` += Σ amplitude x weight.
    pub(crate) fn add(&self, amplitudes: &[f32; MODES], out: &mut [f32]) {
        for (amplitude, weights) in amplitudes.iter().zip(&self.weights) {
            out.iter_mut().zip(weights).for_each(|(o, w)| *o += amplitude * w);
        }
    }
}
