//! The modified Kalman filter swallows an isolated spike, and follows a step that stays, one volume late.

use crate::zscore::require_equal;
use crate::{Pattern, PreprocessError, Stage};

/// Koush's modified Kalman filter, voxel by voxel (Koush et al. 2012, NeuroImage 59:478; constants as in OpenNFT).
///
/// With z_n a voxel's value and s the SD of z_1 … z_n: Q = s²/4, R = s², threshold θ = 0.9 s. Predict P ← P + Q; gain
/// K = P/(P + R); d = K (z − x). While |d| < θ the state moves, x ← x + d, P ← (1 − K) P, and x is the output. The first
/// change beyond θ in a direction is a spike: the output is the x before, and the state stays as it was. A second one in
/// the same direction is believed.
///
/// The first value starts the state, x = z_1 and P = 0. The paper filters a detrended signal around 0; here the level
/// starts at the voxel's own, and slow drift widens s, which makes the filter milder. It is a smoother as well: at rest
/// the gain settles at (√17 − 1)/8 = 0.39, so that a lone step reaches 63 % after two volumes.
#[derive(Debug, Clone)]
pub struct KalmanDespike {
    voxels: Vec<Voxel>,
    volumes: u64,
    spikes: usize,
}

/// State of one voxel: running moments (Welford), the filter's x and P, and which direction was last refused.
#[derive(Debug, Clone, Copy, Default)]
struct Voxel {
    mean: f64,
    squares: f64,
    x: f64,
    p: f64,
    refused: Refused,
}

/// Direction of the change that was refused in the volume before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Refused {
    #[default]
    None,
    Up,
    Down,
}

/// Q in units of s².
const PROCESS_NOISE: f64 = 0.25;
/// θ in units of s.
const THRESHOLD: f64 = 0.9;

impl KalmanDespike {
    /// A filter for `voxels` voxels.
    #[must_use]
    pub fn new(voxels: usize) -> Self {
        Self { voxels: vec![Voxel::default(); voxels], volumes: 0, spikes: 0 }
    }

    /// Voxels of the newest volume whose value was taken for a spike.
    #[must_use]
    pub fn spikes(&self) -> usize {
        self.spikes
    }
}

impl Voxel {
    /// Takes the `n`-th value, from 1; returns whether it was taken for a spike.
    fn take(&mut self, z: f64, n: f64) -> bool {
        let delta = z - self.mean;
        self.mean += delta / n;
        self.squares += delta * (z - self.mean);
        if n == 1.0 || self.squares == 0.0 {
            self.x = z;
            return false;
        }
        let variance = self.squares / (n - 1.0);
        let predicted = self.p + PROCESS_NOISE * variance;
        let gain = predicted / (predicted + variance);
        let change = gain * (z - self.x);
        let direction = if change > 0.0 { Refused::Up } else { Refused::Down };
        let large = change.abs() >= THRESHOLD * variance.sqrt();
        if large && self.refused != direction {
            self.refused = direction;
            return true;
        }
        self.refused = Refused::None;
        (self.x, self.p) = (self.x + change, (1.0 - gain) * predicted);
        false
    }
}

impl Stage for KalmanDespike {
    type In<'a> = Pattern;
    type Out = Pattern;

    fn process_into(&mut self, input: &Pattern, out: &mut Pattern) -> Result<(), PreprocessError> {
        require_equal("volume", "despiking", "voxels", input.len(), self.voxels.len())?;
        self.volumes += 1;
        self.spikes = 0;
        out.0.resize(input.len(), 0.0);
        for ((voxel, z), out) in self.voxels.iter_mut().zip(&input.0).zip(&mut out.0) {
            self.spikes += usize::from(voxel.take(f64::from(*z), self.volumes as f64));
            *out = voxel.x as f32;
        }
        Ok(())
    }

    fn delay_volumes(&self) -> u32 {
        0
    }

    fn reset(&mut self) {
        *self = Self::new(self.voxels.len());
    }
}
