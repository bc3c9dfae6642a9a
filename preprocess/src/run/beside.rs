//! Beside the betas: a sample per volume where there are no trials, and a warning where a run leans to one condition.

use super::RunPreprocessor;
use crate::motion::Motion;
use crate::{
    Balance, Imbalance, PreprocessError, ResidualStream, RunPlan, Stage, StreamOutput, StreamSample, StreamVolume,
};
use mindeye_config::{PreprocessConfig, StreamKind};

impl RunPreprocessor {
    /// The newest volume's sample of the stream; to be asked once after every [`advance`](Self::advance), because its
    /// nuisance model and its baseline are made of the volumes that it was asked for. `None` where the recipe has no stream,
    /// where the newest volume is censored, and when it was asked before.
    ///
    /// # Errors
    /// None that a volume taken in can meet; the signature is that of the stage.
    pub fn stream(&mut self) -> Result<Option<StreamSample>, PreprocessError> {
        let (Some(stream), Some((index, start_s)), true) = (&mut self.stream, self.newest, self.unstreamed) else {
            return Ok(None);
        };
        self.unstreamed = false;
        let motion = self.quality.motion.unwrap_or(Motion::STILL);
        let mut output = StreamOutput::NotYet;
        stream.process_into(&StreamVolume { index, start_s, motion, pattern: &self.volume }, &mut output)?;
        let sampled_s = start_s + self.recipe.slice_reference * self.tr_s;
        Ok(Some(StreamSample { index, sampled_s, shown_s: sampled_s - self.recipe.stream.lag_s, output }))
    }

    /// Declares the condition of the next trial, a bare number from 0, and returns a warning where the last trials lean to
    /// one condition, so that a policy that follows the run would take its evidence away. `None` also where the recipe
    /// declares no conditions. No beta knows of it.
    ///
    /// # Errors
    /// [`PreprocessError::Disagree`] for a condition beyond the recipe's number of them.
    pub fn declare_condition(&mut self, condition: u16) -> Result<Option<Imbalance>, PreprocessError> {
        let conditions = self.recipe.zscore.conditions;
        let Some(balance) = &mut self.balance else { return Ok(None) };
        if condition < conditions {
            return Ok(balance.declare(condition));
        }
        Err(PreprocessError::Disagree {
            left: "declared condition",
            right: "recipe",
            what: "conditions, counted from 0",
            left_value: condition.to_string(),
            right_value: conditions.to_string(),
        })
    }
}

pub(super) fn stream_of(
    recipe: &PreprocessConfig,
    voxels: usize,
    tr_s: f64,
    plan: &RunPlan,
) -> Result<Option<ResidualStream>, PreprocessError> {
    match recipe.stream.kind {
        StreamKind::None => Ok(None),
        StreamKind::Residual => ResidualStream::new(recipe, voxels, tr_s, plan, recipe.stream.baseline_s).map(Some),
    }
}

pub(super) fn balance_of(recipe: &PreprocessConfig) -> Option<Balance> {
    let zscore = &recipe.zscore;
    (zscore.conditions >= 2).then(|| Balance::new(zscore.conditions, zscore.balance_trials.max(1) as usize))
}
