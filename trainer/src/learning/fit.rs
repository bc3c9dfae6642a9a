//! A training from what was asked for: data opened, part made, and the course run.

use super::course::{Source, Training, table};
use super::encoder_part::EncoderPart;
use super::low_level_part::LowLevelPart;
use super::mindeye_part::MindeyePart;
use super::part::{Part, PartName, Setting, Start};
use super::picture_setting::PictureSetting;
use super::unet_part::UnetPart;
use super::vae_part::VaePart;
use crate::checkpoint::Commit;
use crate::training_folder::split_hash;
use crate::{Examples, Log, Pictures, TrainError, leakage};
use mindeye_config::{Clock, ModelDimensions, RendererDimensions, TrainingConfig, TrainingPrecision};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tch::Device;

/// What to train, on what, where to.
pub struct FitRequest {
    /// Training folders, one for each participant; the first is participant 0. For the parts of a renderer one folder, or
    /// one safetensors file of pictures.
    pub data: Vec<PathBuf>,
    /// Sizes; `voxels` is the data's count.
    pub model: ModelDimensions,
    /// Sizes of encoder and UNet, where one of these is trained.
    pub renderer: RendererDimensions,
    /// Losses, schedule, optimiser.
    pub training: TrainingConfig,
    /// The checkpoint folder.
    pub out: PathBuf,
    /// Which part.
    pub part: PartName,
    /// What the high-level part begins as.
    pub start: Start,
    /// Where tensors live.
    pub device: Device,
    /// Goes on from the state in `out`.
    pub resume: bool,
    /// Weights to begin with.
    pub from: Option<PathBuf>,
    /// Goes on where masks or statistics saw test trials.
    pub allow_leakage: bool,
    /// Stops after this many epochs in all, to be resumed later.
    pub pause_after: Option<u32>,
    /// Where seconds come from.
    pub clock: Arc<dyn Clock>,
}

/// What a training has come to.
#[derive(Debug, Clone, PartialEq)]
pub struct FitOutcome {
    /// Epochs done.
    pub epochs: u32,
    /// The epoch (from 1) whose weights the checkpoint holds.
    pub best_epoch: Option<u32>,
    /// Everything measured.
    pub log: Log,
}

/// What is told while training: the epoch row so far after each update, and each finished epoch.
pub trait Witness {
    /// An update is done: which (from 1), of how many in all, images per second, and the last losses by name.
    fn update(&mut self, done: u64, of: u64, images_per_s: f64, losses: &[(&str, f64)]);
    /// An epoch is done.
    fn epoch(&mut self, log: &Log);
}

/// Trains as `request` says.
///
/// # Errors
/// Data, weights or state that cannot be used, a loss that is no number, a file that cannot be written. The checkpoint
/// in `out` is then the last one that was whole.
pub fn fit(request: &FitRequest, witness: &mut dyn Witness) -> Result<FitOutcome, TrainError> {
    if request.training.precision == TrainingPrecision::Fp16 && request.device == Device::Cpu {
        let message = "fp16 is for CUDA devices; on the processor use bf16 or fp32".to_owned();
        return Err(TrainError::Flag { flag: "--precision", message });
    }
    if request.part.learns_from_trials() { fit_to_trials(request, witness) } else { fit_to_pictures(request, witness) }
}

fn fit_to_trials(request: &FitRequest, witness: &mut dyn Witness) -> Result<FitOutcome, TrainError> {
    if request.part == PartName::LowLevel {
        only_data(request)?;
    }
    let training = &request.training;
    let examples = Examples::open_all(&request.data, training.seed, training.validation_share)?;
    for participant in examples.participants() {
        leakage::check_folder(&participant.folder).require_none(request.allow_leakage)?;
    }
    let model = ModelDimensions { voxels: examples.folder().voxel_count(), ..request.model.clone() };
    let setting = Setting { model: &model, training, examples: &examples, device: request.device };
    let from = request.from.as_deref();
    let part: Box<dyn Part + '_> = match request.part {
        PartName::LowLevel => Box::new(LowLevelPart::new(setting, from)?),
        _ => Box::new(MindeyePart::new(setting, request.start, from)?),
    };
    Training::begin(request, trials(request, &examples, &model), part)?.run(witness)
}

/// The trials of all participants as the loop, the report and the state see them.
fn trials(request: &FitRequest, examples: &Examples, model: &ModelDimensions) -> Source {
    let (train, validation, voxels) = (examples.train.len(), examples.validation.len(), examples.voxel_counts());
    let listed: Vec<String> = voxels.iter().map(ToString::to_string).collect();
    let splits: Vec<String> =
        examples.participants().iter().map(|own| format!("\"{}\"", split_hash(own.folder.trials()))).collect();
    Source {
        train,
        sentence: format!("{train} training images, {validation} for validation, {} voxels", listed.join(" and ")),
        identity: format!(
            "start = \"{}\"\nsplit_sha256 = [{}]\nvoxels = {voxels:?}\ntrain_images = {train}\nvalidation_images = {validation}\n\n# model\n{}",
            request.start,
            splits.join(", "),
            table(model),
        ),
    }
}

fn fit_to_pictures(request: &FitRequest, witness: &mut dyn Witness) -> Result<FitOutcome, TrainError> {
    let (data, training, out) = (only_data(request)?, &request.training, request.out.as_path());
    Commit::recover_if_there(out)?; // the UNet reads what the other parts have written there
    let pictures = Pictures::open(data, request.model.picture_side())?;
    let split = pictures.split(training.seed, training.validation_share);
    let setting = PictureSetting {
        model: &request.model,
        renderer: &request.renderer,
        training,
        pictures: &pictures,
        split: &split,
        device: request.device,
        out,
    };
    let from = request.from.as_deref();
    let part: Box<dyn Part + '_> = match request.part {
        PartName::Vae => Box::new(VaePart::new(setting, from)?),
        PartName::Encoder => Box::new(EncoderPart::new(setting, from)?),
        _ => Box::new(UnetPart::new(setting, from)?),
    };
    let (train, validation) = (split.train.len(), split.validation.len());
    let numbers = part.parameters().layout().trained_parameters();
    let source = Source {
        train,
        sentence: format!("{train} training pictures, {validation} for validation, {numbers} numbers to learn"),
        identity: format!(
            "pictures_sha256 = \"{}\"\ntrain_pictures = {train}\nvalidation_pictures = {validation}\n{}\n# model\n{}\n# renderer\n{}",
            pictures.digest(),
            part.learns_from()?,
            table(&request.model),
            table(&request.renderer),
        ),
    };
    Training::begin(request, source, part)?.run(witness)
}

/// The data of a part that cannot learn from several participants.
fn only_data(request: &FitRequest) -> Result<&Path, TrainError> {
    if let [data] = &request.data[..] {
        return Ok(data);
    }
    let why = if request.part.learns_from_trials() { "is one participant's" } else { "learns from one" };
    let message = format!("{} folders, but the part {} {why}", request.data.len(), request.part);
    Err(TrainError::Flag { flag: "--data", message })
}
