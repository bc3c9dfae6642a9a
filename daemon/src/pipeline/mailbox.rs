//! Estimates waiting to be decoded: earliest deadline first, bounded, and what has no deadline gives way.

use super::{RunInfo, StreamJob};
use mindeye_config::Moment;
use mindeye_preprocess::TrialBeta;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A beta to decode.
#[derive(Debug, Clone)]
pub struct DecodeJob {
    /// Its run.
    pub run: Arc<RunInfo>,
    /// The beta, z-scored.
    pub beta: Arc<TrialBeta>,
    /// When the last answer leaves at the latest; `None` for an estimate made before the trial is due.
    pub end: Option<Moment>,
}

/// What waits for the scoring thread.
#[derive(Debug, Clone)]
pub enum Job {
    /// A trial's estimate.
    Trial(DecodeJob),
    /// A volume's sample of the stream.
    Stream(StreamJob),
}

/// A queue of jobs between the preprocess thread and one that decodes.
#[derive(Debug)]
pub struct Mailbox {
    state: Mutex<State>,
    changed: Condvar,
    capacity: usize,
}

#[derive(Debug, Default)]
struct State {
    jobs: Vec<DecodeJob>,
    /// The newest sample of the stream: an older one is of no use any more.
    stream: Option<StreamJob>,
    ended_runs: Vec<Arc<RunInfo>>,
    closed: bool,
}

/// What came since the mailbox was last emptied.
#[derive(Debug, Default)]
pub struct Mail {
    /// New jobs, in order of arrival.
    pub jobs: Vec<DecodeJob>,
    /// Runs of which no further job comes.
    pub ended_runs: Vec<Arc<RunInfo>>,
}

impl Mailbox {
    /// An empty mailbox for at most `capacity` jobs.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { state: Mutex::default(), changed: Condvar::new(), capacity }
    }

    /// Adds a job and returns the one that had to give way, if the mailbox was full: that with the latest deadline.
    pub fn push(&self, job: DecodeJob) -> Option<DecodeJob> {
        let mut state = self.lock();
        state.jobs.push(job);
        let displaced = if state.jobs.len() > self.capacity { take_latest(&mut state.jobs) } else { None };
        self.changed.notify_one();
        displaced
    }

    /// Puts the newest sample of the stream in place of one that still waits, which is returned.
    pub fn push_stream(&self, job: StreamJob) -> Option<StreamJob> {
        let displaced = self.lock().stream.replace(job);
        self.changed.notify_one();
        displaced
    }

    /// Says that no further job of `run` comes.
    pub fn end_run(&self, run: Arc<RunInfo>) {
        self.lock().ended_runs.push(run);
        self.changed.notify_one();
    }

    /// The trial's job with the earliest deadline, else the stream's sample, as soon as there is one; `None` once the mailbox
    /// is closed and empty.
    pub fn pop(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            state.ended_runs.clear();
            if let Some(at) = earliest(&state.jobs) {
                return Some(Job::Trial(state.jobs.remove(at)));
            }
            if let Some(sample) = state.stream.take() {
                return Some(Job::Stream(sample));
            }
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Empties the mailbox. If nothing is there and the caller `is_idle`, it waits for something; `None` once the mailbox
    /// is closed and empty.
    pub fn empty(&self, is_idle: bool) -> Option<Mail> {
        let mut state = self.lock();
        while is_idle && state.is_empty() && !state.closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed && state.is_empty() {
            return None;
        }
        let State { jobs, ended_runs, .. } = &mut *state;
        Some(Mail { jobs: std::mem::take(jobs), ended_runs: std::mem::take(ended_runs) })
    }

    /// Lets `pop` and `empty` return `None` once nothing is left.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Jobs that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().jobs.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.ended_runs.is_empty()
    }
}

/// Deadline, then order of arrival; jobs without a deadline come last.
fn earliest(jobs: &[DecodeJob]) -> Option<usize> {
    (0..jobs.len()).min_by_key(|&at| (urgency(&jobs[at]), at))
}

fn take_latest(jobs: &mut Vec<DecodeJob>) -> Option<DecodeJob> {
    let at = (0..jobs.len()).max_by_key(|&at| (urgency(&jobs[at]), at))?;
    Some(jobs.remove(at))
}

fn urgency(job: &DecodeJob) -> Moment {
    job.end.unwrap_or(Moment(u64::MAX))
}

#[cfg(test)]
#[path = "mailbox_tests.rs"]
mod tests;
