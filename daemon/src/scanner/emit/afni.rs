//! What Dimon does to AFNI: a word on the control channel, metadata and bare images on the data channel.

use super::{EmitError, EmittedRun, Emitter};
use crate::sources::afni::GOODBYE;
use mindeye_preprocess::VoxelType;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

/// The receiver needs a moment between control and data; Dimon and rtfeedme try again every 100 to 300 ms.
const RETRY: Duration = Duration::from_millis(100);
const TRIES: usize = 50;

/// Sends volumes.
pub struct AfniEmitter {
    control: String,
    data: String,
    stream: Option<TcpStream>,
}

impl AfniEmitter {
    /// To a receiver at these addresses, `host:port`.
    #[must_use]
    pub fn new(control: &str, data: &str) -> Self {
        Self { control: control.to_owned(), data: data.to_owned(), stream: None }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), EmitError> {
        let sent =
            self.stream.as_mut().map_or(Err(std::io::ErrorKind::NotConnected.into()), |data| data.write_all(bytes));
        sent.map_err(|error| EmitError::peer(&self.data, error))
    }
}

impl Emitter for AfniEmitter {
    fn begin(&mut self, run: &EmittedRun) -> Result<(), EmitError> {
        let metadata = metadata(run)?;
        let announce = || TcpStream::connect(&self.control)?.write_all(format!("tcp:{}\0", self.data).as_bytes());
        announce().map_err(|error| EmitError::peer(&self.control, error))?;
        // The data channel is refused until the word on the control channel was read.
        std::thread::sleep(RETRY);
        self.stream = Some(connect(&self.data)?);
        self.send(format!("{metadata}\0").as_bytes())
    }

    fn volume(&mut self, _: &EmittedRun, _: u32, voxels: &[u8]) -> Result<(), EmitError> {
        self.send(voxels)
    }

    fn end(&mut self, run: &EmittedRun) -> Result<(), EmitError> {
        let mut goodbye = GOODBYE.to_vec();
        goodbye.resize(run.grid.voxel_count() * run.dtype.bytes(), 0);
        self.send(&goodbye)
    }
}

fn connect(address: &str) -> Result<TcpStream, EmitError> {
    let mut tried = TcpStream::connect(address);
    for _ in 1..TRIES {
        if tried.is_ok() {
            break;
        }
        std::thread::sleep(RETRY);
        tried = TcpStream::connect(address);
    }
    tried.map_err(|error| EmitError::peer(address, error))
}

/// As Dimon writes it, with the geometry as a matrix to LPS mm.
fn metadata(run: &EmittedRun) -> Result<String, EmitError> {
    let datum = match run.dtype {
        VoxelType::Int16 => "short",
        VoxelType::Float32 => "float",
        other => {
            let (format, expected) = ("AFNI's real-time protocol", "int16 or float32");
            return Err(EmitError::VoxelType { format, expected, found: other.name() });
        }
    };
    let [nx, ny, nz] = run.grid.dim;
    let signs = [-1.0, -1.0, 1.0, 1.0];
    let lps = run.grid.affine.iter().zip(signs).flat_map(|(row, sign)| row.map(|value| (sign * value).to_string()));
    let lps: Vec<String> = lps.collect();
    Ok([
        "ACQUISITION_TYPE 3D+timing".to_owned(),
        format!("TR {}", run.tr_s),
        format!("NUMVOL {}", run.volumes),
        format!("XYMATRIX {nx} {ny} {nz}"),
        format!("ZNUM {nz}"),
        format!("OBLIQUE_XFORM {}", lps.join(" ")),
        format!("DATUM {datum}"),
        "BYTEORDER LSB_FIRST".to_owned(),
        "NOTE played by a simulated scanner".to_owned(),
    ]
    .join("\n"))
}
