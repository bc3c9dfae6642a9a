//! The command line of `evaluate`.

use crate::training_folder::Split;
use mindeye_config::Failure;
use mindeye_decode::metrics::Protocol;
use std::path::{Path, PathBuf};

/// Which of a trained network's tokens are set against the images'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum TokenChoice {
    /// The projector's, which the contrastive loss trained: MindEye's retrieval
    Projector,
    /// The backbone's, which condition the prior
    Backbone,
}

impl TokenChoice {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Projector => "projector",
            Self::Backbone => "backbone",
        }
    }
}

/// Measures a checkpoint, or saved predictions, on held-out trials.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Checkpoint folder of `fit` or `calibrate`; repeat for trainings that differ by their seed, whose mean is reported
    #[arg(long, required_unless_present = "predictions")]
    pub(super) checkpoint: Vec<PathBuf>,
    /// Which participant of a checkpoint of several, from 0
    #[arg(long, default_value_t = 0)]
    pub(super) participant: usize,
    /// Which tokens of a trained network are compared
    #[arg(long, value_enum, default_value = "projector")]
    pub(super) tokens: TokenChoice,
    /// Compute a trained network by its exported backbone, in ONNX Runtime; repeat as --checkpoint
    #[arg(long, value_name = "FILE.onnx", requires = "checkpoint")]
    pub(super) graph: Vec<PathBuf>,
    /// Where libtorch computes a trained network: cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    pub(super) device: String,
    /// Predicted tokens instead: float32 .npy [trials of the split, T, D], in the order of trials.tsv
    #[arg(long, value_name = "FILE", conflicts_with = "checkpoint")]
    pub(super) predictions: Option<PathBuf>,
    /// Training folder
    #[arg(long)]
    pub(super) data: PathBuf,
    /// Trials to measure on: train, validation or test
    #[arg(long, default_value = "test", value_parser = split)]
    pub(super) split: Split,
    /// Report to write, JSON; an HTML page with the same name goes beside it
    #[arg(long)]
    pub(super) out: PathBuf,
    /// Pictures in a retrieval pool
    #[arg(long, default_value_t = 300)]
    pool: usize,
    /// Pools
    #[arg(long, default_value_t = 30)]
    draws: usize,
    /// Seed of pools, bootstrap and permutations
    #[arg(long, default_value_t = 0)]
    pub(super) seed: u64,
    /// Permutations of the null distribution
    #[arg(long, default_value_t = 1000)]
    pub(super) permutations: usize,
    /// Folder of reconstructions, IMAGE.png: adds PixCorr, SSIM and two-way identification
    #[arg(long, value_name = "DIR")]
    pub(super) reconstructions: Option<PathBuf>,
    /// Feature extractor (TOML: onnx, input, side, output, shape, mean, sd); repeat for several
    #[arg(long, value_name = "FILE")]
    pub(super) features: Vec<PathBuf>,
    /// Another model's report on the same images: adds paired differences, this one's minus that one's
    #[arg(long, value_name = "REPORT")]
    pub(super) against: Option<PathBuf>,
    /// Go on in spite of leakage; the report lists it
    #[arg(long)]
    pub(super) allow_leakage: bool,
    /// Answer as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Arguments {
    pub(super) fn protocol(&self) -> Protocol {
        Protocol { pool: self.pool, draws: self.draws, seed: self.seed }
    }

    /// What is named on the command line is there.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let missing =
            |flag: &str, path: &Path| Err(Failure::usage(format!("{flag} {}: does not exist", path.display())));
        let one = [("--data", Some(&self.data))].into_iter();
        let one = one.chain(self.checkpoint.iter().map(|path| ("--checkpoint", Some(path))));
        let one = one.chain(self.graph.iter().map(|path| ("--graph", Some(path))));
        let more = [("--predictions", &self.predictions), ("--reconstructions", &self.reconstructions)];
        let more = more.into_iter().chain([("--against", &self.against)]).map(|(flag, path)| (flag, path.as_ref()));
        let features = self.features.iter().map(|path| ("--features", Some(path)));
        if !self.graph.is_empty() && self.graph.len() != self.checkpoint.len() {
            let (graphs, checkpoints) = (self.graph.len(), self.checkpoint.len());
            return Err(Failure::usage(format!(
                "--graph {graphs} times, --checkpoint {checkpoints} times: one for each"
            )));
        }
        for (flag, path) in one.chain(more).chain(features) {
            if let Some(path) = path.filter(|path| !path.exists()) {
                return missing(flag, path);
            }
        }
        if self.pool < 2 || self.draws == 0 {
            return Err(Failure::usage(format!("--pool {} --draws {}: needs 2 and 1 or more", self.pool, self.draws)));
        }
        if !self.features.is_empty() && self.reconstructions.is_none() {
            return Err(Failure::usage("--features needs --reconstructions: pictures whose features can be compared"));
        }
        Ok(())
    }
}

fn split(text: &str) -> Result<Split, String> {
    Split::named(text).ok_or_else(|| format!("must be train, validation or test, found `{text}`"))
}
