//! Where the true amplitudes of a simulated run are given: how near the betas of every lag come to them.

use crate::program::inputs::Trial;
use crate::program::{Inputs, ProgramError, quantile};
use mindeye_preprocess::offline::{LagBetas, RecordedRun};
use mindeye_preprocess::{Mask, Pattern};
use ndarray::Array2;
use serde::Serialize;
use std::path::Path;

/// True amplitudes, `f32[trials, voxels]`: trials of the events table by ascending number, voxels in mask order.
pub(crate) struct Truth(Array2<f32>);

impl Truth {
    /// Reads the file and holds it against events and mask.
    pub(crate) fn read(path: &Path, trials: &[Trial], mask: &Mask) -> Result<Self, ProgramError> {
        let wrong = |problem: String| ProgramError::Truth { path: path.to_owned(), problem };
        let truth: Array2<f32> = ndarray_npy::read_npy(path).map_err(|error| wrong(error.to_string()))?;
        let expected = [trials.len(), mask.len()];
        if truth.shape() != expected {
            let (found, [trials, voxels]) = (truth.shape(), expected);
            return Err(wrong(format!("holds {found:?} numbers, the events and the mask have [{trials}, {voxels}]")));
        }
        match truth.indexed_iter().find(|(_, value)| !value.is_finite()) {
            Some(((trial, voxel), value)) => Err(wrong(format!("row {trial}, voxel {voxel} is {value}"))),
            None => Ok(Self(truth)),
        }
    }
}

/// How near the betas of one lag come to the truth: correlation over trials, voxel by voxel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct LagAccuracy {
    /// `None` for the whole run.
    pub(crate) lag_s: Option<f64>,
    /// Trials with a beta at this lag.
    pub(crate) trials: usize,
    /// Voxels whose correlation exists.
    pub(crate) voxels: usize,
    /// Mean over voxels.
    pub(crate) r: f64,
    /// Lower and upper quartile over voxels.
    pub(crate) quartiles: [f64; 2],
}

/// The accuracy at every planned lag and of the whole run; lags at which fewer than three trials have a beta are left out.
pub(crate) fn by_lag(
    truth: &Truth,
    inputs: &Inputs,
    recorded: &RecordedRun<'_>,
) -> Result<Vec<LagAccuracy>, ProgramError> {
    let mut numbers: Vec<u32> = inputs.trials.iter().map(|trial| trial.event.trial).collect();
    numbers.sort_unstable();
    let lags = recorded.betas_by_lag()?;
    Ok(lags.iter().filter_map(|lag| of_lag(truth, &numbers, inputs, lag)).collect())
}

fn of_lag(truth: &Truth, numbers: &[u32], inputs: &Inputs, lag: &LagBetas) -> Option<LagAccuracy> {
    let row = |trial: &u32| numbers.binary_search(trial).ok();
    let pairs: Vec<(usize, Pattern)> = lag
        .betas
        .iter()
        .filter_map(|(trial, beta)| Some((row(trial)?, Pattern(inputs.usable.in_whole_mask(beta)))))
        .collect();
    let of_voxel = |voxel: usize| {
        let betas = Pattern(pairs.iter().map(|(_, beta)| beta.0[voxel]).collect());
        let truths = Pattern(pairs.iter().map(|(row, _)| truth.0[[*row, voxel]]).collect());
        betas.correlation(&truths)
    };
    let r: Vec<f64> = (0..inputs.mask.len()).filter_map(of_voxel).collect();
    let quartiles = [quantile(&r, 0.25)?, quantile(&r, 0.75)?];
    let mean = r.iter().sum::<f64>() / r.len() as f64;
    (pairs.len() >= 3).then_some(LagAccuracy {
        lag_s: lag.lag_s,
        trials: pairs.len(),
        voxels: r.len(),
        r: mean,
        quartiles,
    })
}
