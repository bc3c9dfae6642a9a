//! The running instrument: its threads, its sockets, and how it ends.

use crate::display::{Pages, PagesParts, serve};
use crate::ingest::{CommitItem, Committed, Committer, Intake, Limits, Router, RouterParts};
use crate::journal::find_open_run;
use crate::pipeline::{DecodeContext, Mailbox, PreprocessContext, Typical, decode_loop, preprocess_loop};
use crate::publish::{Frame, Latest, PublishEvent, Publisher, PublisherParts};
use crate::settings::{Prepared, recipe};
use crate::vitals::Vitals;
use crossbeam_channel::{Receiver, Sender, bounded};
use mindeye_config::{Clock, DaemonConfig, Failure};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::broadcast;

/// Address inside the process at which the router is woken.
const WAKE: &str = "inproc://wake-router";
/// Due trials that may wait for the decoder; more than a session's worth at one every TR.
const MAILBOX: usize = 256;
/// Events that may wait for the publisher.
const PUBLISH_QUEUE: usize = 1024;
/// Frames that a slow page may lag behind before it loses the oldest.
const PAGE_BACKLOG: usize = 64;

/// Where the instrument listens.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// Volumes (ZeroMQ ROUTER).
    pub volumes: String,
    /// Results (ZeroMQ PUB).
    pub results: String,
    /// Pages.
    pub http: std::net::SocketAddr,
}

/// An instrument at work.
pub struct Daemon {
    /// Where it listens.
    pub addresses: Addresses,
    /// Token for operator actions.
    pub operator_token: String,
    /// Counters.
    pub vitals: Arc<Vitals>,
    stop: Arc<AtomicBool>,
    publish: Sender<PublishEvent>,
    threads: Threads,
    pages: Pages,
}

struct Threads {
    /// Router, committer, preprocess and decode end in this order, each when its input closes.
    upstream: Vec<JoinHandle<()>>,
    publisher: JoinHandle<()>,
}

/// Both ends of every queue.
struct Queues {
    commits: (Sender<CommitItem>, Receiver<CommitItem>),
    committed: (Sender<Committed>, Receiver<Committed>),
    commands: (Sender<crate::ingest::Command>, Receiver<crate::ingest::Command>),
    work: (Sender<crate::pipeline::Work>, Receiver<crate::pipeline::Work>),
    publish: (Sender<PublishEvent>, Receiver<PublishEvent>),
    mailbox: Arc<Mailbox>,
}

impl Queues {
    fn new(config: &DaemonConfig) -> Self {
        let volumes = config.volumes.queue_volumes;
        Self {
            commits: bounded(volumes),
            // The router empties this one whenever it is woken; it must never hold the committer back.
            committed: bounded(4 * volumes + 4 * config.journal.batch_records),
            commands: bounded(16),
            work: bounded(volumes),
            publish: bounded(PUBLISH_QUEUE),
            mailbox: Arc::new(Mailbox::new(MAILBOX)),
        }
    }
}

impl Daemon {
    /// Binds every socket, takes up an interrupted run, and starts the threads.
    ///
    /// # Errors
    /// Status 69 for an address that cannot be bound, 65 for a journal that cannot be read.
    pub fn start(
        config: &DaemonConfig,
        prepared: Prepared,
        clock: Arc<dyn Clock>,
        results_file: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        let context = zmq::Context::new();
        let router_socket = router_socket(&context, config)?;
        let publish_socket = publish_socket(&context, config)?;
        let listener = listen(&config.http.bind)?;
        let wake = bound(&context, zmq::PULL, WAKE)?;
        let interrupted = find_open_run(&config.journal.dir).map_err(Failure::data)?;
        let addresses = Addresses {
            volumes: endpoint(&router_socket)?,
            results: endpoint(&publish_socket)?,
            http: listener.local_addr().map_err(Failure::unavailable)?,
        };
        let Prepared { bundle, mut decoder, identity, report } = prepared;
        let typical = Typical::from_warm_up(&report);
        let gallery = bundle.gallery.clone();
        let vitals = Arc::new(Vitals::new());
        let latest = Arc::new(Latest::default());
        let stop = Arc::new(AtomicBool::new(false));
        let queues = Queues::new(config);
        let (frames, _) = broadcast::channel::<Frame>(PAGE_BACKLOG);
        let guard = Duration::from_secs_f64(config.deadline.guard_ms / 1e3);

        let publisher = Publisher::new(PublisherParts {
            clock: clock.clone(),
            socket: publish_socket,
            pages: frames.clone(),
            latest: latest.clone(),
            vitals: vitals.clone(),
            identity: identity.clone(),
            gallery: gallery.clone(),
            guard,
            deadline_s: config.deadline.deadline_s,
            decode_after_s: config.deadline.decode_after_s,
            stale_after_s: config.http.stale_after_s,
            results_file: results_file.map(|path| open_results(&path)).transpose()?,
        });
        let mut router = Router::new(
            RouterParts {
                socket: router_socket,
                wake,
                clock: clock.clone(),
                journal: config.journal.dir.clone(),
                bundle: identity.bundle.clone(),
                engine: identity.engine.clone(),
                commits: queues.commits.0.clone(),
                committed: queues.committed.1.clone(),
                commands: queues.commands.1.clone(),
                work: queues.work.0.clone(),
                publish: queues.publish.0.clone(),
                vitals: vitals.clone(),
                stop: stop.clone(),
            },
            Intake::new(Limits::new(config, bundle.mask.grid().clone())),
        );
        let preprocess = PreprocessContext {
            recipe: recipe(&bundle, config),
            deadline_s: config.deadline.deadline_s,
            clock: clock.clone(),
            mailbox: queues.mailbox.clone(),
            publish: queues.publish.0.clone(),
            vitals: vitals.clone(),
        };
        let decode = DecodeContext {
            clock: clock.clone(),
            mailbox: queues.mailbox.clone(),
            publish: queues.publish.0.clone(),
            guard,
        };
        let committer = Committer::new(clock.clone(), config.journal.batch_records);
        let waker = connected(&context, zmq::PUSH, WAKE)?;
        let (commits, committed) = (queues.commits.1, queues.committed.0);
        let (work, events) = (queues.work.1, queues.publish.1);
        let upstream = vec![
            spawn("router", move || {
                if let Some(run) = interrupted {
                    router.restore(run);
                }
                router.run();
            })?,
            spawn("committer", move || committer.run(&commits, &committed, || wake_up(&waker)))?,
            spawn("preprocess", move || preprocess_loop(&preprocess, &work))?,
            spawn("decode", move || decode_loop(&decode, &mut decoder, typical))?,
        ];
        // These two senders would keep their threads alive.
        drop((queues.commits.0, queues.work.0));
        let threads = Threads { upstream, publisher: spawn("publish", move || publisher.run(&events))? };
        let operator_token = token()?;
        let pages = serve(
            listener,
            PagesParts {
                clock,
                latest,
                frames,
                vitals: vitals.clone(),
                gallery,
                commands: queues.commands.0,
                wake: connected(&context, zmq::PUSH, WAKE)?,
                publish: queues.publish.0.clone(),
                operator_token: operator_token.clone(),
            },
        )?;
        Ok(Self { addresses, operator_token, vitals, stop, publish: queues.publish.0, threads, pages })
    }

