//! The whole policy of the decode loop as one pure function: whose turn it is, and what is done for them.
//!
//! 1. Every revision of every trial gets its retrieval list and scores: milliseconds, and all that can be had before a
//!    trial is due. One that is not due waits if it would make a running reconstruction late.
//! 2. Then the earliest due goes first, up the ladder `retrieval < blurry < fast < full`: the blurry picture is there
//!    before the diffusion begins, and the best effort that fits the slack is begun.
//! 3. Between any two steps a reconstruction is held against the slack again. Full steps down to fast where that still
//!    fits, else it is cut; what was published stands.
//! 4. After an error the next lesser effort is tried. Past its end a job gets nothing more.

use super::{Effort, Offers, StepTimes, Work};
use mindeye_config::Moment;
use std::time::Duration;

/// How far a product of a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// Not tried.
    #[default]
    Open,
    /// Published.
    Done,
    /// It failed, or was begun and given up.
    Failed,
}

/// A reconstruction on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Running {
    /// What was begun.
    pub effort: Effort,
    /// Runs left until its next picture.
    pub remaining: Work,
}

/// One revision of one trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Job {
    /// When its last answer leaves at the latest; `None` for an estimate made before the trial is due, which gets a
    /// retrieval list only.
    pub end: Option<Moment>,
    /// The best effort that an earlier revision of the trial was published with: diffusion is repeated only for as much.
    pub shown: Option<Effort>,
    /// Retrieval list.
    pub retrieval: State,
    /// Blurry picture.
    pub blurry: State,
    /// Reconstruction in few steps.
    pub fast: State,
    /// Full reconstruction: done with its first candidate.
    pub full: State,
    /// What is on its way.
    pub running: Option<Running>,
}

impl Job {
    /// A reconstruction was begun; one that was on its way is given up.
    pub fn begun(&mut self, effort: Effort, remaining: Work) {
        self.give_up();
        self.running = Some(Running { effort, remaining });
    }

    /// The reconstruction took a step.
    pub fn stepped(&mut self, remaining: Work) {
        if let Some(running) = &mut self.running {
            running.remaining = remaining;
        }
    }

    /// A product was published, or failed. A failed reconstruction is no longer on its way; one that was published may go
    /// on to its next candidate.
    pub fn settle(&mut self, effort: Effort, state: State) {
        match effort {
            Effort::Skipped => {}
            Effort::Retrieval => self.retrieval = state,
            Effort::Blurry => self.blurry = state,
            Effort::Fast => self.fast = state,
            Effort::Full => self.full = state,
        }
        if state == State::Failed && self.running.is_some_and(|running| running.effort == effort) {
            self.running = None;
        }
    }

    /// Gives up what is on its way; what it published stands.
    pub fn give_up(&mut self) {
        let Some(running) = self.running.take() else { return };
        let published = if running.effort == Effort::Full { self.full } else { self.fast };
        if published != State::Done {
            self.settle(running.effort, State::Failed);
        }
    }

    /// The best effort published so far.
    #[must_use]
    pub fn effort(&self) -> Effort {
        let rungs = [
            (Effort::Full, self.full),
            (Effort::Fast, self.fast),
            (Effort::Blurry, self.blurry),
            (Effort::Retrieval, self.retrieval),
        ];
        rungs.into_iter().find(|(_, state)| *state == State::Done).map_or(Effort::Skipped, |(effort, _)| effort)
    }
}

/// What is done next for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Score the gallery.
    Retrieve,
    /// Decode the blurry picture.
    Blurry,
    /// Begin a reconstruction; one that is running is given up.
    Begin(Effort),
    /// Run the next network of the reconstruction.
    Step,
    /// Give the reconstruction up: it would be late, or is.
    Cut,
    /// Nothing more: publish the final answer and forget the job.
    Finish,
}

/// The job (its place in `jobs`) and what to do for it at `now`; `None` when there is no job.
#[must_use]
pub fn next_action(jobs: &[Job], now: Moment, offers: &Offers, times: &StepTimes) -> Option<(usize, Action)> {
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by_key(|at| jobs[*at].end.unwrap_or(Moment(u64::MAX)));
    let first = *order.first()?;
    let listless = order.iter().copied().find(|at| wants_retrieval(&jobs[*at], now, offers));
    match listless {
        Some(at) if at == first || !makes_late(&jobs[first], now, offers, times) => Some((at, Action::Retrieve)),
        _ => Some((first, climb(&jobs[first], now, offers, times))),
    }
}

