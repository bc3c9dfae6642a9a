//! How a model is trained: losses, schedule and optimiser, each with the released code's value as its default.

use crate::{Checked, Complaint};
use serde::{Deserialize, Serialize};

/// What the training of one part is told (`training.toml`); sizes of the model are in [`crate::ModelDimensions`].
///
/// Defaults are those of MindEye1's released high-level training (Scotti et al. 2023 and its code).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingConfig {
    /// Passes over the training images.
    pub epochs: u32,
    /// Images in a batch; the contrastive losses see no others.
    pub batch: usize,
    /// Batches whose gradients are averaged before the weights move.
    pub accumulate: usize,
    /// Where every random draw comes from, with the number of the step.
    pub seed: u64,
    /// Share of the training images held back for validation where the data name no validation trials.
    pub validation_share: f64,
    /// Decay of the exponential moving average of the weights that is validated and kept, (1 + n)/(10 + n) after n updates
    /// where that is less; 0 for none.
    pub ema_decay: f64,
    /// What matrix products and convolutions round their factors to while training.
    pub precision: TrainingPrecision,
    /// AdamW and its schedule.
    pub optimiser: OptimiserConfig,
    /// Contrastive losses.
    pub contrastive: ContrastiveConfig,
    /// The diffusion prior's loss.
    pub prior: PriorTraining,
    /// The low-level pipeline's losses.
    pub low_level: LowLevelConfig,
    /// Dropout in the residual MLPs.
    pub dropout: DropoutConfig,
    /// The picture encoder's loss.
    pub encoder: EncoderTraining,
    /// The autoencoder's loss.
    pub vae: VaeTraining,
    /// The UNet's loss.
    pub unet: UnetTraining,
}

/// What matrix products and convolutions round their factors to. Weights, moments, sums, normalisations, softmax and
/// losses are float32 at every precision, and so are validation and what a checkpoint holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrainingPrecision {
    /// Nothing is rounded.
    #[default]
    Fp32,
    /// bfloat16: the range of float32 with 8 bits of mantissa.
    Bf16,
    /// float16: 11 bits of mantissa, and a range so short that the loss is scaled; on CUDA only.
    Fp16,
}

/// AdamW under a one-cycle schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimiserConfig {
    /// Learning rate at the peak.
    pub learning_rate: f64,
    /// Epochs from the first step to the peak.
    pub warmup_epochs: f64,
    /// The first learning rate is the peak over this.
    pub initial_divisor: f64,
    /// The last learning rate is the first over this.
    pub final_divisor: f64,
    /// Largest beta 1, at the first and the last step.
    pub momentum_high: f64,
    /// Smallest beta 1, at the peak of the learning rate.
    pub momentum_low: f64,
    /// Beta 2.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay of every tensor whose key does not hold `bias`.
    pub weight_decay: f64,
}

/// BiMixCo for the first epochs, SoftCLIP for the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContrastiveConfig {
    /// Share of the epochs that mix voxels.
    pub mixco_share: f64,
    /// Both parameters of the Beta distribution of the mixing weight.
    pub mixco_beta: f64,
    /// Probability that a sample is mixed.
    pub mixco_probability: f64,
    /// Temperature while mixing.
    pub mixco_temperature: f64,
    /// How the target matrix is written.
    pub mixco_target: MixcoTarget,
    /// SoftCLIP's temperature in its first epoch.
    pub softclip_from: f64,
    /// SoftCLIP's temperature in the last epoch.
    pub softclip_to: f64,
}

/// The target matrix of BiMixCo where the permutation leaves a sample in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MixcoTarget {
    /// As released: the second weight overwrites the first, so that such a sample's row may sum to less than 1.
    Faithful,
    /// Both weights are added, so that every row sums to 1.
    Clean,
}

/// The loss of the diffusion prior.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PriorTraining {
    /// Weight of the prior's loss beside the contrastive one: 30 in the code, 0.3 in the paper, 0.03 for one token.
    pub weight: f64,
    /// Steps of the noise schedule.
    pub timesteps: usize,
    /// Probability with which a sample's brain tokens, and independently its noised tokens, are left out.
    pub condition_dropout: f64,
}

/// The losses of the low-level pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LowLevelConfig {
    /// Latents are this times what the VAE's decoder takes; the L1 loss is divided by it.
    pub latent_scale: f64,
    /// Weight of the contrastive loss against the teacher's features, where the data have them.
    pub contrastive_weight: f64,
    /// Its temperature.
    pub temperature: f64,
}

/// Dropout in the residual MLPs of the backbone or of the low-level network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DropoutConfig {
    /// After the first layer.
    pub first: f64,
    /// In every residual block.
    pub blocks: f64,
}

/// The contrastive loss of the picture encoder, between two random views of each picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EncoderTraining {
    /// Temperature of the loss.
    pub temperature: f64,
    /// Smallest side of a view as a share of the picture's.
    pub smallest_view: f64,
    /// Largest change of brightness, of contrast and of each colour, as a share.
    pub colour_jitter: f64,
}

/// The loss of the autoencoder: L1 of the picture and Kullback-Leibler divergence of the latent from standard normal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct VaeTraining {
    /// Weight of the divergence (nats, mean over the latent's numbers) beside the L1 (mean over the picture's).
    pub kl_weight: f64,
}

/// The denoising loss of the UNet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UnetTraining {
    /// Probability with which a sample's tokens are zeros, so that guidance has its unconditional half.
    pub token_dropout: f64,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            epochs: 240,
            batch: 32,
            accumulate: 1,
            seed: 42,
            validation_share: 0.05,
            ema_decay: 0.0,
            precision: TrainingPrecision::Fp32,
            optimiser: OptimiserConfig::default(),
            contrastive: ContrastiveConfig::default(),
            prior: PriorTraining::default(),
            low_level: LowLevelConfig::default(),
            dropout: DropoutConfig::default(),
            encoder: EncoderTraining::default(),
            vae: VaeTraining::default(),
            unet: UnetTraining::default(),
        }
    }
}

