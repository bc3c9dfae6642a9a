//! The high-level pipeline as one training: backbone and projector by contrast, backbone and prior by denoising.
//!
//! L = L_contrastive + w · L_prior, where the first reaches backbone and projector and the second backbone and prior
//! (spec: MindEye section 3.3).

use super::backbone::{BackboneTokens, after_front_end, front_end};
use super::contrast::{bi_mix_co, mix, retrieval, soft_clip};
use super::golden;
use super::parameters::Parameters;
use super::part::{Batch, Losses, Part, PartName, Setting, Start, Validation};
use super::prior::{Kept, PriorNetwork, noised};
use super::ridge_start;
use crate::checkpoint::{Commit, participant_folder};
use crate::examples::Participant;
use crate::networks::{Backbone, FrontEnd, Prior};
use crate::training_folder::FolderError;
use crate::{Draws, Example, Mixing, Phase, TrainError, by_participant, cosine_alphas_cumprod};
use ndarray::Array2;
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
        let participants = setting.examples.voxel_counts();
        let backbone = match start {
            Start::Mindeye1 if participants.len() > 1 => return Err(no_front_ends(participants.len())),
            Start::Mindeye1 => Backbone::of(setting.model),
            Start::Ridge => Backbone::with_ridge(setting.model, participants),
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

    /// The linear path becomes the ridge regressions of the participants' training images.
    fn start_from_ridge(&self) -> Result<(), TrainError> {
        let examples: Vec<&Example> = self.setting.examples.train.iter().collect();
        let problem = |(_, own): (usize, Vec<&Example>)| -> Result<(Tensor, Tensor), TrainError> {
            let voxels = self.setting.tensor(&self.setting.examples.mean_voxels(&own)?);
            Ok((voxels, self.targets(&own)?.flatten(1, -1)))
        };
        let problems = by_participant(&examples).into_iter().map(problem).collect::<Result<Vec<_>, _>>()?;
        ridge_start::start(&self.parameters, &problems);
        Ok(())
    }

    fn has_gate(&self) -> bool {
        matches!(self.backbone.front_end, FrontEnd::Ridge { .. })
    }

    fn set_gate(&self, gate: f64) {
        let _ = tch::no_grad(|| self.parameters.get("voxel2clip.gate").shallow_clone().fill_(gate));
    }

    /// Targets of examples of one participant, `[B, T, D]`.
    fn targets(&self, examples: &[&Example]) -> Result<Tensor, TrainError> {
        let participant = examples.first().map_or(0, |example| example.participant);
        let (targets, shape) = self.setting.examples.participants()[participant].folder.targets()?;
        Ok(self.setting.rows_of(targets, examples, &[shape.tokens, shape.token_dim]))
    }

    /// What the MLP reads of each participant's examples, `[B, H]`, and their targets; `voxels` says how repeats are used.
    fn places(
        &self,
        groups: &[(usize, Vec<&Example>)],
        voxels: impl Fn(&[&Example]) -> Result<Array2<f32>, TrainError>,
    ) -> Result<(Tensor, Tensor), TrainError> {
        let (mut places, mut targets) = (Vec::new(), Vec::new());
        for (participant, group) in groups {
            let voxels = self.setting.tensor(&voxels(group)?);
            places.push(front_end(&self.backbone, &self.parameters, &voxels, *participant));
            targets.push(self.targets(group)?);
        }
        Ok((Tensor::cat(&places, 0), Tensor::cat(&targets, 0)))
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

    /// Losses and answers of one participant's validation images, without dropout or mixing, with draws that every epoch
    /// shares.
    fn answer(&self, number: u64, chunk: &[&Example], phase: Phase) -> Result<(Vec<f64>, Tensor, Tensor), TrainError> {
        let mut draws = Draws::new(self.setting.training.seed, number, "validation");
        tch::manual_seed(draws.generator_seed());
        let (places, target) = self.places(&by_participant(chunk), |own| self.setting.examples.mean_voxels(own))?;
        let answer = after_front_end(&self.backbone, &self.parameters, &places, None);
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

    fn more_validation_names(&self) -> Vec<String> {
        let participants = self.setting.examples.participants().len();
        let of =
            |participant| [format!("val_image_retrieval_{participant}"), format!("val_brain_retrieval_{participant}")];
        if participants > 1 { (0..participants).flat_map(of).collect() } else { Vec::new() }
    }

    /// A batch mixes participants as the order of the epoch has it. Voxels are mixed within each participant's share of
    /// the batch, and after the front-end, which is the same as before it: both are linear, and weights sum to 1.
    fn losses(&self, batch: &Batch<'_>) -> Result<Losses, TrainError> {
        let training = self.setting.training;
        if self.has_gate() {
            self.set_gate(1.0); // validation may have left another
        }
        let mut draws = Draws::new(training.seed, batch.number, "step");
        tch::manual_seed(draws.generator_seed());
        let examples = self.setting.training_examples(batch.items);
        let groups = by_participant(&examples);
        let (mut places, target) =
            self.places(&groups, |own| self.setting.examples.repeat_voxels(own, batch.number))?;
        let sizes: Vec<usize> = groups.iter().map(|(_, group)| group.len()).collect();
        let mixing = match batch.phase {
            Phase::BiMixCo { .. } => Some(Mixing::draw_within(&mut draws, &sizes, &training.contrastive)),
            Phase::SoftClip { .. } => None,
        };
        if let Some(mixing) = &mixing {
            places = mix(&places, mixing);
        }
        let answer = after_front_end(&self.backbone, &self.parameters, &places, Some(&training.dropout));
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
            found.values.insert(5, gate);
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
        for participant in 0..self.setting.examples.participants().len() {
            let cases = tch::no_grad(|| golden::mindeye(&self.backbone, &self.prior, &self.parameters, participant));
            let own = participant_folder(Path::new(""), participant);
            let path = commit.place(&own.join("golden.safetensors").to_string_lossy())?;
            golden::write_cases(&path, &["backbone/", "prior/"], cases, &previous.join(own))?;
        }
        Ok(())
    }
}

impl MindeyePart<'_> {
    fn validate_as_is(&self, phase: Phase) -> Result<Validation, TrainError> {
        let examples: Vec<&Example> = self.setting.examples.validation.iter().collect();
        let groups = by_participant(&examples);
        let mut of_each = Vec::with_capacity(groups.len());
        for (_, group) in &groups {
            of_each.push(self.validate_participant(group, phase)?);
        }
        let mean: [f64; 4] =
            std::array::from_fn(|i| of_each.iter().map(|values| values[i]).sum::<f64>() / of_each.len() as f64);
        let [contrastive, prior, image, brain] = mean;
        let total = contrastive + self.setting.training.prior.weight * prior;
        // Temperatures change the contrastive loss from epoch to epoch; retrieval and the prior's loss can be compared.
        let score = [(image + brain) / 2.0, -prior];
        let mut values = vec![total, contrastive, prior, image, brain];
        if of_each.len() > 1 {
            values.extend(of_each.iter().flat_map(|of_one| [of_one[2], of_one[3]]));
        }
        Ok(Validation { values, score })
    }

    /// Contrastive loss, prior loss, and both retrievals among the validation images of one participant.
    fn validate_participant(&self, examples: &[&Example], phase: Phase) -> Result<[f64; 4], TrainError> {
        let (mut sums, mut predicted, mut targets) = ([0.0; 2], Vec::new(), Vec::new());
        for (number, chunk) in examples.chunks(VALIDATION_BATCH).enumerate() {
            let (losses, projected, target) = tch::no_grad(|| self.answer(number as u64, chunk, phase))?;
            let share = chunk.len() as f64 / examples.len() as f64;
            sums.iter_mut().zip(losses).for_each(|(sum, loss)| *sum += share * loss);
            predicted.push(projected);
            targets.push(target);
        }
        let (image, brain) = retrieval(&Tensor::cat(&predicted, 0), &Tensor::cat(&targets, 0));
        Ok([sums[0], sums[1], image, brain])
    }
}

/// MindEye1 has no place where several participants could meet.
fn no_front_ends(participants: usize) -> TrainError {
    let message = format!("mindeye1 has no front-ends for {participants} participants; --start ridge has");
    TrainError::Flag { flag: "--start", message }
}

/// Every participant's targets must have the model's tokens.
fn check_targets(setting: &Setting<'_>) -> Result<(), TrainError> {
    for Participant { folder, .. } in setting.examples.participants() {
        let (_, shape) = folder.targets().map_err(|error| match error {
            FolderError::Missing { path, .. } => TrainError::Unavailable {
                what: format!("{}: not there", path.display()),
                remedy:
                    "make it with `mindeye-train targets`, or write f32 [images, tokens, width] with an encoder of \
                         your choice"
                        .into(),
            },
            other => other.into(),
        })?;
        let (found, wanted) = ([shape.tokens, shape.token_dim], [setting.model.tokens, setting.model.token_dim]);
        if found != wanted {
            let problem = format!("has {found:?} tokens and width of a token, the model has {wanted:?}");
            return Err(TrainError::malformed(&folder.path().join("targets.npy"), problem));
        }
    }
    Ok(())
}
