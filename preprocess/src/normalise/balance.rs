//! A policy that follows the run is only as fair as the run: this counts what was shown lately, and warns.
//!
//! Conditions are bare numbers that the experimenter declares. No beta goes in and none comes out, so the count can
//! change no estimate: preprocess stays blind to what a trial showed.

use std::collections::VecDeque;

/// The declared conditions of the last trials.
#[derive(Debug, Clone, PartialEq)]
pub struct Balance {
    conditions: u16,
    recent: VecDeque<u16>,
    window: usize,
}

/// One condition came too often lately for mean and SD of the run to be neutral.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imbalance {
    /// The condition.
    pub condition: u16,
    /// Its trials among the last ones.
    pub trials: usize,
    /// How many last ones.
    pub of: usize,
    /// The most trials of one condition that chance explains.
    pub expected_at_most: usize,
}

impl Balance {
    /// `conditions` equally frequent conditions, watched over the last `window` trials.
    ///
    /// # Panics
    /// If there are fewer than two conditions or no window.
    #[must_use]
    pub fn new(conditions: u16, window: usize) -> Self {
        assert!(conditions >= 2 && window > 0, "{conditions} conditions over {window} trials cannot be balanced");
        Self { conditions, recent: VecDeque::with_capacity(window), window }
    }

    /// Declares the condition of the next trial, and returns the imbalance of the last trials if there is one: some
    /// condition came more than N/C + 3 √(N (1/C)(1 − 1/C)) times among N trials of C conditions. The bound holds
    /// for independent draws with a probability of about 0.999 per condition.
    pub fn declare(&mut self, condition: u16) -> Option<Imbalance> {
        if self.recent.len() == self.window {
            self.recent.pop_front();
        }
        self.recent.push_back(condition);
        self.imbalance()
    }

    fn imbalance(&self) -> Option<Imbalance> {
        let of = self.recent.len();
        let share = 1.0 / f64::from(self.conditions);
        let expected = of as f64 * share;
        let expected_at_most = (expected + 3.0 * (expected * (1.0 - share)).sqrt()).floor() as usize;
        let count = |condition: u16| self.recent.iter().filter(|recent| **recent == condition).count();
        let (condition, trials) =
            self.recent.iter().map(|condition| (*condition, count(*condition))).max_by_key(|(_, count)| *count)?;
        (trials > expected_at_most).then_some(Imbalance { condition, trials, of, expected_at_most })
    }
}

impl std::fmt::Display for Imbalance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { condition, trials, of, expected_at_most } = self;
        write!(f, "condition {condition} was shown {trials} times in the last {of} trials; ")?;
        write!(f, "chance explains {expected_at_most}, and a policy that follows the run takes its evidence away")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_condition_in_a_row_warns_and_taking_turns_does_not() {
        let mut balance = Balance::new(2, 20);
        assert!((0..200u16).all(|trial| balance.declare(trial % 2).is_none()));
        let mut balance = Balance::new(2, 20);
        let warned = (1..=40).find_map(|trial| Some((trial, balance.declare(1)?)));
        // 10 in a row: 5 + 3 x 1.58 = 9.7.
        let (trial, imbalance) = warned.unwrap();
        assert_eq!((trial, imbalance), (10, Imbalance { condition: 1, trials: 10, of: 10, expected_at_most: 9 }));
        assert!(imbalance.to_string().contains("shown 10 times in the last 10 trials"));
    }

    #[test]
    fn what_is_long_past_is_forgotten() {
        let mut balance = Balance::new(4, 12);
        for _ in 0..12 {
            balance.declare(3);
        }
        assert!(balance.declare(3).is_some());
        let last = (0..12).map(|trial| balance.declare(trial % 4)).last();
        assert_eq!(last, Some(None));
    }
}
