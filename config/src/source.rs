//! `[source]` of `daemon.toml`: what else than native ZeroMQ may bring volumes, and by which rules.

use crate::{Checked, Complaint, Name};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A second way in. Native ZeroMQ stays open beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourceConfig {
    /// What brings volumes.
    pub kind: SourceKind,
    /// Session of its runs, where `[session]` names none.
    pub session: Name,
    /// Folder that is watched, with everything below it.
    pub folder: Option<PathBuf>,
    /// Address that a Pyneal scanner connects to.
    pub pyneal_bind: String,
    /// Address of AFNI's control channel.
    pub afni_control: String,
    /// Address of AFNI's data channel.
    pub afni_data: String,
    /// Only series whose protocol name or description contains this text; empty takes every BOLD series.
    pub protocol: String,
    /// Take the scanner's motion-corrected series, and not the uncorrected one.
    pub motion_corrected: bool,
    /// Number in the name of a run's first NIfTI file.
    pub first_number: u32,
    /// Repetition time in seconds where NIfTI files do not say it.
    pub tr_s: Option<f64>,
    /// Milliseconds between two looks at the folder where the system does not report changes.
    pub poll_ms: f64,
    /// A file that has not grown for this many seconds and still is not whole is given up.
    pub settle_s: f64,
    /// A later volume waits this many seconds for an earlier one; then the earlier is a gap.
    pub reorder_s: f64,
    /// A run ends when nothing has come for this many seconds.
    pub end_after_s: f64,
    /// A run ends after this many volumes.
    pub expected_volumes: Option<u32>,
    /// BIDS events that every run of this source is told at its start; more may come over ZeroMQ.
    pub events: Option<PathBuf>,
}

/// What brings volumes beside native ZeroMQ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// Nothing.
    None,
    /// DICOM files in a folder.
    DicomFolder,
    /// NIfTI files in a folder.
    NiftiFolder,
    /// A Pyneal scanner's ZeroMQ sender.
    Pyneal,
    /// AFNI's real-time TCP protocol.
    Afni,
}

impl Default for SourceConfig {
    fn default() -> Self {
        Self {
            kind: SourceKind::None,
            session: Name::new("session").expect("seven letters are a name"),
            folder: None,
            pyneal_bind: "tcp://127.0.0.1:5555".into(),
            afni_control: "127.0.0.1:7954".into(),
            afni_data: "127.0.0.1:7953".into(),
            protocol: String::new(),
            motion_corrected: false,
            first_number: 1,
            tr_s: None,
            poll_ms: 10.0,
            settle_s: 3.0,
            reorder_s: 1.0,
            end_after_s: 60.0,
            expected_volumes: None,
            events: None,
        }
    }
}

impl Checked for SourceConfig {
    fn check(&self) -> Result<(), Complaint> {
        let watches = matches!(self.kind, SourceKind::DicomFolder | SourceKind::NiftiFolder);
        Complaint::unless(!watches || self.folder.is_some(), "folder", || "a folder source needs a folder".into())?;
        for (key, value) in [
            ("poll_ms", self.poll_ms),
            ("settle_s", self.settle_s),
            ("end_after_s", self.end_after_s),
            ("tr_s", self.tr_s.unwrap_or(1.0)),
        ] {
            Complaint::unless_positive(key, value)?;
        }
        Complaint::unless_non_negative("reorder_s", self.reorder_s)
    }
}
