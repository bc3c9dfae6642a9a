//! The single-trial GLM of a growing run: exact at every volume, and exact again after a late truth.
//!
//! ```text
//!   volume ──► History ──► design row ──► Statistics (G, B, …)          every volume
//!                                 └─► Running (b, Σe², Σe e₋₁)          for AR(1) noise
//!   event ───► a column, summed from History where its response has begun
//!   trial due ──► Model (this trial, others, nuisance) ──► Fit ──► β in percent signal change
//! ```
//!
//! A trial's beta is the least-squares fit of the kept volumes up to the one at which it was due, with the trials
//! known when it is computed. Voxels may differ in their response: each response has its own group and its own sums.

mod autoregressive;
mod fit;
mod group;
mod history;
mod model;
mod past;
mod residuals;
mod responses;
mod running;
mod solve;
mod statistics;
mod whitened;

pub(crate) use history::Volume;
pub(crate) use past::Past;
pub(crate) use responses::Responses;

use crate::design::{Acquisition, Design};
use crate::moments::finite_or_zero;
use crate::motion::Motion;
use crate::window::MeanOf;
use crate::{Event, MissedReason, Pattern};
use fit::fit;
use group::{Group, Trials};
use history::History;
use mindeye_config::{BetaConfig, BetaKind, BetaUnit, NoiseModel, PreprocessConfig};
use model::{Model, Term};
use running::Column;
use solve::{Factor, dot};
use statistics::{Lags, Statistics, combine};

/// A beta of every voxel of the mask, with its evidence.
pub(crate) struct GlmBeta {
    /// Unit of the recipe.
    pub(crate) beta: Pattern,
    pub(crate) standard_error: Option<f32>,
    pub(crate) voxels_without_beta: u32,
    /// Volumes in which the trial's regressor is not zero: first, last and how many.
    pub(crate) first: Volume,
    pub(crate) last: Volume,
    pub(crate) volumes: u32,
    /// Other volumes of the fit.
    pub(crate) other_volumes: u32,
}

/// The GLM of one run.
pub(crate) struct Glm {
    kind: BetaKind,
    ridge: Ridge,
    unit: BetaUnit,
    lags: Lags,
    planned: Design,
    /// `planned`, or what follows it beyond the planned length: the columns that are summed now.
    design: Design,
    history: History,
    groups: Vec<Group>,
    trials: Trials,
}

/// Penalties of ridge-LSA, which make it the posterior mean under Gaussian priors: zero for the other kinds.
///
/// The newest trial lies at the end of the volumes, where drift and motion have the most leverage and its response is
/// half sampled: without a prior on them the fit explains a response by drift, and a beta at 7.5 s is worse than a
/// window's mean. Drift of a percent against noise of 1.4 % is a prior that costs nothing later.
#[derive(Clone, Copy)]
struct Ridge {
    /// On each trial, in units of its response's energy.
    trials: f64,
    drift: f64,
    motion_mm2: f64,
}

impl Ridge {
    fn of(config: &BetaConfig) -> Self {
        match config.kind {
            BetaKind::RidgeLsa => {
                Self { trials: config.ridge_alpha, drift: config.ridge_drift, motion_mm2: config.ridge_motion_mm2 }
            }
            _ => Self { trials: 0.0, drift: 0.0, motion_mm2: 0.0 },
        }
    }

    fn on_trial(self, energy: f64) -> f64 {
        self.trials * energy
    }
}

impl Glm {
    /// The GLM of `recipe`; `shapes` has one response for all voxels, or one for each with `index` to say which.
    pub(crate) fn new(
        recipe: &PreprocessConfig,
        tr_s: f64,
        planned_s: f64,
        voxels: usize,
        responses: &Responses,
    ) -> Self {
        let planned = Design::new(recipe, tr_s, planned_s);
        let lags = match recipe.noise.model {
            NoiseModel::Ordinary => Lags::Zero,
            NoiseModel::Ar1 => Lags::ZeroAndOne,
        };
        let slots = planned.trial_slot(0);
        let group = |(shape, members)| Group::new(shape, members, voxels, slots, lags, recipe.beta.kind);
        Self {
            kind: recipe.beta.kind,
            ridge: Ridge::of(&recipe.beta),
            unit: recipe.unit,
            lags,
            design: planned.clone(),
            history: History::new(voxels, (planned_s / tr_s).ceil() as usize),
            groups: responses.groups().into_iter().map(group).collect(),
            trials: Trials::default(),
            planned,
        }
    }

