//! The running instrument: its threads, its sockets, and how it ends.

mod sockets;
mod wiring;

use crate::display::{Pages, serve};
use crate::ingest::FrontEndDesk;
use crate::journal::find_open_run;
use crate::publish::PublishEvent;
use crate::scanner::read_events;
use crate::settings::Prepared;
use crate::sources::open_source;
use crate::vitals::Vitals;
use crossbeam_channel::Sender;
use mindeye_config::{Clock, DaemonConfig, Failure};
use mindeye_decode::FrontEndFit;
use sockets::{bound, connected, endpoint, listen, publish_socket, router_socket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use wiring::{Wiring, spawn_source};

/// Address inside the process at which the router is woken.
const WAKE: &str = "inproc://wake-router";

/// Where the instrument listens.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// Volumes (ZeroMQ ROUTER).
    pub volumes: String,
    /// Results (ZeroMQ PUB).
    pub results: String,
    /// Pages.
    pub http: std::net::SocketAddr,
    /// Kind and place of the source beside native ZeroMQ.
    pub source: Option<String>,
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
    source: Option<JoinHandle<()>>,
    threads: Threads,
    pages: Pages,
}

struct Threads {
    /// Router, committer, preprocess, score and paint end in this order, each when its input closes.
    upstream: Vec<JoinHandle<()>>,
    publisher: JoinHandle<()>,
}

impl Daemon {
    /// Binds every socket, takes up an interrupted run, and starts the threads.
    ///
    /// # Errors
    /// Status 64 for a results file that cannot be opened, 65 for a journal that cannot be read, 69 for an address that
    /// cannot be bound.
    pub fn start(
        config: &DaemonConfig,
        prepared: Prepared,
        clock: Arc<dyn Clock>,
        results_file: Option<PathBuf>,
    ) -> Result<Self, Failure> {
        let context = zmq::Context::new();
        let volumes = router_socket(&context, config)?;
        let results = publish_socket(&context, config)?;
        let listener = listen(&config.http.bind)?;
        let source = open_source(config, &context, &clock).map_err(Failure::unavailable)?;
        let addresses = Addresses {
            volumes: endpoint(&volumes)?,
            results: endpoint(&results)?,
            http: listener.local_addr().map_err(Failure::unavailable)?,
            source: source.as_ref().map(|opened| format!("{} {}", opened.source.kind(), opened.place)),
        };
        let interrupted = find_open_run(&config.journal.dir).map_err(Failure::data)?;
        let results_file = results_file.map(|path| open_results(&path)).transpose()?;
        let operator_token = token()?;

        let Prepared { bundle, decoders, identity, feedback, front_ends, .. } = prepared;
        let front_ends = Arc::new(FrontEndDesk::new(front_ends, FrontEndFit::of(&bundle)));
        let wiring = Wiring::new(config, &bundle, identity, feedback, front_ends, clock);
        let router = wiring.router(volumes, bound(&context, zmq::PULL, WAKE)?);
        let publisher = wiring.publisher(results, results_file);
        let pages = wiring.pages(connected(&context, zmq::PUSH, WAKE)?, operator_token.clone());
        let pages = serve(listener, pages)?;
        let waker = connected(&context, zmq::PUSH, WAKE)?;
        let events = config.source.events.as_deref().map(read_events).transpose().map_err(Failure::usage)?;
        let feeder =
            source.map(|opened| wiring.feeder(opened.source, &context, events.unwrap_or_default())).transpose()?;
        let (vitals, stop, publish) = (wiring.vitals.clone(), wiring.stop.clone(), wiring.queues.publish.0.clone());
        let threads = wiring.spawn(router, interrupted, publisher, decoders, waker)?;
        let source = feeder.map(spawn_source).transpose()?;
        Ok(Self { addresses, operator_token, vitals, stop, publish, source, threads, pages })
    }

    /// Stops: no message is taken in any more, what was taken in is saved, preprocessed and published, then all threads end.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        // A thread that panicked has already said so on standard error.
        let _ = self.source.map(JoinHandle::join);
        for thread in self.threads.upstream {
            let _ = thread.join();
        }
        let _ = self.publish.send(PublishEvent::Shutdown);
        let _ = self.threads.publisher.join();
        self.pages.stop();
    }
}

/// A full wake-up queue means that the router will look anyway.
pub(crate) fn wake_up(waker: &zmq::Socket) {
    let _ = waker.send(&[][..], zmq::DONTWAIT);
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
