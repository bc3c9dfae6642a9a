//! The command line of `calibrate`.

use super::RidgeCheckpoint;
use super::fit::{Choices, JoinedSpace, Target};
use super::trained::TrainedModel;
use crate::dataset_write::Staging;
use crate::ridge::{AlphaChoice, LeftOut};
use mindeye_config::Failure;
use std::path::PathBuf;

/// Fits a new participant's front-end.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Checkpoint with the shared space that the front-end goes into: a ridge's (`shared.safetensors`), or one of
    /// `fit --start ridge`, which then comes out with this participant's front-end
    #[arg(long, required_unless_present_any = ["direct", "new_shared_space"])]
    pub(super) checkpoint: Option<PathBuf>,
    /// Training folder of the new participant
    #[arg(long)]
    pub(super) data: PathBuf,
    /// Checkpoint folder to make
    #[arg(long)]
    pub(super) out: PathBuf,
    /// Straight to the tokens, without a shared space
    #[arg(long, conflicts_with_all = ["checkpoint", "new_shared_space"])]
    direct: bool,
    /// Make a shared space of this many dimensions from this folder's training targets
    #[arg(long, value_name = "WIDTH", conflicts_with = "checkpoint")]
    new_shared_space: Option<usize>,
    /// Regularisation: `loo` (one alpha by leave-one-out), `loo-per-target`, or a number above 0
    #[arg(long, default_value = "loo", value_parser = alpha)]
    alpha: AlphaChoice,
    /// What is left out together to judge alpha: image (all its trials) or trial
    #[arg(long, default_value = "image", value_parser = left_out)]
    leave_out: LeftOut,
    /// Use only voxels whose repeats in training correlate at least this much
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    least_reliability: Option<f32>,
    /// Go on in spite of test trials in masks or statistics; the report lists them
    #[arg(long)]
    pub(super) allow_leakage: bool,
    /// Answer as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Arguments {
    /// The trained model that the front-end goes into, where `--checkpoint` is one of `fit`.
    pub(super) fn trained(&self) -> Result<Option<TrainedModel>, Failure> {
        let Some(path) = self.checkpoint.as_ref().filter(|path| TrainedModel::is_at(path)) else { return Ok(None) };
        TrainedModel::open(path).map(Some).map_err(|error| Failure::new(error.exit(), error))
    }

    pub(super) fn target(&self) -> Result<Target, Failure> {
        if !self.data.is_dir() {
            return Err(Failure::usage(format!("--data {}: no such folder", self.data.display())));
        }
        let Some(path) = &self.checkpoint else {
            return Ok(self.new_shared_space.map_or(Target::Direct, Target::NewSharedSpace));
        };
        if !path.is_dir() {
            return Err(Failure::usage(format!("--checkpoint {}: no such folder", path.display())));
        }
        let (shared, tokens, record) = RidgeCheckpoint::read_shared(path).map_err(Failure::data)?;
        Ok(Target::Shared(Box::new(JoinedSpace { shared, tokens, record })))
    }

    pub(super) fn choices(&self) -> Choices {
        let (alpha, left_out) = (self.alpha.clone(), self.leave_out);
        Choices { alpha, left_out, least_reliability: self.least_reliability }
    }

    pub(super) fn staging(&self) -> Result<Staging, Failure> {
        Staging::for_folder(&self.out).map_err(crate::output_failure)
    }
}

fn alpha(text: &str) -> Result<AlphaChoice, String> {
    match text {
        "loo" => Ok(AlphaChoice::Common(Vec::new())),
        "loo-per-target" => Ok(AlphaChoice::PerTarget(Vec::new())),
        number => match number.parse::<f64>() {
            Ok(alpha) if alpha.is_finite() && alpha > 0.0 => Ok(AlphaChoice::Fixed(alpha)),
            _ => Err(format!("must be loo, loo-per-target or a number above 0, found `{text}`")),
        },
    }
}

fn left_out(text: &str) -> Result<LeftOut, String> {
    match text {
        "image" => Ok(LeftOut::Image),
        "trial" => Ok(LeftOut::Trial),
        _ => Err(format!("must be image or trial, found `{text}`")),
    }
}
