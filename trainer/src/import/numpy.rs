//! Arrays of numpy files whose element type is only known from their header: numbers of any width, and text.

use ndarray::Array2;

/// An array as numbers or as text, flattened in C order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NumpyArray {
    /// Shape.
    pub(super) shape: Vec<usize>,
    /// Elements.
    pub(super) elements: Elements,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Elements {
    /// Floats of 16, 32 or 64 bits, as f32.
    Floats(Vec<f32>),
    /// Integers of any width, as i64.
    Integers(Vec<i64>),
    /// `U` or `S`.
    Text(Vec<String>),
}

const MAGIC: &[u8; 6] = b"\x93NUMPY";

impl NumpyArray {
    /// Parses a `.npy` file of little-endian numbers or text in C order.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let (header, data) = split_header(bytes)?;
        let descr = quoted(header, "descr").ok_or_else(|| format!("no plain `descr` in the header {header}"))?;
        if !header.contains("'fortran_order': False") {
            return Err("must be in C order (fortran_order is not False)".into());
        }
        let shape = shape(header)?;
        let count = shape.iter().product();
        let elements = elements(descr, data, count)?;
        Ok(Self { shape, elements })
    }

    /// f32[rows, columns], all axes after the first as columns.
    pub(super) fn matrix(self) -> Result<Array2<f32>, String> {
        let rows = self.shape.first().copied().unwrap_or(0);
        let columns = self.shape.iter().skip(1).product();
        match self.elements {
            Elements::Floats(values) if rows > 0 && self.shape.len() >= 2 => {
                Array2::from_shape_vec((rows, columns), values).map_err(|e| e.to_string())
            }
            _ => Err(format!("must be floats of two or more axes, found shape {:?}", self.shape)),
        }
    }

    /// Text, or whole numbers as text.
    pub(super) fn names(self) -> Result<Vec<String>, String> {
        match self.elements {
            Elements::Text(text) if self.shape.len() == 1 => Ok(text),
            Elements::Integers(numbers) if self.shape.len() == 1 => Ok(numbers.iter().map(i64::to_string).collect()),
            _ => Err(format!("must be text or whole numbers of one axis, found shape {:?}", self.shape)),
        }
    }
}

fn split_header(bytes: &[u8]) -> Result<(&str, &[u8]), String> {
    let cut = || "the file ends inside its header".to_owned();
    if bytes.get(..6).ok_or_else(cut)? != MAGIC {
        return Err("is no .npy file".into());
    }
    let (start, length) = match bytes.get(6).ok_or_else(cut)? {
        1 => (10, bytes.get(8..10).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]])))),
        _ => (12, bytes.get(8..12).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize)),
    };
    let end = start + length.ok_or_else(cut)?;
    let header = std::str::from_utf8(bytes.get(start..end).ok_or_else(cut)?).map_err(|e| e.to_string())?;
    Ok((header, &bytes[end..]))
}

fn quoted<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = header.split_once(&format!("'{key}':"))?;
    rest.trim_start().strip_prefix('\'')?.split('\'').next()
}

fn shape(header: &str) -> Result<Vec<usize>, String> {
    let inside =
        header.split_once("'shape':").and_then(|(_, rest)| rest.trim_start().strip_prefix('(')?.split(')').next());
    let inside = inside.ok_or_else(|| format!("no `shape` in the header {header}"))?;
    let sizes = inside.split(',').map(str::trim).filter(|size| !size.is_empty());
    sizes.map(|size| size.parse().map_err(|_| format!("shape ({inside}) is no list of sizes"))).collect()
}

fn elements(descr: &str, data: &[u8], count: usize) -> Result<Elements, String> {
    let unsupported =
        || format!("element type `{descr}` is none of float, integer, U and S (an object array is a pickle)");
    let kind = descr.trim_start_matches(['<', '|', '=']);
    if descr.starts_with('>') || !kind.is_char_boundary(1) || kind.is_empty() {
        return Err(unsupported());
    }
    let (letter, width) = kind.split_at(1);
    let width: usize = width.parse().map_err(|_| unsupported())?;
    let bytes = if letter == "U" { 4 * width } else { width };
    if count.checked_mul(bytes) != Some(data.len()) {
        return Err(format!(
            "{count} elements of {bytes} bytes need {} bytes, found {}",
            count.saturating_mul(bytes),
            data.len()
        ));
    }
    let integer = |chunk: &[u8], signed: bool| {
        let mut wide = if signed && chunk[chunk.len() - 1] & 0x80 != 0 { [0xff; 8] } else { [0; 8] };
        wide[..chunk.len()].copy_from_slice(chunk);
        i64::from_le_bytes(wide)
    };
    Ok(match (letter, width) {
        ("f", 2) => {
            Elements::Floats(data.as_chunks().0.iter().map(|b| half::f16::from_le_bytes(*b).to_f32()).collect())
        }
        ("f", 4) => Elements::Floats(data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()),
        ("f", 8) => Elements::Floats(data.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect()),
        ("i" | "u" | "b", 1 | 2 | 4 | 8) => {
            Elements::Integers(data.chunks(width).map(|chunk| integer(chunk, letter == "i")).collect())
        }
        ("U", 1..) => Elements::Text(data.chunks(bytes).map(unicode).collect()),
        ("S", 1..) => Elements::Text(
            data.chunks(bytes).map(|b| String::from_utf8_lossy(b).trim_end_matches('\0').into()).collect(),
        ),
        _ => return Err(unsupported()),
    })
}

/// Four bytes a character, zeros at the end.
fn unicode(bytes: &[u8]) -> String {
    let code_points = bytes.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b));
    code_points.take_while(|c| *c != 0).map(|c| char::from_u32(c).unwrap_or('\u{fffd}')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn numbers_and_text_of_every_width_are_read() {
        let header = |descr: &str, shape: &str| {
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n")
        };
        let text: Vec<u8> = "ab".chars().chain("é\0".chars()).flat_map(|c| (c as u32).to_le_bytes()).collect();
        let cases = [
            (header("<f2", "2,"), vec![0, 0x3c, 0, 0xc0], Elements::Floats(vec![1.0, -2.0])),
            (header("<f8", "1,"), 0.5_f64.to_le_bytes().to_vec(), Elements::Floats(vec![0.5])),
            (header("<i2", "2,"), vec![0xff, 0xff, 5, 0], Elements::Integers(vec![-1, 5])),
            (header("|u1", "2,"), vec![255, 1], Elements::Integers(vec![255, 1])),
            (header("<U2", "2,"), text, Elements::Text(vec!["ab".into(), "é".into()])),
            (header("|S3", "2,"), b"ab\0xyz".to_vec(), Elements::Text(vec!["ab".into(), "xyz".into()])),
        ];
        for (header, data, expected) in cases {
            assert_eq!(NumpyArray::parse(&npy(&header, &data)).unwrap().elements, expected, "{header}");
        }
    }

    #[test]
    fn pickles_wrong_lengths_and_broken_headers_are_refused() {
        let cases = [
            ("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "an object array is a pickle"),
            ("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", "element type `>f4`"),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
                "3 elements of 4 bytes need 12 bytes, found 8",
            ),
            ("{'descr': '<f4', 'fortran_order': True, 'shape': (2,), }", "C order"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (x,), }", "shape (x,) is no list of sizes"),
        ];
        for (header, expected) in cases {
            let message = NumpyArray::parse(&npy(header, &[0; 8])).unwrap_err();
            assert!(message.contains(expected), "{message} should say {expected}");
        }
        assert!(NumpyArray::parse(b"PK").is_err() && NumpyArray::parse(b"\x93NUMPY\x01").is_err());
    }
}
