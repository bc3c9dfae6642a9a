//! One NIfTI file per volume, dropped into a folder: `<run>_<number>.nii` or `.nii.gz`, numbered from `first_number`.
//!
//! Folder and name without the number tell runs apart; they are hashed and not kept. There are no stamps: times are nominal.

use super::assembler::{Assembler, RunRules};
use super::event::{IgnoreReason, Ignored, RunPlan, SourceEvent, SourceVolume, VolumeSource};
use super::veiled_name;
use super::watch::{FolderWatch, WatchRules};
use mindeye_config::{Clock, Name};
use mindeye_preprocess::{Bold, TimeUnit, read_bold};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The source.
pub struct NiftiFolder {
    watch: FolderWatch,
    session: Name,
    first_number: u32,
    tr_s: Option<f64>,
    max_file_bytes: u64,
    assembler: Assembler,
    /// Folder and stem of the open run.
    open: Option<PathBuf>,
}

impl NiftiFolder {
    /// Watches `folder` for files of at most `max_volume_bytes`, numbered from `first_number`; `tr_s` beats their headers.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn new(
        folder: &Path,
        session: Name,
        clock: Arc<dyn Clock>,
        max_volume_bytes: u64,
        (first_number, tr_s): (u32, Option<f64>),
        (watch, runs): (WatchRules, RunRules),
    ) -> std::io::Result<Self> {
        Ok(Self {
            watch: FolderWatch::new(folder, clock.clone(), watch)?,
            session,
            first_number,
            tr_s,
            // A NIfTI header and its extensions.
            max_file_bytes: max_volume_bytes + (1 << 20),
            assembler: Assembler::new(clock, runs),
            open: None,
        })
    }

    /// A file that cannot be read may still be growing: it stays until the watch gives it up.
    fn try_file(&mut self, path: &Path) {
        let Some((stem, number)) = numbered(path) else {
            self.watch.finished(path);
            return self.ignore(IgnoreReason::Foreign, "a file that is not called <run>_<number>.nii or .nii.gz");
        };
        if std::fs::metadata(path).is_ok_and(|file| file.len() > self.max_file_bytes) {
            self.watch.finished(path);
            return self.ignore(IgnoreReason::TooLarge, "a file is longer than volumes.max_volume_mib");
        }
        let Ok(bold) = read_bold(path) else { return };
        self.watch.finished(path);
        self.admit(bold, path.with_file_name(stem), number);
    }

    fn admit(&mut self, bold: Bold, run: PathBuf, number: u32) {
        let Some(index) = number.checked_sub(self.first_number) else {
            return self.ignore(IgnoreReason::NotAVolume, "its number lies before source.first_number");
        };
        let stated = bold.tr_s.filter(|_| bold.time_unit != TimeUnit::Unknown);
        let Some(tr_s) = self.tr_s.or(stated) else {
            return self.ignore(IgnoreReason::Malformed, "no repetition time with a unit; set source.tr_s");
        };
        let [voxels] = <[Vec<u8>; 1]>::try_from(bold.volumes).unwrap_or_default();
        if voxels.is_empty() {
            return self.ignore(IgnoreReason::NotAVolume, "not one volume per file");
        }
        let plan = RunPlan {
            run: veiled_name("nifti", &self.session, run.as_os_str().as_encoded_bytes()),
            tr_s,
            grid: bold.grid,
            dtype: bold.dtype,
            slice_timing_s: None,
            expected_volumes: None,
        };
        if self.open.as_ref() != Some(&run) {
            self.assembler.begin();
            self.open = Some(run);
        }
        self.assembler.add(plan, SourceVolume { index, acquired_s: None, voxels });
    }

    fn ignore(&mut self, reason: IgnoreReason, explanation: &str) {
        self.assembler.ignore(Ignored::new(reason, explanation));
    }
}

impl VolumeSource for NiftiFolder {
    fn kind(&self) -> &'static str {
        "nifti-folder"
    }

    fn next(&mut self, patience: Duration) -> Vec<SourceEvent> {
        for path in self.watch.next(patience) {
            self.try_file(&path);
        }
        for _ in 0..self.watch.give_up() {
            self.ignore(IgnoreReason::Truncated, "a file never became a readable NIfTI volume");
        }
        self.assembler.take()
    }
}

/// Name without its number, and the number.
fn numbered(path: &Path) -> Option<(String, u32)> {
    let name = path.file_name()?.to_str()?;
    let stem = name.strip_suffix(".nii.gz").or_else(|| name.strip_suffix(".nii"))?;
    let run = stem.trim_end_matches(|digit: char| digit.is_ascii_digit());
    Some((run.to_owned(), stem[run.len()..].parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_into_run_and_number() {
        for (name, expected) in [
            ("run-1_0007.nii", Some(("run-1_", 7))),
            ("vol12.nii.gz", Some(("vol", 12))),
            ("run.nii", None),
            ("run_1.hdr", None),
            ("run_99999999999.nii", None),
        ] {
            let found = numbered(Path::new(name));
            assert_eq!(found.as_ref().map(|(run, number)| (run.as_str(), *number)), expected, "{name}");
        }
    }
}
