//! The training loop: epochs of batches, validation after each, and a commit that a kill cannot break.
//!
//! ```text
//!   epoch: order by (seed, epoch) ─► batches ─► losses ─► gradients (averaged over `accumulate`) ─► AdamW
//!          ─► validation ─► state, log and report; the checkpoint too when validation says best so far
//! ```

use super::adamw::AdamW;
use super::fit::{FitOutcome, FitRequest, Witness};
use super::loss_scale::LossScale;
use super::part::{Batch, Part};
use super::state::{self, Best, Place, Tensors};
use crate::checkpoint::Commit;
use crate::{Draws, EpochRow, Facts, Log, OneCycle, Phase, TrainError, training_report};
use mindeye_config::{TrainingConfig, TrainingPrecision};
use std::collections::BTreeMap;
use tch::Tensor;

/// What a training learns from, as the loop, the report and the state need it.
pub(super) struct Source {
    /// Training images or pictures.
    pub(super) train: usize,
    /// For the reader of the report.
    pub(super) sentence: String,
    /// Data and sizes as text.
    pub(super) identity: String,
}

/// One training on its way.
pub(super) struct Training<'a> {
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
    /// At its beginning, or where the state in `out` stopped.
    ///
    /// # Errors
    /// A state that is in the way, missing, or of another training.
    pub(super) fn begin(request: &'a FitRequest, source: Source, part: Box<dyn Part + 'a>) -> Result<Self, TrainError> {
        let training = &request.training;
        let optimiser = AdamW::new(&training.optimiser, part.parameters());
        let average = (training.ema_decay > 0.0).then(|| part.parameters().snapshot());
        let shared = ["learning_rate", "momentum", "temperature"];
        let shared = if part.name().learns_from_trials() { &shared[..] } else { &shared[..2] };
        let mut names: Vec<String> = shared.iter().map(ToString::to_string).collect();
        names.extend(part.loss_names().iter().chain(part.validation_names()).map(ToString::to_string));
        names.extend(part.more_validation_names());
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

    /// Goes on to the last epoch, or to where it shall pause.
    ///
    /// # Errors
    /// As [`super::fit()`].
    pub(super) fn run(mut self, witness: &mut dyn Witness) -> Result<FitOutcome, TrainError> {
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

    /// ē ← d ē + (1 - d) w, where d grows with the updates n as (1 + n)/(10 + n) up to the configured decay, so that a
    /// short training's average forgets the random weights that it began with (as diffusers' `EMAModel`).
    fn move_average(&mut self) {
        let Some(average) = &mut self.average else { return };
        let updates = self.place.updates as f64;
        let decay = self.request.training.ema_decay.min((1.0 + updates) / (10.0 + updates));
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
pub(super) fn table(value: &impl serde::Serialize) -> String {
    toml::to_string(value).unwrap_or_else(|error| error.to_string())
}
