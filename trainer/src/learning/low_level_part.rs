//! The low-level pipeline as one training: voxels to the latents of the pictures, with a teacher where there is one.
//!
//! L = L1(latent, target)/0.18215 + w · L_teacher (spec: MindEye section 4.2). Latents and the teacher's features are
//! files of the training folder: `latents.npy` f32 `[images, 4, h, w]` (scaled), and `teacher.npy` with
//! `teacher_augmented.npy`, f32 `[images, places, 512]` each, in the order of `targets.npy`.

use super::contrast::teacher_contrast;
use super::golden;
use super::low_level::low_level;
use super::parameters::Parameters;
use super::part::{Batch, Losses, Part, PartName, Setting, Validation};
use crate::checkpoint::Commit;
use crate::networks::LowLevel;
use crate::training_folder::NpyMap;
use crate::{Draws, Example, Phase, TrainError};
use ndarray::{Array2, Axis};
use std::path::Path;
use tch::{Reduction, Tensor};

/// Images that are validated at once.
const VALIDATION_BATCH: usize = 32;
/// Keys that only training has.
const HEAD: &str = "maps_projector.";
/// Up to this draw a batch takes random mixtures of the repeats, up to the next their mean, else one repeat each.
const MIXTURE: f64 = 0.5;
const MEAN: f64 = 0.8;

pub(super) struct LowLevelPart<'a> {
    setting: Setting<'a>,
    sizes: LowLevel,
    latents: NpyMap,
    teacher: Option<[NpyMap; 2]>,
    parameters: Parameters,
}

impl<'a> LowLevelPart<'a> {
    /// The part with random weights, or with those of the file `from`, which has the auxiliary head too.
    ///
    /// # Errors
    /// Latents or features that are missing or of another shape, weights that do not fit.
    pub(super) fn new(setting: Setting<'a>, from: Option<&Path>) -> Result<Self, TrainError> {
        let sizes = LowLevel::of(setting.model);
        let side = sizes.latent_side();
        let latents = open(&setting, "latents.npy", &[4, side, side])?;
        let places = sizes.map_side * sizes.map_side;
        let teacher = if setting.examples.folder().path().join("teacher.npy").exists() {
            let shape = [places, 512];
            Some([open(&setting, "teacher.npy", &shape)?, open(&setting, "teacher_augmented.npy", &shape)?])
        } else {
            None
        };
        let layout = sizes.training_layout();
        let parameters = Parameters::begin(from, layout, setting.training.seed, setting.device)?;
        Ok(Self { setting, sizes, latents, teacher, parameters })
    }

    /// The voxels of a batch: with probability 0.5 a random mixture of each example's repeats, with 0.3 their mean,
    /// with 0.2 one of them at random.
    fn voxels(&self, examples: &[&Example], draws: &mut Draws) -> Result<Array2<f32>, TrainError> {
        let choice = draws.uniform();
        if (MIXTURE..MEAN).contains(&choice) {
            return self.setting.examples.mean_voxels(examples);
        }
        let mut out = Array2::zeros((examples.len(), self.setting.examples.folder().voxel_count()));
        for (example, mut to) in examples.iter().zip(out.rows_mut()) {
            let repeats = self.setting.examples.voxels(&example.rows)?;
            let weights =
                if choice < MIXTURE { mixture(draws, example.rows.len()) } else { one(draws, example.rows.len()) };
            repeats.axis_iter(Axis(0)).zip(weights).for_each(|(repeat, weight)| to.scaled_add(weight, &repeat));
        }
        Ok(out)
    }

    fn targets(&self, array: &NpyMap, examples: &[&Example]) -> Tensor {
        self.setting.rows_of(array.view(), examples, &array.shape()[1..])
    }
}

