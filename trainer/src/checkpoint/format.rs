//! safetensors, written tensor by tensor: a model of four gigabytes is never twice in memory.

use super::mapped::Mapped;
use crate::TrainError;
use safetensors::tensor::{Dtype, TensorView};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Numbers of one tensor, handed over in blocks of little-endian bytes.
pub trait Numbers {
    /// Type.
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
    /// Shape.
    fn shape(&self) -> Vec<usize>;
    /// Calls `take` with all bytes in order.
    ///
    /// # Errors
    /// What `take` says.
    fn each_block(&self, take: &mut dyn FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()>;
}

/// Numbers in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Shape.
    pub shape: Vec<usize>,
    /// The numbers, last axis fastest.
    pub values: Vec<f32>,
}

impl Numbers for Stored {
    fn shape(&self) -> Vec<usize> {
        self.shape.clone()
    }

    fn each_block(&self, take: &mut dyn FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
        let bytes: Vec<u8> = self.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        take(&bytes)
    }
}

/// One entry of a header.
#[derive(Serialize)]
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

/// Writes `tensors` in their order, with these text entries in the header.
///
/// # Errors
/// [`TrainError::Unwritable`], also when the disk is full.
pub fn write_safetensors(
    path: &Path,
    tensors: &[(String, &dyn Numbers)],
    metadata: &BTreeMap<String, String>,
) -> Result<(), TrainError> {
    write(path, tensors, metadata).map_err(TrainError::unwritable(path))
}

/// The same with the system's own error. Equal tensors and entries give equal bytes.
pub(crate) fn write(
    path: &Path,
    tensors: &[(String, &dyn Numbers)],
    metadata: &BTreeMap<String, String>,
) -> std::io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let header = header(tensors, metadata)?;
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(&header)?;
    for (_, tensor) in tensors {
        tensor.each_block(&mut |bytes| file.write_all(bytes))?;
    }
    file.flush()
}

/// The header as JSON, filled up with spaces so that the numbers begin at a multiple of eight.
fn header(tensors: &[(String, &dyn Numbers)], metadata: &BTreeMap<String, String>) -> std::io::Result<Vec<u8>> {
    let mut entries = serde_json::Map::new();
    if !metadata.is_empty() {
        entries.insert("__metadata__".into(), serde_json::to_value(metadata)?);
    }
    let mut start = 0;
    for (name, tensor) in tensors {
        let shape = tensor.shape();
        let dtype = tensor.dtype();
        let end = start + dtype.bitsize() / 8 * shape.iter().product::<usize>();
        let entry = Entry { dtype, shape, data_offsets: [start, end] };
        entries.insert(name.clone(), serde_json::to_value(entry)?);
        start = end;
    }
    let mut text = serde_json::to_vec(&entries)?;
    text.resize(text.len().next_multiple_of(8), b' ');
    Ok(text)
}

/// Reads the file at `path`: `take` is called with the canonical name and the view of each tensor; the header's text
/// entries come back.
///
/// # Errors
/// [`TrainError::NoSuchFile`], [`TrainError::Pickle`], [`TrainError::Malformed`], or what `take` says.
pub fn read_safetensors(
    path: &Path,
    mut take: impl FnMut(String, TensorView<'_>) -> Result<(), TrainError>,
) -> Result<HashMap<String, String>, TrainError> {
    let file = Mapped::open(path).map_err(|unopened| TrainError::unopened(path, unopened))?;
    for (name, view) in file.tensors().iter() {
        if !matches!(view.dtype(), Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            let problem = format!("`{name}`: only F32, F16 and BF16 are read, found {:?}", view.dtype());
            return Err(TrainError::malformed(path, problem));
        }
        take(canonical(name), view)?;
    }
    Ok(file.metadata())
}

/// Today's name of a stored tensor: without the `module.` of distributed training, with attention projections as
/// diffusers calls them now.
fn canonical(stored: &str) -> String {
    let key = stored.strip_prefix("module.").unwrap_or(stored);
    let renamed = [("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")];
    for (old, new) in renamed {
        for end in [".weight", ".bias"] {
            if let Some(start) = key.strip_suffix(&format!(".{old}{end}"))
                && start.contains("attentions.")
            {
                return format!("{start}.{new}{end}");
            }
        }
    }
    key.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::SafeTensors;

    #[test]
    fn what_was_written_is_what_another_reader_finds() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("x.safetensors");
        let (a, b) =
            (Stored { shape: vec![2, 1], values: vec![1.5, -2.0] }, Stored { shape: vec![], values: vec![7.0] });
        let tensors: Vec<(String, &dyn Numbers)> = vec![("z".into(), &a), ("a".into(), &b)];
        write_safetensors(&path, &tensors, &[("step".to_owned(), "3".to_owned())].into()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(file.tensor("z").unwrap().shape(), [2, 1]);
        assert_eq!(file.tensor("z").unwrap().data(), [1.5_f32.to_le_bytes(), (-2.0_f32).to_le_bytes()].concat());
        assert_eq!(file.tensor("a").unwrap().data(), 7.0_f32.to_le_bytes());
        let mut names = Vec::new();
        let metadata = read_safetensors(&path, |name, _| {
            names.push(name);
            Ok(())
        });
        assert_eq!(metadata.unwrap()["step"], "3");
        names.sort();
        assert_eq!(names, ["a", "z"]);
    }

    #[test]
    fn pickles_and_damaged_files_are_refused_by_name() {
        let home = tempfile::tempdir().unwrap();
        let cases: [(&str, &[u8], &str); 4] = [
            ("last.pth", b"", "convert it offline"),
            ("renamed.safetensors", b"PK\x03\x04....", "convert it offline"),
            ("short.safetensors", b"abc", "not a whole safetensors file"),
            ("none.safetensors", b"", "no such file"),
        ];
        for (name, bytes, expected) in cases {
            let path = home.path().join(name);
            if name != "none.safetensors" {
                std::fs::write(&path, bytes).unwrap();
            }
            let error = read_safetensors(&path, |_, _| Ok(())).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn older_names_become_todays() {
        let cases = [
            ("module.voxel2clip.lin0.0.weight", "voxel2clip.lin0.0.weight"),
            ("upsampler.mid_block.attentions.0.query.weight", "upsampler.mid_block.attentions.0.to_q.weight"),
            ("upsampler.mid_block.attentions.0.proj_attn.bias", "upsampler.mid_block.attentions.0.to_out.0.bias"),
            ("encoder.key.weight", "encoder.key.weight"),
        ];
        for (stored, expected) in cases {
            assert_eq!(canonical(stored), expected);
        }
    }
}
