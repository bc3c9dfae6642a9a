//! The training loop: epochs of batches, validation after each, and a commit that a kill cannot break.
//!
//! ```text
//!   epoch: order by (seed, epoch) ─► batches ─► losses ─► gradients (averaged over `accumulate`) ─► AdamW
//!          ─► validation ─► state, log and report; the checkpoint too when validation says best so far
//! ```

use super::adamw::AdamW;
use super::encoder_part::EncoderPart;
use super::loss_scale::LossScale;
use super::low_level_part::LowLevelPart;
use super::mindeye_part::MindeyePart;
use super::part::{Batch, Part, PartName, Setting, Start};
use super::picture_setting::PictureSetting;
use super::state::{self, Best, Place, Tensors};
use super::unet_part::UnetPart;
use super::vae_part::VaePart;
use crate::checkpoint::Commit;
use crate::{Draws, EpochRow, Examples, Facts, Log, OneCycle, Phase, Pictures, TrainError, training_report};
use mindeye_config::{Clock, ModelDimensions, RendererDimensions, TrainingConfig, TrainingPrecision};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tch::{Device, Tensor};

/// What to train, on what, where to.
pub struct FitRequest {
    /// The training folder; for the parts of a renderer also a folder or a safetensors file of pictures.
    pub data: PathBuf,
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
    let training = &request.training;
    let examples = Examples::open(&request.data, training.seed, training.validation_share)?;
    let model = ModelDimensions { voxels: examples.folder().voxel_count(), ..request.model.clone() };
    let setting = Setting { model: &model, training, examples: &examples, device: request.device };
    let from = request.from.as_deref();
    let part: Box<dyn Part + '_> = match request.part {
        PartName::LowLevel => Box::new(LowLevelPart::new(setting, from)?),
        _ => Box::new(MindeyePart::new(setting, request.start, from)?),
    };
    let (train, validation) = (examples.train.len(), examples.validation.len());
    let source = Source {
        train,
        sentence: format!("{train} training images, {validation} for validation, {} voxels", model.voxels),
        identity: format!(
            "start = \"{}\"\nsplit_sha256 = \"{}\"\ntrain_images = {train}\nvalidation_images = {validation}\n\n# model\n{}",
            request.start,
            crate::training_folder::split_hash(examples.folder().trials()),
            table(&model),
        ),
    };
    Training::begin(request, source, part)?.run(witness)
}

fn fit_to_pictures(request: &FitRequest, witness: &mut dyn Witness) -> Result<FitOutcome, TrainError> {
    let (training, out) = (&request.training, request.out.as_path());
    Commit::recover_if_there(out)?; // the UNet reads what the other parts have written there
    let pictures = Pictures::open(&request.data, request.model.picture_side())?;
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

/// What a training learns from, as the loop, the report and the state need it.
struct Source {
    /// Training images or pictures.
    train: usize,
    /// For the reader of the report.
    sentence: String,
    /// Data and sizes as text.
    identity: String,
}

struct Training<'a> {
    request: &'a FitRequest,
    source: Source,
    part: Box<dyn Part + 'a>,
    optimiser: AdamW,
    /// Moving average of the weights.
    average: Option<BTreeMap<String, Tensor>>,
    cycle: OneCycle,
    place: Place,
    log: Log,
    /// Everything that the course of a training depends on, as text: part, data, sizes and training.
    identity: String,
}

impl<'a> Training<'a> {
    fn begin(request: &'a FitRequest, source: Source, part: Box<dyn Part + 'a>) -> Result<Self, TrainError> {
        let training = &request.training;
        let optimiser = AdamW::new(&training.optimiser, part.parameters());
        let average = (training.ema_decay > 0.0).then(|| part.parameters().snapshot());
        let shared = ["learning_rate", "momentum", "temperature"];
        let shared = if part.name().learns_from_trials() { &shared[..] } else { &shared[..2] };
        let mut names: Vec<String> = shared.iter().map(ToString::to_string).collect();
        names.extend(part.loss_names().iter().chain(part.validation_names()).map(ToString::to_string));
        let updates = updates_per_epoch(source.train, training);
        let loss_scale = (training.precision == TrainingPrecision::Fp16).then(LossScale::default);
        let mut begun = Self {
            identity: format!("part = \"{}\"\n{}\n# training\n{}", request.part, source.identity, table(training)),
            request,
            source,
            part,
            optimiser,
            average,
            cycle: OneCycle::new(&training.optimiser, training.epochs, updates),
            place: Place { loss_scale, ..Place::default() },
            log: Log { names, rows: Vec::new() },
        };
        begun.go_on_or_refuse()?;
        Ok(begun)
    }

