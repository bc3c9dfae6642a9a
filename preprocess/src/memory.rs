//! What of the run an estimate looks back on: its last volumes, or the sums over all of them.

use crate::glm::{Glm, Past, Responses};
use crate::trial::{Lag, Timing};
use crate::{Event, MissedReason, PreprocessError, RunPlan, TrialBeta, VolumeRing};
use mindeye_config::{BetaKind, PreprocessConfig};

/// What of the run an estimate looks back on.
pub(crate) enum Memory {
    /// The last volumes: window betas.
    Ring(Box<VolumeRing>),
    /// All of them: GLM betas.
    Glm(Box<Glm>),
}

impl Memory {
    pub(crate) fn new(
        recipe: &PreprocessConfig,
        tr_s: f64,
        ring_volumes: usize,
        voxels: usize,
        plan: &RunPlan,
    ) -> Result<Self, PreprocessError> {
        if recipe.beta.kind == BetaKind::Window {
            return Ok(Self::Ring(Box::new(VolumeRing::new(ring_volumes))));
        }
        let index = plan.hrf_index.as_ref().map(|index| &index[..]);
        let responses = Responses::of(recipe, index, voxels)?;
        let planned_s = plan.volumes.map_or(recipe.drift.planned_s, |volumes| f64::from(volumes.max(1)) * tr_s);
        Ok(Self::Glm(Box::new(Glm::new(recipe, tr_s, planned_s, voxels, &responses))))
    }

    /// The betas of what is due, in its order. Those of earlier volumes are computed in the order of these volumes,
    /// so that the sums of the past are made once.
    pub(crate) fn estimate_all(
        &mut self,
        timing: &Timing<'_>,
        due: &[(Event, Lag)],
    ) -> Vec<Result<TrialBeta, MissedReason>> {
        match self {
            Self::Ring(ring) => due.iter().map(|(event, lag)| timing.estimate(ring, event, *lag)).collect(),
            Self::Glm(glm) => {
                let mut past = Past::of(glm);
                let volumes: Vec<usize> = due.iter().map(|(event, lag)| glm.volumes_until(lag.due_s(event))).collect();
                let mut order: Vec<usize> = (0..due.len()).collect();
                order.sort_by_key(|at| volumes[*at]);
                let mut betas: Vec<_> = due.iter().map(|_| Err(MissedReason::NoVolumeInWindow)).collect();
                for at in order {
                    let (event, lag) = &due[at];
                    betas[at] = timing.of_glm(event, *lag, glm.beta(&mut past, event.trial, volumes[at]));
                }
                betas
            }
        }
    }

    pub(crate) fn whole_run(&mut self, timing: &Timing<'_>, event: &Event, lag: Lag) -> Option<TrialBeta> {
        match self {
            Self::Ring(ring) => timing.estimate(ring, event, lag).ok(),
            Self::Glm(glm) => {
                let mut past = Past::of(glm);
                timing.of_glm(event, lag, glm.beta(&mut past, event.trial, glm.volumes())).ok()
            }
        }
    }

    pub(crate) fn reset(&mut self) {
        match self {
            Self::Ring(ring) => ring.clear(),
            Self::Glm(glm) => glm.reset(),
        }
    }
}