impl Default for EncoderTraining {
    fn default() -> Self {
        Self { temperature: 0.1, smallest_view: 0.6, colour_jitter: 0.2 }
    }
}

impl Default for VaeTraining {
    fn default() -> Self {
        Self { kl_weight: 1e-4 }
    }
}

impl Default for UnetTraining {
    fn default() -> Self {
        Self { token_dropout: 0.1 }
    }
}

impl Default for OptimiserConfig {
    fn default() -> Self {
        Self {
            learning_rate: 3e-4,
            warmup_epochs: 2.0,
            initial_divisor: 25.0,
            final_divisor: 1000.0,
            momentum_high: 0.95,
            momentum_low: 0.85,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.01,
        }
    }
}

impl Default for ContrastiveConfig {
    fn default() -> Self {
        Self {
            mixco_share: 0.33,
            mixco_beta: 0.15,
            mixco_probability: 0.5,
            mixco_temperature: 0.006,
            mixco_target: MixcoTarget::Faithful,
            softclip_from: 0.004,
            softclip_to: 0.0075,
        }
    }
}

impl Default for PriorTraining {
    fn default() -> Self {
        Self { weight: 30.0, timesteps: 100, condition_dropout: 0.2 }
    }
}

impl Default for LowLevelConfig {
    fn default() -> Self {
        Self { latent_scale: 0.18215, contrastive_weight: 0.1, temperature: 0.075 }
    }
}

impl Default for DropoutConfig {
    fn default() -> Self {
        Self { first: 0.5, blocks: 0.15 }
    }
}

impl TrainingConfig {
    /// The low-level pipeline's own defaults: 120 epochs of batches of 8, learning rate 5e-4, dropout 0.25 in the
    /// blocks, seed 0 (spec: MindEye section 4.2).
    #[must_use]
    pub fn low_level() -> Self {
        Self {
            epochs: 120,
            batch: 8,
            seed: 0,
            optimiser: OptimiserConfig { learning_rate: 5e-4, ..OptimiserConfig::default() },
            dropout: DropoutConfig { first: 0.5, blocks: 0.25 },
            ..Self::default()
        }
    }
}

impl Checked for TrainingConfig {
    fn check(&self) -> Result<(), Complaint> {
        let counts = [("epochs", self.epochs as usize), ("batch", self.batch), ("accumulate", self.accumulate)];
        for (key, count) in counts.into_iter().chain([("prior.timesteps", self.prior.timesteps)]) {
            Complaint::unless(count > 0, key, || "must be 1 or more, found 0".into())?;
        }
        for (key, share) in self.shares() {
            let holds = (0.0..1.0).contains(&share);
            Complaint::unless(holds, key, || format!("must be 0 or more and less than 1, found {share}"))?;
        }
        for (key, value) in self.positive() {
            Complaint::unless_positive(key, value)?;
        }
        Complaint::unless_non_negative("optimiser.weight_decay", self.optimiser.weight_decay)?;
        Complaint::unless_non_negative("optimiser.warmup_epochs", self.optimiser.warmup_epochs)?;
        Complaint::unless_non_negative("prior.weight", self.prior.weight)?;
        Complaint::unless_non_negative("low_level.contrastive_weight", self.low_level.contrastive_weight)?;
        Complaint::unless_non_negative("vae.kl_weight", self.vae.kl_weight)?;
        let smallest = self.encoder.smallest_view;
        Complaint::unless(smallest > 0.0 && smallest <= 1.0, "encoder.smallest_view", || {
            format!("must be more than 0 and 1 at most, found {smallest}")
        })?;
        let (warmup, epochs) = (self.optimiser.warmup_epochs, f64::from(self.epochs));
        Complaint::unless(warmup < epochs, "optimiser.warmup_epochs", || {
            format!("must be less than the {epochs} epochs, found {warmup}")
        })
    }
}

impl TrainingConfig {
    fn shares(&self) -> [(&'static str, f64); 12] {
        [
            ("validation_share", self.validation_share),
            ("ema_decay", self.ema_decay),
            ("optimiser.momentum_high", self.optimiser.momentum_high),
            ("optimiser.momentum_low", self.optimiser.momentum_low),
            ("optimiser.beta2", self.optimiser.beta2),
            ("contrastive.mixco_share", self.contrastive.mixco_share),
            ("contrastive.mixco_probability", self.contrastive.mixco_probability),
            ("prior.condition_dropout", self.prior.condition_dropout),
            ("dropout.first", self.dropout.first),
            ("dropout.blocks", self.dropout.blocks),
            ("encoder.colour_jitter", self.encoder.colour_jitter),
            ("unet.token_dropout", self.unet.token_dropout),
        ]
    }

    fn positive(&self) -> [(&'static str, f64); 11] {
        [
            ("optimiser.learning_rate", self.optimiser.learning_rate),
            ("optimiser.initial_divisor", self.optimiser.initial_divisor),
            ("optimiser.final_divisor", self.optimiser.final_divisor),
            ("optimiser.epsilon", self.optimiser.epsilon),
            ("contrastive.mixco_beta", self.contrastive.mixco_beta),
            ("contrastive.mixco_temperature", self.contrastive.mixco_temperature),
            ("contrastive.softclip_from", self.contrastive.softclip_from),
            ("contrastive.softclip_to", self.contrastive.softclip_to),
            ("low_level.latent_scale", self.low_level.latent_scale),
            ("low_level.temperature", self.low_level.temperature),
            ("encoder.temperature", self.encoder.temperature),
        ]
    }
}
