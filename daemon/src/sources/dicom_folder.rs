//! DICOM files that a scanner exports into a folder: the next series that passes the rules is the next run.
//!
//! A series is live when one of its files arrives while we watch; its earlier files, left from before a restart of this program,
//! are then taken as well. The index of a volume is its instance number, never its file's name.

use super::assembler::{Assembler, RunRules};
use super::dicom::{DicomError, DicomVolume, ImageKind, Series, read_dicom};
use super::event::{IgnoreReason, Ignored, RunPlan, SourceEvent, SourceVolume, VolumeSource};
use super::veiled_name;
use super::watch::{FolderWatch, WatchRules};
use mindeye_config::{Clock, Name, SourceConfig};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Bytes of header beside the voxels, at most: Siemens writes 0.2 MB.
const MAX_HEADER_BYTES: u64 = 16 << 20;

/// Which series are taken.
#[derive(Debug, Clone)]
pub struct SeriesRules {
    /// Part of the protocol's name or the series' description, lower case; empty takes any.
    pub protocol: String,
    /// Whether the scanner's motion-corrected series is wanted, and not the uncorrected one.
    pub motion_corrected: bool,
}

impl SeriesRules {
    /// The rules of `config`.
    #[must_use]
    pub fn new(config: &SourceConfig) -> Self {
        Self { protocol: config.protocol.to_lowercase(), motion_corrected: config.motion_corrected }
    }

    /// Whether a series is taken.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(&self, series: &Series) -> Result<(), Ignored> {
        let refuse = |reason, explanation: &str| Err(Ignored::new(reason, explanation));
        match series.kind {
            ImageKind::Phase => refuse(IgnoreReason::Phase, "a phase, real or imaginary picture"),
            ImageKind::SingleBandReference => refuse(IgnoreReason::Reference, "a single-band reference"),
            ImageKind::MotionCorrected if !self.motion_corrected => {
                refuse(IgnoreReason::MotionCorrection, "corrected by the scanner; source.motion_corrected is false")
            }
            ImageKind::Magnitude if self.motion_corrected => {
                refuse(IgnoreReason::MotionCorrection, "not corrected by the scanner; source.motion_corrected is true")
            }
            _ if !series.words.contains(&self.protocol) => {
                refuse(IgnoreReason::Protocol, "a series whose names do not contain source.protocol")
            }
            _ => Ok(()),
        }
    }
}

/// The source.
pub struct DicomFolder {
    watch: FolderWatch,
    rules: SeriesRules,
    session: Name,
    max_file_bytes: u64,
    assembler: Assembler,
    /// Series of the open run.
    series: Option<Series>,
    past: HashSet<String>,
}

impl DicomFolder {
    /// Watches `folder` for volumes of at most `max_volume_bytes`.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn new(
        folder: &Path,
        session: Name,
        clock: Arc<dyn Clock>,
        max_volume_bytes: u64,
        (watch, series, runs): (WatchRules, SeriesRules, RunRules),
    ) -> std::io::Result<Self> {
        Ok(Self {
            watch: FolderWatch::new(folder, clock.clone(), watch)?,
            rules: series,
            session,
            max_file_bytes: max_volume_bytes + MAX_HEADER_BYTES,
            assembler: Assembler::new(clock, runs),
            series: None,
            past: HashSet::new(),
        })
    }

    fn try_file(&mut self, path: &Path) {
        let read = self.read(path);
        if read != Err(Trouble::Incomplete) {
            self.watch.finished(path);
        }
        match read {
            Ok(volume) => self.admit(*volume, path),
            Err(Trouble::Incomplete) => {}
            Err(Trouble::Ignored(ignored)) => self.assembler.ignore(ignored),
        }
    }

    fn read(&self, path: &Path) -> Result<Box<DicomVolume>, Trouble> {
        let unreadable = |_| Trouble::Ignored(Ignored::new(IgnoreReason::Unreadable, "a file cannot be read"));
        let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
        if bytes > self.max_file_bytes {
            let explanation = format!("a file has {bytes} bytes, at most {} are read", self.max_file_bytes);
            return Err(Trouble::Ignored(Ignored::new(IgnoreReason::TooLarge, explanation)));
        }
        let bytes = std::fs::read(path).map_err(unreadable)?;
        read_dicom(&bytes).map(Box::new).map_err(Trouble::from)
    }

    fn admit(&mut self, volume: DicomVolume, path: &Path) {
        if let Err(ignored) = self.rules.judge(&volume.series) {
            return self.assembler.ignore(ignored);
        }
        if self.past.contains(&volume.series.uid) {
            let explanation = "a volume of a series that has ended";
            return self.assembler.ignore(Ignored::new(IgnoreReason::Duplicate, explanation));
        }
        if self.series.as_ref().is_none_or(|series| series.uid != volume.series.uid) {
            self.begin(&volume, path);
        }
        self.add(volume);
    }

    /// A volume of a new series: the run before is over.
    fn begin(&mut self, volume: &DicomVolume, path: &Path) {
        self.past.extend(self.series.replace(volume.series.clone()).map(|series| series.uid));
        self.assembler.begin();
        if volume.index > 0 {
            self.earlier_volumes(volume, path).into_iter().for_each(|earlier| self.add(earlier));
        }
    }

    /// Volumes of this series before `volume` that lie in the same folder, newest first, until all are found.
    fn earlier_volumes(&self, volume: &DicomVolume, path: &Path) -> Vec<DicomVolume> {
        let mut found = Vec::new();
        let mut wanted: HashSet<u32> = (0..volume.index).collect();
        for sibling in newest_first(path) {
            if wanted.is_empty() {
                break;
            }
            let Ok(earlier) = self.read(&sibling) else { continue };
            if earlier.series.uid == volume.series.uid && wanted.remove(&earlier.index) {
                found.push(*earlier);
            }
        }
        found.sort_by_key(|earlier| earlier.index);
        found
    }

    fn add(&mut self, volume: DicomVolume) {
        let prefix = format!("series-{:04}", volume.series.number);
        let plan = RunPlan {
            run: veiled_name(&prefix, &self.session, volume.series.uid.as_bytes()),
            tr_s: volume.tr_s,
            grid: volume.grid,
            dtype: volume.dtype,
            slice_timing_s: volume.slice_timing_s,
            expected_volumes: volume.expected_volumes,
        };
        let (index, acquired_s, voxels) = (volume.index, volume.acquired_s, volume.voxels);
        self.assembler.add(plan, SourceVolume { index, acquired_s, voxels });
    }
}

