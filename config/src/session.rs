//! `session.toml`: who is in the scanner and what may be shown; fixed for the whole session.

use crate::{Checked, Complaint, Name};
use serde::{Deserialize, Serialize};

/// A session. The daemon refuses runs that announce another session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionConfig {
    /// Name that `run_start.session` must carry.
    pub session: Name,
    /// Code of the participant; never a person's name.
    pub participant: Name,
    /// Generated pictures may be shown to the participant.
    #[serde(default)]
    pub participant_generated: bool,
}

impl Checked for SessionConfig {
    fn check(&self) -> Result<(), Complaint> {
        Ok(())
    }
}
