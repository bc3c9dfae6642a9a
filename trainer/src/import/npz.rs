//! One numpy archive: `voxels` float [trials, voxels], `image`, `session`, `run` text or whole numbers, optional `split`
//! text and `trial` whole numbers.

use super::numpy::{Elements, NumpyArray};
use super::recorded::{assumed, name, unknown_provenance};
use super::{ImportError, Recorded, RecordedTrial};
use crate::training_folder::Split;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

const KEYS: [&str; 6] = ["voxels", "image", "session", "run", "split", "trial"];

pub(super) fn read(source: &[PathBuf]) -> Result<Recorded, ImportError> {
    let [path] = source else {
        return Err(ImportError::format(&source[1], "npz takes one --source, found more"));
    };
    let mut arrays = arrays(path)?;
    let mut take = |key: &str| arrays.remove(key);
    let missing =
        |key: &str| ImportError::format(path, format!("has no array `{key}`; needs voxels, image, session, run"));
    let about = |key: &str, problem: String| ImportError::format(path, format!("`{key}` {problem}"));
    let voxels = take("voxels").ok_or_else(|| missing("voxels"))?.matrix().map_err(|e| about("voxels", e))?;
    let mut column = |key: &str| -> Result<Option<Vec<String>>, ImportError> {
        let Some(array) = take(key) else { return Ok(None) };
        let names = array.names().map_err(|e| about(key, e))?;
        if names.len() == voxels.nrows() {
            return Ok(Some(names));
        }
        Err(about(key, format!("has {} elements, `voxels` has {} trials", names.len(), voxels.nrows())))
    };
    let image = column("image")?.ok_or_else(|| missing("image"))?;
    let session = column("session")?.ok_or_else(|| missing("session"))?;
    let run = column("run")?.ok_or_else(|| missing("run"))?;
    let (split, number) = (column("split")?, column("trial")?);
    let mut notes = Vec::new();
    if number.is_none() {
        notes.push(assumed(path, "no `trial`: trials are numbered by their row"));
    }
    let trial = |row: usize| -> Result<RecordedTrial, ImportError> {
        let number = number.as_ref().map_or(Ok(row as u32), |n| n[row].parse());
        Ok(RecordedTrial {
            trial: number.map_err(|_| about("trial", format!("row {row} is no whole number from 0")))?,
            image: name("image", &image[row])?,
            split: split.as_ref().map(|split| part(path, &split[row])).transpose()?,
            session: name("session", &session[row])?,
            run: name("run", &run[row])?,
        })
    };
    let trials = (0..voxels.nrows()).map(trial).collect::<Result<_, _>>()?;
    let provenance = unknown_provenance(notes);
    let (pictures, files) = (Vec::new(), Vec::new());
    Ok(Recorded { trials, voxels, beta_unit: "unknown".into(), estimator: None, pictures, files, provenance })
}

fn part(path: &Path, word: &str) -> Result<Split, ImportError> {
    let wrong = || ImportError::format(path, format!("`split` must be train, validation or test, found `{word}`"));
    Split::named(word).ok_or_else(wrong)
}

/// The arrays of the archive; one under another name is an error, since it may be a misspelt one.
fn arrays(path: &Path) -> Result<BTreeMap<String, NumpyArray>, ImportError> {
    let file = std::fs::File::open(path).map_err(ImportError::file(path))?;
    let mut archive =
        zip::ZipArchive::new(file).map_err(|e| ImportError::format(path, format!("is no npz archive: {e}")))?;
    let mut arrays = BTreeMap::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|e| ImportError::format(path, e))?;
        let key = entry.name().trim_end_matches(".npy").to_owned();
        if !KEYS.contains(&key.as_str()) {
            return Err(ImportError::format(path, format!("has an array `{key}`; known are {KEYS:?}")));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(ImportError::file(path))?;
        let array = NumpyArray::parse(&bytes).map_err(|e| ImportError::format(path, format!("`{key}` {e}")))?;
        if matches!((&array.elements, key.as_str()), (Elements::Text(_) | Elements::Integers(_), "voxels")) {
            return Err(ImportError::format(path, "`voxels` must be floats"));
        }
        arrays.insert(key, array);
    }
    Ok(arrays)
}
