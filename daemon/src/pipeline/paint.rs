//! The painting thread: pictures of due trials, earliest due first, as far up the ladder as there is time for; and after
//! a run, what the deadline had cut, for the record.

use super::easel::Made;
use super::{DecodeJob, Easel, Mail, Mailbox, RunInfo};
use crate::publish::{Part, ProductNotice, PublishEvent};
use crossbeam_channel::Sender;
use mindeye_config::{Clock, Sha256};
use mindeye_decode::effort::{Action, Effort, Job, Offers, next_action};
use mindeye_decode::{DecodeError, Decoder, TrialNoise};
use std::sync::Arc;

/// What the loop is connected to.
pub struct PaintContext {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Due trials.
    pub mailbox: Arc<Mailbox>,
    /// Publish thread.
    pub publish: Sender<PublishEvent>,
    /// Digest of the bundle, for the noise.
    pub bundle: Sha256,
    /// Seed of all noise.
    pub seed: u64,
}

/// What the loop works on.
#[derive(Default)]
struct Studio {
    easels: Vec<Easel>,
    /// Trials that got less than could be had, until their run ends.
    unfinished: Vec<DecodeJob>,
    /// Runs that have ended while their last trials were being painted.
    ended_runs: Vec<Arc<RunInfo>>,
}

/// Works until the mailbox is closed and every due trial has its answer. What is left for the record then stays undone:
/// `replay --decisions live` with a later deadline makes it.
pub fn paint_loop(context: &PaintContext, decoder: &mut Decoder) {
    // What fails here fails in the first trial too, which says so.
    let _ = decoder.rehearse();
    let offers = decoder.offers();
    let mut studio = Studio::default();
    while context.take_in(&mut studio) {
        let states: Vec<Job> = studio.easels.iter().map(|easel| easel.state).collect();
        let Some((at, action)) = next_action(&states, context.clock.now(), &offers, decoder.times()) else { continue };
        if action == Action::Finish {
            context.finish(studio.easels.remove(at), &offers, &mut studio.unfinished);
            context.begin_archive(&mut studio);
        } else {
            let easel = &mut studio.easels[at];
            if matches!(action, Action::Begin(_)) && !easel.is_archive() {
                context.goes_on(easel);
            }
            let made = easel.act(action, decoder);
            context.tell(easel, made);
        }
    }
}

impl PaintContext {
    /// New jobs; waits for one where there is nothing to paint. False once nobody waits for an answer and none will come.
    fn take_in(&self, studio: &mut Studio) -> bool {
        let Some(Mail { jobs, ended_runs }) = self.mailbox.empty(studio.easels.is_empty()) else {
            return studio.easels.iter().any(|easel| !easel.is_archive());
        };
        let due = jobs.into_iter().map(|job| {
            let noise = self.noise_of(&job);
            Easel::new(job, noise)
        });
        studio.easels.extend(due);
        studio.ended_runs.extend(ended_runs);
        self.begin_archive(studio);
        true
    }

    /// What the deadline cut is painted once its run is over and nobody waits for an answer of it any more.
    fn begin_archive(&self, studio: &mut Studio) {
        let is_open = |run: &Arc<RunInfo>, easels: &[Easel]| {
            easels.iter().any(|easel| !easel.is_archive() && Arc::ptr_eq(&easel.job.run, run))
        };
        let easels = &studio.easels;
        let (waiting, over): (Vec<_>, Vec<_>) = studio.ended_runs.drain(..).partition(|run| is_open(run, easels));
        studio.ended_runs = waiting;
        let is_over = |job: &DecodeJob| over.iter().any(|run| Arc::ptr_eq(run, &job.run));
        let (to_paint, others): (Vec<_>, Vec<_>) = studio.unfinished.drain(..).partition(is_over);
        studio.unfinished = others;
        for job in to_paint {
            let noise = self.noise_of(&job);
            studio.easels.push(Easel::for_archive(job, noise));
        }
    }

    fn noise_of(&self, job: &DecodeJob) -> TrialNoise {
        trial_noise(&self.bundle, self.seed, &job.run, job.beta.trial)
    }

    fn finish(&self, easel: Easel, offers: &Offers, unfinished: &mut Vec<DecodeJob>) {
        if easel.is_archive() {
            return;
        }
        let (run, trial) = (easel.job.run.clone(), easel.job.beta.trial);
        if easel.best < offers.best() && offers.best() == Effort::Full {
            unfinished.push(easel.job);
        }
        self.send(PublishEvent::Decoded { run, trial, is_due: true, part: Part::Pictures });
    }

    /// What there is goes out now: a better picture is begun, and takes its time.
    fn goes_on(&self, easel: &Easel) {
        self.send(PublishEvent::GoesOn { run: easel.job.run.clone(), trial: easel.job.beta.trial });
    }

    fn tell(&self, easel: &Easel, made: Result<Made, DecodeError>) {
        let (run, beta) = (easel.job.run.clone(), easel.job.beta.clone());
        match made {
            Ok(None) => {}
            Ok(Some((decoded, timings))) => {
                let is_archive = easel.is_archive();
                self.send(PublishEvent::Product(ProductNotice { run, beta, decoded, timings, is_archive }));
            }
            Err(error) => {
                let message = error.to_string();
                self.send(PublishEvent::DecodeFailed { run, trial: beta.trial, message });
            }
        }
    }

    fn send(&self, event: PublishEvent) {
        // The publisher is gone only when the daemon stops.
        let _ = self.publish.send(event);
    }
}

/// Where a trial's noise comes from: everything that is decoded, and nothing of when.
#[must_use]
pub fn trial_noise(bundle: &Sha256, seed: u64, run: &RunInfo, trial: u32) -> TrialNoise {
    let (session, run) = (run.start.session.clone(), run.start.run.clone());
    TrialNoise { bundle: bundle.clone(), seed, session, run, trial }
}

/// All pictures of one job, one action after the other: what the painting thread does for a single trial.
///
/// # Errors
/// What the decoder says after which no lesser effort was left.
pub fn paint_trial(
    decoder: &mut Decoder,
    job: &DecodeJob,
    noise: TrialNoise,
    clock: &dyn Clock,
    mut emit: impl FnMut(Made),
) -> Result<(), DecodeError> {
    let offers = decoder.offers();
    let mut easel = Easel::new(job.clone(), noise);
    let mut failure = None;
    loop {
        let action = next_action(&[easel.state], clock.now(), &offers, decoder.times());
        let Some((_, action)) = action.filter(|(_, action)| *action != Action::Finish) else { break };
        match easel.act(action, decoder) {
            Ok(made) => emit(made),
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if easel.best == Effort::Retrieval => Err(error),
        _ => Ok(()),
    }
}
