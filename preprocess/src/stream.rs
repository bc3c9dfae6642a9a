//! Decoding without trials: what the newest volume shows beyond drift and motion, against a declared baseline.

use crate::design::DoubleGamma;
use crate::glm::{Glm, Responses};
use crate::moments::finite_or_zero;
use crate::motion::Motion;
use crate::zscore::require_equal;
use crate::{Pattern, PreprocessError, RunPlan, RunningMoments, Stage};
use mindeye_config::{BetaConfig, BetaKind, NoiseConfig, PreprocessConfig};

/// The newest volume's residual of the cumulative nuisance model, in SDs of the baseline's residuals.
///
/// With N the nuisance rows (constant, motion, drift) of the volumes so far and n the newest,
/// r = (y − nᵀ(NᵀN)⁻¹NᵀY) / √(1 − h), h = nᵀ(NᵀN)⁻¹n: the residual by the share of noise that is left in it. Without
/// the root, volumes of the first minute, which their own fit follows closely, would make the baseline's SD too small
/// (Belsley, Kuh and Welsch 1980, section 2.1). z = (r − mean)/SD over the baseline's r.
///
/// The haemodynamic delay is the caller's: a z-score describes what was shown some seconds before.
pub struct ResidualStream {
    slice_reference: f64,
    tr_s: f64,
    baseline_s: [f64; 2],
    nuisance: Glm,
    baseline: RunningMoments,
    newest: Option<(u32, f64)>,
}

/// A resampled volume with its place in the run.
#[derive(Debug, Clone, Copy)]
pub struct StreamVolume<'a> {
    /// Index in the run, 0-based.
    pub index: u32,
    /// Acquisition start, seconds since volume 0.
    pub start_s: f64,
    /// Head motion against the reference.
    pub motion: Motion,
    /// The mask's voxels, scanner's units.
    pub pattern: &'a Pattern,
}

/// What a volume of the stream yields.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum StreamOutput {
    /// The volumes so far do not determine its residual, or the baseline is not over.
    #[default]
    NotYet,
    /// z-scored residual.
    Residual {
        /// z of each voxel.
        zscored: Pattern,
        /// Voxels without SD over the baseline; their z is 0.
        without_sd: usize,
    },
}

/// The stream's answer to one volume.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamSample {
    /// Index of the volume.
    pub index: u32,
    /// When it was sampled, seconds since volume 0.
    pub sampled_s: f64,
    /// What was shown then is what it describes: `sampled_s` − `stream.lag_s`.
    pub shown_s: f64,
    /// The z-scores, once there are any.
    pub output: StreamOutput,
}

/// Below this share of noise a residual is rounding.
const LEAST_NOISE: f64 = 1e-6;

/// Baselines of fewer volumes have no SD worth the name.
const LEAST_BASELINE: u64 = 8;

impl ResidualStream {
    /// A stream over `voxels` voxels with the drift and confounds of `recipe`; volumes sampled in `baseline_s` =
    /// [from, to] of run seconds are the baseline, and z-scores come after it.
    ///
    /// # Errors
    /// [`PreprocessError::Time`] if `tr_s` is not positive or the baseline is no span.
    pub fn new(
        recipe: &PreprocessConfig,
        voxels: usize,
        tr_s: f64,
        plan: &RunPlan,
        baseline_s: [f64; 2],
    ) -> Result<Self, PreprocessError> {
        if !(tr_s.is_finite() && tr_s > 0.0) {
            return Err(PreprocessError::Time { what: "tr_s", rule: "positive", value: tr_s });
        }
        if !(baseline_s[0].is_finite() && baseline_s[1] > baseline_s[0]) {
            return Err(PreprocessError::Time {
                what: "end of the baseline",
                rule: "after its begin",
                value: baseline_s[1],
            });
        }
        let planned_s = plan.volumes.map_or(recipe.drift.planned_s, |volumes| f64::from(volumes.max(1)) * tr_s);
        // No trials and no priors, whatever the betas of the same recipe have.
        let beta = BetaConfig { kind: BetaKind::Lss, ..BetaConfig::default() };
        let recipe = PreprocessConfig { noise: NoiseConfig::default(), beta, ..recipe.clone() };
        let no_trials = Responses::Same(DoubleGamma::SPM);
        Ok(Self {
            slice_reference: recipe.slice_reference,
            tr_s,
            baseline_s,
            nuisance: Glm::new(&recipe, tr_s, planned_s, voxels, &no_trials),
            baseline: RunningMoments::new(voxels),
            newest: None,
        })
    }

    /// Bytes that the nuisance model holds.
    pub(crate) fn bytes(&self) -> usize {
        self.nuisance.bytes()
    }

    fn check(&self, volume: &StreamVolume<'_>) -> Result<(), PreprocessError> {
        require_equal("volume", "stream", "voxels", volume.pattern.len(), self.baseline.mean().len())?;
        if let Some(value) = [volume.start_s].iter().chain(&volume.motion.0).find(|value| !value.is_finite()) {
            return Err(PreprocessError::Time { what: "start_s and motion", rule: "finite", value: *value });
        }
        match self.newest {
            Some((newest, newest_start_s)) if volume.index <= newest || volume.start_s <= newest_start_s => {
                Err(PreprocessError::Order { index: volume.index, start_s: volume.start_s, newest, newest_start_s })
            }
            _ => Ok(()),
        }
    }

    fn zscored(&self, residual: &Pattern) -> StreamOutput {
        let mut without_sd = 0;
        let z = |(voxel, r): (usize, &f32)| {
            let sd = self.baseline.sd(voxel).unwrap_or(0.0);
            finite_or_zero((f64::from(*r) - self.baseline.mean()[voxel]) / sd, &mut without_sd)
        };
        let zscored = Pattern(residual.0.iter().enumerate().map(z).collect());
        StreamOutput::Residual { zscored, without_sd }
    }
}

impl Stage for ResidualStream {
    type In<'a> = StreamVolume<'a>;
    type Out = StreamOutput;

    fn process_into(&mut self, volume: &StreamVolume<'_>, out: &mut StreamOutput) -> Result<(), PreprocessError> {
        self.check(volume)?;
        *out = StreamOutput::NotYet;
        self.newest = Some((volume.index, volume.start_s));
        self.nuisance.advance(volume.index, volume.start_s, volume.motion, Some(volume.pattern));
        let Some(residual) = self.nuisance.newest_residual(LEAST_NOISE) else { return Ok(()) };
        let sampled_s = volume.start_s + self.slice_reference * self.tr_s;
        if (self.baseline_s[0]..=self.baseline_s[1]).contains(&sampled_s) {
            self.baseline.add(&residual)?;
        } else if sampled_s > self.baseline_s[1] && self.baseline.volumes() >= LEAST_BASELINE {
            *out = self.zscored(&residual);
        }
        Ok(())
    }

    fn delay_volumes(&self) -> u32 {
        0
    }

    fn reset(&mut self) {
        self.nuisance.reset();
        self.baseline.reset();
        self.newest = None;
    }
}