    /// Takes a volume in; `None` is a censored one, whose motion counts and whose voxels do not.
    pub(crate) fn advance(&mut self, index: u32, start_s: f64, motion: Motion, kept: Option<&Pattern>) {
        let motion_before = self.history.volumes().last().map_or(motion, |volume| volume.acquisition.motion);
        let acquisition = Acquisition { start_s, motion, motion_before };
        self.history.push(index, acquisition, kept);
        let design = self.planned.lasting_until(start_s);
        if !design.has_same_columns_as(&self.design) {
            self.design = design;
            let shared = self.shared_slots();
            let all = self.history.volumes().len();
            let sums = Past::until(self, all);
            for (group, statistics) in self.groups.iter_mut().zip(sums.statistics) {
                group.set_statistics(statistics, shared);
            }
        } else if kept.is_some() {
            self.add_newest(&acquisition);
        }
    }

    fn add_newest(&mut self, acquisition: &Acquisition) {
        let newest = self.history.rows() - 1;
        let in_use = self.design.nuisance_in_use(acquisition.start_s, self.history.rows());
        let nuisance = self.nuisance_columns(&self.design, in_use);
        for group in &mut self.groups {
            let row = group.row(&self.design, &self.trials, self.kind, acquisition);
            let base = || shared_columns(&nuisance, self.kind, self.ridge, &self.design, &self.trials, group, &row);
            let base = if self.lags == Lags::ZeroAndOne { base() } else { Vec::new() };
            group.add_row(row, base, &self.history, newest);
        }
    }

    /// Slots in which columns that all trials' fits have may lie: nuisance and the sum of all trials, or all.
    fn shared_slots(&self) -> usize {
        self.design.trial_slot(if self.kind == BetaKind::Lss { 0 } else { self.trials.len() })
    }

    /// The first `in_use` nuisance columns with their penalties.
    fn nuisance_columns(&self, design: &Design, in_use: usize) -> Vec<Column> {
        let ridge = design.nuisance_ridge(self.ridge.drift, self.ridge.motion_mm2);
        (0..in_use).map(|slot| Column { slot, ridge: ridge[slot] }).collect()
    }

    /// Tells of a trial, new or corrected: its column, and that of all trials, are summed anew where volumes of its
    /// response have come.
    pub(crate) fn set_event(&mut self, event: Event) {
        if self.trials.set(event) {
            self.groups.iter_mut().for_each(Group::add_trial);
        }
        for group in &mut self.groups {
            group.learn(&event, &self.design, &self.trials, self.kind, &self.history);
        }
    }

    /// The beta of `trial` from the first `volumes` volumes.
    ///
    /// # Errors
    /// [`MissedReason`] where there is none.
    pub(crate) fn beta(&self, past: &mut Past, trial: u32, volumes: usize) -> Result<GlmBeta, MissedReason> {
        let is_now = volumes == self.history.volumes().len();
        if !is_now {
            past.advance(self, volumes);
        }
        let design = if is_now { &self.design } else { &past.design };
        let of_group = |at: usize| if is_now { &self.groups[at].statistics } else { &past.statistics[at] };
        let Some(newest) = self.history.volumes()[..volumes].last() else { return Err(MissedReason::NoVolumeInWindow) };
        let evidence = self.evidence(design, of_group, trial)?;
        let in_use = design.nuisance_in_use(newest.acquisition.start_s, of_group(0).rows().len());
        let mut beta = Pattern::zeros(self.history.voxels());
        let (mut without_beta, mut errors) = (0, MeanOf::default());
        for (at, group) in self.groups.iter().enumerate() {
            let statistics = of_group(at);
            let model = self.model(design, group, statistics, trial, in_use);
            let running = if is_now { group.running() } else { None };
            let fit = fit(statistics, &model, running).ok_or(MissedReason::DesignNotDetermined)?;
            for (voxel, value) in fit.beta.iter().enumerate() {
                let place = group.place(voxel);
                beta.0[place] = finite_or_zero(value * self.scale(statistics, voxel, place), &mut without_beta);
            }
            for (voxel, error) in fit.errors {
                errors.add(error * self.scale(statistics, voxel, group.place(voxel)).abs());
            }
        }
        let standard_error = errors.mean();
        Ok(GlmBeta { beta, standard_error, voxels_without_beta: without_beta as u32, ..evidence })
    }

