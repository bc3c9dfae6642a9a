//! The table of `preprocess.toml` for decoding without trials: one sample per volume.

use crate::{Checked, Complaint};
use serde::{Deserialize, Serialize};

/// What is streamed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StreamKind {
    /// Nothing.
    #[default]
    None,
    /// The residual of the cumulative nuisance model, z-scored on the baseline.
    Residual,
}

/// Stream mode; its nuisance model is that of `[drift]` and `[confounds]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamConfig {
    /// Whether there is a stream.
    pub kind: StreamKind,
    /// Volumes sampled in [from, to] of run seconds are the baseline; samples come after it.
    pub baseline_s: [f64; 2],
    /// A sample describes what was shown this many seconds before.
    pub lag_s: f64,
}

/// None; the first minute; 5 s, about where SPM's response peaks.
impl Default for StreamConfig {
    fn default() -> Self {
        Self { kind: StreamKind::None, baseline_s: [0.0, 60.0], lag_s: 5.0 }
    }
}

impl Checked for StreamConfig {
    fn check(&self) -> Result<(), Complaint> {
        let [from, to] = self.baseline_s;
        Complaint::unless(from.is_finite() && to.is_finite() && from < to, "baseline_s", || {
            format!("a span is [from, to], found [{from}, {to}]")
        })?;
        Complaint::unless_non_negative("lag_s", self.lag_s)
    }
}
