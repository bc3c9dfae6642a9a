//! Derivative folders of `mindeye-preprocess run`: one run each, betas by trial, what was shown from the events table.

use super::recorded::{assumed, name};
use super::{ImportError, Recorded, RecordedTrial};
use crate::training_folder::{NpyMap, Provenance, TrialsUsed};
use mindeye_config::{Estimator, sha256_of_file};
use mindeye_preprocess::bids::{Row, Table, event_rows};
use ndarray::{Array2, Axis, concatenate};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What an import needs of `betas.json`.
#[derive(Deserialize)]
struct Sidecar {
    unit: String,
    estimator: Estimator,
    inputs: Vec<InputFile>,
}

#[derive(Deserialize)]
struct InputFile {
    role: String,
    name: String,
    sha256: String,
}

struct Run {
    sidecar: Sidecar,
    betas: Array2<f32>,
    trials: Vec<RecordedTrial>,
    notes: Vec<String>,
}

pub(super) fn read(source: &[PathBuf], events: &[PathBuf]) -> Result<Recorded, ImportError> {
    if !events.is_empty() && events.len() != source.len() {
        let problem = format!("{} events tables for {} sources", events.len(), source.len());
        return Err(ImportError::format(&source[0], problem));
    }
    let runs = source.iter().enumerate().map(|(at, folder)| {
        let events = events.get(at).cloned().unwrap_or_else(|| folder.join("events.tsv"));
        read_run(folder, &events)
    });
    let runs = runs.collect::<Result<Vec<Run>, _>>()?;
    let first = &runs[0];
    for (run, folder) in runs.iter().zip(source) {
        require_alike(first, run, folder)?;
    }
    let voxels = concatenate(Axis(0), &runs.iter().map(|run| run.betas.view()).collect::<Vec<_>>())
        .map_err(|e| ImportError::format(&source[0], e))?;
    let provenance = Provenance {
        split: "source".into(),
        normalised_with: TrialsUsed::None,
        notes: runs.iter().flat_map(|run| run.notes.clone()).collect(),
        ..Provenance::default()
    };
    Ok(Recorded {
        voxels,
        beta_unit: first.sidecar.unit.clone(),
        estimator: Some(first.sidecar.estimator.clone()),
        trials: runs.iter().flat_map(|run| run.trials.clone()).collect(),
        pictures: Vec::new(),
        files: Vec::new(),
        provenance,
    })
}

/// One model is trained on betas of one kind.
fn require_alike(first: &Run, run: &Run, folder: &Path) -> Result<(), ImportError> {
    let (here, there) = (run.betas.ncols(), first.betas.ncols());
    if here != there {
        return Err(ImportError::format(folder, format!("has {here} voxels, the first source {there}")));
    }
    run.sidecar
        .estimator
        .agrees_with(&first.sidecar.estimator)
        .map_err(|mismatch| ImportError::format(folder, format!("and the first source differ: {mismatch}")))?;
    let (here, there) = (mask_of(&run.sidecar), mask_of(&first.sidecar));
    if here != there {
        return Err(ImportError::format(
            folder,
            format!("was made with mask {here:?}, the first source with {there:?}"),
        ));
    }
    Ok(())
}

fn mask_of(sidecar: &Sidecar) -> Option<&str> {
    sidecar.inputs.iter().find(|file| file.role == "mask").map(|file| file.sha256.as_str())
}

fn read_run(folder: &Path, events: &Path) -> Result<Run, ImportError> {
    let sidecar = read_sidecar(&folder.join("betas.json"))?;
    require_same_events(&sidecar, events)?;
    let betas = NpyMap::open(&folder.join("betas.npy"))?;
    let numbers = trial_numbers(&folder.join("betas.tsv"))?;
    if betas.shape()[0] != numbers.len() {
        let problem = format!("has {} trials, betas.npy has {:?}", numbers.len(), betas.shape());
        return Err(ImportError::format(&folder.join("betas.tsv"), problem));
    }
    let shown = shown(events)?;
    let (session, run, note) = names(folder, &sidecar)?;
    let trial = |number: &u32| {
        let image = shown.get(number);
        let image =
            image.ok_or_else(|| ImportError::format(events, format!("has no trial {number}, betas.tsv has")))?;
        let (image, session, run) = (name("image", image)?, session.clone(), run.clone());
        Ok(RecordedTrial { trial: *number, image, split: None, session, run })
    };
    let trials = numbers.iter().map(trial).collect::<Result<_, ImportError>>()?;
    Ok(Run { betas: betas.view().to_owned(), sidecar, trials, notes: note.into_iter().collect() })
}

fn read_sidecar(path: &Path) -> Result<Sidecar, ImportError> {
    ImportError::require(path, "a source is a folder that `mindeye-preprocess run` made")?;
    let text = std::fs::read_to_string(path).map_err(ImportError::file(path))?;
    serde_json::from_str(&text).map_err(|e| ImportError::format(path, e))
}

/// The events that the betas were made with, and no others.
fn require_same_events(sidecar: &Sidecar, events: &Path) -> Result<(), ImportError> {
    ImportError::require(events, "betas alone do not say what was shown; name the run's table with --events")?;
    let Some(used) = sidecar.inputs.iter().find(|file| file.role == "events") else { return Ok(()) };
    let found = sha256_of_file(events).map_err(ImportError::file(events))?;
    if found.0 == used.sha256 {
        return Ok(());
    }
    let problem = format!("sha256 {}, the betas were made with {} of sha256 {}", found.short(), used.name, used.sha256);
    Err(ImportError::format(events, problem))
}

fn trial_numbers(path: &Path) -> Result<Vec<u32>, ImportError> {
    let table = Table::read(path)?;
    let number =
        |row: Row<'_>| Ok(row.whole("trial")?.ok_or_else(|| row.wrong("trial", "is missing or empty".into()))?);
    table.rows().map(number).collect()
}

/// Image of each trial: `image`, else the stem of `stim_file`, else `trial_type`.
fn shown(events: &Path) -> Result<BTreeMap<u32, String>, ImportError> {
    let table = Table::read(events)?;
    let mut shown = BTreeMap::new();
    for event in event_rows(&table)? {
        let row = event.row;
        let stem = |file: &str| Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let image = row.cell("image").map(str::to_owned);
        let image =
            image.or_else(|| row.cell("stim_file").map(stem)).or_else(|| row.cell("trial_type").map(str::to_owned));
        let image =
            image.ok_or_else(|| row.wrong("image", "is missing, and so are stim_file and trial_type".into()))?;
        shown.insert(event.event.trial, image);
    }
    Ok(shown)
}

/// Session and run out of the bold file's BIDS entities; else the folder's name, with a note.
fn names(
    folder: &Path,
    sidecar: &Sidecar,
) -> Result<(mindeye_config::Name, mindeye_config::Name, Option<String>), ImportError> {
    let bold = sidecar.inputs.iter().find(|file| file.role == "bold").map_or("", |file| file.name.as_str());
    let entity = |key: &str| bold.split('_').find_map(|part| part.strip_prefix(key)).map(str::to_owned);
    let own = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (session, run) = (entity("ses-"), entity("run-"));
    let note = (session.is_none() || run.is_none()).then(|| {
        assumed(folder, "the bold file's name lacks ses- or run-: `1` and the folder's name take their place")
    });
    Ok((name("session", &session.unwrap_or("1".into()))?, name("run", &run.unwrap_or(own))?, note))
}
