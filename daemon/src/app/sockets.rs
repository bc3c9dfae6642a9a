//! Every socket of the instrument, bound with its limits, or an error that names the address.

use mindeye_config::{DaemonConfig, Failure};

/// Address inside the process at which sources hand in their volumes.
pub(super) const DOOR: &str = "inproc://door";

pub(super) fn router_socket(context: &zmq::Context, config: &DaemonConfig) -> Result<zmq::Socket, Failure> {
    let socket = context.socket(zmq::ROUTER).map_err(Failure::unavailable)?;
    // Up to twice the limit a volume is answered `too_large`; beyond that ZeroMQ hangs up on the sender.
    let longest = 2 * i64::from(config.volumes.max_volume_mib) * (1 << 20) + 1;
    let options = || -> Result<(), zmq::Error> {
        // Messages that ZeroMQ may hold for us beside our own queue; the rest waits at the scanner.
        socket.set_rcvhwm(16)?;
        socket.set_linger(200)?;
        socket.set_maxmsgsize(longest)?;
        // A peer that reconnects under its own name takes over, instead of being ignored.
        socket.set_router_handover(true)?;
        // Sources are senders in the house. The last address bound is the one that is told to people.
        socket.bind(DOOR)?;
        socket.bind(&config.volumes.bind)
    };
    options().map_err(|error| cannot_bind("volumes", &config.volumes.bind, error))?;
    Ok(socket)
}

pub(super) fn publish_socket(context: &zmq::Context, config: &DaemonConfig) -> Result<zmq::Socket, Failure> {
    let socket = context.socket(zmq::PUB).map_err(Failure::unavailable)?;
    let options = || -> Result<(), zmq::Error> {
        socket.set_sndhwm(config.results.high_water_mark)?;
        socket.set_linger(200)?;
        socket.bind(&config.results.bind)
    };
    options().map_err(|error| cannot_bind("results", &config.results.bind, error))?;
    Ok(socket)
}

pub(super) fn bound(context: &zmq::Context, kind: zmq::SocketType, address: &str) -> Result<zmq::Socket, Failure> {
    let socket = context.socket(kind).map_err(Failure::unavailable)?;
    socket.bind(address).map_err(|error| cannot_bind("wake", address, error))?;
    Ok(socket)
}

pub(super) fn connected(context: &zmq::Context, kind: zmq::SocketType, address: &str) -> Result<zmq::Socket, Failure> {
    let socket = context.socket(kind).map_err(Failure::unavailable)?;
    socket.set_linger(0).map_err(Failure::unavailable)?;
    socket.connect(address).map_err(|error| cannot_bind("wake", address, error))?;
    Ok(socket)
}

pub(super) fn listen(address: &str) -> Result<std::net::TcpListener, Failure> {
    let listener = std::net::TcpListener::bind(address).map_err(|error| cannot_bind("http", address, error))?;
    listener.set_nonblocking(true).map_err(Failure::unavailable)?;
    Ok(listener)
}

pub(super) fn endpoint(socket: &zmq::Socket) -> Result<String, Failure> {
    socket
        .get_last_endpoint()
        .map_err(Failure::unavailable)?
        .map_err(|bytes| Failure::other(format!("the endpoint {bytes:?} is not text")))
}

fn cannot_bind(what: &str, address: &str, error: impl std::fmt::Display) -> Failure {
    Failure::unavailable(format!("{what}: {address} cannot be bound: {error}"))
}
