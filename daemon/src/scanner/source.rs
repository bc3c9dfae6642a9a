//! Where a simulated scanner's volumes come from: a recorded NIfTI run, or the built-in phantom.

use crate::blind::StimulusImage;
use crate::protocol::EventFields;
use mindeye_config::Name;
use mindeye_preprocess::phantom::{Phantom, scene_id};
use mindeye_preprocess::{AffineSource, Bold, Grid, TimeUnit, VoxelType, read_bold};
use std::path::Path;

/// Volumes and trials of one run.
pub trait ScanSource {
    /// Voxel grid.
    fn grid(&self) -> &Grid;
    /// Voxel type.
    fn dtype(&self) -> VoxelType;
    /// Repetition time, seconds.
    fn tr_s(&self) -> f64;
    /// Volumes.
    fn volume_count(&self) -> u32;
    /// Voxels of volume `index`, little-endian, x fastest.
    fn volume(&mut self, index: u32) -> Vec<u8>;
    /// Trials in order of onset.
    fn events(&self) -> &[EventFields];
}

/// Why a run cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The NIfTI file.
    #[error(transparent)]
    Bold(#[from] mindeye_preprocess::PreprocessError),
    /// The TR.
    #[error("{file}: the header gives a TR of {header} without a believable unit; pass --tr-s SECONDS")]
    NoTr {
        /// File.
        file: String,
        /// What the header says.
        header: String,
    },
    /// The events file.
    #[error("{file}: line {line}: {message}")]
    Events {
        /// File.
        file: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

/// A recorded run.
pub struct NiftiSource {
    bold: Bold,
    tr_s: f64,
    events: Vec<EventFields>,
}

impl NiftiSource {
    /// Reads `bold` and the BIDS events at `events`. The TR is `tr_s`, else the header's where it states a unit.
    ///
    /// # Errors
    /// [`SourceError`] naming the file.
    pub fn read(bold: &Path, tr_s: Option<f64>, events: Option<&Path>) -> Result<Self, SourceError> {
        let file = bold.display().to_string();
        let bold = read_bold(bold)?;
        let tr_s = match (tr_s, bold.tr_s, bold.time_unit) {
            (Some(tr_s), _, _) => tr_s,
            (None, Some(header_s), unit) if unit != TimeUnit::Unknown => header_s,
            (None, header, unit) => return Err(SourceError::NoTr { file, header: format!("{header:?} ({unit:?})") }),
        };
        let events = events.map(read_events).transpose()?.unwrap_or_default();
        Ok(Self { bold, tr_s, events })
    }

    /// Whether the file says where the head is.
    #[must_use]
    pub fn affine_source(&self) -> AffineSource {
        self.bold.affine_source
    }
}

impl ScanSource for NiftiSource {
    fn grid(&self) -> &Grid {
        &self.bold.grid
    }

    fn dtype(&self) -> VoxelType {
        self.bold.dtype
    }

    fn tr_s(&self) -> f64 {
        self.tr_s
    }

    fn volume_count(&self) -> u32 {
        u32::try_from(self.bold.volumes.len()).unwrap_or(u32::MAX)
    }

    fn volume(&mut self, index: u32) -> Vec<u8> {
        self.bold.volumes[index as usize].clone()
    }

    fn events(&self) -> &[EventFields] {
        &self.events
    }
}

/// The built-in phantom.
pub struct PhantomSource {
    phantom: Phantom,
    events: Vec<EventFields>,
}

impl PhantomSource {
    /// A phantom whose trials name the scenes of the demo gallery.
    #[must_use]
    pub fn new(phantom: Phantom) -> Self {
        let named = |scene| Name::new(&scene_id(scene)).ok().map(StimulusImage);
        let events = phantom.events().into_iter().map(|(event, scene)| EventFields {
            onset_s: event.onset_s,
            duration_s: event.duration_s,
            trial: event.trial,
            image: named(scene),
        });
        Self { events: events.collect(), phantom }
    }
}

impl ScanSource for PhantomSource {
    fn grid(&self) -> &Grid {
        self.phantom.grid()
    }

    fn dtype(&self) -> VoxelType {
        VoxelType::Int16
    }

    fn tr_s(&self) -> f64 {
        self.phantom.config().tr_s
    }

    fn volume_count(&self) -> u32 {
        self.phantom.volume_count()
    }

    fn volume(&mut self, index: u32) -> Vec<u8> {
        self.phantom.volume(index).iter().flat_map(|voxel| voxel.to_le_bytes()).collect()
    }

    fn events(&self) -> &[EventFields] {
        &self.events
    }
}

/// Reads a BIDS `events.tsv`: `onset`, `duration`; `trial`, else the row's number over rows whose `trial_type` is not
/// rest; `image`, else the stem of `stim_file`, else `trial_type`.
///
/// # Errors
/// [`SourceError::Events`] naming file, line and both sides.
pub fn read_events(path: &Path) -> Result<Vec<EventFields>, SourceError> {
    let wrong = |line: usize, message: String| SourceError::Events { file: path.display().to_string(), line, message };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(0, error.to_string()))?;
    let mut rows = text.lines().enumerate().filter(|(_, row)| !row.trim().is_empty());
    let header: Vec<&str> = rows.next().map(|(_, row)| row.split('\t').map(str::trim).collect()).unwrap_or_default();
    let mut events: Vec<EventFields> = Vec::new();
    for (i, row) in rows {
        let row = Row { header: &header, cells: row.split('\t').map(str::trim).collect() };
        if row.is_rest() {
            continue;
        }
        let number = u32::try_from(events.len()).unwrap_or(u32::MAX);
        events.push(row.event(number).map_err(|message| wrong(i + 1, message))?);
    }
    events.sort_by(|a, b| a.onset_s.total_cmp(&b.onset_s));
    Ok(events)
}

struct Row<'a> {
    header: &'a [&'a str],
    cells: Vec<&'a str>,
}

