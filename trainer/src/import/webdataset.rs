//! MindEye's webdataset: tar shards with, for each image, `<key>.nsdgeneral.npy` [3, V], `<key>.jpg`, `<key>.coco73k.npy`.
//!
//! Missing repeats are padded there by duplicates (issue 38 of the release): a row that is bit for bit another row of the
//! same image is dropped. The betas are already z-scored, session by session over all trials (issue 33), so that test
//! trials were seen; the provenance says so, and the leakage check refuses them unless allowed.

use super::arguments::file_name;
use super::numpy::{Elements, NumpyArray};
use super::recorded::name;
use super::{ImportError, Recorded, RecordedTrial};
use crate::dataset_write::PictureSource;
use crate::training_folder::{Provenance, Split, TrialsUsed};
use ndarray::Array2;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What is used of one sample.
#[derive(Default)]
struct Sample {
    voxels: Option<NumpyArray>,
    picture: Option<(Vec<u8>, &'static str)>,
    coco: Option<i64>,
}

pub(super) fn read(source: &[PathBuf]) -> Result<Recorded, ImportError> {
    let (mut trials, mut rows, mut pictures) = (Vec::new(), Vec::new(), Vec::new());
    let mut voxels = None;
    let mut notes = Vec::new();
    for shard in source {
        let part = part_of(shard)?;
        let session = file_name(shard).trim_end_matches(".tar").to_owned();
        let mut dropped = 0;
        for (key, sample) in samples(shard)? {
            let about = |problem: String| ImportError::format(shard, format!("sample `{key}`: {problem}"));
            let image = sample.coco.map_or_else(|| key.clone(), |id| format!("nsd-{:05}", id + 1));
            let image = name("image", &image)?;
            let betas = sample.voxels.ok_or_else(|| about("has no `nsdgeneral.npy`".into()))?;
            let betas = betas.matrix().map_err(|e| about(format!("`nsdgeneral.npy` {e}")))?;
            let expected = *voxels.get_or_insert(betas.ncols());
            if betas.ncols() != expected {
                return Err(about(format!("has {} voxels, the first sample {expected}", betas.ncols())));
            }
            let repeats = distinct_rows(&betas);
            dropped += betas.nrows() - repeats.len();
            for row in repeats {
                rows.extend(betas.row(row).iter().copied());
                trials.push((image.clone(), part, session.clone()));
            }
            if let Some((bytes, extension)) = sample.picture {
                pictures.push((image.to_string(), PictureSource::Bytes { bytes, extension }));
            }
        }
        if dropped > 0 {
            notes.push(format!("{}: {dropped} padded repeats dropped", file_name(shard)));
        }
    }
    let Some(width) = voxels else {
        return Err(ImportError::format(&source[0], "has no sample"));
    };
    let count = trials.len();
    let named = |(at, (image, part, session)): (usize, (_, Split, String))| {
        let (session, run) = (name("session", &session)?, name("run", "1")?);
        Ok(RecordedTrial { trial: at as u32, image, split: Some(part), session, run })
    };
    pictures.sort_by(|a, b| a.0.cmp(&b.0));
    pictures.dedup_by(|a, b| a.0 == b.0);
    notes.push("shards do not tell session and run: the shard's name and `1` take their place".into());
    Ok(Recorded {
        trials: trials.into_iter().enumerate().map(named).collect::<Result<_, ImportError>>()?,
        voxels: Array2::from_shape_vec((count, width), rows).expect("every row has the first sample's voxels"),
        beta_unit: "z-score per session".into(),
        estimator: None,
        pictures,
        files: Vec::new(),
        provenance: Provenance {
            split: "source".into(),
            normalised_with: TrialsUsed::All,
            notes,
            ..Provenance::default()
        },
    })
}

/// `train`, `val` and `test` in the path of a shard; the release merges `val` into training (spec: MindEye section 3.5).
fn part_of(shard: &Path) -> Result<Split, ImportError> {
    let parent = shard.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    let words = format!("{parent}/{}", file_name(shard));
    if words.contains("test") {
        return Ok(Split::Test);
    }
    if words.contains("train") || words.contains("val") {
        return Ok(Split::Train);
    }
    Err(ImportError::format(shard, "neither the shard nor its folder is named after train, val or test"))
}

fn samples(shard: &Path) -> Result<BTreeMap<String, Sample>, ImportError> {
    let file = std::fs::File::open(shard).map_err(ImportError::file(shard))?;
    let mut archive = tar::Archive::new(std::io::BufReader::new(file));
    let mut samples = BTreeMap::<String, Sample>::new();
    for entry in archive.entries().map_err(ImportError::file(shard))? {
        let mut entry = entry.map_err(ImportError::file(shard))?;
        let member = entry.path().map_err(ImportError::file(shard))?.to_string_lossy().into_owned();
        let member = member.rsplit('/').next().unwrap_or_default();
        let Some((key, kind)) = member.split_once('.') else { continue };
        let wanted = matches!(kind, "nsdgeneral.npy" | "coco73k.npy" | "jpg" | "png");
        if !wanted {
            continue;
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(ImportError::file(shard))?;
        let sample = samples.entry(key.to_owned()).or_default();
        let about = |e: String| ImportError::format(shard, format!("`{member}` {e}"));
        match kind {
            "nsdgeneral.npy" => sample.voxels = Some(NumpyArray::parse(&bytes).map_err(about)?),
            "coco73k.npy" => sample.coco = Some(one_number(&bytes).map_err(about)?),
            "png" => sample.picture = Some((bytes, "png")),
            _ => sample.picture = Some((bytes, "jpg")),
        }
    }
    Ok(samples)
}

fn one_number(bytes: &[u8]) -> Result<i64, String> {
    match NumpyArray::parse(bytes)?.elements {
        Elements::Integers(numbers) if numbers.len() == 1 && numbers[0] >= 0 => Ok(numbers[0]),
        Elements::Floats(numbers) if numbers.len() == 1 && numbers[0] >= 0.0 && numbers[0].fract() == 0.0 => {
            Ok(numbers[0] as i64)
        }
        other => Err(format!("must be one number from 0, found {other:?}")),
    }
}

/// The first of each group of equal rows.
fn distinct_rows(betas: &Array2<f32>) -> Vec<usize> {
    (0..betas.nrows()).filter(|row| (0..*row).all(|before| betas.row(before) != betas.row(*row))).collect()
}
