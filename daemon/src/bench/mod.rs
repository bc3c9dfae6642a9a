//! Measures the whole path as it is used: a daemon process, a scanner that keeps its own pace, real sockets between them.

mod collect;
mod instrument;
mod memory;
mod report;
mod stats;

pub use report::{BenchReport, StepFigures};
pub use stats::percentile;

use crate::scanner::{PhantomSource, ScanSource, Scanner, ScannerOptions};
use collect::Collector;
use instrument::{Instrument, bundle_of_size};
use memory::MemoryWatch;
use mindeye_config::{Clock, EngineKind, Failure, Name, SystemClock};
use mindeye_preprocess::phantom::{Phantom, PhantomConfig};
use mindeye_preprocess::{Grid, VoxelType};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Volumes that the scanner keeps unanswered: enough that it never waits for a single answer.
const IN_FLIGHT: usize = 64;

/// What to measure.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// Bundle, or
    pub bundle: Option<PathBuf>,
    /// size of a bundle with random weights.
    pub model: Option<String>,
    /// Engine.
    pub engine: EngineKind,
    /// Trials of the open loop.
    pub trials: u32,
    /// Times faster than a TR of 1.5 s.
    pub speed: f64,
    /// Volumes of the flood.
    pub flood: u32,
    /// Report as JSON.
    pub json: bool,
}

/// Runs the open loop, then the flood, and prints the report.
///
/// # Errors
/// Status 69 when the exporter is missing or the daemon does not start, and what the scanner says.
pub fn bench(options: BenchOptions) -> Result<(), Failure> {
    let clock = SystemClock::start();
    let scratch = instrument::scratch_dir()?;
    let bundle = match (&options.bundle, &options.model) {
        (Some(bundle), _) => bundle.clone(),
        (None, Some(size)) => bundle_of_size(size, scratch.path())?,
        (None, None) => return Err(Failure::usage("name a --bundle or a --model")),
    };
    let instrument = Instrument::start(&bundle, options.engine, scratch.path())?;
    let context = zmq::Context::new();
    let collector = Collector::subscribe(&context, &instrument.results)?;
    let open_loop = open_loop(&context, &instrument, &options, clock.clone())?;
    let heard = collector.finish(options.trials, Duration::from_secs(30))?;
    let flood = match options.flood {
        0 => None,
        volumes => Some(flood(&context, &instrument, volumes, clock)?),
    };
    let report = BenchReport::new(&options, &instrument.bundle_label(), &heard, open_loop, flood);
    if options.json {
        crate::cli::print_json(&report);
    } else {
        eprint!("{report}");
    }
    Ok(())
}

/// One run at the TR: the scanner sends each volume when it is acquired, whatever the daemon does.
fn open_loop(
    context: &zmq::Context,
    instrument: &Instrument,
    options: &BenchOptions,
    clock: Arc<dyn Clock>,
) -> Result<Vec<f64>, Failure> {
    let config = PhantomConfig { trials: options.trials, ..PhantomConfig::default() };
    let mut source = Reel::record(PhantomSource::new(Phantom::new(config)), u32::MAX);
    let played = play(context, instrument, "open-loop", &mut source, options.speed, clock)?;
    Ok(played.accepted_after_ms)
}

/// As many volumes as are accepted: a scanner without a pace, and the daemon's memory on the side.
fn flood(
    context: &zmq::Context,
    instrument: &Instrument,
    volumes: u32,
    clock: Arc<dyn Clock>,
) -> Result<report::Flood, Failure> {
    let config = PhantomConfig { trials: 1, ..PhantomConfig::default() };
    let mut source = Reel::record(PhantomSource::new(Phantom::new(config)), 16).lasting(volumes);
    let watch = MemoryWatch::start(instrument.process_id(), Duration::from_millis(200));
    let begun = clock.now();
    // At 1e4 times the TR the scanner is never the slower side.
    let played = play(context, instrument, "flood", &mut source, 1e4, clock.clone())?;
    let took = clock.now().since(begun);
    Ok(report::Flood::new(played.volumes, took, &watch.stop(), &played.accepted_after_ms))
}

fn play(
    context: &zmq::Context,
    instrument: &Instrument,
    run: &str,
    source: &mut dyn ScanSource,
    speed: f64,
    clock: Arc<dyn Clock>,
) -> Result<crate::scanner::Played, Failure> {
    let options = ScannerOptions {
        connect: instrument.volumes.clone(),
        session: Name::new("bench").map_err(Failure::other)?,
        run: Name::new(run).map_err(Failure::other)?,
        speed,
        volumes: None,
        in_flight: IN_FLIGHT,
        patience: Duration::from_secs(60),
    };
    let never = Arc::new(AtomicBool::new(false));
    let scanner = Scanner::connect(context, options, source, clock, never).map_err(Failure::unavailable)?;
    scanner.play().map_err(Failure::unavailable)
}

/// Volumes made beforehand, so that making them is not measured. They come round again when the run is longer.
struct Reel {
    source: PhantomSource,
    volumes: Vec<Vec<u8>>,
    count: u32,
}

impl Reel {
    fn record(mut source: PhantomSource, at_most: u32) -> Self {
        let count = source.volume_count().min(at_most);
        let volumes = (0..count).map(|index| source.volume(index)).collect();
        Self { source, volumes, count }
    }

    fn lasting(self, count: u32) -> Self {
        Self { count, ..self }
    }
}

impl ScanSource for Reel {
    fn grid(&self) -> &Grid {
        self.source.grid()
    }

    fn dtype(&self) -> VoxelType {
        self.source.dtype()
    }

    fn tr_s(&self) -> f64 {
        self.source.tr_s()
    }

    fn volume_count(&self) -> u32 {
        self.count
    }

    fn volume(&mut self, index: u32) -> Vec<u8> {
        self.volumes[index as usize % self.volumes.len()].clone()
    }

    fn events(&self) -> &[crate::protocol::EventFields] {
        self.source.events()
    }
}
