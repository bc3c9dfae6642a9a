//! A connection that says when it broke: what was on its way is lost with it, so all that waits must leave again, in order.

use std::sync::atomic::{AtomicU64, Ordering};

/// What became of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkChange {
    /// A daemon can be heard, for the first time or again.
    Up,
    /// Nobody is there; ZeroMQ goes on trying.
    Broken,
}

/// A DEALER socket with ZeroMQ's own monitor.
pub(super) struct Link {
    socket: zmq::Socket,
    monitor: zmq::Socket,
}

impl Link {
    /// Begins to connect to `address`.
    pub(super) fn connect(context: &zmq::Context, address: &str) -> zmq::Result<Self> {
        let socket = context.socket(zmq::DEALER)?;
        socket.set_linger(0)?;
        socket.set_reconnect_ivl(100)?;
        // Messages wait in our window, never in the queue of a connection that is not there (yet).
        socket.set_immediate(true)?;
        let monitor = monitor(context, &socket)?;
        socket.connect(address)?;
        Ok(Self { socket, monitor })
    }

    /// Whether the message could leave.
    pub(super) fn send(&self, frames: &[Vec<u8>]) -> bool {
        self.socket.send_multipart(frames, zmq::DONTWAIT).is_ok()
    }

    /// Waits until there is an answer or a change, at most `ms` milliseconds.
    pub(super) fn wait(&self, ms: i64) -> zmq::Result<()> {
        let mut items = [self.socket.as_poll_item(zmq::POLLIN), self.monitor.as_poll_item(zmq::POLLIN)];
        match zmq::poll(&mut items, ms) {
            Ok(_) | Err(zmq::Error::EINTR) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The next answer, if there is one.
    pub(super) fn answer(&self) -> Option<Vec<Vec<u8>>> {
        self.socket.recv_multipart(zmq::DONTWAIT).ok()
    }

    /// The next change, if there is one.
    pub(super) fn change(&self) -> Option<LinkChange> {
        loop {
            let frames = self.monitor.recv_multipart(zmq::DONTWAIT).ok()?;
            if let Some(change) = frames.first().and_then(|frame| decode(frame)) {
                return Some(change);
            }
        }
    }
}

fn monitor(context: &zmq::Context, socket: &zmq::Socket) -> zmq::Result<zmq::Socket> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let address = format!("inproc://link-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let events = zmq::SocketEvent::HANDSHAKE_SUCCEEDED as i32 | zmq::SocketEvent::DISCONNECTED as i32;
    socket.monitor(&address, events)?;
    let monitor = context.socket(zmq::PAIR)?;
    monitor.connect(&address)?;
    Ok(monitor)
}

/// zmq_socket_monitor(3): the first frame begins with the event as u16.
fn decode(frame: &[u8]) -> Option<LinkChange> {
    let event = u16::from_ne_bytes([*frame.first()?, *frame.get(1)?]);
    match zmq::SocketEvent::from_raw(event) {
        zmq::SocketEvent::HANDSHAKE_SUCCEEDED => Some(LinkChange::Up),
        zmq::SocketEvent::DISCONNECTED => Some(LinkChange::Broken),
        _ => None,
    }
}
