//! Work is a number of runs of each network; its price follows from what a run takes on this machine.

use super::{Effort, StepTimes};
use crate::Network;
use std::collections::BTreeMap;
use std::ops::Add;
use std::time::Duration;

/// Runs of each network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    runs: [u32; Network::ALL.len()],
}

impl Work {
    /// The runs listed; a network may come twice.
    #[must_use]
    pub fn of<const N: usize>(runs: [(Network, u32); N]) -> Self {
        let mut work = Self::default();
        for (network, count) in runs {
            work.runs[network as usize] += count;
        }
        work
    }

    /// Runs of `network`.
    #[must_use]
    pub fn runs(&self, network: Network) -> u32 {
        self.runs[network as usize]
    }

    /// The same work without any run of these networks.
    #[must_use]
    pub(crate) fn without<const N: usize>(mut self, networks: [Network; N]) -> Self {
        for network in networks {
            self.runs[network as usize] = 0;
        }
        self
    }

    /// The same work with `count` runs of `network` less.
    #[must_use]
    pub(crate) fn less(mut self, network: Network, count: u32) -> Self {
        self.runs[network as usize] = self.runs(network).saturating_sub(count);
        self
    }

    /// What it usually takes: Σ runs · typical.
    #[must_use]
    pub fn typical(&self, times: &StepTimes) -> Duration {
        self.parts().map(|(network, runs)| times.typical(network) * runs).sum()
    }

    /// What it takes when one run is as slow as the slowest twentieth: the time to plan with. All runs slow at once would
    /// be too dark a view (a walk of 17 steps has 17 chances to be neither), none too bright.
    #[must_use]
    pub fn prudent(&self, times: &StepTimes) -> Duration {
        let surplus = |network| times.ceiling(network).saturating_sub(times.typical(network));
        let worst = self.parts().map(|(network, _)| surplus(network)).max().unwrap_or_default();
        self.typical(times) + worst
    }

    fn parts(&self) -> impl Iterator<Item = (Network, u32)> + '_ {
        Network::ALL.into_iter().map(|network| (network, self.runs(network))).filter(|(_, runs)| *runs > 0)
    }
}

impl Add for Work {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { runs: std::array::from_fn(|i| self.runs[i] + other.runs[i]) }
    }
}

/// What each effort that a bundle can make would run, from the beginning.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offers {
    work: BTreeMap<Effort, Work>,
}

impl Offers {
    /// Offers `effort` for these runs.
    pub fn add<const N: usize>(&mut self, effort: Effort, runs: [(Network, u32); N]) {
        self.add_work(effort, Work::of(runs));
    }

    /// Offers `effort` for `work`.
    pub fn add_work(&mut self, effort: Effort, work: Work) {
        self.work.insert(effort, work);
    }

    /// The work of `effort`, if it is offered.
    #[must_use]
    pub fn work(&self, effort: Effort) -> Option<Work> {
        self.work.get(&effort).copied()
    }

    /// The best effort that can be had with all the time in the world.
    #[must_use]
    pub fn best(&self) -> Effort {
        self.work.keys().next_back().copied().unwrap_or(Effort::Skipped)
    }
}
