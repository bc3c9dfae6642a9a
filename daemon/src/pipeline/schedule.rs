//! Which trials are due, by the run's own clock.

use std::collections::BTreeMap;

/// Trials whose answer is still to come, with their onsets in seconds after volume 0.
#[derive(Debug, Clone, Default)]
pub struct TrialSchedule {
    onset_s: BTreeMap<u32, f64>,
    done: std::collections::BTreeSet<u32>,
    decode_after_s: f64,
}

impl TrialSchedule {
    /// A trial is due at the first volume whose acquisition ends `decode_after_s` after its onset, or later.
    #[must_use]
    pub fn new(decode_after_s: f64) -> Self {
        Self { decode_after_s, ..Self::default() }
    }

    /// Plans a trial, or moves it; a trial that was due already stays so.
    pub fn set(&mut self, trial: u32, onset_s: f64) {
        if !self.done.contains(&trial) {
            self.onset_s.insert(trial, onset_s);
        }
    }

    /// The trials that become due with a volume whose acquisition ends at `end_s`, earliest onset first.
    pub fn due_at(&mut self, end_s: f64) -> Vec<u32> {
        // A nanosecond forgives the rounding of index x TR.
        let due = |onset_s: f64| end_s + 1e-9 >= onset_s + self.decode_after_s;
        let mut trials: Vec<(f64, u32)> = self
            .onset_s
            .iter()
            .filter(|(_, onset_s)| due(**onset_s))
            .map(|(trial, onset_s)| (*onset_s, *trial))
            .collect();
        trials.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        trials.into_iter().map(|(_, trial)| self.finish(trial)).collect()
    }

    /// The trials that never became due; none is left.
    pub fn close(&mut self) -> Vec<u32> {
        let left: Vec<u32> = self.onset_s.keys().copied().collect();
        left.into_iter().map(|trial| self.finish(trial)).collect()
    }

    fn finish(&mut self, trial: u32) -> u32 {
        self.onset_s.remove(&trial);
        self.done.insert(trial);
        trial
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_is_due_once_at_the_first_volume_that_ends_late_enough() {
        let mut schedule = TrialSchedule::new(7.5);
        schedule.set(0, 9.0);
        schedule.set(1, 15.0);
        assert!(schedule.due_at(15.0).is_empty());
        assert_eq!(schedule.due_at(16.5), [0]);
        schedule.set(0, 12.0);
        assert!(schedule.due_at(18.0).is_empty(), "a correction does not bring a due trial back");
        assert_eq!(schedule.due_at(30.0), [1]);
        assert!(schedule.close().is_empty());
    }

    #[test]
    fn a_moved_trial_is_due_by_its_new_onset_and_the_rest_is_named_at_the_end() {
        let mut schedule = TrialSchedule::new(7.5);
        schedule.set(3, 0.0);
        schedule.set(3, 6.0);
        schedule.set(4, 100.0);
        assert!(schedule.due_at(12.0).is_empty());
        assert_eq!(schedule.due_at(13.5), [3]);
        assert_eq!(schedule.close(), [4]);
    }
}