    /// Stops: no message is taken in any more, what was taken in is saved, preprocessed and published, then all threads end.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.upstream {
            // A thread that panicked has already said so on standard error.
            let _ = thread.join();
        }
        let _ = self.publish.send(PublishEvent::Shutdown);
        let _ = self.threads.publisher.join();
        self.pages.stop();
    }
}

// === sockets

fn router_socket(context: &zmq::Context, config: &DaemonConfig) -> Result<zmq::Socket, Failure> {
    let socket = context.socket(zmq::ROUTER).map_err(Failure::unavailable)?;
    let longest = i64::from(config.volumes.max_volume_mib) * (1 << 20) + 1;
    let options = || -> Result<(), zmq::Error> {
        // Messages that ZeroMQ may hold for us beside our own queue; the rest waits at the scanner.
        socket.set_rcvhwm(16)?;
        socket.set_linger(200)?;
        socket.set_maxmsgsize(longest)?;
        // A peer that reconnects under its own name takes over, instead of being ignored.
        socket.set_router_handover(true)?;
        socket.bind(&config.volumes.bind)
    };
    options().map_err(|error| cannot_bind("volumes", &config.volumes.bind, error))?;
    Ok(socket)
}

fn publish_socket(context: &zmq::Context, config: &DaemonConfig) -> Result<zmq::Socket, Failure> {
    let socket = context.socket(zmq::PUB).map_err(Failure::unavailable)?;
    let options = || -> Result<(), zmq::Error> {
        socket.set_sndhwm(config.results.high_water_mark)?;
        socket.set_linger(200)?;
        socket.bind(&config.results.bind)
    };
    options().map_err(|error| cannot_bind("results", &config.results.bind, error))?;
    Ok(socket)
}

fn bound(context: &zmq::Context, kind: zmq::SocketType, address: &str) -> Result<zmq::Socket, Failure> {
    let socket = context.socket(kind).map_err(Failure::unavailable)?;
    socket.bind(address).map_err(|error| cannot_bind("wake", address, error))?;
    Ok(socket)
}

fn connected(context: &zmq::Context, kind: zmq::SocketType, address: &str) -> Result<zmq::Socket, Failure> {
    let socket = context.socket(kind).map_err(Failure::unavailable)?;
    socket.set_linger(0).map_err(Failure::unavailable)?;
    socket.connect(address).map_err(|error| cannot_bind("wake", address, error))?;
    Ok(socket)
}

fn listen(address: &str) -> Result<std::net::TcpListener, Failure> {
    let listener = std::net::TcpListener::bind(address).map_err(|error| cannot_bind("http", address, error))?;
    listener.set_nonblocking(true).map_err(Failure::unavailable)?;
    Ok(listener)
}

fn endpoint(socket: &zmq::Socket) -> Result<String, Failure> {
    socket
        .get_last_endpoint()
        .map_err(Failure::unavailable)?
        .map_err(|bytes| Failure::other(format!("the endpoint {bytes:?} is not text")))
}

fn cannot_bind(what: &str, address: &str, error: impl std::fmt::Display) -> Failure {
    Failure::unavailable(format!("{what}: {address} cannot be bound: {error}"))
}

/// A full wake-up queue means that the router will look anyway.
pub(crate) fn wake_up(waker: &zmq::Socket) {
    let _ = waker.send(&[][..], zmq::DONTWAIT);
}

// === small things

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Failure> {
    std::thread::Builder::new().name(name.into()).spawn(work).map_err(Failure::other)
}

fn open_results(path: &std::path::Path) -> Result<std::fs::File, Failure> {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    file.map_err(|error| Failure::usage(format!("results file {}: {error}", path.display())))
}

/// 128 random bits from the system as hexadecimal.
fn token() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    let mut random = std::fs::File::open("/dev/urandom").map_err(Failure::other)?;
    std::io::Read::read_exact(&mut random, &mut bytes).map_err(Failure::other)?;
    Ok(mindeye_config::hex(&bytes))
}
