//! Noise that lives on: e ← φ e + √(1 − φ²) w, for its smooth part and for its global components.

use super::{MODES, Modes, SmoothNoise};
use crate::random::{Draws, key};

/// Draws a first-order autoregressive process of SD 1 at some places.
pub(crate) struct LastingNoise {
    smooth: SmoothNoise,
    modes: Modes,
    seed: u64,
}

/// Where the process stands.
#[derive(Debug, Clone)]
pub(crate) struct Lasting {
    smooth: Vec<f32>,
    modes: [f32; MODES],
}

/// SDs of the two parts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scales {
    pub(crate) smooth: f32,
    pub(crate) global: f32,
}

impl LastingNoise {
    pub(crate) fn new(smooth: SmoothNoise, modes: Modes, seed: u64) -> Self {
        Self { smooth, modes, seed }
    }

    /// A beginning; what is drawn for `number` is drawn for it alone.
    pub(crate) fn first(&self, number: u32) -> Lasting {
        let mut draws = Draws::new(self.seed, &[1, u64::from(number)]);
        let smooth = self.smooth.draw(key(self.seed, &[0]), number);
        Lasting { smooth, modes: [0; MODES].map(|_| draws.normal() as f32) }
    }

    /// The process one step on; `stay` is φ.
    pub(crate) fn next(&self, before: &Lasting, stay: f64, number: u32) -> Lasting {
        let mut now = self.first(number);
        let (stay, new) = (stay as f32, (1.0 - stay * stay).sqrt() as f32);
        let step = |(now, old): (&mut f32, &f32)| *now = stay * old + new * *now;
        now.smooth.iter_mut().zip(&before.smooth).for_each(step);
        now.modes.iter_mut().zip(&before.modes).for_each(step);
        now
    }

    /// `out` += both parts, each of its SD.
    pub(crate) fn add(&self, now: &Lasting, scales: Scales, out: &mut [f32]) {
        out.iter_mut().zip(&now.smooth).for_each(|(o, e)| *o += scales.smooth * e);
        self.modes.add(&now.modes.map(|m| scales.global * m), out);
    }

    /// Covariance of what [`LastingNoise::add`] adds, at two of the places.
    pub(crate) fn covariance(&self, scales: Scales, u: usize, v: usize) -> f64 {
        let (p, q) = (self.smooth.place(u), self.smooth.place(v));
        let near = self.smooth.correlation([0, 1, 2].map(|axis| p[axis].abs_diff(q[axis])));
        let modes = |m: usize| f64::from(self.modes.weights(m)[u]) * f64::from(self.modes.weights(m)[v]);
        let global: f64 = (0..MODES).map(modes).sum();
        f64::from(scales.smooth).powi(2) * near + f64::from(scales.global).powi(2) * global
    }

    pub(crate) fn modes(&self) -> &Modes {
        &self.modes
    }
}
