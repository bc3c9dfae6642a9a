//! Voxels that share a haemodynamic response share a design, and so their sums.

use super::history::History;
use super::running::{Column, Running};
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
    /// Each trial's regressor and the energy of its complete response, the unit of its ridge.
    regressors: BTreeMap<u32, (Regressor, f64)>,
    pub(crate) statistics: Statistics,
    /// AR(1) only.
    running: Option<Running>,
    kind: BetaKind,
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
        kind: BetaKind,
    ) -> Self {
        let voxels = members.as_ref().map_or(voxels, Vec::len);
        Self {
            shape,
            voxels: members,
            regressors: BTreeMap::new(),
            statistics: Statistics::new(voxels, slots, lags),
            running: (lags == Lags::ZeroAndOne).then(|| Running::new(voxels, slots)),
            kind,
            deviation: vec![0.0; voxels],
        }
    }

    /// Place in the mask.
    pub(crate) fn place(&self, voxel: usize) -> usize {
        self.voxels.as_ref().map_or(voxel, |voxels| voxels[voxel])
    }

    /// Σx² of a trial's complete response.
    pub(crate) fn energy(&self, trial: u32) -> f64 {
        self.regressors[&trial].1
    }

    /// The carried fit of the sums as they are now.
    pub(crate) fn running(&self) -> Option<&Running> {
        self.running.as_ref()
    }

    /// Other sums, whose first `shared` slots may hold columns that all trials' fits have.
    pub(crate) fn set_statistics(&mut self, statistics: Statistics, shared: usize) {
        self.statistics = statistics;
        if let Some(running) = &mut self.running {
            *running = Running::new(self.deviation.len(), shared);
            running.the_past_changed();
        }
    }

    /// Room for one more trial.
    pub(crate) fn add_trial(&mut self) {
        self.statistics.add_slot();
        if self.kind != BetaKind::Lss {
            self.running.iter_mut().for_each(Running::add_slot);
        }
    }

    /// Takes a volume in; `shared` are the columns that all trials' fits have.
    pub(crate) fn add_row(&mut self, row: Row, shared: Vec<Column>, history: &History, newest: usize) {
        let mut y = std::mem::take(&mut self.deviation);
        self.deviation_of(history, newest, &mut y);
        match &mut self.running {
            Some(running) => running.add_row(&mut self.statistics, shared, row, &y),
            None => self.statistics.add_row(row, &y),
        }
        self.deviation = y;
    }

    /// Design row of a volume: nuisance, for LSS the sum of all trials, each trial.
    pub(crate) fn row(&self, design: &Design, trials: &Trials, kind: BetaKind, volume: &Acquisition) -> Row {
        let mut row: Row = design.nuisance(volume).into_iter().enumerate().collect();
        let mut responses: Row = Vec::new();
        for (number, (event, place)) in &trials.0 {
            let height = design.response(&self.regressors[number].0, event, volume.start_s);
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
        let regressor = self.regressor_of(design, event.duration_s);
        self.regressors.insert(event.trial, regressor);
        let rows: Vec<Row> =
            history.kept().map(|(_, volume)| self.row(design, trials, kind, &volume.acquisition)).collect();
        for slot in [trials.slot(design, event.trial), design.all_trials_slot()] {
            self.sum_again(slot, &rows, history);
        }
    }

    /// The regressor of a duration and its energy, taken from a trial that has it already where there is one.
    fn regressor_of(&self, design: &Design, duration_s: f64) -> (Regressor, f64) {
        let known = self.regressors.values().find(|(regressor, _)| regressor.duration_s() == duration_s);
        known.copied().unwrap_or_else(|| {
            let regressor = design.regressor(self.shape, duration_s);
            (regressor, design.energy(&regressor))
        })
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
        self.running.iter_mut().for_each(Running::the_past_changed);
    }

    /// Bytes of the sums and of the carried fit.
    pub(crate) fn bytes(&self) -> usize {
        self.statistics.bytes() + self.running.as_ref().map_or(0, Running::bytes)
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
