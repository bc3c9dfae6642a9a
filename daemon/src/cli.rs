//! The command line of `mindeye-daemon`.

use crate::app::Daemon;
use crate::bench::{BenchOptions, bench};
use crate::replay::{ReplayDecisions, ReplayOptions, ReplaySpeed, replay};
use crate::scanner::{NiftiSource, PhantomSource, Played, ScanSource, Scanner, ScannerError, ScannerOptions};
use crate::settings::{Overrides, Prepared, configure, prepare};
use clap::{Args, Parser, Subcommand};
use mindeye_config::{Clock, DaemonConfig, EngineKind, Failure, Name, SystemClock};
use mindeye_preprocess::AffineSource;
use mindeye_preprocess::phantom::{Phantom, PhantomConfig};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Decodes what a person in a scanner sees, while they see it.
#[derive(Debug, Parser)]
#[command(name = "mindeye-daemon", version, about, after_help = EXIT_STATUSES)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXIT_STATUSES: &str = "Exit status: 0 done, 64 bad command line or configuration, 65 bad input data or bundle, \
                             69 a device, library or peer is missing, 1 anything else.";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the instrument: take volumes in, publish results, serve the pages, until interrupted
    Run(RunArgs),
    /// Validate configuration and bundle, run the golden cases, open no socket
    Check(CheckArgs),
    /// Feed a recorded run again and compare with what was recorded
    Replay(ReplayArgs),
    /// Play a recorded run or a phantom as a scanner would
    Scanner(ScannerArgs),
    /// Measure the whole path open loop, through real sockets, at the TR
    Bench(BenchArgs),
}

#[derive(Debug, Args)]
struct InstrumentArgs {
    /// Bundle: networks, mask, gallery (a folder made by mindeye-export)
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Configuration file (config/README.md); flags beat it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of journals, one folder per session and run
    #[arg(long, value_name = "DIR")]
    journal: Option<PathBuf>,
    /// mock, onnxruntime-cpu, onnxruntime-cuda, tensorrt-rtx or tensorrt
    #[arg(long, value_name = "ENGINE")]
    engine: Option<EngineKind>,
    /// Address for volumes; port 0 picks a free one
    #[arg(long, value_name = "ADDR")]
    bind: Option<String>,
    /// Address for results; port 0 picks a free one
    #[arg(long, value_name = "ADDR")]
    publish: Option<String>,
    /// Address for the pages; port 0 picks a free one
    #[arg(long, value_name = "HOST:PORT")]
    http: Option<String>,
}

