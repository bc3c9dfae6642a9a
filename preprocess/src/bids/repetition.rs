//! The TR decides which volume belongs to which trial, so two files that disagree about it are not averaged: they are refused.

use crate::bids::BidsError;
use crate::{Bold, TimeUnit};
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// Who states the repetition time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrSource {
    /// `tr_s` of the configuration.
    Configuration,
    /// `RepetitionTime` of the sidecar.
    Sidecar,
    /// The bold file's header.
    Header,
}

impl fmt::Display for TrSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configuration => "configuration",
            Self::Sidecar => "sidecar",
            Self::Header => "header",
        })
    }
}

/// The repetition time of a recorded run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RepetitionTime {
    /// Seconds.
    pub tr_s: f64,
    /// Who states it.
    pub source: TrSource,
    /// What the header states, seconds; without a unit in the header, its number read as seconds.
    pub header_s: Option<f64>,
    /// What the sidecar states, seconds.
    pub sidecar_s: Option<f64>,
}

/// Shortest TR that is believed, seconds: below those of single-slice EPI.
pub(crate) const SHORTEST_S: f64 = 0.02;
/// Longest TR that is believed, seconds: above those of sparse sampling, below milliseconds read as seconds.
pub(crate) const LONGEST_S: f64 = 30.0;
/// Header and sidecar agree within this, seconds: the header is f32, and converters round to 0.1 ms.
const SAME_TR_S: f64 = 1e-4;

/// The TR of the run `bold` at `path`: `configured`, else the sidecar's, else the header's where it states a unit.
///
/// # Errors
/// [`BidsError::TrDisagrees`] if header and sidecar do and nothing is configured, [`BidsError::NoTr`],
/// [`BidsError::ImpossibleTr`], or [`BidsError::Sidecar`] if that file is no JSON.
pub fn repetition_time(configured: Option<f64>, path: &Path, bold: &Bold) -> Result<RepetitionTime, BidsError> {
    let sidecar = sidecar_path(path);
    let sidecar_s = read_sidecar(&sidecar)?;
    let header_s = bold.tr_s;
    let (tr_s, source) = match (configured, sidecar_s, header_s) {
        (Some(tr_s), _, _) => (tr_s, TrSource::Configuration),
        (None, Some(sidecar_s), Some(header_s)) if (sidecar_s - header_s).abs() > SAME_TR_S => {
            return Err(BidsError::TrDisagrees { path: path.to_owned(), sidecar, header_s, sidecar_s });
        }
        (None, Some(tr_s), _) => (tr_s, TrSource::Sidecar),
        (None, None, Some(tr_s)) if bold.time_unit != TimeUnit::Unknown => (tr_s, TrSource::Header),
        (None, None, header_s) => {
            let header = header_s.map_or("no TR".into(), |tr_s| format!("a TR of {tr_s} without a unit"));
            return Err(BidsError::NoTr { path: path.to_owned(), sidecar, header });
        }
    };
    if !(SHORTEST_S..=LONGEST_S).contains(&tr_s) {
        return Err(BidsError::ImpossibleTr { path: path.to_owned(), tr_s, source_of_tr: source });
    }
    Ok(RepetitionTime { tr_s, source, header_s, sidecar_s })
}

/// Where the sidecar of a bold file lies: `.nii` or `.nii.gz` becomes `.json`. (BIDS' inheritance from folders above
/// is not followed.)
#[must_use]
pub fn sidecar_path(bold: &Path) -> PathBuf {
    let name = bold.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.strip_suffix(".gz").unwrap_or(&name);
    let stem = stem.strip_suffix(".nii").unwrap_or(stem);
    bold.with_file_name(format!("{stem}.json"))
}

/// `SliceTiming` of the sidecar of the run at `bold`: acquisition time of each slice after the volume's start, seconds.
/// `None` without a sidecar, or without the field.
///
/// # Errors
/// [`BidsError::Sidecar`] if it is no list of numbers, or that file no JSON.
pub fn slice_timing(bold: &Path) -> Result<Option<Vec<f64>>, BidsError> {
    let path = sidecar_path(bold);
    let Some(value) = sidecar_field(&path, "SliceTiming")? else { return Ok(None) };
    let times = value.as_array().and_then(|list| list.iter().map(serde_json::Value::as_f64).collect());
    let wrong =
        || BidsError::Sidecar { path, problem: format!("SliceTiming must be a list of seconds, found {value}") };
    times.map(Some).ok_or_else(wrong)
}

