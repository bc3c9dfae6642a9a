//! Budgets are data: one row per step, read by the bench and by whoever chooses the effort.

use crate::{Checked, Complaint, Step};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long one step usually takes and may take at most.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepBudget {
    /// Expected time in milliseconds; chooses the effort until there are measurements.
    pub typical_ms: f64,
    /// The 99th percentile that the bench enforces, in milliseconds.
    pub ceiling_ms: f64,
}

/// A machine class's budget; a step without a row is an error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// What machine and volume size the rows are for.
    pub describes: String,
    /// One row per step.
    pub step: BTreeMap<Step, StepBudget>,
}

impl Budget {
    /// The row of `step`; every step has one once the budget is checked.
    #[must_use]
    pub fn row(&self, step: Step) -> Option<StepBudget> {
        self.step.get(&step).copied()
    }
}

impl Checked for Budget {
    fn check(&self) -> Result<(), Complaint> {
        for step in Step::ALL {
            let key = format!("step.{}", step.key());
            let Some(row) = self.row(step) else {
                return Err(Complaint::new(key, "has no row; every step needs typical_ms and ceiling_ms"));
            };
            Complaint::unless_non_negative(&format!("{key}.typical_ms"), row.typical_ms)?;
            Complaint::unless(row.ceiling_ms >= row.typical_ms, &format!("{key}.ceiling_ms"), || {
                format!("must be at least typical_ms = {}, found {}", row.typical_ms, row.ceiling_ms)
            })?;
        }
        Ok(())
    }
}