#[derive(Debug, Args)]
struct RunArgs {
    #[command(flatten)]
    instrument: InstrumentArgs,
    /// Append one line of JSON per trial message to this file
    #[arg(long, value_name = "FILE")]
    results_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct CheckArgs {
    #[command(flatten)]
    instrument: InstrumentArgs,
    /// Print the findings as JSON on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ReplayArgs {
    /// Folder of a recorded run (JOURNAL/SESSION/RUN)
    journal: PathBuf,
    /// Bundle that decodes
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Engine
    #[arg(long, value_name = "ENGINE")]
    engine: Option<EngineKind>,
    /// When volumes are fed
    #[arg(long, value_enum, default_value = "max")]
    speed: ReplaySpeed,
    /// What each trial gets
    #[arg(long, value_enum, default_value = "recorded")]
    decisions: ReplayDecisions,
    /// New folder for betas.npy, betas.tsv, trials.jsonl, pictures/ and replay.json
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print the comparison as JSON on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
struct ScannerArgs {
    /// Address of the daemon's volumes socket
    #[arg(long, value_name = "ADDR")]
    connect: String,
    /// Recorded run (NIfTI)
    #[arg(long, value_name = "FILE", group = "what")]
    bold: Option<PathBuf>,
    /// Built-in phantom: 64x64x36 voxels, TR 1.5 s, drift, noise, head motion, a trial every 6 s
    #[arg(long, group = "what")]
    phantom: bool,
    /// TR in seconds, where the file's header cannot be believed
    #[arg(long, value_name = "S", requires = "bold")]
    tr_s: Option<f64>,
    /// BIDS events of the recorded run
    #[arg(long, value_name = "FILE", requires = "bold")]
    events: Option<PathBuf>,
    /// Times faster than the scanner's clock
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Stop after this many volumes
    #[arg(long)]
    volumes: Option<u32>,
    /// Trials of the phantom
    #[arg(long, default_value_t = 60, requires = "phantom")]
    trials: u32,
    /// Seed of the phantom
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Session to announce
    #[arg(long, default_value = "simulated")]
    session: String,
    /// Run to announce; left out, a name made of the time
    #[arg(long)]
    run: Option<String>,
    /// Seconds without any answer after which the scanner gives up
    #[arg(long, value_name = "S", default_value_t = 60.0)]
    patience_s: f64,
}

#[derive(Debug, Args)]
struct BenchArgs {
    /// Bundle to measure
    #[arg(long, value_name = "DIR", required_unless_present = "model", conflicts_with = "model")]
    bundle: Option<PathBuf>,
    /// Random weights of this size instead of a bundle: demo or full
    #[arg(long, value_name = "SIZE")]
    model: Option<String>,
    /// Engine
    #[arg(long, value_name = "ENGINE")]
    engine: EngineKind,
    /// Trials
    #[arg(long)]
    trials: u32,
    /// Times faster than a TR of 1.5 s
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// Afterwards, this many volumes as fast as they are accepted, with the memory watched
    #[arg(long, value_name = "VOLUMES", default_value_t = 0)]
    flood: u32,
    /// Print the figures as JSON on standard output
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
///
/// # Errors
/// The failure to print, with its exit status.
pub fn run(cli: Cli) -> Result<(), Failure> {
    match cli.verb {
        Verb::Run(args) => run_instrument(args),
        Verb::Check(args) => check(args),
        Verb::Replay(args) => run_replay(args),
        Verb::Scanner(args) => run_scanner(args),
        Verb::Bench(args) => bench(BenchOptions {
            bundle: args.bundle,
            model: args.model,
            engine: args.engine,
            trials: args.trials,
            speed: positive("--speed", args.speed)?,
            flood: args.flood,
            json: args.json,
        }),
    }
}

impl InstrumentArgs {
    fn split(self) -> Result<(PathBuf, DaemonConfig), Failure> {
        let overrides = Overrides {
            config: self.config,
            journal: self.journal,
            engine: self.engine,
            bind: self.bind,
            publish: self.publish,
            http: self.http,
        };
        Ok((self.bundle, configure(overrides)?))
    }
}

// === run, check

fn run_instrument(args: RunArgs) -> Result<(), Failure> {
    let (bundle, config) = args.instrument.split()?;
    let clock = SystemClock::start();
    let stop = stop_on_signals()?;
    let prepared = prepare(&bundle, &config, clock.clone())?;
    describe(&prepared).iter().for_each(|line| eprintln!("{line}"));
    let daemon = Daemon::start(&config, prepared, clock, args.results_file)?;
    let listening = &daemon.addresses;
    eprintln!("operator token {}", daemon.operator_token);
    eprintln!("listening volumes={} results={} http={}", listening.volumes, listening.results, listening.http);
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
    }
    daemon.stop();
    Ok(())
}

fn check(args: CheckArgs) -> Result<(), Failure> {
    let (bundle, config) = args.instrument.split()?;
    let prepared = prepare(&bundle, &config, SystemClock::start())?;
    if args.json {
        print_json(&findings(&prepared));
    } else {
        describe(&prepared).iter().for_each(|line| eprintln!("{line}"));
        eprintln!("everything agrees; no socket was opened");
    }
    Ok(())
}

/// Warm-up in words.
fn describe(prepared: &Prepared) -> Vec<String> {
    let identity = &prepared.identity;
    let mut lines = vec![
        format!("bundle {} ({}): {}", identity.bundle, identity.bundle_origin, identity.bundle_note),
        prepared.report.to_string(),
    ];
    lines.extend(identity.estimator_mismatch.iter().map(|mismatch| format!("allowed although {mismatch}")));
    lines
}

fn findings(prepared: &Prepared) -> serde_json::Value {
    let identity = &prepared.identity;
    let networks = prepared.report.networks.iter().map(|found| {
        serde_json::json!({
            "network": found.network.key(), "opening_ms": found.opening.as_secs_f64() * 1e3,
            "first_run_ms": found.first_run.as_secs_f64() * 1e3, "parity": found.parity.to_string(),
        })
    });
    serde_json::json!({
        "bundle": identity.bundle, "origin": identity.bundle_origin, "note": identity.bundle_note,
        "engine": prepared.report.engine, "estimator_mismatch": identity.estimator_mismatch,
        "voxels": prepared.bundle.mask.len(), "networks": networks.collect::<Vec<_>>(),
    })
}

// === replay

fn run_replay(args: ReplayArgs) -> Result<(), Failure> {
    let overrides = Overrides { config: args.config, engine: args.engine, ..Overrides::default() };
    let config = configure(overrides)?;
    let clock = SystemClock::start();
    let prepared = prepare(&args.bundle, &config, clock.clone())?;
    let options =
        ReplayOptions { journal: args.journal, speed: args.speed, decisions: args.decisions, out: args.out.clone() };
    let report = replay(&options, prepared, &config, clock)?;
    if args.json {
        print_json(&report);
    }
    eprintln!(
        "{} volumes, {} trials; betas: {} of {} identical to the record, {} different; pictures: {} of {} identical, {} \
         different; written to {}",
        report.volumes,
        report.trials,
        report.betas_identical,
        report.betas,
        report.betas_different,
        report.pictures_identical,
        report.pictures,
        report.pictures_different,
        args.out.display()
    );
    if report.betas_different > 0 {
        return Err(Failure::data(format!("{} betas differ from the recorded ones", report.betas_different)));
    }
    Ok(())
}

// === scanner

fn run_scanner(args: ScannerArgs) -> Result<(), Failure> {
    let clock = SystemClock::start();
    let stop = stop_on_signals()?;
    let mut source = source(&args)?;
    let options = scanner_options(&args, clock.as_ref())?;
    eprintln!("playing run {} of session {} to {}", options.run, options.session, options.connect);
    let context = zmq::Context::new();
    let scanner = Scanner::connect(&context, options, source.as_mut(), clock, stop).map_err(scanner_failure)?;
    let played = scanner.play().map_err(scanner_failure)?;
    eprintln!("{}", summary(&played));
    Ok(())
}

fn source(args: &ScannerArgs) -> Result<Box<dyn ScanSource>, Failure> {
    let Some(bold) = &args.bold else {
        let config = PhantomConfig { trials: args.trials, seed: args.seed, ..PhantomConfig::default() };
        return Ok(Box::new(PhantomSource::new(Phantom::new(config))));
    };
    for path in [Some(bold), args.events.as_ref()].into_iter().flatten() {
        if !path.exists() {
            return Err(Failure::usage(format!("{} does not exist", path.display())));
        }
    }
    let tr_s = args.tr_s.map(|tr_s| positive("--tr-s", tr_s)).transpose()?;
    let source = NiftiSource::read(bold, tr_s, args.events.as_deref()).map_err(Failure::data)?;
    if source.affine_source() == AffineSource::Pixdim {
        eprintln!("note: {} says neither by sform nor by qform where the head is", bold.display());
    }
    Ok(Box::new(source))
}

fn scanner_options(args: &ScannerArgs, clock: &dyn Clock) -> Result<ScannerOptions, Failure> {
    let run = args.run.clone().unwrap_or_else(|| format!("run-{:.0}", clock.unix_s()));
    Ok(ScannerOptions {
        connect: args.connect.clone(),
        session: Name::new(&args.session).map_err(Failure::usage)?,
        run: Name::new(&run).map_err(Failure::usage)?,
        speed: positive("--speed", args.speed)?,
        volumes: args.volumes,
        // 300 MB of the phantom's volumes.
        in_flight: 1024,
        patience: Duration::from_secs_f64(positive("--patience-s", args.patience_s)?),
    })
}

fn scanner_failure(error: ScannerError) -> Failure {
    match error {
        ScannerError::Refused { .. } => Failure::data(error),
        ScannerError::Socket { .. } | ScannerError::Silent { .. } => Failure::unavailable(error),
    }
}

fn summary(played: &Played) -> String {
    let mut sorted = played.accepted_after_ms.clone();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| crate::bench::percentile(&sorted, share).unwrap_or(f64::NAN);
    format!(
        "{} volumes and {} events accepted, {} messages sent again; accepted after {:.1} ms (p50), {:.1} ms (p99)",
        played.volumes,
        played.events,
        played.sent_again,
        at(0.50),
        at(0.99)
    )
}

// === small things

fn stop_on_signals() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, stop.clone()).map_err(Failure::other)?;
    }
    Ok(stop)
}

fn positive(flag: &str, value: f64) -> Result<f64, Failure> {
    if value.is_finite() && value > 0.0 {
        return Ok(value);
    }
    Err(Failure::usage(format!("{flag} must be above 0, found {value}")))
}

#[expect(clippy::print_stdout, reason = "--json is the answer a machine asked for")]
pub(crate) fn print_json(value: &impl serde::Serialize) {
    println!("{}", serde_json::to_string_pretty(value).expect("reports serialise"));
}
