//! What a run of each network takes on this machine: running quantiles, from warm-up on.

use crate::{Network, WarmUpReport};
use std::collections::VecDeque;
use std::time::Duration;

/// Runs that are remembered per network: four reconstructions of 17 steps, and some hours of backbones.
const REMEMBERED: usize = 64;
/// The share of runs that are faster than the ceiling.
const CEILING: f64 = 0.95;

/// Durations of the last runs of each network. The first run of warm-up, slower than those that follow, counts until
/// there is another.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StepTimes {
    networks: [Window; Network::ALL.len()],
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Window {
    warm_up: Duration,
    runs: VecDeque<Duration>,
}

impl StepTimes {
    /// What warm-up measured.
    #[must_use]
    pub fn from_warm_up(report: &WarmUpReport) -> Self {
        let mut times = Self::default();
        for network in &report.networks {
            times.networks[network.network as usize].warm_up = network.first_run;
        }
        times
    }

    /// Takes one run in; the oldest of 64 is forgotten.
    pub fn learn(&mut self, network: Network, took: Duration) {
        let runs = &mut self.networks[network as usize].runs;
        if runs.len() == REMEMBERED {
            runs.pop_front();
        }
        runs.push_back(took);
    }

    /// The median run.
    #[must_use]
    pub fn typical(&self, network: Network) -> Duration {
        self.networks[network as usize].quantile(0.5)
    }

    /// The run that 19 of 20 are not slower than.
    #[must_use]
    pub fn ceiling(&self, network: Network) -> Duration {
        self.networks[network as usize].quantile(CEILING)
    }
}

impl Window {
    /// The smallest remembered run that at least this share of runs does not exceed.
    fn quantile(&self, share: f64) -> Duration {
        let mut sorted: Vec<Duration> = self.runs.iter().copied().collect();
        sorted.sort_unstable();
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(self.warm_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NetworkReport, Parity};

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn warm() -> StepTimes {
        let report =
            NetworkReport { network: Network::Unet, opening: ms(999), first_run: ms(80), parity: Parity::NotChecked };
        StepTimes::from_warm_up(&WarmUpReport { engine: "a test".into(), networks: vec![report] })
    }

    #[test]
    fn warm_up_counts_until_there_is_a_run() {
        let mut times = warm();
        assert_eq!((times.typical(Network::Unet), times.ceiling(Network::Unet)), (ms(80), ms(80)));
        assert_eq!(times.typical(Network::Prior), ms(0), "a network that the bundle does not have");
        times.learn(Network::Unet, ms(10));
        assert_eq!((times.typical(Network::Unet), times.ceiling(Network::Unet)), (ms(10), ms(10)));
    }

    #[test]
    fn quantiles_are_those_of_the_last_64_runs() {
        let mut times = warm();
        (1..=1000).for_each(|i| times.learn(Network::Unet, ms(i)));
        // 937..=1000: the 32nd is 968, the 61st (0.95 x 64 = 60.8) is 997.
        assert_eq!((times.typical(Network::Unet), times.ceiling(Network::Unet)), (ms(968), ms(997)));
    }

    #[test]
    fn one_stall_moves_the_ceiling_at_once_and_the_median_never() {
        let mut times = warm();
        (0..10).for_each(|_| times.learn(Network::Unet, ms(10)));
        times.learn(Network::Unet, ms(5000));
        assert_eq!((times.typical(Network::Unet), times.ceiling(Network::Unet)), (ms(10), ms(5000)));
        (0..20).for_each(|_| times.learn(Network::Unet, ms(10)));
        assert_eq!(times.ceiling(Network::Unet), ms(10), "one in 31 is beyond the ceiling");
    }
}
