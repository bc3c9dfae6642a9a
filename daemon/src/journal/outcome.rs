//! What went out: every beta with its values, every publication with its effort, steps, seed and timings.

use super::OUTCOMES_FILE;
use super::file::{JournalError, read_records};
use super::record::encode_record;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// One line of the outcomes journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What happened.
    pub content: OutcomeContent,
    /// Values of a beta (little-endian f32, mask order, the recipe's unit), PNG of a publication, or nothing.
    pub body: Vec<u8>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeContent {
    /// The daemon that writes from here on.
    Context {
        /// Bundle label.
        bundle: String,
        /// Engine.
        engine: String,
        /// Seed of all noise.
        seed: u64,
        /// Seconds after onset at which a trial is due.
        decode_after_s: f64,
        /// Seconds from due to deadline.
        deadline_s: f64,
        /// Entries of the retrieval list.
        top_k: usize,
    },
    /// A beta was estimated.
    Beta {
        /// Trial.
        trial: u32,
        /// Estimates of this trial before this one.
        beta_revision: u32,
        /// Seconds after onset for which it was planned.
        lag_s: f64,
        /// First volume used.
        first_volume: u32,
        /// Last volume used.
        last_volume: u32,
    },
    /// A result was published; the whole message.
    Published(serde_json::Value),
    /// A product came after the trial's final publication and went only here.
    Late {
        /// Trial.
        trial: u32,
        /// `retrieval`, `blurry` or `reconstruction`.
        product: String,
    },
    /// A picture made after its run, of a trial whose deadline had cut it; the body is its PNG. It was shown to nobody.
    Archive {
        /// Trial.
        trial: u32,
        /// `full`.
        effort: mindeye_decode::effort::Effort,
        /// UNet steps.
        steps: usize,
        /// Seed of its noise.
        seed: u64,
        /// The estimate that was decoded, which is that of the live answer.
        beta_revision: u32,
    },
    /// A page or stimulus computer says that it showed a picture.
    Shown(serde_json::Value),
    /// The run's first volume was registered to the bundle's reference.
    Registered(mindeye_preprocess::motion::RegistrationReport),
    /// A trial's feedback went out, or is missing for good.
    Feedback(crate::publish::Feedback),
    /// An engine failed on a trial.
    Failed {
        /// Trial.
        trial: u32,
        /// What it said.
        message: String,
    },
}

const OUTCOME_KIND: u8 = 2;

impl Outcome {
    /// Appends the outcome to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let header = serde_json::to_vec(&self.content).expect("strings and finite numbers serialise");
        encode_record(OUTCOME_KIND, &header, &self.body, out);
    }
}

/// Reads the outcomes journal at `path`; a missing file is an empty one.
///
/// # Errors
/// [`JournalError`] naming the file and the record.
pub fn read_outcomes(path: &Path) -> Result<Vec<Outcome>, JournalError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let (records, _) = read_records(path)?;
    let decode = |(number, record): (usize, super::Record)| {
        let content = serde_json::from_slice(&record.header).map_err(|error| JournalError::Unreadable {
            path: path.to_path_buf(),
            record: number,
            message: error.to_string(),
        })?;
        Ok(Outcome { content, body: record.body })
    };
    records.into_iter().enumerate().map(decode).collect()
}

/// Label of the bundle that a run in `dir` was begun with; `None` when nothing was written down yet.
///
/// # Errors
/// [`JournalError`] naming the file and the record.
pub fn recorded_bundle(dir: &Path) -> Result<Option<String>, JournalError> {
    let outcomes = read_outcomes(&dir.join(OUTCOMES_FILE))?;
    Ok(outcomes.into_iter().find_map(|outcome| match outcome.content {
        OutcomeContent::Context { bundle, .. } => Some(bundle),
        _ => None,
    }))
}
