//! The training loop: epochs of batches, validation after each, and a commit that a kill cannot break.
//!
//! ```text
//!   epoch: order by (seed, epoch) ─► batches ─► losses ─► gradients (averaged over `accumulate`) ─► AdamW
//!          ─► validation ─► state, log and report; the checkpoint too when validation says best so far
//! ```

use super::adamw::AdamW;
use super::low_level_part::LowLevelPart;
use super::mindeye_part::MindeyePart;
use super::part::{Batch, Part, PartName, Setting, Start};
use super::state::{self, Best, Place, Tensors};
use crate::checkpoint::{Commit, TrainingRecord, participant_folder};
use crate::leakage;
use crate::{
    Draws, EpochRow, Example, Examples, Facts, Log, OneCycle, Participant, Phase, TrainError, training_report,
};
use mindeye_config::{Clock, ModelDimensions, TrainingConfig};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tch::{Device, Tensor};

/// What to train, on what, where to.
pub struct FitRequest {
    /// Training folders, one for each participant; the first is participant 0.
    pub data: Vec<PathBuf>,
    /// Sizes; `voxels` is the data's count.
    pub model: ModelDimensions,
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
    let training = &request.training;
    let examples = Examples::open_all(&request.data, training.seed, training.validation_share)?;
    for participant in examples.participants() {
        leakage::check_folder(&participant.folder).require_none(request.allow_leakage)?;
    }
    let model = ModelDimensions { voxels: examples.folder().voxel_count(), ..request.model.clone() };
    let setting = Setting { model: &model, training, examples: &examples, device: request.device };
    let from = request.from.as_deref();
    let part: Box<dyn Part + '_> = match request.part {
        PartName::Mindeye => Box::new(MindeyePart::new(setting, request.start, from)?),
        PartName::LowLevel if request.data.len() > 1 => return Err(one_participant_only(request)),
        PartName::LowLevel => Box::new(LowLevelPart::new(setting, from)?),
    };
    Training::begin(request, &examples, &model, part)?.run(witness)
}

struct Training<'a> {
    request: &'a FitRequest,
    examples: &'a Examples,
    model: &'a ModelDimensions,
    part: Box<dyn Part + 'a>,
    optimiser: AdamW,
    /// Moving average of the weights.
    average: Option<BTreeMap<String, Tensor>>,
    cycle: OneCycle,
    place: Place,
    log: Log,
    identity: String,
}

impl<'a> Training<'a> {
    fn begin(
        request: &'a FitRequest,
        examples: &'a Examples,
        model: &'a ModelDimensions,
        part: Box<dyn Part + 'a>,
    ) -> Result<Self, TrainError> {
        let training = &request.training;
        let optimiser = AdamW::new(&training.optimiser, part.parameters());
        let average = (training.ema_decay > 0.0).then(|| part.parameters().snapshot());
        let mut names: Vec<String> = ["learning_rate", "momentum", "temperature"].map(str::to_owned).into();
        names.extend(part.loss_names().iter().chain(part.validation_names()).map(ToString::to_string));
        names.extend(part.more_validation_names());
        let identity = identity(request, examples, model);
        let updates = updates_per_epoch(examples.train.len(), training);
        let mut begun = Self {
            request,
            examples,
            model,
            part,
            optimiser,
            average,
            cycle: OneCycle::new(&training.optimiser, training.epochs, updates),
            place: Place::default(),
            log: Log { names, rows: Vec::new() },
            identity,
        };
        begun.go_on_or_refuse()?;
        Ok(begun)
    }

