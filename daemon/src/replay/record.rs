//! What the outcomes journal says about a run: its betas, its final answers.

use crate::journal::{OUTCOMES_FILE, Outcome, OutcomeContent, read_outcomes};
use crate::pipeline::Product;
use mindeye_config::Failure;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// What the outcomes journal says.
#[derive(Default)]
pub(super) struct Record {
    pub(super) betas: BTreeMap<(u32, u32), Vec<u8>>,
    finals: BTreeMap<u32, Value>,
}

impl Record {
    pub(super) fn read(dir: &Path) -> Result<Self, Failure> {
        let mut record = Self::default();
        for Outcome { content, body } in read_outcomes(&dir.join(OUTCOMES_FILE)).map_err(Failure::data)? {
            match content {
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

    /// The products that a trial's final answer had.
    pub(super) fn products(&self, trial: u32) -> Vec<Product> {
        let names = self.finals.get(&trial).and_then(|json| json["products"].as_array());
        let named = |name: &Value| match name.as_str() {
            Some("retrieval") => Some(Product::Retrieval),
            Some("blurry") => Some(Product::Blurry),
            _ => None,
        };
        names.map(|names| names.iter().filter_map(named).collect()).unwrap_or_default()
    }

    pub(super) fn picture_sha256(&self, trial: u32) -> Option<&str> {
        self.finals.get(&trial)?["picture_sha256"].as_str()
    }
}
