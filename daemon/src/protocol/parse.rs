//! From bytes of unknown origin to one message, or the reason why not; nothing here panics or allocates beyond the input.

use super::address::addressed;
use super::{EventMessage, Reason, Refusal, RunEnd, RunStart, VOLUME_PROTOCOL, VolumeHeader};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Longest accepted JSON header: 1 MiB holds some ten thousand events.
pub const MAX_HEADER_BYTES: usize = 1 << 20;
/// Longest complaint about a header that is sent back, characters.
const MAX_COMPLAINT: usize = 300;

/// A well-formed message. Its values may still be refused by the run's state.
#[derive(Debug, Clone, PartialEq)]
pub enum Message<'a> {
    /// Opens or resumes a run.
    RunStart(Box<RunStart>),
    /// A volume with its voxels.
    Volume(VolumeHeader, &'a [u8]),
    /// A trial.
    Event(EventMessage),
    /// Closes a run.
    RunEnd(RunEnd),
}

#[derive(Deserialize)]
struct Envelope {
    protocol: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// Reads the frames of one message (without the ROUTER's identity frame).
///
/// # Errors
/// A [`Refusal`] with reason `malformed`, `protocol` or `too_large` that echoes run, index and trial where they could be read.
pub fn parse<'a>(frames: &[&'a [u8]]) -> Result<Message<'a>, Refusal> {
    let Some((header, body)) = frames.split_first() else {
        return Err(Refusal::new(Reason::Malformed, "the message has no frames"));
    };
    if header.len() > MAX_HEADER_BYTES {
        let message = format!("the header has {} bytes, at most {MAX_HEADER_BYTES} are read", header.len());
        return Err(Refusal::new(Reason::TooLarge, message));
    }
    message_of_kind(header, body).map_err(|refusal| addressed(refusal, header))
}

fn message_of_kind<'a>(header: &[u8], body: &[&'a [u8]]) -> Result<Message<'a>, Refusal> {
    let envelope: Envelope = read(header)?;
    match envelope.protocol.as_deref() {
        Some(VOLUME_PROTOCOL) => {}
        other => return Err(Refusal::new(Reason::Protocol, unknown_protocol(other))),
    }
    match envelope.kind.as_deref() {
        Some("run_start") => {
            without_body(body).and_then(|()| read(header).map(|start| Message::RunStart(Box::new(start))))
        }
        Some("event") => without_body(body).and_then(|()| read(header).map(Message::Event)),
        Some("run_end") => without_body(body).and_then(|()| read(header).map(Message::RunEnd)),
        Some("volume") => Ok(Message::Volume(read(header)?, only_body(body)?)),
        other => Err(Refusal::new(Reason::Malformed, unknown_kind(other))),
    }
}

fn unknown_protocol(found: Option<&str>) -> String {
    format!("this daemon speaks `{VOLUME_PROTOCOL}`, the message says {}", quoted(found))
}

fn unknown_kind(found: Option<&str>) -> String {
    format!("`type` must be run_start, volume, event or run_end, the message says {}", quoted(found))
}

fn quoted(found: Option<&str>) -> String {
    found.map_or("nothing".into(), |text| {
        let shown: String = text.chars().take(40).flat_map(char::escape_default).collect();
        format!("`{shown}`")
    })
}

fn read<T: DeserializeOwned>(header: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(header).map_err(|error| {
        // The parser quotes what it did not expect, however long that is.
        let error: String = error.to_string().chars().take(MAX_COMPLAINT).collect();
        Refusal::new(Reason::Malformed, format!("the header is not readable: {error}"))
    })
}

fn without_body(body: &[&[u8]]) -> Result<(), Refusal> {
    let excess = || Refusal::new(Reason::Malformed, format!("expected one frame, found {}", body.len() + 1));
    if body.is_empty() { Ok(()) } else { Err(excess()) }
}

fn only_body<'a>(body: &[&'a [u8]]) -> Result<&'a [u8], Refusal> {
    match body {
        [voxels] => Ok(voxels),
        _ => Err(Refusal::new(
            Reason::Malformed,
            format!("a volume has two frames, header and voxels; found {}", body.len() + 1),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reason(frames: &[&[u8]]) -> Reason {
        parse(frames).expect_err("must be refused").reason
    }

    #[test]
    fn every_malformed_message_has_its_reason() {
        let ok = br#"{"protocol":"mindeye-volume/1","type":"run_end","run":"a","volumes":3}"#;
        assert!(parse(&[ok]).is_ok());
        let cases: [(&[&[u8]], Reason); 9] = [
            (&[], Reason::Malformed),
            (&[b"not json"], Reason::Malformed),
            (&[b"{}"], Reason::Protocol),
            (&[br#"{"protocol":"mindeye-volume/2","type":"run_end"}"#], Reason::Protocol),
            (&[br#"{"protocol":"mindeye-volume/1","type":"hello"}"#], Reason::Malformed),
            (&[br#"{"protocol":"mindeye-volume/1","type":"run_end","run":"../a","volumes":3}"#], Reason::Malformed),
            (&[ok, b"body"], Reason::Malformed),
            (&[br#"{"protocol":"mindeye-volume/1","type":"volume","run":"a","index":-1}"#], Reason::Malformed),
            (&[br#"{"protocol":"mindeye-volume/1","type":"volume","run":"a"}"#, b"", b""], Reason::Malformed),
        ];
        for (frames, expected) in cases {
            assert_eq!(reason(frames), expected, "{frames:?}");
        }
        assert_eq!(reason(&[&vec![b' '; MAX_HEADER_BYTES + 1]]), Reason::TooLarge);
    }

    #[test]
    fn a_refusal_echoes_what_could_be_read() {
        let header =
            br#"{"protocol":"mindeye-volume/1","type":"volume","run":"r1","index":7,"dtype":"int9","shape":[1,1,1]}"#;
        let refusal = parse(&[header, b""]).unwrap_err();
        assert_eq!((refusal.run.as_deref(), refusal.index), (Some("r1"), Some(7)));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_message_or_a_refusal(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..4)) {
            let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
            let _ = parse(&frames);
        }

        #[test]
        fn any_field_values_give_a_message_or_a_refusal(
            kind in "(run_start|volume|event|run_end|x)", key in "(run|index|shape|dtype|tr_s|trial|onset_s)", value in "[-0-9.eE\\[\\]\"a-z{}:,]{0,20}",
        ) {
            let header = format!(r#"{{"protocol":"mindeye-volume/1","type":"{kind}","{key}":{value}}}"#);
            let _ = parse(&[header.as_bytes(), b"1234"]);
        }
    }
}
