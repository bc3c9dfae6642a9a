//! What a deadline cut, drawn in full afterwards: the record has no holes, and nobody mistakes it for live.

use crate::pipeline::DecodeJob;
use mindeye_config::sha256_of_bytes;
use mindeye_decode::effort::Effort;
use mindeye_decode::{Candidate, DecodeError, Decoder, Progress, TrialNoise};
use serde_json::{Value, json};

/// A picture for the record.
pub(super) struct Archived {
    /// Trial.
    pub(super) trial: u32,
    /// The picture as a PNG file.
    pub(super) png: Vec<u8>,
    live_effort: Effort,
    steps: usize,
    seed: u64,
    beta_revision: u32,
}

/// The full reconstruction of the estimate that was due, however long it takes: its best candidate.
pub(super) fn draw_in_full(
    decoder: &mut Decoder,
    job: &DecodeJob,
    noise: TrialNoise,
    live_effort: Effort,
) -> Result<Archived, DecodeError> {
    let mut reconstruction = decoder.begin(&job.beta.zscored, Effort::Full, noise)?;
    let mut best: Option<(Candidate, usize)> = None;
    loop {
        match reconstruction.step(decoder)? {
            Progress::Working => {}
            Progress::Picture(candidate) if candidate.is_best => best = Some((candidate, reconstruction.steps())),
            Progress::Picture(_) => {}
            Progress::Finished => break,
        }
    }
    let (candidate, steps) = best.expect("a reconstruction that ends without an error has drawn a best candidate");
    Ok(Archived {
        trial: job.beta.trial,
        png: candidate.picture.to_png(),
        live_effort,
        steps,
        seed: candidate.seed,
        beta_revision: job.beta.beta_revision,
    })
}

impl Archived {
    /// Its file, below the replay's folder.
    pub(super) fn path(&self) -> String {
        format!("pictures/archive-{:04}.png", self.trial)
    }

    /// Its line in `archive.jsonl`.
    pub(super) fn json(&self) -> Value {
        json!({
            "type": "archive", "live": false, "trial": self.trial, "effort": Effort::Full, "live_effort": self.live_effort,
            "steps": self.steps, "seed": self.seed, "beta_revision": self.beta_revision,
            "picture": self.path(), "picture_sha256": sha256_of_bytes(&self.png),
        })
    }
}
