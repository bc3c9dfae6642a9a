//! A recorded run once more: the same betas bit for bit, and, on the CPU engine, the same pictures.

mod archive;
mod output;
mod pace;
mod record;
mod replayer;

use crate::journal::{INPUT_FILE, RecordedRun, read_run};
use crate::settings::Prepared;
use mindeye_config::{Clock, DaemonConfig, Failure};
use record::Record;
use replayer::Replayer;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// When each volume is fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ReplaySpeed {
    /// As it arrived.
    Recorded,
    /// As fast as possible.
    Max,
}

/// What each trial gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ReplayDecisions {
    /// What it got then.
    Recorded,
    /// What there is time for now.
    Live,
}

/// A replay to be made.
#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// Folder of the run, or its input journal.
    pub journal: PathBuf,
    /// When each volume is fed.
    pub speed: ReplaySpeed,
    /// What each trial gets.
    pub decisions: ReplayDecisions,
    /// Whether what the deadlines cut is drawn in full now, for the record: pictures that nobody saw live.
    pub archive: bool,
    /// New folder for betas, answers and pictures.
    pub out: PathBuf,
}

/// What was replayed, and how it compares with the record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReplayReport {
    /// Volumes fed.
    pub volumes: usize,
    /// Betas estimated.
    pub betas: usize,
    /// Betas that are in the record with the same bytes.
    pub betas_identical: usize,
    /// Betas that are in the record with other bytes.
    pub betas_different: usize,
    /// Final answers.
    pub trials: usize,
    /// Pictures made.
    pub pictures: usize,
    /// Pictures that are in the record with the same bytes.
    pub pictures_identical: usize,
    /// Pictures that are in the record with other bytes.
    pub pictures_different: usize,
    /// Pictures drawn for the record, without a deadline.
    pub archived: usize,
}

/// Replays a run and writes `betas.npy`, `betas.tsv`, `trials.jsonl`, `pictures/` and `replay.json` into a new folder, and
/// with an archive `archive.jsonl` and its pictures.
///
/// # Errors
/// Status 64 for a journal that does not exist or an `out` that does, 65 for one that cannot be read or a volume that cannot be
/// preprocessed, 1 when nothing can be written.
pub fn replay(
    options: &ReplayOptions,
    prepared: Prepared,
    config: &DaemonConfig,
    clock: Arc<dyn Clock>,
) -> Result<ReplayReport, Failure> {
    if options.out.exists() {
        return Err(Failure::usage(format!("{} exists; a replay is written into a new folder", options.out.display())));
    }
    let recorded = read_recorded(&options.journal)?;
    let record = Record::read(&recorded.dir)?;
    let config = match options.decisions {
        ReplayDecisions::Recorded => {
            record.check_bundle(&prepared.identity.bundle)?;
            &record.apply(config)
        }
        ReplayDecisions::Live => config,
    };
    let mut replayer = Replayer::new(prepared, config, clock, &recorded, record, options)?;
    replayer.feed(&recorded, options.speed)?;
    output::write(&replayer, &options.out)
        .map_err(|error| Failure::other(format!("{}: {error}", options.out.display())))?;
    Ok(replayer.report)
}

/// The run in the folder `journal`, or beside that input journal.
///
/// # Errors
/// Status 64 where there is none, 65 for one that cannot be read.
pub(crate) fn read_recorded(journal: &Path) -> Result<RecordedRun, Failure> {
    let dir = if journal.is_file() { journal.parent().unwrap_or(journal) } else { journal };
    if !dir.join(INPUT_FILE).is_file() {
        return Err(Failure::usage(format!("{} holds no {INPUT_FILE}; name the folder of one run", dir.display())));
    }
    read_run(dir).map_err(Failure::data)
}
