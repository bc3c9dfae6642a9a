//! The design says what every volume would show: a constant, motion, slow drift, and a response to each trial.
//!
//! A volume is modelled at its *sample time* (start + `slice_reference` × TR); drift runs with the middle of the
//! acquisition, so that at `slice_reference` = 0.5 and the planned length the cosines are SPM's and nilearn's.

mod confounds;
mod drift;
mod gamma;
mod hrf;

pub(crate) use confounds::confounds_of;
pub use drift::DriftBasis;
pub use hrf::{DoubleGamma, Regressor};

use crate::Event;
use crate::motion::Motion;
use mindeye_config::{BetaKind, Confounds, HrfHeight, PreprocessConfig};

/// What of a volume the design depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Acquisition {
    /// Start, seconds since volume 0.
    pub(crate) start_s: f64,
    pub(crate) motion: Motion,
    /// Motion of the volume that came before; its own for the first.
    pub(crate) motion_before: Motion,
}

/// The nuisance columns and the times at which all columns are evaluated.
#[derive(Debug, Clone)]
pub(crate) struct Design {
    tr_s: f64,
    slice_reference: f64,
    height: HrfHeight,
    confounds: Confounds,
    /// The drift basis until the planned length, and what follows it.
    drift: DriftBasis,
    /// A prior on drift (ridge-LSA) keeps early fits well conditioned with all columns: the basis need not grow.
    drift_has_prior: bool,
}

/// A rotation moves a voxel 50 mm from its axis by this much per radian (the radius of Power et al. 2012), mm.
const RADIAN_MM: f64 = 50.0;

impl Design {
    /// The design of `recipe` for a run of `tr_s` per volume that is planned to last `planned_s`.
    pub(crate) fn new(recipe: &PreprocessConfig, tr_s: f64, planned_s: f64) -> Self {
        Self {
            tr_s,
            slice_reference: recipe.slice_reference,
            height: recipe.hrf.height,
            confounds: recipe.confounds.kind,
            drift: DriftBasis::new(&recipe.drift, planned_s),
            drift_has_prior: recipe.beta.kind == BetaKind::RidgeLsa && recipe.beta.ridge_drift > 0.0,
        }
    }

    /// The nuisance columns of a volume: constant, confounds, drift.
    pub(crate) fn nuisance(&self, volume: &Acquisition) -> Vec<f64> {
        let mut columns = vec![1.0];
        confounds_of(self.confounds, &volume.motion, &volume.motion_before, &mut columns);
        self.drift.evaluate(volume.start_s + 0.5 * self.tr_s, &mut columns);
        columns
    }

    /// Nuisance columns, q.
    pub(crate) fn nuisance_columns(&self) -> usize {
        1 + confounds::columns(self.confounds) + self.drift.columns()
    }

    /// Column of the sum of all trials, after the nuisance.
    pub(crate) fn all_trials_slot(&self) -> usize {
        self.nuisance_columns()
    }

    /// Column of the trial that was told as number `place`.
    pub(crate) fn trial_slot(&self, place: usize) -> usize {
        self.all_trials_slot() + 1 + place
    }

    /// Penalty of each nuisance column: none on the constant, `motion_mm2` on motion (radians as 50 mm), `drift` on
    /// drift.
    pub(crate) fn nuisance_ridge(&self, drift: f64, motion_mm2: f64) -> Vec<f64> {
        let radians = motion_mm2 / (RADIAN_MM * RADIAN_MM);
        let of_confound = |column: usize| if column % 6 < 3 { motion_mm2 } else { radians };
        let confounds = (0..confounds::columns(self.confounds)).map(of_confound);
        std::iter::once(0.0).chain(confounds).chain(std::iter::repeat_n(drift, self.drift.columns())).collect()
    }

    /// Of the nuisance columns, how many belong in a fit of `volumes` volumes up to the one that starts at `start_s`:
    /// the drift basis grows with the time that has passed, unless a prior on drift makes all of it safe from the start.
    pub(crate) fn nuisance_in_use(&self, start_s: f64, volumes: usize) -> usize {
        if self.drift_has_prior {
            return self.nuisance_columns();
        }
        let drift = self.drift.in_use(self.end_s(start_s), volumes);
        self.nuisance_columns() - self.drift.columns() + drift
    }

    /// The design for a fit that ends with the volume that starts at `start_s`: another one beyond the planned length.
    pub(crate) fn lasting_until(&self, start_s: f64) -> Self {
        Self { drift: self.drift.lasting_until(self.end_s(start_s)), ..self.clone() }
    }

    pub(crate) fn has_same_columns_as(&self, other: &Self) -> bool {
        self.drift == other.drift
    }

    /// The regressor of a stimulus of `duration_s` seconds.
    pub(crate) fn regressor(&self, shape: DoubleGamma, duration_s: f64) -> Regressor {
        Regressor::new(shape, duration_s, self.height)
    }

    /// Height of `regressor`, shown at `event`, in a volume.
    pub(crate) fn response(&self, regressor: &Regressor, event: &Event, start_s: f64) -> f64 {
        regressor.at(self.sampled_at(start_s) - event.onset_s)
    }

    /// Σx² of a complete response that is sampled once per TR: the unit of a ridge.
    pub(crate) fn energy(&self, regressor: &Regressor) -> f64 {
        let samples = (regressor.length_s() / self.tr_s).ceil() as u32;
        (0..samples).map(|i| regressor.at((f64::from(i) + 0.5) * self.tr_s).powi(2)).sum()
    }

    /// Time at which a volume is taken to be sampled.
    pub(crate) fn sampled_at(&self, start_s: f64) -> f64 {
        start_s + self.slice_reference * self.tr_s
    }

    /// End of a volume's acquisition.
    pub(crate) fn end_s(&self, start_s: f64) -> f64 {
        start_s + self.tr_s
    }
}
