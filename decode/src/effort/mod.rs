//! How much of an answer fits before a deadline: efforts, what each would run, what runs take, and one pure policy.
//!
//! ```text
//!   WarmUpReport, then every run ──► StepTimes ─┐
//!   Decoder::offers() ──► Offers ───────────────┼─ next_action(jobs, now) ──► (job, Action)
//!   jobs with ends and states ──────────────────┘
//! ```
//! Nothing here reads a clock or runs a network: the caller passes the time in and carries the action out.

mod policy;
mod times;
mod work;

pub use policy::{Action, Job, Running, State, archive, next_action};
pub use times::StepTimes;
pub use work::{Offers, Work};

use serde::{Deserialize, Serialize};

/// What a trial got, from nothing to everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effort {
    /// No product.
    Skipped,
    /// A retrieval list.
    Retrieval,
    /// A blurry picture as well.
    Blurry,
    /// A diffusion reconstruction in fewer steps.
    Fast,
    /// The full reconstruction.
    Full,
}

impl Effort {
    /// All efforts, least first.
    pub const ALL: [Self; 5] = [Self::Skipped, Self::Retrieval, Self::Blurry, Self::Fast, Self::Full];

    /// The word in messages and metrics.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Retrieval => "retrieval",
            Self::Blurry => "blurry",
            Self::Fast => "fast",
            Self::Full => "full",
        }
    }
}
