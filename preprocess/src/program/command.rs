//! The command line of `mindeye-preprocess`.

use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// From a recorded run to single-trial betas, by the very stages of the live daemon.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Stream one run volume by volume and write betas, confounds and a report.
    Run(RunArguments),
}

#[derive(clap::Args)]
pub(crate) struct RunArguments {
    /// The run: NIfTI-1, .nii or .nii.gz; RepetitionTime of a .json beside it is read.
    #[arg(long)]
    pub(crate) bold: PathBuf,
    /// BIDS events: onset, duration; trial, trial_type where known.
    #[arg(long)]
    pub(crate) events: PathBuf,
    /// Voxels to estimate, on the run's grid: those that are not zero.
    #[arg(long)]
    pub(crate) mask: PathBuf,
    /// EPI volume on the mask's grid to align the run with.
    #[arg(long)]
    pub(crate) reference: Option<PathBuf>,
    /// Member of the HRF library of each voxel, on the mask's grid; for hrf.kind = "library".
    #[arg(long)]
    pub(crate) hrf_index: Option<PathBuf>,
    /// Recipe, as a bundle's preprocess.toml [default: window 4 to 8 s after onset, estimated at 7.5 s].
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// Which estimate of each trial.
    #[arg(long, value_enum, default_value = "online")]
    pub(crate) mode: ModeArgument,
    /// Online: the daemon decodes this many seconds after onset [default: 7.5].
    #[arg(long)]
    pub(crate) decode_after_s: Option<f64>,
    /// Repetition time in seconds [default: tr_s of the recipe, else the sidecar's, else the header's].
    #[arg(long)]
    pub(crate) tr_s: Option<f64>,
    /// True amplitudes of a simulated run, npy f32 [trials, voxels]: the report then shows accuracy against lag.
    #[arg(long)]
    pub(crate) truth: Option<PathBuf>,
    /// Write the run as it was estimated, desc-preproc_bold.nii.gz.
    #[arg(long)]
    pub(crate) write_bold: bool,
    /// The folder to make.
    #[arg(long)]
    pub(crate) out: PathBuf,
    /// Print the summary as JSON on standard output.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeArgument {
    /// What the daemon would have decoded.
    Online,
    /// Each trial from the whole run.
    Offline,
}
