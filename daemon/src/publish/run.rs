//! What the publisher keeps of one run: its clerk, its stimuli, its record.

use super::balance::Conditions;
use super::{Clerk, FeedbackPlan, FeedbackSeries};
use crate::blind::StimulusImage;
use crate::journal::{AppendFile, Outcome, OutcomeContent};
use crate::pipeline::RunInfo;
use crate::protocol::EventFields;
use mindeye_config::{Moment, PreprocessConfig};
use mindeye_preprocess::motion::RegistrationReport;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A run that still has something to say.
pub(super) struct OpenRun {
    pub(super) info: Arc<RunInfo>,
    pub(super) clerk: Clerk,
    pub(super) images: BTreeMap<u32, StimulusImage>,
    pub(super) conditions: Conditions,
    pub(super) outcomes: Option<AppendFile>,
    /// Betas that an earlier process recorded, by trial and revision.
    pub(super) recorded_betas: BTreeMap<(u32, u32), Vec<u8>>,
    /// How the run's first volume lies to the bundle's reference, once it is known.
    pub(super) registration: Option<RegistrationReport>,
    /// The session's feedback, if it has one.
    pub(super) feedback: Option<FeedbackSeries>,
    /// When the run ended.
    pub(super) closed_at: Option<Moment>,
}

impl OpenRun {
    pub(super) fn new(
        info: Arc<RunInfo>,
        outcomes: Option<AppendFile>,
        feedback: Option<Arc<FeedbackPlan>>,
        recipe: &PreprocessConfig,
    ) -> Self {
        let named = |event: &EventFields| Some((event.trial, event.image.clone()?));
        let images = info.start.events.iter().filter_map(named).collect();
        Self {
            conditions: Conditions::new(recipe, &info.start.events),
            info,
            clerk: Clerk::new(),
            images,
            outcomes,
            recorded_betas: BTreeMap::new(),
            registration: None,
            feedback: feedback.map(FeedbackSeries::new),
            closed_at: None,
        }
    }

    /// Takes in what an earlier process published of this run.
    pub(super) fn remember(&mut self, recorded: &[Outcome]) {
        let mut published: BTreeMap<u32, (u32, bool)> = BTreeMap::new();
        for outcome in recorded {
            match &outcome.content {
                OutcomeContent::Published(json) => {
                    let Some(trial) = json["trial"].as_u64().and_then(|trial| u32::try_from(trial).ok()) else {
                        continue;
                    };
                    let (revisions, is_final) = published.entry(trial).or_default();
                    *revisions += 1;
                    *is_final |= json["final"] == true;
                }
                OutcomeContent::Beta { trial, beta_revision, .. } => {
                    self.recorded_betas.insert((*trial, *beta_revision), outcome.body.clone());
                }
                OutcomeContent::Feedback(given) => {
                    if let Some(series) = &mut self.feedback {
                        series.remember(*given);
                    }
                }
                _ => {}
            }
        }
        for (trial, (revisions, is_final)) in published {
            self.clerk.remember(trial, revisions, is_final);
        }
    }
}
