//! Every verb and flag of `mindeye-daemon`; the comments are the help text.

use crate::replay::{ReplayDecisions, ReplaySpeed};
use clap::{Args, Parser, Subcommand, ValueEnum};
use mindeye_config::EngineKind;
use std::path::PathBuf;

/// Decodes what a person in a scanner sees, while they see it.
#[derive(Debug, Parser)]
#[command(name = "mindeye-daemon", version, about, after_help = EXIT_STATUSES)]
pub struct Cli {
    #[command(subcommand)]
    pub(super) verb: Verb,
}

const EXIT_STATUSES: &str = "Exit status: 0 done, 64 bad command line or configuration, 65 bad input data or bundle, \
                             69 a device, library or peer is missing, 1 anything else.";

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run the instrument: take volumes in, publish results, serve the pages, until interrupted
    Run(RunArgs),
    /// Validate configuration and bundle, run the golden cases, open no socket
    Check(CheckArgs),
    /// Feed a recorded run again and compare with what was recorded
    Replay(ReplayArgs),
    /// Fit how sure a bundle may be on runs that it was not trained on, and write the bundle that says so
    Calibrate(CalibrateArgs),
    /// Play a recorded run or a phantom as a scanner would
    Scanner(ScannerArgs),
    /// Measure the whole path open loop, through real sockets, at the TR
    Bench(BenchArgs),
}

#[derive(Debug, Args)]
pub(super) struct InstrumentArgs {
    /// Bundle: networks, mask, gallery (a folder made by mindeye-export)
    #[arg(long, value_name = "DIR")]
    pub(super) bundle: PathBuf,
    /// Configuration file (config/README.md); flags beat it
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Folder of journals, one folder per session and run
    #[arg(long, value_name = "DIR")]
    pub(super) journal: Option<PathBuf>,
    /// mock, onnxruntime-cpu, onnxruntime-cuda, tensorrt-rtx or tensorrt
    #[arg(long, value_name = "ENGINE")]
    pub(super) engine: Option<EngineKind>,
    /// Address for volumes; port 0 picks a free one
    #[arg(long, value_name = "ADDR")]
    pub(super) bind: Option<String>,
    /// Address for results; port 0 picks a free one
    #[arg(long, value_name = "ADDR")]
    pub(super) publish: Option<String>,
    /// Address for the pages; port 0 picks a free one
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) http: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) instrument: InstrumentArgs,
    /// Folder of calibrations (`mindeye-train calibrate`) that the command load_front_end may name
    #[arg(long, value_name = "DIR")]
    pub(super) front_ends: Option<PathBuf>,
    /// Append one line of JSON per trial message to this file
    #[arg(long, value_name = "FILE")]
    pub(super) results_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    pub(super) instrument: InstrumentArgs,
    /// Print the findings as JSON on standard output
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// Folder of a recorded run (JOURNAL/SESSION/RUN)
    pub(super) journal: PathBuf,
    /// Bundle that decodes
    #[arg(long, value_name = "DIR")]
    pub(super) bundle: PathBuf,
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Engine
    #[arg(long, value_name = "ENGINE")]
    pub(super) engine: Option<EngineKind>,
    /// When volumes are fed
    #[arg(long, value_enum, default_value = "max")]
    pub(super) speed: ReplaySpeed,
    /// What each trial gets
    #[arg(long, value_enum, default_value = "recorded")]
    pub(super) decisions: ReplayDecisions,
    /// Pictures that a full reconstruction draws, of which the nearest to the retrieval tokens is kept (the paper's: 16);
    /// beats `trial.candidates`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(super) candidates: Option<u32>,
    /// Also draw in full, without a deadline, what the run's deadlines cut: pictures/archive-*.png and archive.jsonl,
    /// labelled as not live
    #[arg(long)]
    pub(super) archive: bool,
    /// New folder for betas.npy, betas.tsv, trials.jsonl, pictures/ and replay.json
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    /// Print the comparison as JSON on standard output
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("held_out").required(true))]
pub(super) struct CalibrateArgs {
    /// Folders of recorded runs (JOURNAL/SESSION/RUN) whose events name what was shown
    #[arg(group = "held_out", value_name = "RUN")]
    pub(super) runs: Vec<PathBuf>,
    /// So many trials of the built-in phantom instead
    #[arg(long, value_name = "TRIALS", group = "held_out", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) phantom: Option<u32>,
    /// Seed of the phantom; the simulated scanner's default is 1, so that this one is held out
    #[arg(long, default_value_t = 1001, requires = "phantom")]
    pub(super) seed: u64,
    /// Bundle to calibrate
    #[arg(long, value_name = "DIR")]
    pub(super) bundle: PathBuf,
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Engine
    #[arg(long, value_name = "ENGINE")]
    pub(super) engine: Option<EngineKind>,
    /// Share of the answers given that may be wrong; surer answers are given, others abstained from
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    pub(super) risk: f64,
    /// Share of trials whose stimulus is in the gallery that may be told to be absent
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    pub(super) false_alarms: f64,
    /// New folder for the calibrated bundle; unchanged files are linked
    #[arg(long, value_name = "DIR")]
    pub(super) out: PathBuf,
    /// Print calibration and figures as JSON on standard output
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub(super) struct ScannerArgs {
    /// Address of the daemon's volumes socket; of its Pyneal socket, or of AFNI's control channel (HOST:PORT); for DICOM the
    /// export folder
    #[arg(long, value_name = "ADDR|DIR")]
    pub(super) connect: String,
    /// How volumes are sent
    #[arg(long, value_enum, default_value = "native")]
    pub(super) emit: EmitKind,
    /// Address of AFNI's data channel
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7953")]
    pub(super) afni_data: String,
    /// Series number of DICOM files
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) series: u32,
    /// Recorded run (NIfTI)
    #[arg(long, value_name = "FILE", group = "what")]
    pub(super) bold: Option<PathBuf>,
    /// Built-in phantom: 64x64x36 voxels, TR 1.5 s, drift, noise, head motion, a trial every 6 s
    #[arg(long, group = "what")]
    pub(super) phantom: bool,
    /// Synthetic participant, sub-01 to sub-06: 75 trials of a picture every 4 s, as hard to decode as a real one
    #[arg(long, value_name = "NAME", group = "what")]
    pub(super) participant: Option<String>,
    /// Session of the participant, 1 to 41; the last shows pictures of another kind
    #[arg(long, value_name = "N", default_value_t = 1, requires = "participant")]
    pub(super) participant_session: usize,
    /// Run of that session, 1 to 10
    #[arg(long, value_name = "N", default_value_t = 1, requires = "participant")]
    pub(super) participant_run: usize,
    /// TR in seconds, where the file's header cannot be believed
    #[arg(long, value_name = "S", requires = "bold")]
    pub(super) tr_s: Option<f64>,
    /// BIDS events of the recorded run
    #[arg(long, value_name = "FILE", requires = "bold")]
    pub(super) events: Option<PathBuf>,
    /// Times faster than the scanner's clock
    #[arg(long, default_value_t = 1.0)]
    pub(super) speed: f64,
    /// Stop after this many volumes
    #[arg(long)]
    pub(super) volumes: Option<u32>,
    /// Trials of the phantom
    #[arg(long, default_value_t = 60, requires = "phantom")]
    pub(super) trials: u32,
    /// Seed of the phantom
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Session to announce
    #[arg(long, default_value = "simulated")]
    pub(super) session: String,
    /// Run to announce; left out, a name made of the time
    #[arg(long)]
    pub(super) run: Option<String>,
    /// Seconds without any answer after which the scanner gives up
    #[arg(long, value_name = "S", default_value_t = 60.0)]
    pub(super) patience_s: f64,
}

