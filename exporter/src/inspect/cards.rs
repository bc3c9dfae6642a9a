//! The least time of a network on a card: its multiplications at the card's peak, or its bytes at the card's bandwidth,
//! whichever takes longer. No kernel is faster; a good engine comes within a factor of two.

use super::Survey;
use mindeye_config::Precision;
use serde::Serialize;
use std::fmt;

/// A card's limits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Card {
    /// Its name, as `--card` takes it.
    pub name: &'static str,
    /// Dense float16 products with float32 sums on tensor cores, TFLOP/s.
    pub half_tflops: f64,
    /// Float32 arithmetic outside tensor cores, TFLOP/s.
    pub single_tflops: f64,
    /// Memory bandwidth, GB/s.
    pub bandwidth_gb_s: f64,
}

/// Peaks of boards at boost clock out of NVIDIA's architecture whitepapers and datasheets; those of RTX 4090, RTX 5090,
/// A100, H100 and H200 also stand in spec diffusion section 4.2. Sheets that quote sparse tensor rates were halved.
pub const CARDS: [Card; 7] = [
    // Ada whitepaper, appendix A: 165.2 with float32 sums, 330.3 with float16 sums.
    Card { name: "rtx-4090", half_tflops: 165.2, single_tflops: 82.6, bandwidth_gb_s: 1008.0 },
    // Blackwell RTX whitepaper.
    Card { name: "rtx-5090", half_tflops: 209.5, single_tflops: 104.8, bandwidth_gb_s: 1792.0 },
    // Datasheet: 1457 sparse FP8, which is four times the dense float16 rate.
    Card { name: "rtx-6000-ada", half_tflops: 364.2, single_tflops: 91.1, bandwidth_gb_s: 960.0 },
    // Datasheet: 309.7 sparse.
    Card { name: "rtx-a6000", half_tflops: 154.8, single_tflops: 38.7, bandwidth_gb_s: 768.0 },
    // A100 80 GB SXM datasheet.
    Card { name: "a100", half_tflops: 312.0, single_tflops: 19.5, bandwidth_gb_s: 2039.0 },
    // H100 SXM datasheet: 1979 sparse.
    Card { name: "h100", half_tflops: 989.4, single_tflops: 66.9, bandwidth_gb_s: 3350.0 },
    // H200 SXM datasheet: the same chip, faster memory.
    Card { name: "h200", half_tflops: 989.4, single_tflops: 66.9, bandwidth_gb_s: 4800.0 },
];

/// The card called `name`, in any case and with spaces or hyphens.
#[must_use]
pub fn card(name: &str) -> Option<&'static Card> {
    let plain = name.to_lowercase().replace([' ', '_'], "-");
    CARDS.iter().find(|card| card.name == plain)
}

/// The least time of one evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Floor {
    /// The card.
    pub card: &'static str,
    /// Multiplications at the peak, ms.
    pub compute_ms: f64,
    /// Weights, inputs and outputs once through memory, ms.
    pub memory_ms: f64,
    /// The longer of the two, ms.
    pub floor_ms: f64,
}

impl Card {
    /// The least time of the network in `survey`.
    #[must_use]
    pub fn floor(&self, survey: &Survey) -> Floor {
        let tflops = match survey.arithmetic() {
            Precision::Fp16 => self.half_tflops,
            Precision::Fp32 => self.single_tflops,
        };
        let compute_ms = survey.flops as f64 / (tflops * 1e9);
        let memory_ms = survey.bytes_moved as f64 / (self.bandwidth_gb_s * 1e6);
        Floor { card: self.name, compute_ms, memory_ms, floor_ms: compute_ms.max(memory_ms) }
    }
}

impl fmt::Display for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { card, compute_ms, memory_ms, floor_ms } = self;
        write!(f, "floor on {card}: {floor_ms:.3} ms (compute {compute_ms:.3} ms, memory {memory_ms:.3} ms)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_are_found_by_the_names_on_their_boxes() {
        for name in ["RTX 4090", "rtx-4090", "H200", "RTX 6000 Ada", "rtx_a6000"] {
            assert!(card(name).is_some(), "{name}");
        }
        assert!(card("abacus").is_none());
    }
}
