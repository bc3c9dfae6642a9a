//! The preprocess thread: one loop that owns all run state and never waits for a decoder.

use super::recorded::recorded_work;
use super::run_worker::{DueTrial, Recipe, RunWorker, VolumeOutput};
use super::{DecodeJob, Mailbox, Patience, RunInfo, StreamJob, VolumeWork, Work};
use crate::journal::RecordedRun;
use crate::publish::{DueNotice, PublishEvent, VolumeNotice};
use crate::vitals::Vitals;
use crossbeam_channel::{Receiver, Sender};
use mindeye_config::{Clock, Moment, Step, Timings};
use mindeye_preprocess::{Event, TrialBeta};
use std::sync::Arc;
use std::time::Duration;

/// What the loop is connected to.
pub struct PreprocessContext {
    /// Bundle and limits.
    pub recipe: Recipe,
    /// When answers are due.
    pub patience: Patience,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Scoring thread.
    pub scores: Arc<Mailbox>,
    /// Painting thread.
    pub pictures: Arc<Mailbox>,
    /// Publish thread.
    pub publish: Sender<PublishEvent>,
    /// Counters.
    pub vitals: Arc<Vitals>,
}

/// Works until `work` closes.
pub fn preprocess_loop(context: &PreprocessContext, work: &Receiver<Work>) {
    let mut worker: Option<RunWorker> = None;
    while let Ok(item) = work.recv() {
        context.vitals.set_queue_depth(work.len());
        match item {
            Work::Open { run, recorded } => {
                context.close(worker.take());
                worker = context.open(run, recorded.as_deref());
            }
            Work::Volume(volume) => context.volume(worker.as_mut(), &volume),
            Work::Event(event) => context.event(worker.as_mut(), &event),
            Work::Close => context.close(worker.take()),
        }
    }
    context.scores.close();
    context.pictures.close();
}

impl PreprocessContext {
    fn send(&self, event: PublishEvent) {
        // The publisher is gone only when the daemon stops.
        let _ = self.publish.send(event);
    }

    fn open(&self, run: Arc<RunInfo>, recorded: Option<&RecordedRun>) -> Option<RunWorker> {
        match RunWorker::new(&self.recipe, run) {
            Ok(mut worker) => {
                if let Some(recorded) = recorded {
                    self.catch_up(&mut worker, recorded);
                }
                Some(worker)
            }
            Err(error) => {
                self.send(PublishEvent::Trouble(format!("the run cannot be preprocessed: {error}")));
                None
            }
        }
    }

    /// Feeds what an earlier process saved, so that every beta is that of an uninterrupted run.
    fn catch_up(&self, worker: &mut RunWorker, recorded: &RecordedRun) {
        self.send(PublishEvent::CatchingUp(true));
        for volume_or_event in recorded_work(recorded) {
            match volume_or_event {
                Work::Volume(volume) => self.restored_volume(worker, &volume),
                Work::Event(event) => self.event(Some(worker), &event),
                Work::Open { .. } | Work::Close => {}
            }
        }
        self.send(PublishEvent::CatchingUp(false));
    }

    fn volume(&self, worker: Option<&mut RunWorker>, volume: &VolumeWork) {
        let Some(worker) = worker else { return };
        let started = self.clock.now();
        let Some(mut output) = self.advance(worker, volume) else { return };
        output.timings.add(Step::Receive, volume.received);
        output.timings.add(Step::Queue, started.since(volume.arrived).saturating_sub(volume.received));
        self.vitals.steps(&output.timings);
        self.announce_registration(worker, &mut output);
        self.announce_volume(worker, volume, &output);
        self.stream(worker, volume, &mut output);
        let deadline = volume.arrived + self.to_deadline(&worker.run);
        self.hand_over(worker, volume, output, self.due_time(worker, deadline, false));
    }

    /// A recorded volume's deadline is counted on Unix time, which outlives the process.
    fn restored_volume(&self, worker: &mut RunWorker, volume: &VolumeWork) {
        let Some(mut output) = self.advance(worker, volume) else { return };
        self.announce_registration(worker, &mut output);
        let left_s = volume.arrived_unix_s + self.to_deadline(&worker.run).as_secs_f64() - self.clock.unix_s();
        let deadline = if left_s > 0.0 { self.clock.now() + Duration::from_secs_f64(left_s) } else { Moment(0) };
        self.hand_over(worker, volume, output, self.due_time(worker, deadline, true));
    }

    fn advance(&self, worker: &mut RunWorker, volume: &VolumeWork) -> Option<VolumeOutput> {
        match worker.volume(volume, self.clock.as_ref()) {
            Ok(output) => Some(output),
            Err(error) => {
                self.send(PublishEvent::Trouble(format!("volume {}: {error}", volume.index)));
                None
            }
        }
    }