    /// Which volumes speak of the trial: those in which any group's regressor is not zero.
    fn evidence<'a>(
        &'a self,
        design: &Design,
        of_group: impl Fn(usize) -> &'a Statistics,
        trial: u32,
    ) -> Result<GlmBeta, MissedReason> {
        let slot = self.trials.slot(design, trial);
        let rows = of_group(0).rows().len();
        let speaks = |row: usize| (0..self.groups.len()).any(|at| of_group(at).value(row, slot) != 0.0);
        let speaking: Vec<&Volume> =
            self.history.kept().take(rows).filter(|(row, _)| speaks(*row)).map(|(_, volume)| volume).collect();
        let (Some(first), Some(last)) = (speaking.first(), speaking.last()) else {
            return Err(MissedReason::NoVolumeInWindow);
        };
        Ok(GlmBeta {
            beta: Pattern::default(),
            standard_error: None,
            voxels_without_beta: 0,
            first: **first,
            last: **last,
            volumes: speaking.len() as u32,
            other_volumes: (rows - speaking.len()) as u32,
        })
    }

    /// LSS: [nuisance, sum of the others, this one]; LSA: [nuisance, each of the others, this one], with a ridge of
    /// α Σx² of the complete response on each trial for ridge-LSA (spec: rtfmri section 3.9).
    fn model(&self, design: &Design, group: &Group, statistics: &Statistics, trial: u32, in_use: usize) -> Model {
        let begun = |(_, slot): &(u32, usize)| statistics.gram().get(*slot, *slot) > 0.0;
        let others: Vec<(u32, usize)> =
            self.trials.slots(design).filter(|(number, _)| *number != trial).filter(begun).collect();
        let probe = self.trials.slot(design, trial);
        let nuisance = self.nuisance_columns(design, in_use);
        let mut terms: Vec<Term> = nuisance.iter().map(|column| Term::penalised(column.slot, column.ridge)).collect();
        let mut base: Vec<usize> = nuisance.iter().map(|column| column.slot).collect();
        let ridge = |number: u32| self.ridge.on_trial(group.energy(number));
        if self.kind == BetaKind::Lss {
            base.push(design.all_trials_slot());
            if !others.is_empty() {
                let slots = others.iter().map(|(_, slot)| *slot).collect();
                let less_this = vec![(design.all_trials_slot(), 1.0), (probe, -1.0)];
                terms.push(Term { slots, moments: less_this, ridge: 0.0 });
            }
        } else {
            base.extend(others.iter().map(|(_, slot)| *slot).chain([probe]));
            let others = others.iter().map(|(number, slot)| Term::penalised(*slot, ridge(*number)));
            let at = place_of_trials(self.kind, terms.len());
            terms.splice(at..at, others);
        }
        terms.push(Term::penalised(probe, ridge(trial)));
        Model { terms, base }
    }

    /// 100/μ for percent signal change, μ the voxel's mean over the volumes of the fit: the first volume and the mean
    /// difference from it, which is the constant's moment over n.
    fn scale(&self, statistics: &Statistics, voxel: usize, place: usize) -> f64 {
        match self.unit {
            BetaUnit::None => 1.0,
            BetaUnit::PercentSignalChange => {
                let first = f64::from(self.history.pattern(0)[place]);
                100.0 / (first + statistics.moments(0)[voxel] / statistics.rows().len() as f64)
            }
        }
    }

    /// Residual of the newest kept volume in the fit of the nuisance columns, over the root of the share of noise that
    /// the fit leaves in it; `None` where that share is below `least_noise`. Scanner's units.
    pub(crate) fn newest_residual(&self, least_noise: f64) -> Option<Pattern> {
        let newest = self.history.volumes().last()?;
        let newest_row = newest.row?;
        let mut residuals = Pattern::zeros(self.history.voxels());
        for group in &self.groups {
            let statistics = &group.statistics;
            let in_use = self.design.nuisance_in_use(newest.acquisition.start_s, statistics.rows().len());
            let model = Model { terms: (0..in_use).map(Term::column).collect(), base: Vec::new() };
            let x = model.row(&statistics.rows()[newest_row]);
            let weights = Factor::new(&model.gram(statistics.gram())).solve(&x);
            let noise = 1.0 - dot(&x, &weights);
            if noise < least_noise {
                return None;
            }
            let fitted = combine(&model.of_moments(&weights), |slot| statistics.moments(slot), statistics.voxels());
            let mut y = vec![0.0; statistics.voxels()];
            group.deviation_of(&self.history, newest_row, &mut y);
            for (voxel, (y, fitted)) in y.iter().zip(&fitted).enumerate() {
                residuals.0[group.place(voxel)] = ((y - fitted) / noise.sqrt()) as f32;
            }
        }
        Some(residuals)
    }

    /// Volumes up to and including the first whose acquisition ends at `due_s` or later; all if none does.
    pub(crate) fn volumes_until(&self, due_s: f64) -> usize {
        let volumes = self.history.volumes();
        let is_due = |volume: &Volume| self.design.end_s(volume.acquisition.start_s) >= due_s;
        volumes.iter().position(is_due).map_or(volumes.len(), |at| at + 1)
    }

    /// Volumes that came.
    pub(crate) fn volumes(&self) -> usize {
        self.history.volumes().len()
    }

    /// Bytes of history and sums.
    pub(crate) fn bytes(&self) -> usize {
        self.history.bytes() + self.groups.iter().map(Group::bytes).sum::<usize>()
    }

    /// Forgets the volumes and keeps the trials.
    pub(crate) fn reset(&mut self) {
        self.history.clear();
        self.design = self.planned.clone();
        let (slots, shared) = (self.planned.trial_slot(self.trials.len()), self.shared_slots());
        for group in &mut self.groups {
            group.set_statistics(Statistics::new(group.statistics.voxels(), slots, self.lags), shared);
        }
    }
}