/// Trials to reconstruct after the run, in the order given: those that got less live than `best`, what the bundle can do.
/// Their pictures are labelled as not live.
#[must_use]
pub fn archive(live: &[(u32, Effort)], best: Effort) -> Vec<u32> {
    live.iter().filter(|(_, effort)| *effort < best).map(|(trial, _)| *trial).collect()
}

fn wants_retrieval(job: &Job, now: Moment, offers: &Offers) -> bool {
    job.retrieval == State::Open && offers.work(Effort::Retrieval).is_some() && slack(job, now) > Duration::ZERO
}

/// Whether another trial's retrieval would make the running reconstruction of `job` late.
fn makes_late(job: &Job, now: Moment, offers: &Offers, times: &StepTimes) -> bool {
    let (Some(running), Some(retrieval)) = (job.running, offers.work(Effort::Retrieval)) else { return false };
    !fits(running.remaining + retrieval, slack(job, now), times) && fits(running.remaining, slack(job, now), times)
}

/// The next rung for one job.
fn climb(job: &Job, now: Moment, offers: &Offers, times: &StepTimes) -> Action {
    let slack = slack(job, now);
    if slack.is_zero() {
        return if job.running.is_some() { Action::Cut } else { Action::Finish };
    }
    if let Some(running) = job.running {
        return go_on(job, running, slack, offers, times);
    }
    if job.end.is_none() {
        return Action::Finish;
    }
    if job.blurry == State::Open && affordable(Effort::Blurry, job, slack, offers, times) {
        return Action::Blurry;
    }
    match best_diffusion(job, Effort::Full, slack, offers, times) {
        Some(effort) => Action::Begin(effort),
        None => Action::Finish,
    }
}

/// A running reconstruction goes on while it will be in time.
fn go_on(job: &Job, running: Running, slack: Duration, offers: &Offers, times: &StepTimes) -> Action {
    if running.remaining == Work::default() {
        return Action::Cut;
    }
    // What has come so far is judged by what usually comes, so that one slow step long ago does not end it.
    if running.remaining.typical(times) <= slack {
        return Action::Step;
    }
    let has_picture = job.full == State::Done || job.fast == State::Done;
    match best_diffusion(job, Effort::Fast, slack, offers, times) {
        Some(lesser) if running.effort == Effort::Full && !has_picture => Action::Begin(lesser),
        _ => Action::Cut,
    }
}

/// The best reconstruction up to `most` that is open and fits.
fn best_diffusion(job: &Job, most: Effort, slack: Duration, offers: &Offers, times: &StepTimes) -> Option<Effort> {
    if job.full == State::Done || job.fast == State::Done {
        return None;
    }
    let is_open = |effort: &Effort| match effort {
        Effort::Full => job.full == State::Open,
        _ => job.fast == State::Open,
    };
    let worth_it = |effort: &Effort| *effort <= most && Some(*effort) >= job.shown;
    let rungs = [Effort::Full, Effort::Fast].into_iter().filter(is_open).filter(worth_it);
    rungs.into_iter().find(|effort| affordable(*effort, job, slack, offers, times))
}

/// Whether `effort` is offered and fits. The first product of a job is tried as long as there is any slack, since nothing
/// lesser could take its place.
fn affordable(effort: Effort, job: &Job, slack: Duration, offers: &Offers, times: &StepTimes) -> bool {
    let Some(work) = offers.work(effort) else { return false };
    let has_any = [job.retrieval, job.blurry, job.fast, job.full].contains(&State::Done);
    let lesser = if effort == Effort::Full { offers.work(Effort::Fast) } else { None };
    fits(work, slack, times) || (!has_any && lesser.is_none())
}

fn fits(work: Work, slack: Duration, times: &StepTimes) -> bool {
    work.prudent(times) <= slack
}

fn slack(job: &Job, now: Moment) -> Duration {
    job.end.map_or(Duration::MAX, |end| end.since(now))
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
