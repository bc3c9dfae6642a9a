//! Warming up is the parity test: each network must reproduce its golden case on the engine that will be used.

use crate::{DecodeError, Network};
use mindeye_config::NetworkEntry;
use std::fmt;
use std::time::Duration;

/// What warming up found.
#[derive(Debug, Clone, PartialEq)]
pub struct WarmUpReport {
    /// The engine in one line: library, version, threads.
    pub engine: String,
    /// One entry per network of the bundle.
    pub networks: Vec<NetworkReport>,
}

/// One network's golden case.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkReport {
    /// The network.
    pub network: Network,
    /// Time to load and compile it.
    pub opening: Duration,
    /// Time of the first run, transfers included: a first guess at what a trial will take.
    pub first_run: Duration,
    /// Whether its numbers were compared, and how close they were.
    pub parity: Parity,
}

/// How close a network came to its golden case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Parity {
    /// Every element of every output was compared.
    Checked {
        /// Largest |ours - golden|/(1 + |golden|).
        worst: f64,
        /// What the manifest allows.
        tolerance: f64,
    },
    /// The mock computes something else than the network: only names and shapes were checked.
    NotChecked,
}

impl WarmUpReport {
    /// Whether every network reproduced its golden case.
    #[must_use]
    pub fn parity_checked(&self) -> bool {
        self.networks.iter().all(|network| matches!(network.parity, Parity::Checked { .. }))
    }
}

/// One line for the engine and one for each network.
impl fmt::Display for WarmUpReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.engine)?;
        for NetworkReport { network, opening, first_run, parity } in &self.networks {
            let (opening_ms, run_ms) = (opening.as_secs_f64() * 1e3, first_run.as_secs_f64() * 1e3);
            write!(f, "\n{}: opened in {opening_ms:.0} ms, first run {run_ms:.1} ms, {parity}", network.key())?;
        }
        Ok(())
    }
}

impl fmt::Display for Parity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checked { worst, tolerance } => {
                write!(f, "within {worst:.1e} of its golden case (tolerance {tolerance:.1e})")
            }
            Self::NotChecked => f.write_str("parity NOT checked: a mock computes no network"),
        }
    }
}

/// Holds every output against its golden values: |found - golden| <= tolerance (1 + |golden|) for each element.
pub(crate) fn check(
    network: Network,
    found: &[Vec<f32>],
    golden: &[&[f32]],
    entry: &NetworkEntry,
) -> Result<Parity, DecodeError> {
    let tolerance = entry.tolerance;
    let mut worst: f64 = 0.0;
    for ((found, golden), output) in found.iter().zip(golden).zip(&entry.outputs) {
        let (element, amount) = farthest(found, golden);
        if amount > tolerance {
            let (network, output) = (network.key(), output.name.clone());
            let (found, golden) = (found[element], golden[element]);
            return Err(DecodeError::Parity { network, output, element, found, golden, amount, tolerance });
        }
        worst = worst.max(amount);
    }
    Ok(Parity::Checked { worst, tolerance })
}

/// The element with the largest amount, and that amount. Both slices are finite and of one length, 1 or more.
fn farthest(found: &[f32], golden: &[f32]) -> (usize, f64) {
    let amounts = found.iter().zip(golden).map(|(found, golden)| amount(*found, *golden));
    amounts.enumerate().fold((0, 0.0), |far, next| if next.1 > far.1 { next } else { far })
}

fn amount(found: f32, golden: f32) -> f64 {
    let (found, golden) = (f64::from(found), f64::from(golden));
    (found - golden).abs() / (1.0 + golden.abs())
}
