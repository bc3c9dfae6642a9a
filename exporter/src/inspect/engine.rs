//! A compiled engine by its sidecar: the report that was written when it was compiled.

use crate::ExportError;
use serde::Serialize;
use std::fmt;
use std::path::Path;

/// An engine file and what its compilation reported.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EngineReport {
    /// Length of the engine file.
    pub bytes: u64,
    /// Content of `<engine>.json`, if it lies beside the engine.
    pub report: Option<serde_json::Value>,
}

impl EngineReport {
    pub(super) fn of(path: &Path) -> Result<Self, ExportError> {
        let unreadable = |source| ExportError::Unreadable { path: path.to_path_buf(), source };
        let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let sidecar = path.with_file_name(format!("{name}.json"));
        if !sidecar.exists() {
            return Ok(Self { bytes, report: None });
        }
        let text = std::fs::read(&sidecar).map_err(unreadable)?;
        let wrong = |error: serde_json::Error| ExportError::Setting {
            path: sidecar.clone(),
            key: ".",
            message: error.to_string(),
        };
        Ok(Self { bytes, report: Some(serde_json::from_slice(&text).map_err(wrong)?) })
    }
}

impl fmt::Display for EngineReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "engine of {:.1} MiB", self.bytes as f64 / f64::from(1 << 20))?;
        match &self.report {
            Some(report) => write!(f, "\n{report:#}"),
            None => write!(f, "; no report of its compilation lies beside it"),
        }
    }
}
