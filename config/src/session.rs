//! `session.toml`: who is in the scanner and what may be shown; fixed for the whole session.

use crate::{Checked, Complaint, FeedbackConfig, Name};
use serde::{Deserialize, Serialize};

/// A session. The daemon refuses runs that announce another session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionConfig {
    /// Name that `run_start.session` must carry.
    pub session: Name,
    /// Code of the participant; never a person's name.
    pub participant: Name,
    /// Generated pictures may be shown to the participant.
    #[serde(default)]
    pub participant_generated: bool,
    /// The number that is fed back; none without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<FeedbackConfig>,
}

impl Checked for SessionConfig {
    fn check(&self) -> Result<(), Complaint> {
        self.feedback.as_ref().map_or(Ok(()), |feedback| feedback.check().map_err(|c| c.within("feedback")))
    }
}
