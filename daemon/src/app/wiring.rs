//! Which part is connected to which: every queue, and every thread with its ends of them.

use super::sockets::{DOOR, connected};
use super::{Threads, wake_up};
use crate::display::PagesParts;
use crate::ingest::{
    Command, CommitItem, Committed, Committer, FrontEndDesk, GridRule, Intake, Limits, Router, RouterParts,
};
use crate::journal::RecordedRun;
use crate::pipeline::{
    Mailbox, PaintContext, Patience, PreprocessContext, ScoreContext, Work, paint_loop, preprocess_loop, score_loop,
};
use crate::protocol::EventFields;
use crate::publish::{FeedbackPlan, Frame, Identity, Latest, PublishEvent, Publisher, PublisherParts};
use crate::settings::{Decoders, recipe};
use crate::sources::{Feeder, FeederParts, VolumeSource, session};
use crate::vitals::Vitals;
use crossbeam_channel::{Receiver, Sender, bounded};
use mindeye_config::{Clock, DaemonConfig, Failure};
use mindeye_decode::Bundle;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use tokio::sync::broadcast;

/// Due trials that may wait for the decoder; more than a session's worth at one every TR.
const MAILBOX: usize = 256;
/// Events that may wait for the publisher.
const PUBLISH_QUEUE: usize = 1024;
/// Frames that a slow page may lag behind before it loses the oldest.
const PAGE_BACKLOG: usize = 64;
/// Commands that may wait for the router.
const COMMANDS: usize = 16;

/// Both ends of every queue.
pub(super) struct Queues {
    commits: (Sender<CommitItem>, Receiver<CommitItem>),
    committed: (Sender<Committed>, Receiver<Committed>),
    commands: (Sender<Command>, Receiver<Command>),
    work: (Sender<Work>, Receiver<Work>),
    pub(super) publish: (Sender<PublishEvent>, Receiver<PublishEvent>),
    scores: Arc<Mailbox>,
    pictures: Arc<Mailbox>,
}

impl Queues {
    fn new(config: &DaemonConfig) -> Self {
        let volumes = config.volumes.queue_volumes;
        Self {
            commits: bounded(volumes),
            // The router empties this one whenever it is woken; it must never hold the committer back.
            committed: bounded(4 * volumes + 4 * config.journal.batch_records),
            commands: bounded(COMMANDS),
            work: bounded(volumes),
            publish: bounded(PUBLISH_QUEUE),
            scores: Arc::new(Mailbox::new(MAILBOX)),
            pictures: Arc::new(Mailbox::new(MAILBOX)),
        }
    }
}

/// What the parts share.
pub(super) struct Wiring<'a> {
    config: &'a DaemonConfig,
    bundle: &'a Bundle,
    identity: Identity,
    feedback: Option<Arc<FeedbackPlan>>,
    front_ends: Arc<FrontEndDesk>,
    clock: Arc<dyn Clock>,
    latest: Arc<Latest>,
    frames: broadcast::Sender<Frame>,
    pub(super) vitals: Arc<Vitals>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) queues: Queues,
}

