//! Pyneal's scanner side: hello until it is echoed, then a volume and its answer, one after the other.

use super::{EmitError, EmittedRun, Emitter};
use mindeye_preprocess::VoxelType;
use serde_json::json;

/// What Pyneal's own senders say.
const HELLO: &str = "hello from pyneal_scanner ";

/// Sends volumes.
pub struct PynealEmitter {
    socket: zmq::Socket,
    address: String,
}

impl PynealEmitter {
    /// Begins to connect to `address`; an answer is waited for as long as `patience_ms`.
    ///
    /// # Errors
    /// For an address that is none.
    pub fn connect(context: &zmq::Context, address: &str, patience_ms: i32) -> Result<Self, EmitError> {
        let open = || -> zmq::Result<zmq::Socket> {
            let socket = context.socket(zmq::PAIR)?;
            socket.set_linger(0)?;
            socket.set_rcvtimeo(patience_ms)?;
            socket.set_sndtimeo(patience_ms)?;
            socket.connect(address)?;
            Ok(socket)
        };
        let socket = open().map_err(|error| EmitError::peer(address, error))?;
        Ok(Self { socket, address: address.to_owned() })
    }

    fn ask(&self, frames: &[&[u8]]) -> Result<Vec<u8>, EmitError> {
        let answer = self.socket.send_multipart(frames, 0).and_then(|()| self.socket.recv_bytes(0));
        answer.map_err(|error| EmitError::peer(&self.address, error))
    }
}

impl Emitter for PynealEmitter {
    fn begin(&mut self, _: &EmittedRun) -> Result<(), EmitError> {
        while self.ask(&[HELLO.as_bytes()])? != HELLO.as_bytes() {}
        Ok(())
    }

    /// As the Siemens sender: float64, TR in seconds.
    fn volume(&mut self, run: &EmittedRun, index: u32, voxels: &[u8]) -> Result<(), EmitError> {
        let header = json!({
            "volIdx": index, "TR": run.tr_s.to_string(), "dtype": "float64", "shape": run.grid.dim,
            "affine": json!(run.grid.affine).to_string(),
        });
        let answer = self.ask(&[header.to_string().as_bytes(), &c_order(run, voxels)])?;
        let expected = format!("received volIdx {index}");
        if answer == expected.as_bytes() {
            return Ok(());
        }
        let answer = String::from_utf8_lossy(&answer);
        Err(EmitError::peer(&self.address, format!("answered `{answer}` instead of `{expected}`")))
    }

    fn end(&mut self, _: &EmittedRun) -> Result<(), EmitError> {
        Ok(())
    }
}

/// Voxels as f64, z fastest.
fn c_order(run: &EmittedRun, voxels: &[u8]) -> Vec<u8> {
    let [nx, ny, nz] = run.grid.dim;
    let mut out = Vec::with_capacity(nx * ny * nz * 8);
    for i in 0..nx {
        for j in 0..ny {
            for k in 0..nz {
                let at = run.grid.linear_index([i, j, k]) * run.dtype.bytes();
                out.extend(voxel(run.dtype, &voxels[at..]).to_le_bytes());
            }
        }
    }
    out
}

fn voxel(dtype: VoxelType, bytes: &[u8]) -> f64 {
    let word = |width: usize| bytes[..width].iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
    match dtype {
        VoxelType::Int16 => f64::from(word(2) as u16 as i16),
        VoxelType::Uint16 => f64::from(word(2) as u16),
        VoxelType::Float32 => f64::from(f32::from_bits(word(4) as u32)),
        VoxelType::Float64 => f64::from_bits(word(8)),
    }
}