    fn to_deadline(&self, run: &RunInfo) -> Duration {
        self.patience.to_deadline(run.start.tr_s, run.start.speed())
    }

    fn announce_registration(&self, worker: &RunWorker, output: &mut VolumeOutput) {
        if let Some(registration) = output.registration.take() {
            self.send(PublishEvent::Registered { run: worker.run.clone(), registration });
        }
    }

    fn announce_volume(&self, worker: &RunWorker, volume: &VolumeWork, output: &VolumeOutput) {
        let notice = VolumeNotice {
            run: worker.run.clone(),
            index: volume.index,
            gap_before: volume.gap_before,
            nominal: volume.nominal,
            quality: output.quality,
            timings: output.timings.clone(),
        };
        // Volume messages are for looking at; a busy publisher loses the newest and counts it.
        if self.publish.try_send(PublishEvent::Volume(notice)).is_err() {
            self.vitals.message_dropped();
        }
    }

    /// A sample that still waits when the next volume comes describes what nobody needs any more: it is dropped and counted.
    fn stream(&self, worker: &RunWorker, volume: &VolumeWork, output: &mut VolumeOutput) {
        let Some(sample) = output.stream.take() else { return };
        let job = StreamJob::new(worker.run.clone(), volume, sample);
        if self.scores.push_stream(job).is_some() {
            self.vitals.message_dropped();
        }
    }

    fn due_time(&self, worker: &RunWorker, deadline: Moment, restored: bool) -> DueTime {
        let last_call = self.patience.last_call(deadline, self.to_deadline(&worker.run));
        DueTime { deadline, last_call, restored }
    }

    fn hand_over(&self, worker: &RunWorker, volume: &VolumeWork, output: VolumeOutput, time: DueTime) {
        for beta in &output.betas {
            self.send(PublishEvent::Beta { run: worker.run.clone(), beta: beta.clone() });
        }
        let due_trials: Vec<u32> = output.due.iter().map(|due| due.trial).collect();
        for due in output.due {
            self.send(PublishEvent::Due(due_notice(worker, volume, &due, &output.timings, time)));
            if let (Some(beta), true) = (due.beta, time.deadline > self.clock.now()) {
                self.decode(DecodeJob { run: worker.run.clone(), beta, end: Some(time.last_call) });
            }
        }
        let early = |beta: &&Arc<TrialBeta>| is_early(beta, &due_trials, self.recipe.decode_after_s);
        for beta in output.betas.iter().filter(early).filter(|_| !time.restored) {
            self.decode(DecodeJob { run: worker.run.clone(), beta: beta.clone(), end: None });
        }
    }

    /// Every estimate is scored; pictures are for the due one. What a full mailbox gives up has no product by its deadline,
    /// which the publisher then says.
    fn decode(&self, job: DecodeJob) {
        if job.end.is_some() {
            let _ = self.pictures.push(job.clone());
        }
        let _ = self.scores.push(job);
    }

    fn event(&self, worker: Option<&mut RunWorker>, event: &Event) {
        let Some(worker) = worker else { return };
        if let Err(error) = worker.set_event(event) {
            self.send(PublishEvent::Trouble(format!("trial {}: {error}", event.trial)));
        }
    }

    fn close(&self, worker: Option<RunWorker>) {
        let Some(mut worker) = worker else { return };
        for trial in worker.close() {
            self.send(PublishEvent::NeverDue { run: worker.run.clone(), trial });
        }
        self.pictures.end_run(worker.run.clone());
        self.send(PublishEvent::Closed { run: worker.run.clone() });
    }
}

/// When the answers to a volume's due trials must be out.
#[derive(Clone, Copy)]
struct DueTime {
    deadline: Moment,
    last_call: Moment,
    restored: bool,
}

fn is_early(beta: &TrialBeta, due: &[u32], decode_after_s: f64) -> bool {
    beta.lag_s < decode_after_s && !due.contains(&beta.trial)
}

fn due_notice(worker: &RunWorker, volume: &VolumeWork, due: &DueTrial, timings: &Timings, time: DueTime) -> DueNotice {
    DueNotice {
        run: worker.run.clone(),
        trial: due.trial,
        onset_s: due.onset_s,
        due_s: due.due_s,
        volume: volume.index,
        nominal: volume.nominal,
        arrived: volume.arrived,
        arrived_unix_s: volume.arrived_unix_s,
        deadline: time.deadline,
        last_call: time.last_call,
        has_beta: due.beta.is_some(),
        restored: time.restored,
        timings: timings.clone(),
    }
}
