//! What came in: every accepted message with its order, its arrival and its bytes as received.

use super::file::{JournalError, read_records};
use super::record::{Record, encode_record};
use super::{INPUT_FILE, run_dir};
use crate::protocol::{EventMessage, RunEnd, RunStart, VolumeHeader};
use mindeye_config::{Moment, Name};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// One accepted message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputRecord {
    /// Order in which it was accepted; a record saved late keeps its place.
    pub sequence: u64,
    /// Arrival of its last byte on this machine's monotonic clock.
    pub arrived: Moment,
    /// The same instant as Unix time, seconds.
    pub arrived_unix_s: f64,
    /// The message.
    pub content: InputContent,
}

/// What a record holds. Voxels lie in the record's body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputContent {
    /// The run was opened.
    RunStart(Box<RunStart>),
    /// A volume.
    Volume(VolumeHeader),
    /// A trial was told or corrected.
    Event(EventMessage),
    /// The run was closed.
    RunEnd(RunEnd),
    /// An operator's command.
    Command(String),
}

const INPUT_KIND: u8 = 1;

impl InputRecord {
    /// Appends the record with `voxels` to `out`.
    pub fn encode(&self, voxels: &[u8], out: &mut Vec<u8>) {
        let header = serde_json::to_vec(self).expect("names, finite numbers and strings serialise");
        encode_record(INPUT_KIND, &header, voxels, out);
    }
}

/// A run as its input journal has it.
#[derive(Debug, Clone)]
pub struct RecordedRun {
    /// The run's folder.
    pub dir: PathBuf,
    /// How the run was opened.
    pub start: RunStart,
    /// Everything accepted, in order, with voxels.
    pub records: Vec<(InputRecord, Vec<u8>)>,
}

impl RecordedRun {
    /// Whether the run was closed.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.records.iter().any(|(record, _)| matches!(record.content, InputContent::RunEnd(_)))
    }
}

/// Reads the input journal in `dir`.
///
/// # Errors
/// [`JournalError`] naming the file and the record.
pub fn read_run(dir: &Path) -> Result<RecordedRun, JournalError> {
    let path = dir.join(INPUT_FILE);
    let (raw, _) = read_records(&path)?;
    let mut records = raw.into_iter().enumerate().map(|(i, r)| decode(&path, i, r)).collect::<Result<Vec<_>, _>>()?;
    records.sort_by_key(|(record, _)| record.sequence);
    let start = records.iter().find_map(|(record, _)| match &record.content {
        InputContent::RunStart(start) => Some(start.as_ref().clone()),
        _ => None,
    });
    let start = start.ok_or(JournalError::Empty { path })?;
    Ok(RecordedRun { dir: dir.to_path_buf(), start, records })
}

fn decode(path: &Path, number: usize, record: Record) -> Result<(InputRecord, Vec<u8>), JournalError> {
    let unreadable = |message: String| JournalError::Unreadable { path: path.to_path_buf(), record: number, message };
    if record.kind != INPUT_KIND {
        return Err(unreadable(format!("kind {} is not an input record ({INPUT_KIND})", record.kind)));
    }
    let header = serde_json::from_slice(&record.header).map_err(|error| unreadable(error.to_string()))?;
    Ok((header, record.body))
}

/// The run under `journal` that was written to last and never closed: the one that a crash interrupted.
///
/// # Errors
/// [`JournalError`] when folders or that run's journal cannot be read.
pub fn find_open_run(journal: &Path) -> Result<Option<RecordedRun>, JournalError> {
    let mut candidates = Vec::new();
    for session in names_in(journal)? {
        for run in names_in(&journal.join(session.as_str()))? {
            let dir = run_dir(journal, &session, &run);
            if let Ok(modified) = std::fs::metadata(dir.join(INPUT_FILE)).and_then(|m| m.modified()) {
                candidates.push((modified, dir));
            }
        }
    }
    let Some((_, newest)) = candidates.into_iter().max() else { return Ok(None) };
    match read_run(&newest) {
        Ok(run) if !run.has_ended() => Ok(Some(run)),
        Ok(_) | Err(JournalError::Empty { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn names_in(dir: &Path) -> Result<Vec<Name>, JournalError> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(dir).map_err(JournalError::io(dir))?;
    let names = entries.flatten().filter_map(|entry| Name::new(entry.file_name().to_str()?).ok());
    Ok(names.collect())
}
