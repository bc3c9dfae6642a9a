//! What the outcomes journal says about a run: its betas, its final answers.

use crate::journal::{OUTCOMES_FILE, Outcome, OutcomeContent, read_outcomes};
use mindeye_config::{DaemonConfig, Failure};
use mindeye_decode::effort::Effort;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// What the daemon that wrote a record said of itself.
struct Context {
    bundle: String,
    decode_after_s: f64,
    deadline_s: f64,
}

/// A product that a final answer had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Product {
    Retrieval,
    Blurry,
    /// By its effort and the seed of its noise, which says the candidate.
    Reconstruction(Effort, u64),
}

/// What the outcomes journal says.
#[derive(Default)]
pub(super) struct Record {
    pub(super) betas: BTreeMap<(u32, u32), Vec<u8>>,
    /// The daemon that wrote it, the last one if there were several.
    context: Option<Context>,
    finals: BTreeMap<u32, Value>,
}

impl Record {
    pub(super) fn read(dir: &Path) -> Result<Self, Failure> {
        let mut record = Self::default();
        for Outcome { content, body } in read_outcomes(&dir.join(OUTCOMES_FILE)).map_err(Failure::data)? {
            match content {
                OutcomeContent::Context { bundle, decode_after_s, deadline_s, .. } => {
                    record.context = Some(Context { bundle, decode_after_s, deadline_s });
                }
                OutcomeContent::Beta { trial, beta_revision, .. } => {
                    record.betas.insert((trial, beta_revision), body);
                }
                OutcomeContent::Published(json) if json["final"] == true => {
                    let trial = json["trial"].as_u64().and_then(|trial| u32::try_from(trial).ok());
                    trial.map(|trial| record.finals.insert(trial, json));
                }
                _ => {}
            }
        }
        Ok(record)
    }

    /// Whether this record was made with `bundle`.
    ///
    /// # Errors
    /// Status 65 naming both bundles.
    pub(super) fn check_bundle(&self, bundle: &str) -> Result<(), Failure> {
        match &self.context {
            Some(context) if context.bundle != bundle => Err(Failure::data(format!(
                "the run was recorded with bundle {}, the replay has {bundle}; use --decisions live to decode it anew",
                context.bundle
            ))),
            _ => Ok(()),
        }
    }

    /// Puts the recorded times of due and deadline over those of `config`.
    pub(super) fn apply(&self, config: &DaemonConfig) -> DaemonConfig {
        let mut config = config.clone();
        if let Some(context) = &self.context {
            config.deadline.decode_after_s = context.decode_after_s;
            config.deadline.deadline_s = Some(context.deadline_s);
        }
        config
    }

    /// The products that a trial's final answer had.
    pub(super) fn products(&self, trial: u32) -> Vec<Product> {
        let Some(json) = self.finals.get(&trial) else { return Vec::new() };
        let named = |name: &Value| match name.as_str() {
            Some("retrieval") => Some(Product::Retrieval),
            Some("blurry") => Some(Product::Blurry),
            Some("reconstruction") => Some(Product::Reconstruction(effort(json), json["seed"].as_u64()?)),
            _ => None,
        };
        json["products"].as_array().map(|names| names.iter().filter_map(named).collect()).unwrap_or_default()
    }

    pub(super) fn picture_sha256(&self, trial: u32) -> Option<&str> {
        self.finals.get(&trial)?["picture_sha256"].as_str()
    }
}

fn effort(json: &Value) -> Effort {
    if json["effort"] == Effort::Full.key() { Effort::Full } else { Effort::Fast }
}
