//! How much of an answer fits before the deadline: one pure function over measured times.

use mindeye_decode::{Network, WarmUpReport};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a trial got, from everything to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effort {
    /// No product.
    Skipped,
    /// A retrieval list.
    Retrieval,
    /// A blurry picture as well.
    Blurry,
    /// A diffusion reconstruction in fewer steps.
    Fast,
    /// The full reconstruction.
    Full,
}

impl Effort {
    /// All efforts, least first.
    pub const ALL: [Self; 5] = [Self::Skipped, Self::Retrieval, Self::Blurry, Self::Fast, Self::Full];

    /// The word in messages and metrics.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Retrieval => "retrieval",
            Self::Blurry => "blurry",
            Self::Fast => "fast",
            Self::Full => "full",
        }
    }
}

/// A part of an answer, cheapest first. (This version's ladder ends at `Blurry`; diffusion comes with the decoder.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Product {
    /// Retrieval list.
    Retrieval,
    /// Blurry picture.
    Blurry,
}

/// What each product has taken lately: a moving average that starts at what warm-up took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Typical {
    /// Retrieval.
    pub retrieval: Duration,
    /// Blurry picture.
    pub blurry: Duration,
}

impl Typical {
    /// The first run of each network on this machine, which is slower than those that follow.
    #[must_use]
    pub fn from_warm_up(report: &WarmUpReport) -> Self {
        let took = |wanted: &[Network]| {
            report.networks.iter().filter(|found| wanted.contains(&found.network)).map(|found| found.first_run).sum()
        };
        Self { retrieval: took(&[Network::Backbone]), blurry: took(&[Network::LowLevel, Network::VaeDecoder]) }
    }

    /// Takes a measurement in: a quarter of it, three quarters of what was.
    pub fn learn(&mut self, product: Product, took: Duration) {
        let slot = self.slot(product);
        *slot = (*slot * 3 + took) / 4;
    }

    fn slot(&mut self, product: Product) -> &mut Duration {
        match product {
            Product::Retrieval => &mut self.retrieval,
            Product::Blurry => &mut self.blurry,
        }
    }

    fn of(&self, product: Product) -> Duration {
        match product {
            Product::Retrieval => self.retrieval,
            Product::Blurry => self.blurry,
        }
    }
}

/// The next product to make: the cheapest of `available` that is not in `done` and usually fits into `slack`.
/// The first product is tried as long as there is any slack, since nothing lesser could take its place.
#[must_use]
pub fn next_product(available: &[Product], done: &[Product], slack: Duration, typical: &Typical) -> Option<Product> {
    let next = available.iter().copied().filter(|product| !done.contains(product)).min()?;
    let fits = if done.is_empty() { !slack.is_zero() } else { typical.of(next) <= slack };
    fits.then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Product::{Blurry, Retrieval};

    #[test]
    fn the_ladder_is_climbed_while_there_is_time() {
        let typical = Typical { retrieval: Duration::from_millis(10), blurry: Duration::from_millis(50) };
        let both: &[Product] = &[Retrieval, Blurry];
        type Case<'a> = (&'a [Product], &'a [Product], u64, Option<Product>);
        let cases: [Case<'_>; 8] = [
            (both, &[], 100, Some(Retrieval)),
            (both, &[], 1, Some(Retrieval)),
            (both, &[], 0, None),
            (both, &[Retrieval], 50, Some(Blurry)),
            (both, &[Retrieval], 49, None),
            (both, &[Retrieval, Blurry], 1000, None),
            (&[Blurry], &[], 5, Some(Blurry)),
            (&[], &[], 1000, None),
        ];
        for (available, done, slack_ms, expected) in cases {
            let slack = Duration::from_millis(slack_ms);
            assert_eq!(
                next_product(available, done, slack, &typical),
                expected,
                "{available:?} {done:?} {slack_ms} ms"
            );
        }
    }

    #[test]
    fn a_slow_engine_is_learned_within_a_few_trials() {
        let mut typical = Typical { retrieval: Duration::from_millis(1), blurry: Duration::from_millis(1) };
        for _ in 0..10 {
            typical.learn(Blurry, Duration::from_millis(100));
        }
        // 10 steps of 1/4 leave 0.75^10 = 5.6 % of the distance.
        assert!(typical.blurry > Duration::from_millis(90));
    }
}