impl Part for LowLevelPart<'_> {
    fn name(&self) -> PartName {
        PartName::LowLevel
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }

    fn loss_names(&self) -> &'static [&'static str] {
        &["loss", "l1", "contrastive"]
    }

    fn validation_names(&self) -> &'static [&'static str] {
        &["val_l1"]
    }

    fn losses(&self, batch: &Batch<'_>) -> Result<Losses, TrainError> {
        let training = self.setting.training;
        let mut draws = Draws::new(training.seed, batch.number, "step");
        tch::manual_seed(draws.generator_seed());
        let examples = self.setting.training_examples(batch.items);
        let voxels = self.setting.tensor(&self.voxels(&examples, &mut draws)?);
        let answer = low_level(&self.sizes, &self.parameters, &voxels, Some(&training.dropout));
        let target = self.targets(&self.latents, &examples);
        let l1 = answer.latent.l1_loss(&target, Reduction::Mean) / training.low_level.latent_scale;
        let (Some([teacher, augmented]), Some(student)) = (&self.teacher, &answer.features) else {
            let none = l1.zeros_like();
            return Ok(Losses(vec![l1.shallow_clone(), l1, none]));
        };
        let (teacher, augmented) = (self.targets(teacher, &examples), self.targets(augmented, &examples));
        let contrast = teacher_contrast(student, &teacher, &augmented, training.low_level.temperature);
        let total = &l1 + &contrast * training.low_level.contrastive_weight;
        Ok(Losses(vec![total, l1, contrast]))
    }

    fn validate(&self, _phase: Phase) -> Result<Validation, TrainError> {
        let examples: Vec<&Example> = self.setting.examples.validation.iter().collect();
        let mut sum = 0.0;
        for chunk in examples.chunks(VALIDATION_BATCH) {
            let voxels = self.setting.tensor(&self.setting.examples.mean_voxels(chunk)?);
            let target = self.targets(&self.latents, chunk);
            let latent = tch::no_grad(|| low_level(&self.sizes, &self.parameters, &voxels, None).latent);
            let l1 = latent.l1_loss(&target, Reduction::Mean).double_value(&[]);
            sum += l1 * chunk.len() as f64 / examples.len() as f64;
        }
        let l1 = sum / self.setting.training.low_level.latent_scale;
        Ok(Validation { values: vec![l1], score: [-l1, 0.0] })
    }

    fn write(&self, commit: &Commit, previous: &Path) -> Result<(), TrainError> {
        self.setting.write_carried(commit)?;
        let place = commit.place("low_level.safetensors")?;
        golden::write_weights(&self.parameters, &place, |key| !key.starts_with(HEAD))?;
        let cases = tch::no_grad(|| golden::low_level_case(&self.sizes, &self.parameters));
        golden::write_cases(&commit.place("golden.safetensors")?, &["low-level/"], cases, previous)
    }
}

/// Opens an array of the training folder with one entry of `shape` for each image.
fn open(setting: &Setting<'_>, name: &str, shape: &[usize]) -> Result<NpyMap, TrainError> {
    let folder = setting.examples.folder();
    let path = folder.path().join(name);
    if !path.exists() {
        let what = format!("{}: not there, and it cannot be computed from pictures in this version", path.display());
        let remedy = format!("write {name}, f32 [images, {shape:?}], with the encoder of your choice");
        return Err(TrainError::Unavailable { what, remedy });
    }
    let array = NpyMap::open(&path)?;
    let wanted = [&[folder.images().len()], shape].concat();
    if array.shape() != wanted {
        return Err(TrainError::malformed(&path, format!("must be {wanted:?}, found {:?}", array.shape())));
    }
    array.require_finite()?;
    Ok(array)
}

/// Uniform weights over their sum.
fn mixture(draws: &mut Draws, count: usize) -> Vec<f32> {
    let weights: Vec<f64> = (0..count).map(|_| 1.0 - draws.uniform()).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| (weight / sum) as f32).collect()
}

/// All weight on one of them.
fn one(draws: &mut Draws, count: usize) -> Vec<f32> {
    let chosen = draws.below(count);
    (0..count).map(|i| if i == chosen { 1.0 } else { 0.0 }).collect()
}
