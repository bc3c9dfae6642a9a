//! What a run of each network takes on this machine: a budget's word or warm-up's, then running quantiles.

use super::Work;
use crate::{Network, WarmUpReport};
use mindeye_config::Budget;
use std::collections::VecDeque;
use std::time::Duration;

/// Runs that are remembered per network: four reconstructions of 17 steps, and some hours of backbones.
const REMEMBERED: usize = 64;
/// The share of runs that are faster than the ceiling.
const CEILING: f64 = 0.95;

/// Durations of the last runs of each network. A run of warm-up counts until there is another: the first on a host, hardly
/// slower than those that follow; the third on a GPU, where the first builds kernels for seconds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StepTimes {
    networks: [Window; Network::ALL.len()],
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Window {
    warm_up: Duration,
    /// Typical and ceiling of a budget.
    expected: Option<[Duration; 2]>,
    runs: VecDeque<Duration>,
}

impl StepTimes {
    /// What warm-up measured.
    #[must_use]
    pub fn from_warm_up(report: &WarmUpReport) -> Self {
        let mut times = Self::default();
        for network in &report.networks {
            times.warmed_up(network.network, network.first_run);
        }
        times
    }

    /// Takes `took` for a run of `network` until there is one.
    pub(crate) fn warmed_up(&mut self, network: Network, took: Duration) {
        self.networks[network as usize].warm_up = took;
    }

    /// What `budget` says of a trial that runs `trial`, until there is a run: each row shared among the runs of its step.
    /// A step whose time goes to runs of two networks says nothing of either.
    pub(crate) fn expect(&mut self, budget: &Budget, trial: &Work) {
        for network in Network::ALL {
            let of_step = |other: &Network| other.step() == network.step() && trial.runs(*other) > 0;
            let (runs, sharers) = (trial.runs(network), Network::ALL.into_iter().filter(of_step).count());
            let Some(row) = budget.row(network.step()).filter(|_| runs > 0 && sharers == 1) else { continue };
            let share = |ms: f64| Duration::from_secs_f64(ms / 1e3 / f64::from(runs));
            self.networks[network as usize].expected = Some([share(row.typical_ms), share(row.ceiling_ms)]);
        }
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
        self.networks[network as usize].quantile(0.5, 0)
    }

    /// The run that 19 of 20 are not slower than.
    #[must_use]
    pub fn ceiling(&self, network: Network) -> Duration {
        self.networks[network as usize].quantile(CEILING, 1)
    }
}

impl Window {
    /// The smallest remembered run that at least this share of runs does not exceed; without runs number `expected` of the
    /// budget, else warm-up's.
    fn quantile(&self, share: f64, expected: usize) -> Duration {
        let mut sorted: Vec<Duration> = self.runs.iter().copied().collect();
        sorted.sort_unstable();
        let rank = (share * sorted.len() as f64).ceil() as usize;
        let before = || self.expected.map_or(self.warm_up, |row| row[expected]);
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or_else(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NetworkReport, Parity};
    use mindeye_config::{Step, StepBudget};

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
    fn a_budget_counts_until_there_is_a_run_and_only_for_networks_that_have_a_step_alone() {
        let row = |typical_ms, ceiling_ms| StepBudget { typical_ms, ceiling_ms };
        let rows = Step::ALL.map(|step| (step, row(0.0, 0.0))).into_iter().collect();
        let mut budget = Budget { describes: "a test".into(), step: rows };
        budget.step.insert(Step::Unet, row(170.0, 340.0));
        budget.step.insert(Step::Vae, row(50.0, 60.0));
        let trial = Work::of([(Network::Unet, 17), (Network::VaeDecoder, 1), (Network::VaeEncoder, 1)]);
        let mut times = warm();
        times.expect(&budget, &trial);
        assert_eq!((times.typical(Network::Unet), times.ceiling(Network::Unet)), (ms(10), ms(20)));
        assert_eq!(times.typical(Network::VaeDecoder), ms(0), "two networks share the row");
        times.learn(Network::Unet, ms(30));
        assert_eq!((times.typical(Network::Unet), times.ceiling(Network::Unet)), (ms(30), ms(30)));
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
