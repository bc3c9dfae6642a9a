//! Pages and HTTP interface: read-only views of the newest frames, and one guarded way in.

mod assets;
mod guard;
mod routes;
mod socket;

use crate::ingest::{Command, FrontEndDesk};
use crate::publish::{Frame, Latest, PublishEvent};
use crate::vitals::Vitals;
use crossbeam_channel::Sender;
use mindeye_config::{Clock, Failure};
use mindeye_decode::Gallery;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::broadcast;

/// What the pages are connected to.
pub struct PagesParts {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Newest frames.
    pub latest: Arc<Latest>,
    /// Frames to come.
    pub frames: broadcast::Sender<Frame>,
    /// Counters.
    pub vitals: Arc<Vitals>,
    /// Pictures to show.
    pub gallery: Option<Arc<Gallery>>,
    /// To the router.
    pub commands: Sender<Command>,
    /// Wakes the router.
    pub wake: zmq::Socket,
    /// To the publisher.
    pub publish: Sender<PublishEvent>,
    /// Calibrations for the runs to come.
    pub front_ends: Arc<FrontEndDesk>,
    /// Token for operator actions.
    pub operator_token: String,
}

/// The same, shared by all requests.
pub(crate) struct Shared {
    clock: Arc<dyn Clock>,
    latest: Arc<Latest>,
    frames: broadcast::Sender<Frame>,
    vitals: Arc<Vitals>,
    gallery: Option<Arc<Gallery>>,
    commands: Sender<Command>,
    wake: Mutex<zmq::Socket>,
    publish: Sender<PublishEvent>,
    front_ends: Arc<FrontEndDesk>,
    operator_token: String,
}

/// The server at work.
pub struct Pages {
    runtime: tokio::runtime::Runtime,
}

impl Pages {
    /// Ends every connection.
    pub fn stop(self) {
        self.runtime.shutdown_timeout(Duration::from_millis(200));
    }
}

/// Serves the pages on `listener` (non-blocking) from one thread of their own.
///
/// # Errors
/// Status 1 when the system gives no thread, 69 when the listener cannot be used.
pub fn serve(listener: std::net::TcpListener, parts: PagesParts) -> Result<Pages, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("pages")
        .enable_io()
        .enable_time()
        .build()
        .map_err(Failure::other)?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener).map_err(Failure::unavailable)?
    };
    let shared = Arc::new(Shared {
        clock: parts.clock,
        latest: parts.latest,
        frames: parts.frames,
        vitals: parts.vitals,
        gallery: parts.gallery,
        commands: parts.commands,
        wake: Mutex::new(parts.wake),
        publish: parts.publish,
        front_ends: parts.front_ends,
        operator_token: parts.operator_token,
    });
    runtime.spawn(async move {
        // `serve` ends only with the runtime.
        let _ = axum::serve(listener, routes::router(shared)).await;
    });
    Ok(Pages { runtime })
}
