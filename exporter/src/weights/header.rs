//! The header of a safetensors file: read so that no bytes, however hostile, cause a panic or a large allocation.

use safetensors::tensor::{Metadata, TensorInfo};
use std::collections::HashMap;

/// Bytes of the length field in front of the header.
const LENGTH_FIELD: usize = 8;
/// The format's own limit on a header.
const LONGEST_HEADER: usize = 100_000_000;

/// What a header says, checked against the length of its file.
#[derive(Debug)]
pub(super) struct Header {
    /// Type, shape and byte range (from the start of the file) of each tensor, in file order.
    pub(super) tensors: Vec<(String, TensorInfo)>,
    /// The free-form text entries.
    pub(super) metadata: HashMap<String, String>,
}

/// Reads the header of `file`; the message of the error says what is wrong with it.
pub(super) fn read(file: &[u8]) -> Result<Header, String> {
    let (length, rest) = split_length(file)?;
    let (header, body) = rest.split_at(length);
    let parsed: Metadata = serde_json::from_slice(header).map_err(|e| format!("the header is not valid: {e}"))?;
    if parsed.data_len() != body.len() {
        return Err(format!(
            "the header describes {} bytes of tensors, the file holds {}",
            parsed.data_len(),
            body.len()
        ));
    }
    let start = LENGTH_FIELD + length;
    let tensors = parsed.offset_keys().into_iter().filter_map(|key| {
        let mut info = parsed.info(&key)?.clone();
        info.data_offsets = (start + info.data_offsets.0, start + info.data_offsets.1);
        Some((key, info))
    });
    Ok(Header { tensors: tensors.collect(), metadata: parsed.metadata().clone().unwrap_or_default() })
}

/// The header's length and what follows the length field, at least that long.
fn split_length(file: &[u8]) -> Result<(usize, &[u8]), String> {
    let Some((field, rest)) = file.split_first_chunk::<LENGTH_FIELD>() else {
        return Err(format!("a safetensors file has at least {LENGTH_FIELD} bytes, this one has {}", file.len()));
    };
    let length = u64::from_le_bytes(*field);
    match usize::try_from(length) {
        Ok(length) if length <= LONGEST_HEADER && length <= rest.len() => Ok((length, rest)),
        _ => Err(format!("the header should have {length} bytes, the file has {} after its length", rest.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(header: &str, body: &[u8]) -> Vec<u8> {
        let length = u64::try_from(header.len()).unwrap().to_le_bytes();
        [&length[..], header.as_bytes(), body].concat()
    }

    const TWO: &str = concat!(
        r#"{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"#,
        r#""b":{"dtype":"F16","shape":[3],"data_offsets":[16,22]}}"#
    );

    #[test]
    fn ranges_count_from_the_start_of_the_file() {
        let bytes = file(TWO, &[0; 22]);
        let header = read(&bytes).unwrap();
        let start = 8 + TWO.len();
        let ranges: Vec<_> = header.tensors.iter().map(|(k, t)| (k.as_str(), t.data_offsets)).collect();
        assert_eq!(ranges, [("a", (start, start + 16)), ("b", (start + 16, start + 22))]);
    }

    #[test]
    fn a_damaged_header_is_an_error_that_says_what_is_wrong() {
        let end = u64::MAX;
        let part = 1_u64 << 60;
        let mut huge: Vec<_> = (0..15).map(|i| entry(i, i * part, (i + 1) * part)).collect();
        huge.push(entry(15, 15 * part, end));
        let cases = [
            (vec![1, 2, 3], "at least 8 bytes"),
            (u64::MAX.to_le_bytes().to_vec(), "should have 18446744073709551615 bytes"),
            (file("not json", &[]), "not valid"),
            (file(TWO, &[0; 21]), "describes 22 bytes of tensors, the file holds 21"),
            (file(TWO, &[0; 23]), "the file holds 23"),
            (file(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#, &[0; 12]), "not valid"),
            (file(r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, &[0; 8]), "not valid"),
            (file(r#"{"a":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}}"#, &[0; 8]), "not valid"),
            (file(&format!("{{{}}}", huge.join(",")), &[]), "describes 18446744073709551615 bytes"),
        ];
        for (bytes, expected) in cases {
            let message = read(&bytes).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }

    /// Entry number `i` of a header, unsigned bytes from `start` to `end`.
    fn entry(i: u64, start: u64, end: u64) -> String {
        format!(r#""t{i:02}":{{"dtype":"U8","shape":[{}],"data_offsets":[{start},{end}]}}"#, end - start)
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_header_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn a_file_with_any_byte_changed_keeps_its_ranges_inside(at in 0_usize..200, to in any::<u8>()) {
            let mut bytes = file(TWO, &[0; 22]);
            let at = at % bytes.len();
            bytes[at] = to;
            if let Ok(header) = read(&bytes) {
                for (_, tensor) in header.tensors {
                    prop_assert!(tensor.data_offsets.1 <= bytes.len());
                }
            }
        }

        /// Headers that parse as JSON and lie in every number.
        #[test]
        fn hostile_entries_give_ranges_inside_or_an_error(
            entries in proptest::collection::vec(
                (
                    prop_oneof![Just("F32"), Just("F16"), Just("I64"), Just("BOOL"), Just("F8_E4M3")],
                    proptest::collection::vec(prop_oneof![0_u64..5, any::<u64>()], 0..4),
                    prop_oneof![0_u64..40, any::<u64>()],
                    prop_oneof![0_u64..40, any::<u64>()],
                ),
                0..4,
            ),
            body in 0_usize..40,
        ) {
            let entries = entries.iter().enumerate().map(|(i, (dtype, shape, start, end))| {
                format!(r#""t{i}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{end}]}}"#)
            });
            let bytes = file(&format!("{{{}}}", entries.collect::<Vec<_>>().join(",")), &vec![0; body]);
            if let Ok(header) = read(&bytes) {
                for (_, tensor) in header.tensors {
                    prop_assert!(tensor.data_offsets.0 <= tensor.data_offsets.1 && tensor.data_offsets.1 <= bytes.len());
                }
            }
        }

        #[test]
        fn a_file_cut_short_anywhere_is_refused(keep in 0_usize..100) {
            let bytes = file(TWO, &[0; 22]);
            let keep = keep % bytes.len();
            prop_assert!(read(&bytes[..keep]).is_err());
        }
    }
}