/// `None` without a sidecar, or without a `RepetitionTime` in it.
fn read_sidecar(path: &Path) -> Result<Option<f64>, BidsError> {
    let Some(value) = sidecar_field(path, "RepetitionTime")? else { return Ok(None) };
    let problem = || format!("RepetitionTime must be seconds, found {value}");
    let wrong = || BidsError::Sidecar { path: path.to_owned(), problem: problem() };
    value.as_f64().map(Some).ok_or_else(wrong)
}

/// `None` without a sidecar, or without the field.
fn sidecar_field(path: &Path, field: &str) -> Result<Option<serde_json::Value>, BidsError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(BidsError::Unreadable { path: path.to_owned(), source }),
    };
    let wrong = |problem: String| BidsError::Sidecar { path: path.to_owned(), problem };
    let sidecar: serde_json::Value = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    Ok(sidecar.get(field).cloned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AffineSource, Grid, VoxelType};

    fn bold(tr_s: Option<f64>, time_unit: TimeUnit) -> Bold {
        let affine = [[2., 0., 0., 0.], [0., 2., 0., 0.], [0., 0., 2., 0.], [0., 0., 0., 1.]];
        let grid = Grid { dim: [1, 1, 1], affine };
        Bold { grid, affine_source: AffineSource::Sform, tr_s, time_unit, dtype: VoxelType::Int16, volumes: vec![] }
    }

    #[test]
    fn the_configuration_wins_then_the_sidecar_then_a_header_with_a_unit() {
        use TimeUnit::{Seconds, Unknown};
        use TrSource::{Configuration, Header, Sidecar};
        let cases = [
            (Some(3.0), Some("2.0"), Some(1.0), Seconds, Ok((3.0, Configuration))),
            (None, Some("2.0"), None, Seconds, Ok((2.0, Sidecar))),
            (None, Some("2.00001"), Some(2.0), Seconds, Ok((2.00001, Sidecar))),
            (None, None, Some(1.5), Seconds, Ok((1.5, Header))),
            (None, Some("2.0"), Some(1.0), Unknown, Err("the header gives a TR of 1 s, the sidecar")),
            (None, None, Some(1.0), Unknown, Err("a TR of 1 without a unit")),
            (None, None, None, Seconds, Err("the header gives no TR")),
            (None, None, Some(2000.0), Seconds, Err("a TR of 2000 s by the header")),
            (Some(1500.0), None, None, Seconds, Err("a TR of 1500 s by the configuration")),
            (None, Some("\"2\""), None, Seconds, Err("RepetitionTime must be seconds, found \"2\"")),
            (None, Some("2"), Some(2.5), Seconds, Err("gives 2 s; set tr_s")),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run_bold.nii.gz");
        for (configured, sidecar, header_s, unit, expected) in cases {
            let file = sidecar_path(&path);
            let _ = std::fs::remove_file(&file);
            if let Some(tr) = sidecar {
                std::fs::write(&file, format!("{{\"TaskName\": \"x\", \"RepetitionTime\": {tr}}}")).unwrap();
            }
            match (repetition_time(configured, &path, &bold(header_s, unit)), expected) {
                (Ok(tr), Ok(expected)) => assert_eq!((tr.tr_s, tr.source), expected),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error} should say {part}"),
                (got, expected) => panic!("{got:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn slice_times_are_a_list_of_seconds_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run_bold.nii.gz");
        assert_eq!(slice_timing(&path).unwrap(), None);
        let read = |json: &str| {
            std::fs::write(sidecar_path(&path), json).unwrap();
            slice_timing(&path).map_err(|error| error.to_string())
        };
        assert_eq!(read("{\"RepetitionTime\": 2}"), Ok(None));
        assert_eq!(read("{\"SliceTiming\": [0, 0.75, 1.5]}"), Ok(Some(vec![0.0, 0.75, 1.5])));
        assert!(read("{\"SliceTiming\": [0, \"x\"]}").unwrap_err().contains("must be a list of seconds"));
    }

    #[test]
    fn a_sidecar_has_the_name_of_its_run() {
        let cases = [("a/run_bold.nii.gz", "a/run_bold.json"), ("run.nii", "run.json"), ("run.v2.nii", "run.v2.json")];
        for (bold, json) in cases {
            assert_eq!(sidecar_path(Path::new(bold)), Path::new(json));
        }
    }
}
