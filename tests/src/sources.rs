//! Ways in beside native ZeroMQ, each with the configuration that opens it and a scanner that plays it.

use crate::instrument::{Setup, UNHURRIED};
use crate::programs::{Finished, daemon, run};
use mindeye_daemon::journal::{InputContent, RecordedRun, read_run};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One way in.
#[derive(Debug, Clone)]
pub struct Way {
    /// `source.kind`.
    pub kind: &'static str,
    /// Word of `scanner --emit`.
    pub emit: &'static str,
    /// Lines of `[source]` beside the kind.
    lines: String,
    /// Flags of the scanner.
    flags: Vec<String>,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// Folder below `room` that a scanner exports into; made when asked for.
///
/// # Panics
/// If it cannot be made.
#[must_use]
pub fn export(room: &Path) -> PathBuf {
    let folder = room.join("export");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// Every way that a scanner can be played.
#[must_use]
pub fn ways(room: &Path) -> Vec<Way> {
    let folder = export(room).to_string_lossy().into_owned();
    let files = |emit: &'static str| Way {
        kind: "dicom-folder",
        emit,
        lines: format!("folder = {folder:?}\n"),
        flags: vec!["--connect".into(), folder.clone()],
    };
    let pyneal = format!("tcp://127.0.0.1:{}", free_port());
    let (control, data) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
    vec![
        files("dicom-mosaic"),
        files("dicom-xa"),
        Way {
            kind: "pyneal",
            emit: "pyneal",
            lines: format!("pyneal_bind = {pyneal:?}\n"),
            flags: vec!["--connect".into(), pyneal],
        },
        Way {
            kind: "afni",
            emit: "afni",
            lines: format!("afni_control = {control:?}\nafni_data = {data:?}\n"),
            flags: vec!["--connect".into(), control, "--afni-data".into(), data],
        },
    ]
}

impl Way {
    /// A daemon with this way open; `more` lines go to `[source]`.
    #[must_use]
    pub fn setup(&self, room: &Path, more: &str) -> Setup {
        let config = format!("{UNHURRIED}[source]\nkind = {:?}\n{}{more}", self.kind, self.lines);
        Setup { config, ..Setup::new(room) }
    }

    /// `scanner` on the phantom of two trials, as fast as `speed`.
    #[must_use]
    pub fn scanner(&self, speed: &str) -> Command {
        let mut command = daemon("scanner");
        command.args(["--emit", self.emit, "--phantom", "--trials", "2", "--speed", speed]).args(&self.flags);
        command
    }

    /// Plays the phantom to its end.
    ///
    /// # Panics
    /// If the scanner fails.
    pub fn play(&self, more: &[&str]) -> Finished {
        let played = run(self.scanner("50").args(more));
        assert_eq!(played.status, Some(0), "{}: {}", self.emit, played.stderr);
        played
    }
}

/// Folders of the runs of the session `session`, in order of their beginning.
///
/// # Panics
/// If the journal cannot be read.
#[must_use]
pub fn runs(journal: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(journal.join("session")) else { return Vec::new() };
    let mut dated: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .map(|path| (path.join("input.journal").metadata().and_then(|file| file.created()).ok(), path))
        .collect();
    dated.sort();
    dated.into_iter().map(|(_, path)| path).collect()
}

/// Reads the run in `dir`.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn recorded(dir: &Path) -> RecordedRun {
    read_run(dir).expect("a run")
}

/// Index, stamp and voxels of each volume, in order of arrival.
#[must_use]
pub fn volumes(run: &RecordedRun) -> Vec<(u32, Option<f64>, &[u8])> {
    let mut volumes = Vec::new();
    for (record, voxels) in &run.records {
        if let InputContent::Volume(header) = &record.content {
            volumes.push((header.index, header.acquired_s, voxels.as_slice()));
        }
    }
    volumes
}

/// Waits until the newest of `count` runs has ended, and returns it.
///
/// # Panics
/// If that does not happen.
#[must_use]
pub fn ended_run(journal: &Path, count: usize) -> RecordedRun {
    crate::eventually("the end of a run", || {
        let runs = runs(journal);
        let newest = runs.last().filter(|_| runs.len() >= count)?;
        read_run(newest).ok().filter(RecordedRun::has_ended)
    })
}