impl VolumeSource for DicomFolder {
    fn kind(&self) -> &'static str {
        "dicom-folder"
    }

    fn next(&mut self, patience: Duration) -> Vec<SourceEvent> {
        for path in self.watch.next(patience) {
            self.try_file(&path);
        }
        for _ in 0..self.watch.give_up() {
            self.assembler.ignore(Ignored::new(IgnoreReason::Truncated, "a file never became whole"));
        }
        self.assembler.take()
    }
}

fn newest_first(path: &Path) -> Vec<PathBuf> {
    let Some(Ok(entries)) = path.parent().map(std::fs::read_dir) else { return Vec::new() };
    let dated = entries.flatten().filter_map(|entry| {
        let file = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some((file.modified().unwrap_or(SystemTime::UNIX_EPOCH), entry.path()))
    });
    let mut dated: Vec<(SystemTime, PathBuf)> = dated.filter(|(_, sibling)| sibling != path).collect();
    dated.sort();
    dated.into_iter().rev().map(|(_, sibling)| sibling).collect()
}

/// Why a file gives no volume now.
#[derive(Debug, PartialEq)]
enum Trouble {
    /// It may still grow.
    Incomplete,
    Ignored(Ignored),
}

impl From<DicomError> for Trouble {
    fn from(error: DicomError) -> Self {
        let reason = match error {
            DicomError::Incomplete => return Self::Incomplete,
            DicomError::NotDicom => IgnoreReason::Foreign,
            DicomError::Compressed => IgnoreReason::Compressed,
            DicomError::Malformed(_) => IgnoreReason::Malformed,
            DicomError::NotAVolume(_) => IgnoreReason::NotAVolume,
        };
        Self::Ignored(Ignored::new(reason, error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_taken_by_kind_and_by_name() {
        use ImageKind::{Magnitude, MotionCorrected, Phase, SingleBandReference};
        let rules = |protocol: &str, motion_corrected| SeriesRules { protocol: protocol.into(), motion_corrected };
        for (kind, words, rules, expected) in [
            (Magnitude, "func_task-nsd bold", rules("", false), None),
            (Magnitude, "func_task-nsd bold", rules("task", false), None),
            (Magnitude, "localizer", rules("task", false), Some(IgnoreReason::Protocol)),
            (Phase, "func_task-nsd bold", rules("task", false), Some(IgnoreReason::Phase)),
            (SingleBandReference, "task_sbref", rules("task", false), Some(IgnoreReason::Reference)),
            (MotionCorrected, "task mocoseries", rules("task", false), Some(IgnoreReason::MotionCorrection)),
            (MotionCorrected, "task mocoseries", rules("task", true), None),
            (Magnitude, "task", rules("task", true), Some(IgnoreReason::MotionCorrection)),
        ] {
            let series = Series { uid: "1.2".into(), number: 7, words: words.into(), kind };
            let found = rules.judge(&series).err().map(|ignored| ignored.reason);
            assert_eq!(found, expected, "{kind:?} `{words}` by {rules:?}");
        }
    }
}
