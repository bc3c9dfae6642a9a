//! What a score is worth: probabilities that keep their word, a null within the session, and when to say nothing.
//!
//! ```text
//!   scores of held-out trials ──fit──► Calibration { temperature, abstain_below, absent_below } ──► calibration.toml
//!                                 └─Assessment::of──► calibration error, coverage and risk, null, absent stimuli, hubs
//!   a live trial's scores ──Calibration::judge──► Verdict: probability of the first, answer | abstain | not in the gallery
//! ```
//!
//! All of it is arithmetic on scores: which stimulus was shown is known only offline, where calibration is fitted, and to
//! whoever keeps the score of a session. Spec: MindEye sections 8.4 and 11 (7).

mod assessment;
mod calibration;
mod hubness;
mod open_set;
mod permutation;
mod reliability;

pub use assessment::Assessment;
pub use calibration::{
    Answer, CALIBRATION_FORMAT, Calibration, Scored, Verdict, fit_temperature, held_out_verdicts, probabilities,
};
pub use hubness::{csls, hubness};
pub use open_set::{area_under_roc, threshold_at};
pub use permutation::{Null, SessionNull, permutation_null};
pub use reliability::{CoverageRisk, area_under_risk, coverage_risk, expected_calibration_error};
