//! The command line of `evaluate`.

use crate::training_folder::Split;
use mindeye_config::Failure;
use mindeye_decode::metrics::Protocol;
use std::path::{Path, PathBuf};

/// Measures a checkpoint, or saved predictions, on held-out trials.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Checkpoint folder
    #[arg(long, required_unless_present = "predictions")]
    pub(super) checkpoint: Option<PathBuf>,
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
        let one = [("--data", Some(&self.data)), ("--checkpoint", self.checkpoint.as_ref())];
        let more = [("--predictions", &self.predictions), ("--reconstructions", &self.reconstructions)];
        let more = more.into_iter().chain([("--against", &self.against)]).map(|(flag, path)| (flag, path.as_ref()));
        let features = self.features.iter().map(|path| ("--features", Some(path)));
        for (flag, path) in one.into_iter().chain(more).chain(features) {
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