impl<'a> Row<'a> {
    fn cell(&self, column: &str) -> Option<&'a str> {
        let at = self.header.iter().position(|name| *name == column)?;
        self.cells.get(at).copied().filter(|cell| !cell.is_empty() && *cell != "n/a")
    }

    fn is_rest(&self) -> bool {
        self.cell("trial_type").is_some_and(|kind| kind.eq_ignore_ascii_case("rest"))
    }

    fn event(&self, number: u32) -> Result<EventFields, String> {
        let trial = self.cell("trial").map_or(Ok(number), |cell| whole("trial", cell))?;
        let image = self.image().map(|image| Name::new(&image)).transpose().map_err(|error| error.to_string())?;
        Ok(EventFields {
            onset_s: self.seconds("onset")?,
            duration_s: self.seconds("duration")?,
            trial,
            image: image.map(StimulusImage),
        })
    }

    fn seconds(&self, column: &str) -> Result<f64, String> {
        let cell = self.cell(column).ok_or_else(|| format!("column `{column}` is missing or empty"))?;
        let seconds = cell.parse::<f64>().ok().filter(|seconds| seconds.is_finite());
        seconds.ok_or_else(|| format!("`{column}` must be seconds, found `{cell}`"))
    }

    fn image(&self) -> Option<String> {
        let stem = |file: &str| Path::new(file).file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
        let named = self.cell("image").map(str::to_owned);
        named.or_else(|| self.cell("stim_file").and_then(stem)).or_else(|| self.cell("trial_type").map(str::to_owned))
    }
}

fn whole(column: &str, cell: &str) -> Result<u32, String> {
    cell.parse().map_err(|_| format!("`{column}` must be a whole number from 0, found `{cell}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<EventFields>, SourceError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.tsv");
        std::fs::write(&path, text).unwrap();
        read_events(&path)
    }

    #[test]
    fn bids_events_are_read_by_the_contract_rules() {
        let events = read(
            "onset\tduration\ttrial_type\tstim_file\n0\t3\trest\tn/a\n3\t2\tface\tpics/a-1.png\n9.5\t2\thouse\tn/a\n",
        )
        .unwrap();
        let seen: Vec<_> =
            events.iter().map(|e| (e.trial, e.onset_s, e.image.as_ref().unwrap().0.as_str().to_owned())).collect();
        assert_eq!(seen, [(0, 3.0, "a-1".into()), (1, 9.5, "house".into())]);
    }

    #[test]
    fn a_bad_row_is_named_by_file_line_and_both_sides() {
        for (text, expected) in [
            ("onset\tduration\nsoon\t1\n", "line 2: `onset` must be seconds, found `soon`"),
            ("onset\n1\n", "line 2: column `duration` is missing or empty"),
            ("onset\tduration\ttrial\n1\t1\t-2\n", "line 2: `trial` must be a whole number from 0, found `-2`"),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