/// The columns of a volume's fit that all trials share: nuisance, and for LSS the sum of all trials, else each trial
/// that has begun.
fn shared_columns(
    nuisance: &[Column],
    kind: BetaKind,
    ridge: Ridge,
    design: &Design,
    trials: &Trials,
    group: &Group,
    row: &[(usize, f64)],
) -> Vec<Column> {
    let mut columns = nuisance.to_vec();
    if kind == BetaKind::Lss {
        columns.push(Column { slot: design.all_trials_slot(), ridge: 0.0 });
        return columns;
    }
    let begins = |slot: usize| row.iter().any(|entry| entry.0 == slot);
    let begun = |slot: usize| group.statistics.gram().get(slot, slot) > 0.0 || begins(slot);
    let of_trial = |(number, slot)| Column { slot, ridge: ridge.on_trial(group.energy(number)) };
    let of_trials = trials.slots(design).filter(|(_, slot)| begun(*slot)).map(of_trial);
    let at = place_of_trials(kind, columns.len());
    columns.splice(at..at, of_trials);
    columns
}

/// Trials with a penalty stand before the nuisance columns, so that their systems keep the zeros of trials that do not
/// overlap; without one they stand behind, because a column that the ones before explain is left out.
fn place_of_trials(kind: BetaKind, nuisance: usize) -> usize {
    if kind == BetaKind::RidgeLsa { 0 } else { nuisance }
}
