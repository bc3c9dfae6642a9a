//! The high-level pipeline as one training: backbone and projector by contrast, backbone and prior by denoising.
//!
//! L = L_contrastive + w · L_prior, where the first reaches backbone and projector and the second backbone and prior
//! (spec: MindEye section 3.3).

use super::backbone::{BackboneTokens, backbone};
use super::contrast::{bi_mix_co, mix, retrieval, soft_clip};
use super::golden;
use super::parameters::Parameters;
use super::part::{Batch, Losses, Part, PartName, Setting, Start, Validation};
use super::prior::{Kept, PriorNetwork, noised};
use super::ridge_start;
use crate::checkpoint::Commit;
use crate::networks::{Backbone, FrontEnd, Prior};
use crate::{Draws, Example, Mixing, Phase, TrainError, cosine_alphas_cumprod};
use std::path::Path;
use tch::{Kind, Tensor};

/// Images that are validated at once.
const VALIDATION_BATCH: usize = 300;
/// Weights of the residual MLP beside the linear path that validation chooses from.
const GATES: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];

pub(super) struct MindeyePart<'a> {
    setting: Setting<'a>,
    backbone: Backbone,
    prior: PriorNetwork,
    /// ᾱ_t, `[timesteps]`.
    kept_signal: Tensor,
    parameters: Parameters,
}

impl<'a> MindeyePart<'a> {
    /// The part with random weights, or with those of the checkpoint file `from`.
    ///
    /// # Errors
    /// Targets of another shape than the model's, weights that do not fit.
    pub(super) fn new(setting: Setting<'a>, start: Start, from: Option<&Path>) -> Result<Self, TrainError> {
        let backbone = match start {
            Start::Mindeye1 => Backbone::of(setting.model),
            Start::Ridge => Backbone::with_ridge(setting.model, vec![setting.model.voxels]),
        };
        let prior = Prior::of(setting.model);
        check_targets(&setting)?;
        let mut layout = backbone.layout();
        layout.extend(prior.layout());
        let parameters = match from {
            None => Parameters::random(layout, setting.training.seed, setting.device),
            Some(path) => Parameters::read(path, layout, |key| key.starts_with("noise_scheduler."), setting.device)?,
        };
        let kept: Vec<f32> =
            cosine_alphas_cumprod(setting.training.prior.timesteps).into_iter().map(|a| a as f32).collect();
        let kept_signal = Tensor::from_slice(&kept).to_device(setting.device);
        let prior = PriorNetwork::new(prior, setting.device);
        let part = Self { setting, backbone, prior, kept_signal, parameters };
        if part.has_gate() && from.is_none() {
            part.start_from_ridge()?;
        }
        Ok(part)
    }

    /// The linear path becomes the ridge regression of the training images.
    fn start_from_ridge(&self) -> Result<(), TrainError> {
        let examples: Vec<&Example> = self.setting.examples.train.iter().collect();
        let voxels = self.setting.tensor(&self.setting.examples.mean_voxels(&examples)?);
        ridge_start::start(&self.parameters, &voxels, &self.targets(&examples)?.flatten(1, -1));
        Ok(())
    }

    fn has_gate(&self) -> bool {
        matches!(self.backbone.front_end, FrontEnd::Ridge { .. })
    }

    fn set_gate(&self, gate: f64) {
        let _ = tch::no_grad(|| self.parameters.get("voxel2clip.gate").shallow_clone().fill_(gate));
    }

    fn targets(&self, examples: &[&Example]) -> Result<Tensor, TrainError> {
        let (targets, shape) = self.setting.examples.folder().targets()?;
        Ok(self.setting.rows_of(targets, examples, &[shape.tokens, shape.token_dim]))
    }

    /// The contrastive loss of a phase; `mixing` says how voxels were mixed, nothing stands for not at all.
    fn contrastive(&self, answer: &BackboneTokens, target: &Tensor, phase: Phase, mixing: Option<&Mixing>) -> Tensor {
        match phase {
            Phase::SoftClip { temperature } => soft_clip(&answer.projected, target, temperature),
            Phase::BiMixCo { temperature } => {
                let batch = target.size()[0];
                let weights = match mixing {
                    None => Tensor::eye(batch, (Kind::Float, target.device())),
                    Some(mixing) => {
                        let weights = mixing.target(self.setting.training.contrastive.mixco_target);
                        Tensor::from_slice(&weights).view([batch, batch]).to_device(target.device())
                    }
                };
                bi_mix_co(&answer.projected, target, &weights, temperature)
            }
        }
    }

    /// mean((net(x_t, t, tokens) - √D · target)²) with t, noise and left-out conditions drawn by `draws` and by
    /// libtorch's generator, which the caller has seeded.
    fn denoising(&self, tokens: &Tensor, target: &Tensor, draws: &mut Draws, dropout: f64) -> Tensor {
        let batch = target.size()[0] as usize;
        let steps: Vec<i64> = (0..batch).map(|_| draws.below(self.setting.training.prior.timesteps) as i64).collect();
        let t = Tensor::from_slice(&steps).to_device(target.device());
        let mut keep = || {
            let kept: Vec<bool> = (0..batch).map(|_| draws.uniform() >= dropout).collect();
            Tensor::from_slice(&kept).to_device(target.device())
        };
        let kept = Kept { brain: keep(), noised: keep() };
        let clean = target * self.prior.sizes.target_scale();
        let x = noised(&clean, &clean.randn_like(), &self.kept_signal.index_select(0, &t));
        let predicted = self.prior.forward(&self.parameters, &x, &t, tokens, Some(&kept));
        predicted.mse_loss(&clean, tch::Reduction::Mean)
    }