impl<'a> Wiring<'a> {
    pub(super) fn new(
        config: &'a DaemonConfig,
        bundle: &'a Bundle,
        identity: Identity,
        feedback: Option<Arc<FeedbackPlan>>,
        front_ends: Arc<FrontEndDesk>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            config,
            bundle,
            identity,
            feedback,
            front_ends,
            clock,
            latest: Arc::default(),
            frames: broadcast::channel(PAGE_BACKLOG).0,
            vitals: Arc::default(),
            stop: Arc::default(),
            queues: Queues::new(config),
        }
    }

    pub(super) fn router(&self, socket: zmq::Socket, wake: zmq::Socket) -> Router {
        let parts = RouterParts {
            socket,
            wake,
            clock: self.clock.clone(),
            journal: self.config.journal.dir.clone(),
            bundle: self.identity.bundle.clone(),
            engine: self.identity.engine.clone(),
            commits: self.queues.commits.0.clone(),
            committed: self.queues.committed.1.clone(),
            commands: self.queues.commands.1.clone(),
            work: self.queues.work.0.clone(),
            publish: self.queues.publish.0.clone(),
            front_ends: self.front_ends.clone(),
            vitals: self.vitals.clone(),
            stop: self.stop.clone(),
        };
        Router::new(parts, Intake::new(Limits::new(self.config, GridRule::of(self.bundle, self.config))))
    }

    pub(super) fn publisher(&self, socket: zmq::Socket, results_file: Option<File>) -> Publisher {
        Publisher::new(PublisherParts {
            clock: self.clock.clone(),
            socket,
            pages: self.frames.clone(),
            latest: self.latest.clone(),
            vitals: self.vitals.clone(),
            identity: self.identity.clone(),
            gallery: self.bundle.gallery.clone(),
            deadline_s: self.config.deadline.deadline_s,
            decode_after_s: self.config.deadline.decode_after_s,
            stale_after_s: self.config.http.stale_after_s,
            recipe: self.bundle.recipe.clone(),
            feedback: self.feedback.clone(),
            results_file,
        })
    }

    pub(super) fn pages(&self, wake: zmq::Socket, operator_token: String) -> PagesParts {
        PagesParts {
            clock: self.clock.clone(),
            latest: self.latest.clone(),
            frames: self.frames.clone(),
            vitals: self.vitals.clone(),
            gallery: self.bundle.gallery.clone(),
            commands: self.queues.commands.0.clone(),
            wake,
            publish: self.queues.publish.0.clone(),
            front_ends: self.front_ends.clone(),
            operator_token,
        }
    }

    pub(super) fn feeder(
        &self,
        source: Box<dyn VolumeSource>,
        context: &zmq::Context,
        events: Vec<EventFields>,
    ) -> Result<Feeder, Failure> {
        Ok(Feeder::new(FeederParts {
            source,
            door: connected(context, zmq::DEALER, DOOR)?,
            clock: self.clock.clone(),
            session: session(self.config),
            grid: self.bundle.mask.grid().clone(),
            events,
            vitals: self.vitals.clone(),
            stop: self.stop.clone(),
        }))
    }

    fn preprocess(&self) -> Result<PreprocessContext, Failure> {
        Ok(PreprocessContext {
            recipe: recipe(self.bundle, self.config)?,
            patience: Patience::new(&self.config.deadline),
            clock: self.clock.clone(),
            scores: self.queues.scores.clone(),
            pictures: self.queues.pictures.clone(),
            publish: self.queues.publish.0.clone(),
            vitals: self.vitals.clone(),
        })
    }

    fn score(&self) -> ScoreContext {
        ScoreContext {
            clock: self.clock.clone(),
            mailbox: self.queues.scores.clone(),
            publish: self.queues.publish.0.clone(),
        }
    }

    fn paint(&self) -> PaintContext {
        PaintContext {
            clock: self.clock.clone(),
            mailbox: self.queues.pictures.clone(),
            publish: self.queues.publish.0.clone(),
            bundle: self.identity.bundle_hash.clone(),
            seed: self.identity.seed,
        }
    }

    /// Starts every thread. The wiring goes with it: its own ends of the queues would keep the threads from ending.
    pub(super) fn spawn(
        self,
        mut router: Router,
        interrupted: Option<RecordedRun>,
        publisher: Publisher,
        mut decoders: Decoders,
        waker: zmq::Socket,
    ) -> Result<Threads, Failure> {
        let (preprocess, score, paint) = (self.preprocess()?, self.score(), self.paint());
        let committer = Committer::new(self.clock.clone(), self.config.journal.batch_records);
        let Queues { commits, committed, work, publish, .. } = self.queues;
        let route = move || {
            if let Some(run) = interrupted {
                router.restore(run);
            }
            router.run();
        };
        let upstream = vec![
            spawn("router", route)?,
            spawn("committer", move || committer.run(&commits.1, &committed.0, || wake_up(&waker)))?,
            spawn("preprocess", move || preprocess_loop(&preprocess, &work.1))?,
            spawn("score", move || score_loop(&score, &mut decoders.scorer))?,
            spawn("paint", move || paint_loop(&paint, &mut decoders.painter))?,
        ];
        Ok(Threads { upstream, publisher: spawn("publish", move || publisher.run(&publish.1))? })
    }
}

/// Starts the thread of a source.
pub(super) fn spawn_source(feeder: Feeder) -> Result<JoinHandle<()>, Failure> {
    spawn("source", move || feeder.run())
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Failure> {
    std::thread::Builder::new().name(name.into()).spawn(work).map_err(Failure::other)
}