/// What a simulated scanner speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum EmitKind {
    /// The native ZeroMQ protocol, with trials
    Native,
    /// Siemens mosaic DICOM files in a folder, without trials
    DicomMosaic,
    /// Siemens XA enhanced DICOM files in a folder, without trials
    DicomXa,
    /// Pyneal's ZeroMQ sender, without trials
    Pyneal,
    /// AFNI's real-time TCP protocol, without trials
    Afni,
}

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// Bundle to measure
    #[arg(long, value_name = "DIR", required_unless_present = "model", conflicts_with = "model")]
    pub(super) bundle: Option<PathBuf>,
    /// Random weights of this size instead of a bundle: demo or full
    #[arg(long, value_name = "SIZE")]
    pub(super) model: Option<String>,
    /// Engine
    #[arg(long, value_name = "ENGINE")]
    pub(super) engine: EngineKind,
    /// Trials
    #[arg(long)]
    pub(super) trials: u32,
    /// Times faster than a TR of 1.5 s
    #[arg(long, default_value_t = 1.0)]
    pub(super) speed: f64,
    /// Afterwards, this many volumes as fast as they are accepted, with the memory watched
    #[arg(long, value_name = "VOLUMES", default_value_t = 0)]
    pub(super) flood: u32,
    /// Print the figures as JSON on standard output
    #[arg(long)]
    pub(super) json: bool,
}
