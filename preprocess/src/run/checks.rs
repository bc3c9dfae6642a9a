//! What must fit together before a run may begin.

use crate::PreprocessError;
use crate::trial::SAME_TIME_S;
use mindeye_config::PreprocessConfig;

pub(super) fn require_equal_lags(table: &[f64], recipe: &[f64]) -> Result<(), PreprocessError> {
    if table == recipe {
        return Ok(());
    }
    Err(PreprocessError::Disagree {
        left: "z-score table",
        right: "recipe",
        what: "revision lags in seconds",
        left_value: format!("{table:?}"),
        right_value: format!("{recipe:?}"),
    })
}

/// At TR spacing the volumes between a trial's earliest sample (onset − baseline) and its due volume (start before
/// onset + lag) start less than memory + one TR apart, so a ring that spans memory + TR holds them all.
pub(super) fn require_long_enough(
    recipe: &PreprocessConfig,
    tr_s: f64,
    ring_volumes: usize,
) -> Result<(), PreprocessError> {
    if !(tr_s.is_finite() && tr_s > 0.0) {
        return Err(PreprocessError::Time { what: "tr_s", rule: "positive", value: tr_s });
    }
    let memory_s = recipe.memory_s();
    let needed = (memory_s / tr_s - SAME_TIME_S).ceil() as usize + 1;
    if ring_volumes < needed {
        return Err(PreprocessError::RingTooShort { ring_volumes, tr_s, memory_s, needed });
    }
    Ok(())
}
