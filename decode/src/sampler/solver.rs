//! What UniPC and DPM-Solver++ share: noise levels, the clean prediction, and the start from a picture.

use super::plan::{Mixed, Row, Start};
use super::schedule::{LatentSchedule, Level};
use mindeye_config::FinalSigma;

/// The level of each timestep, and the level at which the walk ends.
pub(super) fn levels(schedule: &LatentSchedule, timesteps: &[usize], end: FinalSigma) -> Vec<Level> {
    let last = match end {
        FinalSigma::SigmaMin => schedule.level(0),
        FinalSigma::Zero => Level::of(0.0),
    };
    timesteps.iter().map(|t| schedule.level(*t)).chain([last]).collect()
}

/// m = (x − σ ε)/α.
pub(super) fn prediction(level: &Level) -> Row {
    (Row::of(Mixed::Sample) - Row::of(Mixed::Output) * level.noise) / level.alpha
}

/// √ᾱ z₀ + √(1 − ᾱ) N at the first level: img2img.
pub(super) fn start(level: &Level) -> Start {
    Start { signal: level.alpha, noise: level.noise }
}
