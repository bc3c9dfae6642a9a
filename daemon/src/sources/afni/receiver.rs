//! Two TCP sockets and one sender at a time: control names the data channel, data brings metadata and images.

use super::{AfniRun, GOODBYE, parse_metadata};
use crate::sources::assembler::{Assembler, RunRules};
use crate::sources::event::{IgnoreReason, Ignored, SourceEvent, SourceVolume, VolumeSource};
use mindeye_config::{Clock, Name};
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// Longest control message.
const MAX_CONTROL: usize = 32 << 10;
/// Longest metadata block.
const MAX_METADATA: usize = 64 << 10;
/// A control channel must have spoken within this time.
const CONTROL_PATIENCE: Duration = Duration::from_millis(500);
/// How often both listeners are looked at while nobody is connected.
const ACCEPT_INTERVAL: Duration = Duration::from_millis(10);
/// Bytes read at once.
const CHUNK: usize = 256 << 10;

/// The source.
pub struct AfniReceiver {
    control: TcpListener,
    data: TcpListener,
    clock: Arc<dyn Clock>,
    max_volume_bytes: usize,
    assembler: Assembler,
    /// A sender has announced itself on the control channel.
    announced: bool,
    stream: Option<Stream>,
    runs: u32,
}

/// A connected sender.
struct Stream {
    socket: TcpStream,
    bytes: Vec<u8>,
    run: Option<OpenRun>,
}

struct OpenRun {
    run: AfniRun,
    name: Name,
    next_index: u32,
}

impl AfniReceiver {
    /// Binds both channels; volumes have `max_volume_bytes` at most.
    ///
    /// # Errors
    /// When an address cannot be bound.
    pub fn bind(
        control: &str,
        data: &str,
        clock: Arc<dyn Clock>,
        max_volume_bytes: usize,
        rules: RunRules,
    ) -> std::io::Result<Self> {
        let listen = |address: &str| {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            Ok::<_, std::io::Error>(listener)
        };
        Ok(Self {
            control: listen(control)?,
            data: listen(data)?,
            assembler: Assembler::new(clock.clone(), rules),
            clock,
            max_volume_bytes,
            announced: false,
            stream: None,
            runs: 0,
        })
    }

