//! The autoencoder as one training: L = mean |x̂ - x| + w · KL(q(z|x) ‖ N(0, 1)) (Kingma and Welling 2014, with the small
//! weight of Rombach et al. 2022, so that latents keep what the picture needs).

use super::autoencoder::{Posterior, vae_decode, vae_encode};
use super::golden;
use super::parameters::Parameters;
use super::part::{Batch, Losses, Part, PartName, Validation};
use super::picture_setting::{CHUNK, PictureSetting, push_signed};
use super::renderer_files::{self, VAE};
use crate::checkpoint::Commit;
use crate::networks::Autoencoder;
use crate::{Draws, Phase, Sheet, TrainError};
use std::path::Path;
use tch::{Kind, Reduction, Tensor};

/// Pictures from which the scale of the latents is measured, at most.
const MEASURED: usize = 1024;
/// Pictures on the sheet.
const SHOWN: usize = 8;

pub(super) struct VaePart<'a> {
    setting: PictureSetting<'a>,
    sizes: Autoencoder,
    parameters: Parameters,
}

impl<'a> VaePart<'a> {
    /// The part with random weights, or with those of the file `from`.
    ///
    /// # Errors
    /// Weights that do not fit.
    pub(super) fn new(setting: PictureSetting<'a>, from: Option<&Path>) -> Result<Self, TrainError> {
        let sizes = Autoencoder::of(setting.model);
        let parameters = Parameters::begin(from, sizes.layout(), setting.training.seed, setting.device)?;
        Ok(Self { setting, sizes, parameters })
    }

    fn posterior(&self, pictures: &Tensor) -> Posterior {
        Posterior::of(&vae_encode(&self.sizes, &self.parameters, pictures))
    }

    /// What the mode of its posterior decodes to.
    fn reconstruction(&self, pictures: &Tensor) -> Tensor {
        vae_decode(&self.sizes, &self.parameters, &self.posterior(pictures).mean)
    }

    /// 1/SD of the latents of training pictures, posterior's own variance included: times this they have variance 1.
    fn latent_scale(&self) -> f64 {
        let rows = &self.setting.split.train[..self.setting.split.train.len().min(MEASURED)];
        let (mut sum, mut squares, mut count) = (0.0, 0.0, 0.0);
        for chunk in rows.chunks(CHUNK) {
            let posterior = tch::no_grad(|| self.posterior(&self.setting.signed(chunk)));
            let total = |x: Tensor| x.sum(Kind::Double).double_value(&[]);
            sum += total(posterior.mean.shallow_clone());
            squares += total(posterior.mean.square() + posterior.log_variance.exp());
            count += posterior.mean.numel() as f64;
        }
        let mean = sum / count;
        (squares / count - mean * mean).max(f64::MIN_POSITIVE).sqrt().recip()
    }
}

impl Part for VaePart<'_> {
    fn name(&self) -> PartName {
        PartName::Vae
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    fn loss_names(&self) -> &'static [&'static str] {
        &["loss", "picture_l1", "divergence"]
    }

    fn validation_names(&self) -> &'static [&'static str] {
        &["val_picture_l1", "val_psnr"]
    }

    fn losses(&self, batch: &Batch<'_>) -> Result<Losses, TrainError> {
        let training = self.setting.training;
        tch::manual_seed(Draws::new(training.seed, batch.number, "step").generator_seed());
        let pictures = self.setting.signed(&self.setting.training_rows(batch.items));
        let posterior = self.posterior(&pictures);
        let latents = posterior.sample(&posterior.mean.randn_like());
        let l1 = vae_decode(&self.sizes, &self.parameters, &latents).l1_loss(&pictures, Reduction::Mean);
        let divergence = posterior.divergence();
        let total = &l1 + &divergence * training.vae.kl_weight;
        Ok(Losses(vec![total, l1, divergence]))
    }

    fn validate(&self, _phase: Phase) -> Result<Validation, TrainError> {
        let rows = &self.setting.split.validation;
        let (mut l1, mut error) = (0.0, 0.0);
        for chunk in rows.chunks(CHUNK) {
            let pictures = self.setting.signed(chunk);
            let answer = tch::no_grad(|| self.reconstruction(&pictures)).clamp(-1.0, 1.0);
            let share = chunk.len() as f64 / rows.len() as f64;
            l1 += share * answer.l1_loss(&pictures, Reduction::Mean).double_value(&[]);
            error += share * answer.mse_loss(&pictures, Reduction::Mean).double_value(&[]);
        }
        let psnr = 10.0 * (4.0 / error.max(f64::MIN_POSITIVE)).log10(); // pixels span 2, and 2² = 4
        Ok(Validation { values: vec![l1, psnr], score: [-l1, 0.0] })
    }

    fn write(&self, commit: &Commit, previous: &Path) -> Result<(), TrainError> {
        let config = renderer_files::vae_config(&self.sizes, self.latent_scale());
        renderer_files::write(commit, VAE, &self.parameters, &config)?;
        let cases = tch::no_grad(|| golden::vae_cases(&self.sizes, &self.parameters));
        let ours = ["vae-encoder/", "vae-decoder/"];
        golden::write_cases(&commit.place("golden.safetensors")?, &ours, cases, previous)
    }

    fn samples(&self) -> Option<Sheet> {
        let rows = &self.setting.split.validation[..self.setting.split.validation.len().min(SHOWN)];
        let pictures = self.setting.signed(rows);
        let caption = "Above: validation pictures. Below: what the decoder makes of their latents.";
        let mut sheet = Sheet::new(self.sizes.picture_side(), rows.len(), caption);
        push_signed(&mut sheet, &pictures);
        push_signed(&mut sheet, &tch::no_grad(|| self.reconstruction(&pictures)));
        Some(sheet)
    }
}
