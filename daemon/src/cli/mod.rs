//! The command line of `mindeye-daemon`.

mod args;
mod calibrate;
mod instrument;
mod replay;
mod scanner;

pub use args::Cli;

use crate::bench::{BenchOptions, bench};
use args::Verb;
use mindeye_config::Failure;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Runs the verb.
///
/// # Errors
/// The failure to print, with its exit status.
pub fn run(cli: Cli) -> Result<(), Failure> {
    match cli.verb {
        Verb::Run(args) => instrument::run(args),
        Verb::Check(args) => instrument::check(args),
        Verb::Replay(args) => replay::run(args),
        Verb::Calibrate(args) => calibrate::run(args),
        Verb::Scanner(args) => scanner::run(args),
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