    /// Reads the state when asked to resume; refuses to write over one when not.
    fn go_on_or_refuse(&mut self) -> Result<(), TrainError> {
        Commit::recover_if_there(&self.request.out)?;
        let state = self.request.out.join(self.file("state.safetensors"));
        if !self.request.resume {
            if state.exists() {
                let message = format!("{}: holds a training; add --resume or choose another folder", state.display());
                return Err(TrainError::Flag { flag: "--out", message });
            }
            return Ok(());
        }
        let mut tensors = Tensors {
            parameters: self.part.parameters_mut(),
            optimiser: &mut self.optimiser,
            average: self.average.as_mut(),
        };
        self.place = state::read(&state, &mut tensors, &self.identity)?;
        let log = self.request.out.join(self.file("log.csv"));
        let text = std::fs::read_to_string(&log).map_err(TrainError::unreadable(&log))?;
        self.log = Log::parse(&text, &log)?;
        Ok(())
    }

    fn file(&self, name: &str) -> String {
        format!("training/{}/{name}", self.part.name())
    }

    fn run(mut self, witness: &mut dyn Witness) -> Result<FitOutcome, TrainError> {
        let last = self.request.training.epochs.min(self.request.pause_after.unwrap_or(u32::MAX));
        while self.place.epochs < last {
            self.epoch(witness)?;
            witness.epoch(&self.log);
        }
        let best_epoch = self.place.best.map(|best| best.epoch);
        Ok(FitOutcome { epochs: self.place.epochs, best_epoch, log: self.log })
    }

    fn epoch(&mut self, witness: &mut dyn Witness) -> Result<(), TrainError> {
        let (clock, config) = (&self.request.clock, &self.request.training);
        let began = clock.now();
        let epoch = self.place.epochs;
        let phase = Phase::of(&config.contrastive, epoch, config.epochs);
        let order = Draws::new(config.seed, u64::from(epoch), "order").permutation(self.source.train);
        let updates = updates_per_epoch(order.len(), config);
        let size = batch_size(order.len(), config);
        let mut sums = vec![0.0; self.part.loss_names().len()];
        let mut point = self.cycle.at(self.place.updates);
        for update in 0..updates {
            point = self.cycle.at(self.place.updates);
            let start = update as usize * size * config.accumulate;
            let chunk = &order[start..start + size * config.accumulate];
            let losses = self.update(chunk, size, phase, point)?;
            sums.iter_mut().zip(&losses).for_each(|(sum, loss)| *sum += loss / updates as f64);
            let images = (update + 1) as f64 * (size * config.accumulate) as f64;
            let speed = images / clock.now().since(began).as_secs_f64().max(1e-9);
            let named: Vec<(&str, f64)> = self.part.loss_names().iter().copied().zip(losses).collect();
            witness.update(self.place.updates, updates * u64::from(config.epochs), speed, &named);
        }
        self.place.epochs += 1;
        let mut values = vec![point.learning_rate, point.momentum];
        values.extend(self.part.name().learns_from_trials().then(|| phase.temperature()));
        values.extend(sums);
        self.close(phase, values, clock.now().since(began).as_secs_f64())
    }

    /// One update of the weights from `accumulate` batches of `size`; the mean of their losses.
    fn update(
        &mut self,
        chunk: &[usize],
        size: usize,
        phase: Phase,
        point: crate::CyclePoint,
    ) -> Result<Vec<f64>, TrainError> {
        let share = 1.0 / (chunk.len() / size) as f64;
        let scale = self.place.loss_scale.map_or(1.0, |scale| scale.scale);
        let mut means = vec![0.0; self.part.loss_names().len()];
        let mut gradients: Vec<Tensor> = Vec::new();
        self.part.parameters_mut().set_precision(self.request.training.precision);
        for items in chunk.chunks(size) {
            let losses = self.part.losses(&Batch { number: self.place.batches, items, phase })?.0;
            let values: Vec<f64> = losses.iter().map(|loss| loss.double_value(&[])).collect();
            if !values[0].is_finite() {
                return Err(TrainError::Diverged { step: self.place.batches, value: values[0] });
            }
            means.iter_mut().zip(values).for_each(|(mean, value)| *mean += share * value);
            add_gradients(&mut gradients, self.gradients(&(&losses[0] * (share * scale))));
            self.place.batches += 1;
        }
        self.part.parameters_mut().set_precision(TrainingPrecision::Fp32);
        self.move_weights(&gradients, point);
        Ok(means)
    }

    /// One step of the optimiser, unless a gradient overflowed.
    fn move_weights(&mut self, gradients: &[Tensor], point: crate::CyclePoint) {
        self.place.updates += 1;
        if self.place.loss_scale.as_mut().is_none_or(|scale| scale.undo(gradients)) {
            self.optimiser.update(self.part.parameters(), gradients, point);
            self.move_average();
        } else {
            self.place.skipped += 1;
        }
    }

