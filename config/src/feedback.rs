//! `[feedback]` of the session: one number per trial, whose making is fixed before the session and never changes in it.

use crate::{Checked, Complaint, Name};
use serde::{Deserialize, Serialize};

/// Which number is fed back (CRED-nf items 3d, 4a, 4d). Its source is always an embedding score, never a picture.
///
/// raw = mean score of `targets` − mean score of `against`, at the estimate of `lag_s`; smoothed = mean of the last
/// `smoothing_trials` raw numbers; value = (smoothed − mean) / SD of the raw numbers of the first `baseline_trials`
/// trials, or the smoothed number itself without a baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedbackConfig {
    /// Gallery pictures whose likeness is rewarded.
    pub targets: Vec<Name>,
    /// Gallery pictures whose likeness counts against it; may be empty.
    #[serde(default)]
    pub against: Vec<Name>,
    /// The estimate that is scored, in seconds after onset; one of the recipe's `revision_lags_s`.
    pub lag_s: f64,
    /// Trials at the start of each run that give mean and SD, and no feedback; 0 for none, else 2 or more.
    #[serde(default)]
    pub baseline_trials: u32,
    /// Numbers of the moving average; 1 for none.
    #[serde(default = "one")]
    pub smoothing_trials: u32,
}

fn one() -> u32 {
    1
}

impl Checked for FeedbackConfig {
    fn check(&self) -> Result<(), Complaint> {
        Complaint::unless(!self.targets.is_empty(), "targets", || "names at least one picture of the gallery".into())?;
        if let Some(both) = self.targets.iter().find(|target| self.against.contains(target)) {
            return Err(Complaint::new("against", format!("`{both}` stands in `targets` too")));
        }
        Complaint::unless_positive("lag_s", self.lag_s)?;
        Complaint::unless(self.baseline_trials != 1, "baseline_trials", || {
            "one trial has no SD; 0 for none, else 2 or more".into()
        })?;
        Complaint::unless(self.smoothing_trials > 0, "smoothing_trials", || "must be 1 or more, found 0".into())
    }
}