    /// Reads the state when asked to resume; refuses to write over one when not.
    fn go_on_or_refuse(&mut self) -> Result<(), TrainError> {
        Commit::recover(&self.request.out)
            .or_else(|error| if self.request.out.exists() { Err(error) } else { Ok(()) })?;
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
        let order = Draws::new(config.seed, u64::from(epoch), "order").permutation(self.examples.train.len());
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
        let mut values = vec![point.learning_rate, point.momentum, phase.temperature()];
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
        let mut means = vec![0.0; self.part.loss_names().len()];
        let mut gradients: Vec<Tensor> = Vec::new();
        for indices in chunk.chunks(size) {
            let examples: Vec<&Example> = indices.iter().map(|i| &self.examples.train[*i]).collect();
            let losses = self.part.losses(&Batch { number: self.place.batches, examples, phase })?.0;
            let values: Vec<f64> = losses.iter().map(|loss| loss.double_value(&[])).collect();
            if !values[0].is_finite() {
                return Err(TrainError::Diverged { step: self.place.batches, value: values[0] });
            }
            means.iter_mut().zip(values).for_each(|(mean, value)| *mean += share * value);
            add_gradients(&mut gradients, self.gradients(&(&losses[0] * share)));
            self.place.batches += 1;
        }
        self.optimiser.update(self.part.parameters(), &gradients, point);
        self.place.updates += 1;
        self.move_average();
        Ok(means)
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

    /// The files of a checkpoint: the part's own, and what came with the data.
    fn write_checkpoint(&self, commit: &Commit) -> Result<(), TrainError> {
        self.part.write(commit, &self.request.out)?;
        let model =
            toml::to_string(self.model).map_err(|e| TrainError::malformed(Path::new("model.toml"), e.to_string()))?;
        commit.write("model.toml", model)?;
        for (number, participant) in self.examples.participants().iter().enumerate() {
            self.write_participant(commit, number, participant)?;
        }
        Ok(())
    }

    /// What belongs to one participant: z-scores, what was learned from which trials, and what came with the data.
    fn write_participant(&self, commit: &Commit, number: usize, own: &Participant) -> Result<(), TrainError> {
        let below = participant_folder(Path::new(""), number);
        let name = |name: &str| below.join(name).to_string_lossy().into_owned();
        own.zscore.write(&commit.place(&name("zscore.safetensors"))?)?;
        let record = self.record(number, own);
        commit.write(&name(TrainingRecord::FILE), record.to_toml())?;
        commit.write(&name(TrainingRecord::IMAGES), record.image_list())?;
        for file in ["mask.nii.gz", "reference.nii.gz", "preprocess.toml", "hrf_index.nii.gz"] {
            let source = own.folder.path().join(file);
            if source.is_file() {
                commit.write(&name(file), std::fs::read(&source).map_err(TrainError::unreadable(&source))?)?;
            }
        }
        Ok(())
    }

    /// What participant `number` was learned from: own trials, and the images of all, since all share the model.
    fn record(&self, number: usize, own: &Participant) -> TrainingRecord {
        let rows = |examples: &[Example]| -> Vec<usize> {
            let own = examples.iter().filter(|example| example.participant == number);
            own.flat_map(|example| example.rows.iter().copied()).collect()
        };
        let (train, validation) = (rows(&self.examples.train), rows(&self.examples.validation));
        let mut record = TrainingRecord::of_network(&own.folder, &train, &validation);
        for example in self.examples.train.iter().chain(&self.examples.validation) {
            let folder = &self.examples.participants()[example.participant].folder;
            record.images.insert(folder.images()[example.image].clone());
        }
        record
    }

    fn write_training(&mut self, commit: &Commit) -> Result<(), TrainError> {
        let state = commit.place(&self.file("state.safetensors"))?;
        commit.write(&self.file("log.csv"), self.log.csv())?;
        let sentences = [format!(
            "{} training images, {} for validation, {} voxels; {} of {} epochs done.",
            self.examples.train.len(),
            self.examples.validation.len(),
            self.examples.voxel_counts().iter().map(ToString::to_string).collect::<Vec<_>>().join(" and "),
            self.place.epochs,
            self.request.training.epochs
        )];
        let part = self.part.name().to_string();
        let best = self.place.best.map(|best| best.epoch);
        let facts = Facts { part: &part, sentences: &sentences, best, configuration: &self.identity };
        commit.write(&self.file("report.html"), training_report(&facts, &self.log))?;
        let tensors = Tensors {
            parameters: self.part.parameters_mut(),
            optimiser: &mut self.optimiser,
            average: self.average.as_mut(),
        };
        state::write(&state, &tensors, &self.place, &self.identity)
    }
}

fn one_participant_only(request: &FitRequest) -> TrainError {
    let message = format!("{} folders, but the low-level network is one participant's", request.data.len());
    TrainError::Flag { flag: "--data", message }
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

/// Everything that the course of a training depends on, as text: model, training, part and data.
fn identity(request: &FitRequest, examples: &Examples, model: &ModelDimensions) -> String {
    let table = |value: Result<String, toml::ser::Error>| value.unwrap_or_else(|error| error.to_string());
    let splits: Vec<String> = examples
        .participants()
        .iter()
        .map(|own| format!("\"{}\"", crate::training_folder::split_hash(own.folder.trials())))
        .collect();
    let (splits, voxels) = (splits.join(", "), examples.voxel_counts());
    format!(
        "part = \"{}\"\nstart = \"{}\"\nsplit_sha256 = [{splits}]\nvoxels = {voxels:?}\ntrain_images = {}\nvalidation_images = {}\n\n# model\n{}\n# training\n{}",
        request.part,
        request.start,
        examples.train.len(),
        examples.validation.len(),
        table(toml::to_string(model)),
        table(toml::to_string(&request.training))
    )
}