    fn gradients(&self, loss: &Tensor) -> Vec<Tensor> {
        let trained: Vec<&Tensor> = self.part.parameters().trained().map(|(_, tensor)| tensor).collect();
        Tensor::run_backward(&[loss], &trained, false, false)
    }

    /// ē ← d ē + (1 - d) w.
    fn move_average(&mut self) {
        let Some(average) = &mut self.average else { return };
        let decay = self.request.training.ema_decay;
        tch::no_grad(|| {
            for (slot, tensor) in self.part.parameters().trained() {
                if let Some(mean) = average.get_mut(&slot.key) {
                    let _ = mean.lerp_(tensor, 1.0 - decay);
                }
            }
        });
    }

    /// Validation, log, and the commit of everything that an epoch leaves.
    fn close(&mut self, phase: Phase, mut values: Vec<f64>, seconds: f64) -> Result<(), TrainError> {
        let weights = self.average.as_ref().map(|_| self.part.parameters().snapshot());
        if let Some(average) = &self.average {
            self.part.parameters_mut().copy_from(average);
        }
        let validation = self.part.validate(phase)?;
        values.extend(&validation.values);
        let (epoch, step) = (self.place.epochs, self.place.updates);
        self.log.rows.push(EpochRow { epoch, step, values, seconds });
        let commit = Commit::begin(&self.request.out)?;
        if self.place.best.is_none_or(|best| validation.score > best.score) {
            self.place.best = Some(Best { epoch, score: validation.score });
            self.write_checkpoint(&commit)?;
        }
        if let Some(weights) = weights {
            self.part.parameters_mut().copy_from(&weights);
        }
        self.write_training(&commit)?;
        commit.finish()
    }

    /// The part's files of a checkpoint, and sample pictures of these very weights.
    fn write_checkpoint(&mut self, commit: &Commit) -> Result<(), TrainError> {
        self.part.write(commit, &self.request.out)?;
        if let Some(sheet) = self.part.samples() {
            commit.write(&self.file("samples.png"), sheet.png())?;
            commit.write(&self.file("samples.txt"), sheet.caption())?;
        }
        Ok(())
    }

    /// What `samples.png` shows: written with the best epoch so far, now or earlier.
    fn samples_caption(&self, commit: &Commit) -> Result<Option<String>, TrainError> {
        let name = self.file("samples.txt");
        let places = [commit.place(&name)?, self.request.out.join(&name)];
        Ok(places.iter().find_map(|path| std::fs::read_to_string(path).ok()))
    }

    fn write_training(&mut self, commit: &Commit) -> Result<(), TrainError> {
        let state = commit.place(&self.file("state.safetensors"))?;
        commit.write(&self.file("log.csv"), self.log.csv())?;
        let (done, all) = (self.place.epochs, self.request.training.epochs);
        let mut sentences = vec![format!("{}; {done} of {all} epochs done.", self.source.sentence)];
        if self.place.skipped > 0 {
            let (skipped, updates) = (self.place.skipped, self.place.updates);
            sentences.push(format!("{skipped} of {updates} updates were taken back: a gradient overflowed float16."));
        }
        let part = self.part.name().to_string();
        let best = self.place.best.map(|best| best.epoch);
        let samples = self.samples_caption(commit)?;
        let facts = Facts {
            part: &part,
            sentences: &sentences,
            best,
            samples: samples.as_deref(),
            configuration: &self.identity,
        };
        commit.write(&self.file("report.html"), training_report(&facts, &self.log))?;
        let tensors = Tensors {
            parameters: self.part.parameters_mut(),
            optimiser: &mut self.optimiser,
            average: self.average.as_mut(),
        };
        state::write(&state, &tensors, &self.place, &self.identity)
    }
}

/// Images in a batch: as configured, or all of them where there are fewer.
fn batch_size(images: usize, config: &TrainingConfig) -> usize {
    config.batch.min(images / config.accumulate).max(1)
}

/// Updates in an epoch; images that fill no batch are left out of it.
fn updates_per_epoch(images: usize, config: &TrainingConfig) -> u64 {
    (images / (batch_size(images, config) * config.accumulate)) as u64
}

/// Adds `more` to `sums`, which are empty at first; one that is not defined adds nothing.
fn add_gradients(sums: &mut Vec<Tensor>, more: Vec<Tensor>) {
    if sums.is_empty() {
        *sums = more;
        return;
    }
    for (sum, gradient) in sums.iter_mut().zip(more).filter(|(_, gradient)| gradient.defined()) {
        if sum.defined() {
            let _ = sum.g_add_(&gradient);
        } else {
            *sum = gradient;
        }
    }
}

/// A configuration as TOML.
fn table(value: &impl serde::Serialize) -> String {
    toml::to_string(value).unwrap_or_else(|error| error.to_string())
}