    /// Where control and data listen.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn addresses(&self) -> std::io::Result<[SocketAddr; 2]> {
        Ok([self.control.local_addr()?, self.data.local_addr()?])
    }

    fn accept(&mut self, patience: Duration) {
        if let Ok((socket, _)) = self.control.accept() {
            match read_control(socket) {
                Ok(()) => self.announced = true,
                Err(complaint) => self.ignore(IgnoreReason::Malformed, complaint),
            }
        }
        match self.data.accept() {
            Ok((socket, _)) if self.announced => {
                self.announced = false;
                self.stream =
                    socket.set_nonblocking(false).ok().map(|()| Stream { socket, bytes: Vec::new(), run: None });
            }
            Ok(_) => self.ignore(IgnoreReason::Foreign, "a data connection without a word on the control channel"),
            Err(_) => std::thread::sleep(patience.min(ACCEPT_INTERVAL)),
        }
    }

    /// Reads what is there, at most for `patience`; a sender that is gone ends its run.
    fn read(&mut self, mut stream: Stream, patience: Duration) {
        // Zero would wait for ever.
        let _ = stream.socket.set_read_timeout(Some(patience.max(Duration::from_millis(1))));
        let begin = stream.bytes.len();
        stream.bytes.resize(begin + CHUNK, 0);
        let read = stream.socket.read(&mut stream.bytes[begin..]);
        stream.bytes.truncate(begin + *read.as_ref().unwrap_or(&0));
        let waits = |kind| matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted);
        let is_over = match &read {
            Ok(bytes) => *bytes == 0,
            Err(error) => !waits(error.kind()),
        };
        match self.digest(&mut stream) {
            Err(complaint) => {
                self.ignore(IgnoreReason::Malformed, complaint);
                self.assembler.end();
            }
            Ok(()) if is_over => {
                if !stream.bytes.is_empty() {
                    self.ignore(IgnoreReason::Truncated, "the connection ended inside an image or its metadata");
                }
                self.assembler.end();
            }
            Ok(()) => self.stream = Some(stream),
        }
    }

    fn digest(&mut self, stream: &mut Stream) -> Result<(), &'static str> {
        loop {
            let taken = match stream.run.as_mut() {
                None => match self.metadata(&stream.bytes)? {
                    Some((taken, run)) => {
                        stream.run = Some(run);
                        taken
                    }
                    None => return Ok(()),
                },
                Some(open) if stream.bytes.len() < open.run.volume_bytes() => return Ok(()),
                Some(open) => {
                    let bytes = open.run.volume_bytes();
                    let image = &stream.bytes[..bytes];
                    if image.starts_with(GOODBYE) {
                        self.assembler.end();
                        stream.run = None;
                    } else {
                        self.image(open, image);
                    }
                    bytes
                }
            };
            stream.bytes.drain(..taken);
        }
    }

    /// A complete block and its length, once its NUL byte is there.
    fn metadata(&mut self, bytes: &[u8]) -> Result<Option<(usize, OpenRun)>, &'static str> {
        let Some(end) = bytes.iter().take(MAX_METADATA).position(|byte| *byte == 0) else {
            return if bytes.len() < MAX_METADATA { Ok(None) } else { Err("a metadata block of more than 64 KiB") };
        };
        let run = parse_metadata(&String::from_utf8_lossy(&bytes[..end]))?;
        if run.volume_bytes() > self.max_volume_bytes || run.volume_bytes() < GOODBYE.len() {
            return Err("volumes are larger than volumes.max_volume_mib, or have no voxels to speak of");
        }
        self.runs += 1;
        let name = format!("afni-{:.0}-{}", self.clock.unix_s(), self.runs);
        let name = Name::new(&name).expect("digits and dashes are a name");
        self.assembler.begin();
        Ok(Some((end + 1, OpenRun { run, name, next_index: 0 })))
    }

    fn image(&mut self, open: &mut OpenRun, image: &[u8]) {
        let mut voxels = image.to_vec();
        if open.run.swapped {
            voxels.chunks_exact_mut(open.run.dtype.bytes()).for_each(<[u8]>::reverse);
        }
        let volume = SourceVolume { index: open.next_index, acquired_s: None, voxels };
        open.next_index += 1;
        self.assembler.add(open.run.plan(open.name.clone()), volume);
    }

    fn ignore(&mut self, reason: IgnoreReason, explanation: &str) {
        self.assembler.ignore(Ignored::new(reason, explanation));
    }
}

impl VolumeSource for AfniReceiver {
    fn kind(&self) -> &'static str {
        "afni"
    }

    fn next(&mut self, patience: Duration) -> Vec<SourceEvent> {
        match self.stream.take() {
            Some(stream) => self.read(stream, patience),
            None => self.accept(patience),
        }
        self.assembler.take()
    }
}

/// `tcp:<host>:<port>`, ended by NUL or the end of the connection. Whatever port it names, we have our own.
fn read_control(mut socket: TcpStream) -> Result<(), &'static str> {
    let options = socket.set_nonblocking(false).and_then(|()| socket.set_read_timeout(Some(CONTROL_PATIENCE)));
    options.map_err(|_| "the control channel broke")?;
    let mut message = Vec::new();
    let mut chunk = [0; 1024];
    while !message.contains(&0) && message.len() < MAX_CONTROL {
        match socket.read(&mut chunk) {
            Ok(0) => break,
            Ok(bytes) => message.extend_from_slice(&chunk[..bytes]),
            Err(_) => return Err("the control channel fell silent"),
        }
    }
    if message.starts_with(b"tcp:") { Ok(()) } else { Err("the control channel asks for something else than tcp") }
}
