//! Siemens' CSA image header: a private table of named values, read for the three of them that give a mosaic its shape.
//!
//! Two layouts: CSA2 opens with `SV10` and 04 03 02 01; CSA1 with the number of tags. Then each tag: name\[64\], i32 vm, vr\[4\],
//! i32 syngodt, i32 items, i32 check word; each item: four i32, of which CSA2 gives the length in the second, and CSA1 in the
//! first as length + the first tag's number of items; data padded to 4 bytes.

use std::collections::BTreeMap;

/// Most tags of a header; Siemens writes about a hundred.
const MAX_TAGS: u32 = 1024;
/// Most items of a tag.
const MAX_ITEMS: i32 = 4096;
/// Names that are read; the others are skipped.
const READ: [&str; 3] = ["NumberOfImagesInMosaic", "SliceNormalVector", "MosaicRefAcqTimes"];

/// A CSA header that contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("CSA header: {0}")]
pub struct CsaError(&'static str);

/// Numbers of the tags that are read, by name.
///
/// # Errors
/// [`CsaError`] for bytes that are no CSA header.
pub fn read_csa(bytes: &[u8]) -> Result<BTreeMap<&'static str, Vec<f64>>, CsaError> {
    let mut bytes = Bytes(bytes);
    let is_csa2 = bytes.0.starts_with(b"SV10");
    if is_csa2 {
        bytes.take(8)?;
    }
    let tags = bytes.word()? as u32;
    if !(1..=MAX_TAGS).contains(&tags) {
        return Err(CsaError("the number of tags is out of range"));
    }
    bytes.take(4)?;
    let mut found = BTreeMap::new();
    let mut csa1_bias = None;
    for _ in 0..tags {
        let name = bytes.take(64)?;
        bytes.take(12)?;
        let items = bytes.word()?;
        bytes.take(4)?;
        if !(0..=MAX_ITEMS).contains(&items) {
            return Err(CsaError("the number of items is out of range"));
        }
        let bias = if is_csa2 { None } else { Some(*csa1_bias.get_or_insert(items)) };
        let values = read_items(&mut bytes, items, bias)?;
        if let Some(name) = READ.into_iter().find(|read| is_name(name, read)) {
            found.insert(name, values);
        }
    }
    Ok(found)
}

fn is_name(field: &[u8], name: &str) -> bool {
    field.split(|byte| *byte == 0).next() == Some(name.as_bytes())
}

/// Items that are empty or no numbers are left out.
fn read_items(bytes: &mut Bytes<'_>, items: i32, csa1_bias: Option<i32>) -> Result<Vec<f64>, CsaError> {
    let mut values = Vec::new();
    for _ in 0..items {
        let words = [bytes.word()?, bytes.word()?, bytes.word()?, bytes.word()?];
        let length = match csa1_bias {
            None => words[1],
            Some(bias) => words[0].saturating_sub(bias),
        };
        let length = usize::try_from(length).map_err(|_| CsaError("an item has a negative length"))?;
        let data = bytes.take(length)?;
        // The last item may end without its padding.
        let _ = bytes.take(length.next_multiple_of(4).saturating_sub(length));
        let text = data.split(|byte| *byte == 0).next().unwrap_or_default();
        let value = std::str::from_utf8(text).ok().and_then(|text| text.trim().parse::<f64>().ok());
        values.extend(value.filter(|value| value.is_finite()));
    }
    Ok(values)
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], CsaError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(CsaError("it ends early"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn word(&mut self) -> Result<i32, CsaError> {
        let word = self.take(4)?.first_chunk().ok_or(CsaError("it ends early"))?;
        Ok(i32::from_le_bytes(*word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A header of one tag with `items`, in either layout.
    fn header(is_csa2: bool, name: &str, items: &[&str]) -> Vec<u8> {
        let mut bytes = if is_csa2 { b"SV10\x04\x03\x02\x01".to_vec() } else { Vec::new() };
        bytes.extend(1i32.to_le_bytes());
        bytes.extend(77i32.to_le_bytes());
        let mut field = name.as_bytes().to_vec();
        field.resize(64, 0);
        bytes.extend(field);
        bytes.extend([0; 12]);
        bytes.extend((items.len() as i32).to_le_bytes());
        bytes.extend(77i32.to_le_bytes());
        for item in items {
            let length = item.len() as i32;
            let first = if is_csa2 { length } else { length + items.len() as i32 };
            [first, length, 77, length].iter().for_each(|word| bytes.extend(word.to_le_bytes()));
            bytes.extend(item.as_bytes());
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }

    #[test]
    fn both_layouts_give_their_numbers() {
        for is_csa2 in [true, false] {
            let bytes = header(is_csa2, "SliceNormalVector", &["0.00000000", "-0.1236 ", "0.9923", ""]);
            assert_eq!(read_csa(&bytes).unwrap()["SliceNormalVector"], [0.0, -0.1236, 0.9923], "CSA2 {is_csa2}");
        }
    }

    #[test]
    fn names_that_are_not_listed_are_skipped() {
        assert!(read_csa(&header(true, "PatientName", &["1"])).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400), csa2 in any::<bool>()) {
            let _ = read_csa(&bytes);
            let _ = read_csa(&[if csa2 { b"SV10\x04\x03\x02\x01".to_vec() } else { Vec::new() }, vec![1, 0, 0, 0, 77, 0, 0, 0], bytes].concat());
        }

        #[test]
        fn a_header_with_any_byte_changed_is_read_or_refused(at in 0usize..150, value in any::<u8>()) {
            let mut bytes = header(true, "MosaicRefAcqTimes", &["0.0", "75.0"]);
            let at = at % bytes.len();
            bytes[at] = value;
            let _ = read_csa(&bytes);
        }
    }
}
