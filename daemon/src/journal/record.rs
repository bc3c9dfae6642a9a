//! One record on disk: length, checksum, kind, a JSON header and raw bytes.
//!
//! ```text
//!   u32 length of the rest | u32 CRC-32 of the rest | u8 kind | u32 header length | header (JSON) | body
//! ```
//! All integers little-endian.

/// One record. The kind tells the reader which type the header is.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What the header is.
    pub kind: u8,
    /// JSON.
    pub header: Vec<u8>,
    /// Raw bytes: voxels of a volume, values of a beta, or nothing.
    pub body: Vec<u8>,
}

/// Bytes before the part that the checksum covers.
pub(super) const PREFIX: usize = 8;
const FIXED: usize = 5;

/// Appends the record to `out`.
pub fn encode_record(kind: u8, header: &[u8], body: &[u8], out: &mut Vec<u8>) {
    let length = FIXED + header.len() + body.len();
    let start = out.len();
    out.reserve(PREFIX + length);
    out.extend_from_slice(&length_field(length));
    out.extend_from_slice(&[0; 4]);
    out.push(kind);
    out.extend_from_slice(&length_field(header.len()));
    out.extend_from_slice(header);
    out.extend_from_slice(body);
    let checksum = crc32fast::hash(&out[start + PREFIX..]).to_le_bytes();
    out[start + 4..start + PREFIX].copy_from_slice(&checksum);
}

/// Length of the part that follows `prefix`; `None` when the prefix is torn.
pub(super) fn record_length(prefix: &[u8]) -> Option<u64> {
    (prefix.len() == PREFIX).then(|| field(prefix, 0).map(|length| length as u64))?
}

/// The record with this prefix and the `rest` that follows it; `None` when it is torn or damaged.
pub(super) fn decode_record(prefix: &[u8], mut rest: Vec<u8>) -> Option<Record> {
    let whole = field(prefix, 0)? == rest.len() && crc32fast::hash(&rest).to_le_bytes() == prefix.get(4..PREFIX)?;
    let header_end = FIXED.checked_add(field(&rest, 1)?)?;
    if !whole || header_end > rest.len() {
        return None;
    }
    let header = rest[FIXED..header_end].to_vec();
    let kind = rest[0];
    rest.drain(..header_end);
    Some(Record { kind, header, body: rest })
}

/// Lengths stay below 4 GiB: volumes are limited to 2 GiB and headers to 1 MiB at the door.
fn length_field(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("a record is limited to less than 4 GiB at the door").to_le_bytes()
}

fn field(bytes: &[u8], at: usize) -> Option<usize> {
    let four = bytes.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(four)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_and_every_torn_or_damaged_one_does_not() {
        let mut bytes = Vec::new();
        encode_record(3, b"{\"a\":1}", b"voxels", &mut bytes);
        let decode = |bytes: &[u8]| decode_record(bytes.get(..PREFIX)?, bytes[PREFIX..].to_vec());
        let record = decode(&bytes).unwrap();
        assert_eq!(
            (record.kind, record.header.as_slice(), record.body.as_slice()),
            (3, &b"{\"a\":1}"[..], &b"voxels"[..])
        );
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut]).is_none(), "cut at {cut}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            assert!(decode(&damaged).is_none(), "damaged at {at}");
        }
    }
}
