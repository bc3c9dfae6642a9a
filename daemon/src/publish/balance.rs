//! A run that leans to one condition bends statistics that follow the run: trials are counted as they become due.
//!
//! The count lives with the publisher, where the names of stimuli are: preprocessing never hears of a condition.

use crate::protocol::EventFields;
use mindeye_config::{PreprocessConfig, ZscoreConfig};
use mindeye_preprocess::Balance;
use std::collections::BTreeMap;

/// The declared conditions of one run.
pub(super) struct Conditions {
    declared: BTreeMap<u32, u16>,
    conditions: u16,
    balance: Option<Balance>,
}

impl Conditions {
    /// Of a run whose announcement names `events`; nothing is counted where the recipe declares no conditions.
    pub(super) fn new(recipe: &PreprocessConfig, events: &[EventFields]) -> Self {
        let ZscoreConfig { conditions, balance_trials, .. } = recipe.zscore;
        let declared = events.iter().filter_map(|event| Some((event.trial, event.condition?))).collect();
        let balance = (conditions >= 2).then(|| Balance::new(conditions, balance_trials.max(1) as usize));
        Self { declared, conditions, balance }
    }

    /// Tells or corrects a trial's condition.
    pub(super) fn tell(&mut self, trial: u32, condition: Option<u16>) {
        match condition {
            Some(condition) => self.declared.insert(trial, condition),
            None => self.declared.remove(&trial),
        };
    }

    /// Counts a trial that has become due and returns what the operator should know of the last ones, if anything.
    pub(super) fn due(&mut self, trial: u32) -> Option<String> {
        let (balance, condition) = (self.balance.as_mut()?, *self.declared.get(&trial)?);
        if condition >= self.conditions {
            let conditions = self.conditions;
            return Some(format!(
                "trial {trial} declares condition {condition}, the recipe has {conditions}, counted from 0"
            ));
        }
        let leaning = balance.declare(condition)?;
        Some(format!(
            "condition {} had {} of the last {} trials, where chance explains {}: mean and SD of the run lean to it",
            leaning.condition, leaning.trials, leaning.of, leaning.expected_at_most
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mindeye_config::{BetaConfig, ZscorePolicy};

    fn recipe(conditions: u16) -> PreprocessConfig {
        let zscore = ZscoreConfig {
            policy: ZscorePolicy::LeaveCurrentOut,
            conditions,
            balance_trials: 12,
            ..ZscoreConfig::default()
        };
        PreprocessConfig { zscore, ..PreprocessConfig::new(vec![7.5], BetaConfig::default()) }
    }

    #[test]
    fn a_run_that_leans_is_warned_of_and_one_that_mixes_again_is_not() {
        let mut conditions = Conditions::new(&recipe(4), &[]);
        (0..24).for_each(|trial| conditions.tell(trial, Some(if trial < 12 { 2 } else { (trial % 4) as u16 })));
        let warnings: Vec<Option<String>> = (0..24).map(|trial| conditions.due(trial)).collect();
        assert!(warnings[11].as_ref().is_some_and(|text| text.starts_with("condition 2 had 12 of the last 12 trials")));
        assert_eq!(warnings[23], None);
    }

    #[test]
    fn a_condition_beyond_the_recipe_s_is_named_and_where_none_is_declared_nothing_is_said() {
        let mut conditions = Conditions::new(&recipe(2), &[]);
        conditions.tell(7, Some(2));
        assert!(conditions.due(7).is_some_and(|text| text.contains("trial 7 declares condition 2, the recipe has 2")));
        assert_eq!(conditions.due(8), None, "no condition");
        let mut none = Conditions::new(&recipe(0), &[]);
        none.tell(0, Some(0));
        assert_eq!(none.due(0), None, "the recipe declares none");
    }
}
