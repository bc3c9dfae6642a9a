//! Voxels that share a haemodynamic response share a design, and so their sums.

use super::history::History;
use super::statistics::{Lags, Row, Statistics};
use crate::Event;
use crate::design::{Acquisition, Design, DoubleGamma, Regressor};
use mindeye_config::BetaKind;
use std::collections::BTreeMap;

/// The trials of a run by number, each with its place among the columns: the order in which they were told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trials(BTreeMap<u32, (Event, usize)>);

impl Trials {
    /// True if the trial is new.
    pub(crate) fn set(&mut self, event: Event) -> bool {
        let place = self.0.get(&event.trial).map(|(_, place)| *place);
        self.0.insert(event.trial, (event, place.unwrap_or(self.0.len())));
        place.is_none()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Slot of a known trial.
    pub(crate) fn slot(&self, design: &Design, trial: u32) -> usize {
        design.trial_slot(self.0[&trial].1)
    }

    /// (number, slot), by number.
    pub(crate) fn slots(&self, design: &Design) -> impl Iterator<Item = (u32, usize)> {
        self.0.iter().map(|(number, (_, place))| (*number, design.trial_slot(*place)))
    }
}

/// Voxels of one haemodynamic response.
pub(crate) struct Group {
    shape: DoubleGamma,
    /// Places in the mask; `None` for all.
    voxels: Option<Vec<usize>>,
    regressors: BTreeMap<u32, Regressor>,
    pub(crate) statistics: Statistics,
    /// y of the newest row: kept to be written again.
    deviation: Vec<f64>,
}

impl Group {
    pub(crate) fn new(
        shape: DoubleGamma,
        members: Option<Vec<usize>>,
        voxels: usize,
        slots: usize,
        lags: Lags,
    ) -> Self {
        let voxels = members.as_ref().map_or(voxels, Vec::len);
        Self {
            shape,
            voxels: members,
            regressors: BTreeMap::new(),
            statistics: Statistics::new(voxels, slots, lags),
            deviation: vec![0.0; voxels],
        }
    }

    /// Place in the mask.
    pub(crate) fn place(&self, voxel: usize) -> usize {
        self.voxels.as_ref().map_or(voxel, |voxels| voxels[voxel])
    }

    pub(crate) fn regressor(&self, trial: u32) -> &Regressor {
        &self.regressors[&trial]
    }

    /// Room for one more trial.
    pub(crate) fn add_trial(&mut self) {
        self.statistics.add_slot();
    }

    pub(crate) fn add_row(&mut self, row: Row, history: &History, newest: usize) {
        let mut y = std::mem::take(&mut self.deviation);
        self.deviation_of(history, newest, &mut y);
        self.statistics.add_row(row, &y);
        self.deviation = y;
    }

    /// Design row of a volume: nuisance, for LSS the sum of all trials, each trial.
    pub(crate) fn row(&self, design: &Design, trials: &Trials, kind: BetaKind, volume: &Acquisition) -> Row {
        let mut row: Row = design.nuisance(volume).into_iter().enumerate().collect();
        let mut responses: Row = Vec::new();
        for (number, (event, place)) in &trials.0 {
            let height = design.response(&self.regressors[number], event, volume.start_s);
            if height != 0.0 {
                responses.push((design.trial_slot(*place), height));
            }
        }
        if kind == BetaKind::Lss {
            row.push((design.all_trials_slot(), responses.iter().map(|(_, height)| height).sum()));
        }
        responses.sort_unstable_by_key(|entry| entry.0);
        row.extend(responses);
        row.retain(|(_, value)| *value != 0.0);
        row
    }

    /// Takes a new or corrected trial into the volumes that came already: its column, and that of all trials, are
    /// summed anew where they change.
    pub(crate) fn learn(&mut self, event: &Event, design: &Design, trials: &Trials, kind: BetaKind, history: &History) {
        self.regressors.insert(event.trial, self.regressor_of(design, event.duration_s));
        let rows: Vec<Row> =
            history.kept().map(|(_, volume)| self.row(design, trials, kind, &volume.acquisition)).collect();
        for slot in [trials.slot(design, event.trial), design.all_trials_slot()] {
            self.sum_again(slot, &rows, history);
        }
    }

    /// The regressor of a duration, taken from a trial that has it already where there is one.
    fn regressor_of(&self, design: &Design, duration_s: f64) -> Regressor {
        let known = self.regressors.values().find(|regressor| regressor.duration_s() == duration_s);
        known.copied().unwrap_or_else(|| design.regressor(self.shape, duration_s))
    }

    fn sum_again(&mut self, slot: usize, rows: &[Row], history: &History) {
        let value = |row: &Row| row.iter().find(|entry| entry.0 == slot).map_or(0.0, |entry| entry.1);
        let values: Vec<f64> = rows.iter().map(value).collect();
        if (0..rows.len()).all(|row| self.statistics.value(row, slot) == values[row]) {
            return;
        }
        let mut statistics = std::mem::replace(&mut self.statistics, Statistics::new(0, 0, Lags::Zero));
        statistics.sum_again(slot, &values, |row, y| self.deviation_of(history, row, y));
        self.statistics = statistics;
    }

    /// y of a row: what the group's voxels differ from the first kept volume.
    pub(crate) fn deviation_of(&self, history: &History, row: usize, y: &mut [f64]) {
        let (pattern, first) = (history.pattern(row), history.pattern(0));
        match &self.voxels {
            None => {
                for ((y, now), first) in y.iter_mut().zip(pattern).zip(first) {
                    *y = f64::from(*now) - f64::from(*first);
                }
            }
            Some(voxels) => {
                for (y, place) in y.iter_mut().zip(voxels) {
                    *y = f64::from(pattern[*place]) - f64::from(first[*place]);
                }
            }
        }
    }
}
