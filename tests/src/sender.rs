//! A scanner's side of the volume protocol by hand: frames and JSON, nothing of ours in between.

use crate::PATIENCE;
use serde_json::{Value, json};

/// A DEALER socket.
pub struct Sender {
    socket: zmq::Socket,
}

impl Sender {
    /// Connects to a daemon's volumes address.
    ///
    /// # Panics
    /// If the address is none.
    #[must_use]
    pub fn connect(address: &str) -> Self {
        let socket = zmq::Context::new().socket(zmq::DEALER).expect("a socket");
        socket.set_linger(0).and_then(|()| socket.set_sndhwm(0)).expect("options");
        socket.set_rcvtimeo(PATIENCE.as_millis() as i32).expect("options");
        socket.connect(address).expect("an address");
        Self { socket }
    }

    /// Sends these frames as they are.
    ///
    /// # Panics
    /// If ZeroMQ refuses.
    pub fn send_frames(&self, frames: &[Vec<u8>]) {
        self.socket.send_multipart(frames, 0).expect("sent");
    }

    /// Sends a header, and voxels after it where there are any.
    ///
    /// # Panics
    /// If ZeroMQ refuses.
    pub fn send(&self, header: &Value, voxels: Option<&[u8]>) {
        let header = header.to_string().into_bytes();
        self.send_frames(&[Some(header), voxels.map(<[u8]>::to_vec)].into_iter().flatten().collect::<Vec<_>>());
    }

    /// The next answer.
    ///
    /// # Panics
    /// If none comes, or one that is not a JSON message of this protocol in one frame.
    #[must_use]
    pub fn answer(&self) -> Value {
        let frames = self.socket.recv_multipart(0).expect("an answer");
        assert_eq!(frames.len(), 1, "an answer has one frame");
        let answer: Value = serde_json::from_slice(&frames[0]).expect("JSON");
        assert_eq!(answer["protocol"], "mindeye-volume/1", "{answer}");
        answer
    }

    /// Sends, and waits for the answer.
    ///
    /// # Panics
    /// As [`send`](Self::send) and [`answer`](Self::answer).
    #[must_use]
    pub fn ask(&self, header: &Value, voxels: Option<&[u8]>) -> Value {
        self.send(header, voxels);
        self.answer()
    }

    /// Sends, and waits until it is accepted (`ready` accepts a `run_start`).
    ///
    /// # Panics
    /// If it is refused.
    pub fn accepted(&self, header: &Value, voxels: Option<&[u8]>) -> Value {
        let answer = self.ask(header, voxels);
        let expected = if header["type"] == "run_start" { "ready" } else { "accepted" };
        assert_eq!(answer["type"], expected, "{header} got {answer}");
        answer
    }
}

/// A header of this protocol: `fields` with protocol and type.
#[must_use]
pub fn header(kind: &str, mut fields: Value) -> Value {
    fields["protocol"] = json!("mindeye-volume/1");
    fields["type"] = json!(kind);
    fields
}
