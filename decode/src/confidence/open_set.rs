//! Whether the stimulus is in the gallery at all: the best score of a trial that shows something else is lower.

/// The score that a share `false_alarms` of `known` best scores lies below: taking lower ones for absent wrongs that many.
/// No score is below it at 0; −1, which no cosine is below, without scores.
#[must_use]
pub fn threshold_at(known: &[f64], false_alarms: f64) -> f64 {
    let mut sorted = known.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let below = (false_alarms * sorted.len() as f64).floor() as usize;
    sorted.get(below.min(sorted.len().saturating_sub(1))).copied().unwrap_or(-1.0)
}

/// Probability that a known trial's best score is above an unknown one's, ties counting half: the area under the ROC curve
/// (Mann and Whitney's U). `None` where one of them is empty.
#[must_use]
pub fn area_under_roc(known: &[f64], unknown: &[f64]) -> Option<f64> {
    let wins = |k: f64| {
        unknown.iter().map(move |u| {
            if k > *u {
                1.0
            } else if k == *u {
                0.5
            } else {
                0.0
            }
        })
    };
    let pairs = known.len() * unknown.len();
    (pairs > 0).then(|| known.iter().flat_map(|k| wins(*k)).sum::<f64>() / pairs as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_wrongs_the_share_that_was_allowed() {
        let known = [0.5, 0.1, 0.4, 0.2, 0.3];
        let cases = [(0.0, 0.1), (0.19, 0.1), (0.2, 0.2), (0.5, 0.3), (1.0, 0.5)];
        for (false_alarms, expected) in cases {
            assert_eq!(threshold_at(&known, false_alarms), expected, "{false_alarms}");
            let wronged = known.iter().filter(|score| **score < expected).count();
            assert!(wronged as f64 <= false_alarms * 5.0, "{false_alarms}");
        }
        assert_eq!(threshold_at(&[], 0.5), -1.0);
    }

    #[test]
    fn the_area_counts_pairs() {
        let cases: [(&[f64], &[f64], Option<f64>); 5] = [
            (&[2.0, 3.0], &[0.0, 1.0], Some(1.0)),
            (&[0.0], &[1.0], Some(0.0)),
            (&[1.0], &[1.0], Some(0.5)),
            (&[0.8, 0.4, 0.35], &[0.1, 0.4], Some(4.5 / 6.0)),
            (&[], &[1.0], None),
        ];
        for (known, unknown, expected) in cases {
            assert_eq!(area_under_roc(known, unknown), expected, "{known:?} {unknown:?}");
        }
    }
}
