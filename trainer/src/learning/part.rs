//! A part of a model is what one training moves: its tensors, its losses, how its validation chooses, its files.

use super::parameters::Parameters;
use crate::checkpoint::Commit;
use crate::{Example, Examples, Phase, Sheet, TrainError};
use mindeye_config::{ModelDimensions, TrainingConfig};
use ndarray::ArrayView2;
use std::fmt;
use std::path::Path;
use tch::{Device, Tensor};

/// The parts that this version trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartName {
    /// Backbone, projector and prior together.
    Mindeye,
    /// The low-level network.
    LowLevel,
    /// The picture encoder of a renderer.
    Encoder,
    /// The autoencoder of a renderer.
    Vae,
    /// The UNet of a renderer.
    Unet,
}

impl PartName {
    /// Whether it learns from trials, in the phases of the contrastive loss, and not from pictures.
    pub(super) fn learns_from_trials(self) -> bool {
        matches!(self, Self::Mindeye | Self::LowLevel)
    }
}

/// What stands between voxels and the residual MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Nothing: MindEye1.
    Mindeye1,
    /// A ridge regression in closed form, to which a gated MLP adds what it learns.
    Ridge,
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mindeye1 => "mindeye1",
            Self::Ridge => "ridge",
        })
    }
}

impl fmt::Display for PartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mindeye => "mindeye",
            Self::LowLevel => "low-level",
            Self::Encoder => "encoder",
            Self::Vae => "vae",
            Self::Unet => "unet",
        })
    }
}

/// What every part is made from.
pub(super) struct Setting<'a> {
    pub(super) model: &'a ModelDimensions,
    pub(super) training: &'a TrainingConfig,
    pub(super) examples: &'a Examples,
    pub(super) device: Device,
}

/// One batch of one step.
pub(super) struct Batch<'a> {
    /// Number of the batch since the training began, from 0: every random draw follows from it and the seed.
    pub(super) number: u64,
    /// Which of the training images or pictures, by their number among these.
    pub(super) items: &'a [usize],
    pub(super) phase: Phase,
}

/// The losses of a batch; the first is the total, from which gradients come.
pub(super) struct Losses(pub(super) Vec<Tensor>);

/// What validation found.
pub(super) struct Validation {
    /// One value for each of [`Part::validation_names`], then of [`Part::more_validation_names`].
    pub(super) values: Vec<f64>,
    /// The larger, the better: what chooses the epoch. Compared from the first on.
    pub(super) score: [f64; 2],
}

/// See the module.
pub(super) trait Part {
    fn name(&self) -> PartName;
    fn parameters(&self) -> &Parameters;
    fn parameters_mut(&mut self) -> &mut Parameters;
    /// Names of the losses, the total first.
    fn loss_names(&self) -> &'static [&'static str];
    fn validation_names(&self) -> &'static [&'static str];
    /// Further columns of validation, after those: one part has them for each participant.
    fn more_validation_names(&self) -> Vec<String> {
        Vec::new()
    }
    /// # Errors
    /// Data that cannot be read.
    fn losses(&self, batch: &Batch<'_>) -> Result<Losses, TrainError>;
    /// # Errors
    /// Data that cannot be read.
    fn validate(&self, phase: Phase) -> Result<Validation, TrainError>;
    /// Writes the part's own files of a checkpoint; `previous` is the folder that they go into.
    ///
    /// # Errors
    /// A file that cannot be written.
    fn write(&self, commit: &Commit, previous: &Path) -> Result<(), TrainError>;
    /// Lines for the training's identity: files of other parts that this one learns from.
    ///
    /// # Errors
    /// A file that cannot be read.
    fn learns_from(&self) -> Result<String, TrainError> {
        Ok(String::new())
    }
    /// Pictures that show what the part can do by now, for those that make or sort pictures.
    fn samples(&self) -> Option<Sheet> {
        None
    }
}

impl Setting<'_> {
    /// The training images that a batch calls `items`.
    pub(super) fn training_examples(&self, items: &[usize]) -> Vec<&Example> {
        items.iter().map(|item| &self.examples.train[*item]).collect()
    }

    /// Rows of an array `[images, ..]` that belong to `examples`, as a tensor of `shape` with the batch first.
    pub(super) fn rows_of(&self, array: ArrayView2<'_, f32>, examples: &[&Example], shape: &[usize]) -> Tensor {
        let mut values: Vec<f32> = Vec::with_capacity(examples.len() * array.ncols());
        examples.iter().for_each(|example| values.extend(array.row(example.image).iter()));
        let mut sizes: Vec<i64> = vec![examples.len() as i64];
        sizes.extend(super::parameters::sizes(shape));
        Tensor::from_slice(&values).view(&sizes[..]).to_device(self.device)
    }

    /// A matrix as a tensor.
    pub(super) fn tensor(&self, matrix: &ndarray::Array2<f32>) -> Tensor {
        let (rows, columns) = matrix.dim();
        let values = matrix.as_standard_layout();
        let values = values.as_slice().expect("standard layout was asked for");
        Tensor::from_slice(values).view([rows as i64, columns as i64]).to_device(self.device)
    }
}
