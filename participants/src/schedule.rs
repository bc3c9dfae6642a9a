//! Who sees what when: the design of the Natural Scenes Dataset (Allen et al. 2022), 40 sessions of 750 trials.
//!
//! 10,000 pictures are shown three times each in random order over all sessions; 1,000 of them are for testing. One more
//! session shows 250 pictures whose combinations of labels are in none of the others.

use crate::anatomy::Branch;
use crate::picture::{Collection, PictureId};
use crate::random::key;
use mindeye_preprocess::Event;
use mindeye_preprocess::phantom::hash;
use std::collections::HashMap;

/// Sessions of the main experiment.
pub const SESSIONS: usize = 40;
/// The session, counted from 0, that shows the second test set.
pub const NOVEL_SESSION: usize = SESSIONS;
/// Runs of a session.
pub const RUNS: usize = 10;
/// Trials of a run.
pub const TRIALS: usize = 75;
/// Pictures to learn from.
pub const TRAIN_PICTURES: u32 = 9_000;
/// Pictures to test with.
pub const TEST_PICTURES: u32 = 1_000;
/// Pictures of the second test set.
pub const NOVEL_PICTURES: u32 = 250;
/// Showings of every picture.
pub const REPEATS: u32 = 3;

/// Seconds from one onset to the next.
pub const INTERVAL_S: f64 = 4.0;
/// Duration of a showing, seconds.
pub const STIMULUS_S: f64 = 3.0;
/// Onset of a run's first trial, seconds.
pub const FIRST_ONSET_S: f64 = 12.0;
/// A run goes on for so long after its last onset, seconds.
pub const REST_S: f64 = 16.0;

/// One showing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// What.
    pub picture: PictureId,
    /// How often the participant had seen it before.
    pub seen_before: u32,
}

/// Everything that one participant sees.
#[derive(Debug, Clone)]
pub struct Schedule {
    shown: Vec<Shown>,
}

impl Schedule {
    /// The order of the participant `seed`: 30,750 trials.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let pictures = |collection, count: u32| (0..count).map(move |number| PictureId { collection, number });
        let main = pictures(Collection::Train, TRAIN_PICTURES).chain(pictures(Collection::Test, TEST_PICTURES));
        let mut shown = in_order(main.collect(), key(seed, &[Branch::Schedule as u64, 0]));
        let novel = pictures(Collection::Novel, NOVEL_PICTURES).collect();
        shown.extend(in_order(novel, key(seed, &[Branch::Schedule as u64, 1])));
        Self { shown }
    }

    /// Sessions, the one of the second test set included.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.shown.len() / (RUNS * TRIALS)
    }

    /// The 75 trials of a run; `session` and `run` from 0.
    ///
    /// # Panics
    /// When there is no such run.
    #[must_use]
    pub fn run(&self, session: usize, run: usize) -> &[Shown] {
        assert!(session < self.sessions() && run < RUNS, "session {session}, run {run}");
        &self.shown[(session * RUNS + run) * TRIALS..][..TRIALS]
    }

    /// When the trials of every run are.
    #[must_use]
    pub fn events() -> Vec<Event> {
        let onset_s = |trial: u32| FIRST_ONSET_S + f64::from(trial) * INTERVAL_S;
        (0..TRIALS as u32).map(|trial| Event { trial, onset_s: onset_s(trial), duration_s: STIMULUS_S }).collect()
    }

    /// Length of a run, seconds.
    #[must_use]
    pub fn run_s() -> f64 {
        FIRST_ONSET_S + (TRIALS - 1) as f64 * INTERVAL_S + REST_S
    }
}

/// Every picture [`REPEATS`] times, sorted by a hash.
fn in_order(pictures: Vec<PictureId>, key: u64) -> Vec<Shown> {
    let showings = pictures.len() as u64 * u64::from(REPEATS);
    let mut order: Vec<u64> = (0..showings).collect();
    order.sort_by_key(|showing| hash::of(key, *showing));
    let mut seen = HashMap::<PictureId, u32>::new();
    let mut shown = |showing: u64| {
        let picture = pictures[(showing / u64::from(REPEATS)) as usize];
        let times = seen.entry(picture).or_default();
        *times += 1;
        Shown { picture, seen_before: *times - 1 }
    };
    order.into_iter().map(&mut shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_picture_is_shown_three_times_and_novel_ones_in_their_session_only() {
        let schedule = Schedule::new(5);
        assert_eq!(schedule.sessions(), SESSIONS + 1);
        let mut times = HashMap::<PictureId, Vec<u32>>::new();
        for session in 0..schedule.sessions() {
            for shown in (0..RUNS).flat_map(|run| schedule.run(session, run)) {
                assert_eq!(shown.picture.collection == Collection::Novel, session == NOVEL_SESSION);
                times.entry(shown.picture).or_default().push(shown.seen_before);
            }
        }
        assert_eq!(times.len() as u32, TRAIN_PICTURES + TEST_PICTURES + NOVEL_PICTURES);
        assert!(times.values().all(|seen| *seen == [0, 1, 2]));
    }

    #[test]
    fn participants_see_the_same_pictures_in_another_order() {
        let (a, b) = (Schedule::new(5), Schedule::new(6));
        assert_eq!(a.run(3, 2), Schedule::new(5).run(3, 2));
        assert_ne!(a.run(3, 2), b.run(3, 2));
    }
}
