//! The receiving side of Pyneal's volume stream: a ZeroMQ PAIR socket that a Pyneal scanner connects to.
//!
//! The sender says hello until it hears the same words back; then each volume is a JSON header and raw voxels, and the sender
//! waits for `received volIdx <n>`. That answer leaves at once, before the volume is judged: one slow answer would stall the
//! export. It does not mean that the volume is on disk.

mod message;

pub use message::{PynealVolume, parse_volume};

use super::assembler::{Assembler, RunRules};
use super::event::{IgnoreReason, Ignored, SourceEvent, SourceVolume, VolumeSource};
use mindeye_config::{Clock, Name};
use std::sync::Arc;
use std::time::Duration;

/// Longest hello; Pyneal's has 26 bytes.
const MAX_HELLO: usize = 1024;
/// Longest JSON header.
const MAX_HEADER: usize = 64 << 10;

/// The source.
pub struct PynealReceiver {
    socket: zmq::Socket,
    clock: Arc<dyn Clock>,
    max_volume_bytes: usize,
    assembler: Assembler,
    /// Name of the open run, and its newest index.
    open: Option<(Name, u32)>,
    runs: u32,
}

impl PynealReceiver {
    /// Binds `address`; volumes have `max_volume_bytes` at most.
    ///
    /// # Errors
    /// When ZeroMQ cannot bind it.
    pub fn bind(
        context: &zmq::Context,
        address: &str,
        clock: Arc<dyn Clock>,
        max_volume_bytes: usize,
        rules: RunRules,
    ) -> zmq::Result<Self> {
        let socket = context.socket(zmq::PAIR)?;
        socket.set_linger(0)?;
        socket.set_rcvhwm(16)?;
        socket.set_maxmsgsize(i64::try_from(2 * max_volume_bytes).unwrap_or(i64::MAX))?;
        socket.bind(address)?;
        let assembler = Assembler::new(clock.clone(), rules);
        Ok(Self { socket, clock, max_volume_bytes, assembler, open: None, runs: 0 })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When ZeroMQ does not say.
    pub fn endpoint(&self) -> zmq::Result<String> {
        Ok(self.socket.get_last_endpoint()?.unwrap_or_default())
    }

    fn receive(&mut self) {
        while let Ok(frames) = self.socket.recv_multipart(zmq::DONTWAIT) {
            match frames.as_slice() {
                [hello] => self.hello(hello),
                [header, voxels] if header.len() <= MAX_HEADER => self.volume(header, voxels),
                _ => self.ignore(IgnoreReason::Malformed, "neither a hello nor a header with voxels".into()),
            }
        }
    }

    /// A sender begins: whatever run was open is over.
    fn hello(&mut self, hello: &[u8]) {
        if hello.len() > MAX_HELLO {
            return self.ignore(IgnoreReason::Malformed, format!("a hello of {} bytes", hello.len()));
        }
        self.answer(hello);
        self.assembler.end();
        self.open = None;
    }

    fn volume(&mut self, header: &[u8], voxels: &[u8]) {
        if let Some(index) = message::index_of(header) {
            self.answer(format!("received volIdx {index}").as_bytes());
        }
        if voxels.len() > self.max_volume_bytes {
            return self.ignore(IgnoreReason::TooLarge, format!("a volume of {} bytes", voxels.len()));
        }
        match parse_volume(header, voxels) {
            Ok(volume) => self.admit(volume),
            Err(complaint) => self.ignore(IgnoreReason::Malformed, complaint.into()),
        }
    }

    /// Volume 0 after others opens a run too: a sender may be started again without a hello.
    fn admit(&mut self, volume: PynealVolume) {
        let begins_again = self.open.as_ref().is_some_and(|(_, newest)| volume.index == 0 && *newest > 0);
        if self.open.is_none() || begins_again {
            self.assembler.begin();
            self.runs += 1;
            let run = format!("pyneal-{:.0}-{}", self.clock.unix_s(), self.runs);
            let run = Name::new(&run).expect("digits and dashes are a name");
            self.open = Some((run, 0));
        }
        let Some((run, newest)) = self.open.as_mut() else { return };
        *newest = volume.index.max(*newest);
        let plan = volume.plan(run.clone());
        self.assembler.add(plan, SourceVolume { index: volume.index, acquired_s: None, voxels: volume.voxels });
    }

    /// A sender that is gone hears nothing, and asks again when it is back.
    fn answer(&self, words: &[u8]) {
        let _ = self.socket.send(words, zmq::DONTWAIT);
    }

    fn ignore(&mut self, reason: IgnoreReason, explanation: String) {
        self.assembler.ignore(Ignored::new(reason, explanation));
    }
}

impl VolumeSource for PynealReceiver {
    fn kind(&self) -> &'static str {
        "pyneal"
    }

    fn next(&mut self, patience: Duration) -> Vec<SourceEvent> {
        let ms = i64::try_from(patience.as_millis()).unwrap_or(i64::MAX);
        // An interrupted wait is a short one.
        if self.socket.poll(zmq::POLLIN, ms).is_ok_and(|ready| ready > 0) {
            self.receive();
        }
        self.assembler.take()
    }
}