    /// Losses and answers of validation images, without dropout or mixing, with draws that every epoch shares.
    fn answer(&self, number: u64, chunk: &[&Example], phase: Phase) -> Result<(Vec<f64>, Tensor, Tensor), TrainError> {
        let mut draws = Draws::new(self.setting.training.seed, number, "validation");
        tch::manual_seed(draws.generator_seed());
        let voxels = self.setting.tensor(&self.setting.examples.mean_voxels(chunk)?);
        let target = self.targets(chunk)?;
        let answer = backbone(&self.backbone, &self.parameters, &voxels, 0, None);
        let contrastive = self.contrastive(&answer, &target, phase, None);
        let prior = self.denoising(&answer.tokens, &target, &mut draws, 0.0);
        Ok((vec![contrastive.double_value(&[]), prior.double_value(&[])], answer.projected, target))
    }
}

impl Part for MindeyePart<'_> {
    fn name(&self) -> PartName {
        PartName::Mindeye
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    fn loss_names(&self) -> &'static [&'static str] {
        &["loss", "contrastive", "prior"]
    }

    fn validation_names(&self) -> &'static [&'static str] {
        let names =
            &["val_loss", "val_contrastive", "val_prior", "val_image_retrieval", "val_brain_retrieval", "val_gate"];
        if self.has_gate() { names } else { &names[..5] }
    }

    fn losses(&self, batch: &Batch<'_>) -> Result<Losses, TrainError> {
        let training = self.setting.training;
        if self.has_gate() {
            self.set_gate(1.0); // validation may have left another
        }
        let mut draws = Draws::new(training.seed, batch.number, "step");
        tch::manual_seed(draws.generator_seed());
        let examples = self.setting.training_examples(batch.items);
        let mut voxels = self.setting.tensor(&self.setting.examples.repeat_voxels(&examples, batch.number)?);
        let target = self.targets(&examples)?;
        let mixing = match batch.phase {
            Phase::BiMixCo { .. } => Some(Mixing::draw(&mut draws, examples.len(), &training.contrastive)),
            Phase::SoftClip { .. } => None,
        };
        if let Some(mixing) = &mixing {
            voxels = mix(&voxels, mixing);
        }
        let answer = backbone(&self.backbone, &self.parameters, &voxels, 0, Some(&training.dropout));
        let contrastive = self.contrastive(&answer, &target, batch.phase, mixing.as_ref());
        let prior = self.denoising(&answer.tokens, &target, &mut draws, training.prior.condition_dropout);
        let total = &contrastive + &prior * training.prior.weight;
        Ok(Losses(vec![total, contrastive, prior]))
    }

    /// With a gate, the weights are left with the one that answers best.
    fn validate(&self, phase: Phase) -> Result<Validation, TrainError> {
        if !self.has_gate() {
            return self.validate_as_is(phase);
        }
        let mut best: Option<(f64, Validation)> = None;
        for gate in GATES {
            self.set_gate(gate);
            let mut found = self.validate_as_is(phase)?;
            found.values.push(gate);
            if best.as_ref().is_none_or(|(_, best)| found.score > best.score) {
                best = Some((gate, found));
            }
        }
        let (gate, found) = best.expect("there are gates to choose from");
        self.set_gate(gate);
        Ok(found)
    }

    fn write(&self, commit: &Commit, previous: &Path) -> Result<(), TrainError> {
        self.setting.write_carried(commit)?;
        golden::write_weights(&self.parameters, &commit.place("model.safetensors")?, |_| true)?;
        let cases = tch::no_grad(|| golden::mindeye(&self.backbone, &self.prior, &self.parameters));
        golden::write_cases(&commit.place("golden.safetensors")?, &["backbone/", "prior/"], cases, previous)
    }
}

impl MindeyePart<'_> {
    fn validate_as_is(&self, phase: Phase) -> Result<Validation, TrainError> {
        let examples: Vec<&Example> = self.setting.examples.validation.iter().collect();
        let (mut sums, mut predicted, mut targets) = (vec![0.0; 2], Vec::new(), Vec::new());
        for (number, chunk) in examples.chunks(VALIDATION_BATCH).enumerate() {
            let (losses, projected, target) = tch::no_grad(|| self.answer(number as u64, chunk, phase))?;
            let share = chunk.len() as f64 / examples.len() as f64;
            sums.iter_mut().zip(losses).for_each(|(sum, loss)| *sum += share * loss);
            predicted.push(projected);
            targets.push(target);
        }
        let (image, brain) = retrieval(&Tensor::cat(&predicted, 0), &Tensor::cat(&targets, 0));
        let total = sums[0] + self.setting.training.prior.weight * sums[1];
        // Temperatures change the contrastive loss from epoch to epoch; retrieval and the prior's loss can be compared.
        let score = [(image + brain) / 2.0, -sums[1]];
        Ok(Validation { values: vec![total, sums[0], sums[1], image, brain], score })
    }
}

/// Targets must have the model's tokens.
fn check_targets(setting: &Setting<'_>) -> Result<(), TrainError> {
    let (_, shape) = setting.examples.folder().targets().map_err(|error| match error {
        crate::training_folder::FolderError::Missing { path, .. } => TrainError::Unavailable {
            what: format!("{}: not there, and image targets cannot be computed in this version", path.display()),
            remedy: "write targets.npy, f32 [images, tokens, width], with the picture encoder of your choice".into(),
        },
        other => other.into(),
    })?;
    let (found, wanted) = ([shape.tokens, shape.token_dim], [setting.model.tokens, setting.model.token_dim]);
    if found == wanted {
        return Ok(());
    }
    let path = setting.examples.folder().path().join("targets.npy");
    let problem = format!("has {found:?} tokens and width of a token, the model has {wanted:?}");
    Err(TrainError::malformed(&path, problem))
}
