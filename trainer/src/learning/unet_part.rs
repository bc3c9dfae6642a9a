//! The UNet as one training: the noise in a noised latent, guided by the tokens of the very picture (Ho et al. 2020, with
//! the zero tokens of classifier-free guidance, Ho and Salimans 2022).
//!
//! L = mean ‖ε - unet(√ᾱ_t z + √(1 - ᾱ_t) ε, t, tokens)‖², z the scaled latent; schedule as Versatile Diffusion's.
//! Autoencoder and encoder are those of the same renderer folder, and are not moved.

use super::autoencoder::{Posterior, vae_decode, vae_encode};
use super::encoder_part;
use super::golden;
use super::parameters::Parameters;
use super::part::{Batch, Losses, Part, PartName, Validation};
use super::picture_setting::{CHUNK, PictureSetting, push_signed};
use super::prior::noised;
use super::renderer_files::{self, ENCODER, UNET, VAE};
use super::unet::unet;
use crate::checkpoint::Commit;
use crate::networks::{Autoencoder, Unet};
use crate::{Draws, Phase, Sheet, TrainError};
use mindeye_config::{SchedulerConfig, sha256_of_file};
use mindeye_decode::sampler::LatentSchedule;
use std::path::Path;
use tch::{Kind, Reduction, Tensor};

/// Pictures on the sheet.
const SHOWN: usize = 8;
/// Steps of the sampler that draws them.
const STEPS: usize = 20;
/// Guidance of the sampler: ε_u + g (ε_c - ε_u), as MindEye's.
const GUIDANCE: f64 = 3.5;

pub(super) struct UnetPart<'a> {
    setting: PictureSetting<'a>,
    sizes: Unet,
    schedule: LatentSchedule,
    /// ᾱ_t, `[timesteps]`.
    kept_signal: Tensor,
    vae: (Autoencoder, Parameters),
    latent_scale: f64,
    /// Moments `[pictures, 8, h, w]` of every picture's latent.
    moments: Tensor,
    /// Tokens `[pictures, T, D]` of every picture.
    tokens: Tensor,
    parameters: Parameters,
}

impl<'a> UnetPart<'a> {
    /// The part with random weights, or with those of the file `from`.
    ///
    /// # Errors
    /// No autoencoder or encoder in the renderer folder, sizes that do not go together, weights that do not fit.
    pub(super) fn new(setting: PictureSetting<'a>, from: Option<&Path>) -> Result<Self, TrainError> {
        let sizes = Unet::of(setting.model, setting.renderer);
        check(&sizes)?;
        let (seed, device, out) = (setting.training.seed, setting.device, setting.out);
        let autoencoder = Autoencoder::of(setting.model);
        let vae = renderer_files::read(out, VAE, "vae", autoencoder.layout(), device)?;
        let clip = encoder_part::sizes(&setting)?;
        let encoder = renderer_files::read(out, ENCODER, "encoder", clip.layout(), device)?;
        let rows: Vec<usize> = (0..setting.pictures.len()).collect();
        let pictures = setting.pictures.resized(clip.side());
        let tokens = encoder_part::encoded(&setting, &clip, &encoder, &pictures, &rows);
        let moments = |chunk: &[usize]| vae_encode(&autoencoder, &vae, &setting.signed(chunk));
        let moments = tch::no_grad(|| Tensor::cat(&rows.chunks(CHUNK).map(moments).collect::<Vec<_>>(), 0));
        let schedule = LatentSchedule::new(&SchedulerConfig::default());
        let kept: Vec<f32> = (0..schedule.timesteps()).map(|t| schedule.alpha_cumprod(t) as f32).collect();
        let parameters = Parameters::begin(from, sizes.layout(), seed, device)?;
        Ok(Self {
            latent_scale: renderer_files::latent_scale(out)?,
            kept_signal: Tensor::from_slice(&kept).to_device(device),
            vae: (autoencoder, vae),
            setting,
            sizes,
            schedule,
            moments,
            tokens,
            parameters,
        })
    }

    /// The loss of the pictures `rows`, with timesteps and left-out tokens drawn by `draws` and noise by libtorch's
    /// generator, which `draws` seeds.
    fn denoising(&self, rows: &[usize], draws: &mut Draws, token_dropout: f64) -> Tensor {
        tch::manual_seed(draws.generator_seed());
        let device = self.setting.device;
        let index: Vec<i64> = rows.iter().map(|row| *row as i64).collect();
        let index = Tensor::from_slice(&index).to_device(device);
        let t: Vec<i64> = rows.iter().map(|_| draws.below(self.schedule.timesteps()) as i64).collect();
        let t = Tensor::from_slice(&t).to_device(device);
        let kept: Vec<f32> = rows.iter().map(|_| f32::from(draws.uniform() >= token_dropout)).collect();
        let tokens = self.tokens.index_select(0, &index) * Tensor::from_slice(&kept).to_device(device).view([-1, 1, 1]);
        let posterior = Posterior::of(&self.moments.index_select(0, &index));
        let clean = posterior.sample(&posterior.mean.randn_like()) * self.latent_scale;
        let noise = clean.randn_like();
        let x = noised(&clean, &noise, &self.kept_signal.index_select(0, &t));
        unet(&self.sizes, &self.parameters, &x, &t, &tokens).mse_loss(&noise, Reduction::Mean)
    }

