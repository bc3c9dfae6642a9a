//! What a run left in its journal, read with the daemon's own reader and held against the contract.

use crate::phantom_run::SESSION;
use mindeye_daemon::journal::{OUTCOMES_FILE, OutcomeContent, read_outcomes};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A run's outcomes.
#[derive(Debug, Default)]
pub struct Record {
    /// Little-endian f32 values of each beta, in mask order, by (trial, beta revision).
    pub betas: BTreeMap<(u32, u32), Vec<u8>>,
    /// (first volume, last volume) of each beta.
    pub windows: BTreeMap<(u32, u32), (u32, u32)>,
    /// Every trial message with its PNG, in order.
    pub published: Vec<(Value, Vec<u8>)>,
    /// (trial, product) that came after the final answer.
    pub late: Vec<(u32, String)>,
}

/// Folder of a run that [`crate::phantom_run`] sent.
#[must_use]
pub fn run_folder(journal: &Path, run: &str) -> PathBuf {
    journal.join(SESSION).join(run)
}

impl Record {
    /// Reads the outcomes of the run in `dir`.
    ///
    /// # Panics
    /// If they cannot be read, or hold a beta twice.
    #[must_use]
    pub fn read(dir: &Path) -> Self {
        let mut record = Self::default();
        for outcome in read_outcomes(&dir.join(OUTCOMES_FILE)).expect("a record") {
            match outcome.content {
                OutcomeContent::Beta { trial, beta_revision, first_volume, last_volume, .. } => {
                    let key = (trial, beta_revision);
                    assert_eq!(record.betas.insert(key, outcome.body), None, "beta {key:?} stands twice in the record");
                    record.windows.insert(key, (first_volume, last_volume));
                }
                OutcomeContent::Published(json) => record.published.push((json, outcome.body)),
                OutcomeContent::Late { trial, product } => record.late.push((trial, product)),
                _ => {}
            }
        }
        record
    }

    /// The trial's publications, in order.
    #[must_use]
    pub fn publications(&self, trial: u32) -> Vec<&Value> {
        self.published.iter().map(|(json, _)| json).filter(|json| json["trial"] == trial).collect()
    }

    /// The trial's last publication, after checking that there is exactly one final answer, none after it, and that
    /// revisions count from 0.
    ///
    /// # Panics
    /// If that is not so.
    #[must_use]
    pub fn final_of(&self, trial: u32) -> &Value {
        let all = self.publications(trial);
        let (last, others) = all.split_last().unwrap_or_else(|| panic!("trial {trial} was never published"));
        assert_eq!(last["final"], true, "the last answer of trial {trial} is final");
        assert!(others.iter().all(|json| json["final"] == false), "only the last answer of trial {trial} is final");
        for (revision, json) in all.iter().enumerate() {
            assert_eq!(json["revision"], revision, "revisions of trial {trial} count from 0");
        }
        last
    }
}
