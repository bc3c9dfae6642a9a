//! From a place in the scanner to the same place of the template head: scale, turn, and folds of its own.

use crate::parameters::Head;
use crate::random::Draws;
use mindeye_preprocess::motion::{Motion, Rigid};

/// A smooth map of RAS+ mm.
pub struct Warp {
    turn: Rigid,
    scale: [f64; 3],
    /// For each axis three waves: wave vector, turns per mm; phase, turns.
    waves: [[([f64; 3], f64); 3]; 3],
    amplitude_mm: f64,
}

/// Wavelengths of the displacement, mm.
const WAVELENGTHS_MM: std::ops::Range<f64> = 28.0..60.0;

impl Warp {
    /// The map of `head`.
    #[must_use]
    pub fn new(head: &Head) -> Self {
        let [a, b, c] = head.turn_deg.map(f64::to_radians);
        let mut draws = Draws::new(head.seed, &[Branch::Warp as u64]);
        let waves = [0; 3].map(|_| [0; 3].map(|_| (wave_vector(&mut draws), draws.uniform())));
        Self {
            turn: Motion([0.0, 0.0, 0.0, a, b, c]).about([0.0; 3]).inverse(),
            scale: head.scale,
            waves,
            amplitude_mm: head.fold_mm,
        }
    }

    /// Where in the template head a place of the scanner lies, RAS+ mm.
    #[must_use]
    pub fn to_template(&self, place: [f64; 3]) -> [f64; 3] {
        let turned = self.turn.affine().apply(place);
        let scaled = [0, 1, 2].map(|axis| turned[axis] / self.scale[axis]);
        [0, 1, 2].map(|axis| scaled[axis] + self.amplitude_mm * displacement(&self.waves[axis], scaled))
    }
}

/// What a participant's seed is asked for; each is a branch of its own, so that one never moves another.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Branch {
    Warp = 1,
    Site = 2,
    Tuning = 3,
    Amplitude = 4,
    Partner = 5,
    Haemodynamics = 6,
    Modes = 7,
    Schedule = 8,
    Trial = 9,
    Day = 10,
    Noise = 11,
    Motion = 12,
}

fn wave_vector(draws: &mut Draws) -> [f64; 3] {
    let direction = [draws.normal(), draws.normal(), draws.normal()];
    let length = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
    let wavelength_mm = draws.within(WAVELENGTHS_MM.start, WAVELENGTHS_MM.end);
    direction.map(|d| d / (length * wavelength_mm))
}

/// Mean of three waves, -1 to 1.
fn displacement(waves: &[([f64; 3], f64); 3], place: [f64; 3]) -> f64 {
    let phase = |k: &[f64; 3]| (0..3).map(|axis| k[axis] * place[axis]).sum::<f64>();
    waves.iter().map(|(k, start)| (std::f64::consts::TAU * (phase(k) + start)).sin()).sum::<f64>() / 3.0
}