    /// Latents `[B, 4, h, w]`, scaled, that DDIM (Song et al. 2020, η = 0) draws for `tokens` `[B, T, D]` from `noise`.
    fn sampled(&self, tokens: &Tensor, noise: Tensor) -> Tensor {
        let batch = tokens.size()[0];
        let both = Tensor::cat(&[tokens.zeros_like(), tokens.shallow_clone()], 0);
        let stride = self.schedule.timesteps() / STEPS;
        let mut x = noise;
        for i in (0..STEPS).rev() {
            let t = i * stride + 1;
            let kept = self.schedule.alpha_cumprod(t);
            let next = if i == 0 { self.schedule.alpha_cumprod(0) } else { self.schedule.alpha_cumprod(t - stride) };
            let at = Tensor::full([2 * batch], t as i64, (Kind::Int64, x.device()));
            let halves = unet(&self.sizes, &self.parameters, &Tensor::cat(&[&x, &x], 0), &at, &both).chunk(2, 0);
            let noise = &halves[0] + (&halves[1] - &halves[0]) * GUIDANCE;
            let clean = (&x - &noise * (1.0 - kept).sqrt()) / kept.sqrt();
            x = clean * next.sqrt() + noise * (1.0 - next).sqrt();
        }
        x
    }
}

fn check(sizes: &Unet) -> Result<(), TrainError> {
    let wrong = |message: String| Err(TrainError::Flag { flag: "--renderer", message });
    if !sizes.halves_evenly() {
        return wrong(format!("{} levels cannot halve a latent of side {}", sizes.channels.len(), sizes.latent_side));
    }
    if sizes.channels.iter().any(|channels| !channels.is_multiple_of(sizes.norm_groups)) {
        let (channels, groups) = (&sizes.channels, sizes.norm_groups);
        return wrong(format!(
            "unet_channels must be multiples of the model's norm_groups = {groups}, found {channels:?}"
        ));
    }
    Ok(())
}

impl Part for UnetPart<'_> {
    fn name(&self) -> PartName {
        PartName::Unet
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    fn loss_names(&self) -> &'static [&'static str] {
        &["loss"]
    }

    fn validation_names(&self) -> &'static [&'static str] {
        &["val_loss"]
    }

    fn losses(&self, batch: &Batch<'_>) -> Result<Losses, TrainError> {
        let training = self.setting.training;
        let mut draws = Draws::new(training.seed, batch.number, "step");
        let rows = self.setting.training_rows(batch.items);
        Ok(Losses(vec![self.denoising(&rows, &mut draws, training.unet.token_dropout)]))
    }

    fn validate(&self, _phase: Phase) -> Result<Validation, TrainError> {
        let rows = &self.setting.split.validation;
        let mut loss = 0.0;
        for (number, chunk) in rows.chunks(CHUNK).enumerate() {
            // Draws that every epoch shares, so that epochs can be compared.
            let mut draws = Draws::new(self.setting.training.seed, number as u64, "validation");
            let of_chunk = tch::no_grad(|| self.denoising(chunk, &mut draws, 0.0)).double_value(&[]);
            loss += of_chunk * chunk.len() as f64 / rows.len() as f64;
        }
        Ok(Validation { values: vec![loss], score: [-loss, 0.0] })
    }

    fn write(&self, commit: &Commit, previous: &Path) -> Result<(), TrainError> {
        renderer_files::write(commit, UNET, &self.parameters, &renderer_files::unet_config(&self.sizes))?;
        let cases = tch::no_grad(|| golden::unet_case(&self.sizes, &self.parameters));
        golden::write_cases(&commit.place("golden.safetensors")?, &["unet/"], cases, previous)
    }

    fn learns_from(&self) -> Result<String, TrainError> {
        let line = |(name, file): (&str, [&str; 2])| {
            let path = renderer_files::weights(self.setting.out, file);
            let digest = sha256_of_file(&path).map_err(TrainError::unreadable(&path))?;
            Ok(format!("{name}_sha256 = \"{digest}\"\n"))
        };
        [("vae", VAE), ("encoder", ENCODER)].into_iter().map(line).collect()
    }

    fn samples(&self) -> Option<Sheet> {
        let rows = &self.setting.split.validation[..self.setting.split.validation.len().min(SHOWN)];
        let index: Vec<i64> = rows.iter().map(|row| *row as i64).collect();
        let tokens = self.tokens.index_select(0, &Tensor::from_slice(&index).to_device(self.setting.device));
        tch::manual_seed(Draws::new(self.setting.training.seed, 0, "samples").generator_seed());
        let side = self.sizes.latent_side as i64;
        let shape = [rows.len() as i64, Autoencoder::LATENT as i64, side, side];
        let noise = Tensor::randn(shape, (Kind::Float, self.setting.device));
        let drawn = tch::no_grad(|| {
            let latents = self.sampled(&tokens, noise) / self.latent_scale;
            vae_decode(&self.vae.0, &self.vae.1, &latents)
        });
        let caption = "Above: validation pictures. Below: what the UNet draws from their tokens, out of noise.";
        let mut sheet = Sheet::new(self.vae.0.picture_side(), rows.len(), caption);
        push_signed(&mut sheet, &self.setting.signed(rows));
        push_signed(&mut sheet, &drawn);
        Some(sheet)
    }
}
