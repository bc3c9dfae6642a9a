//! The steps that are timed, and one struct that carries their times to message, page, metrics, journal and bench.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A timed step of the live path, in the order in which a volume and its trial pass them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Message parsed and checked, after its last byte.
    Receive,
    /// Record written and synchronised.
    Journal,
    /// Waiting for the preprocess thread.
    Queue,
    /// Head motion estimated.
    Motion,
    /// Voxels brought into the mask.
    Resample,
    /// Running statistics and single-trial beta.
    Glm,
    /// Beta z-scored with the bundle's statistics.
    Zscore,
    /// Voxels to CLIP tokens.
    Backbone,
    /// Gallery searched.
    Retrieval,
    /// Diffusion prior sampled.
    Prior,
    /// Voxels to VAE latent.
    LowLevel,
    /// Diffusion steps.
    Unet,
    /// Latent to picture.
    Vae,
    /// Result encoded and sent.
    Publish,
    /// Last byte of the due volume to the result leaving.
    Total,
}

impl Step {
    /// All steps, in order.
    pub const ALL: [Self; 15] = [
        Self::Receive,
        Self::Journal,
        Self::Queue,
        Self::Motion,
        Self::Resample,
        Self::Glm,
        Self::Zscore,
        Self::Backbone,
        Self::Retrieval,
        Self::Prior,
        Self::LowLevel,
        Self::Unet,
        Self::Vae,
        Self::Publish,
        Self::Total,
    ];

    /// Key in `timings_ms`, metrics and budgets.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Journal => "journal",
            Self::Queue => "queue",
            Self::Motion => "motion",
            Self::Resample => "resample",
            Self::Glm => "glm",
            Self::Zscore => "zscore",
            Self::Backbone => "backbone",
            Self::Retrieval => "retrieval",
            Self::Prior => "prior",
            Self::LowLevel => "low_level",
            Self::Unet => "unet",
            Self::Vae => "vae",
            Self::Publish => "publish",
            Self::Total => "total",
        }
    }

    /// Whether the step is arithmetic of a network and so not our own overhead.
    #[must_use]
    pub fn is_network(self) -> bool {
        matches!(self, Self::Backbone | Self::Prior | Self::LowLevel | Self::Unet | Self::Vae)
    }
}

/// How long each step took that ran; steps that did not run are absent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Timings {
    taken: [Option<Duration>; Step::ALL.len()],
}

impl Timings {
    /// Adds `d` to `step`.
    pub fn add(&mut self, step: Step, d: Duration) {
        let slot = &mut self.taken[step as usize];
        *slot = Some(slot.unwrap_or_default() + d);
    }

    /// Time taken by `step`, if it ran.
    #[must_use]
    pub fn get(&self, step: Step) -> Option<Duration> {
        self.taken[step as usize]
    }

    /// Adds every step of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (step, d) in other.iter() {
            self.add(step, d);
        }
    }

    /// The steps that ran, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Step, Duration)> + '_ {
        Step::ALL.into_iter().filter_map(|step| self.get(step).map(|d| (step, d)))
    }
}

/// As `timings_ms`: a map from step key to milliseconds.
impl Serialize for Timings {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(step, d)| (step.key(), d.as_secs_f64() * 1e3)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_serialised_names_in_declared_order() {
        for (i, step) in Step::ALL.into_iter().enumerate() {
            assert_eq!(step as usize, i);
            assert_eq!(serde_json::to_string(&step).unwrap(), format!("\"{}\"", step.key()));
        }
    }

    #[test]
    fn a_step_that_did_not_run_is_absent() {
        let mut timings = Timings::default();
        timings.add(Step::Glm, Duration::from_millis(2));
        timings.add(Step::Glm, Duration::from_millis(1));
        assert_eq!(serde_json::to_string(&timings).unwrap(), r#"{"glm":3.0}"#);
    }
}
