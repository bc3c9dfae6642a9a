//! What a reconstruction takes on an engine, network by network and whole, beside how close each network came to its
//! golden case; JSON on standard output.
//!
//! `reconstruction_times BUNDLE --engine onnxruntime-cuda --runs 100`. The whole is what a trial costs after its beta:
//! backbone, prior, low-level, guided UNet steps, decoder, every number down to the picture on the host.
#![allow(clippy::print_stdout, reason = "its answer is JSON on standard output")]

mod networks;
mod whole;

use clap::Parser;
use mindeye_config::{EngineConfig, EngineKind, SystemClock};
use mindeye_decode::Bundle;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;

pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Times a bundle's networks and reconstructions on an engine.
#[derive(Parser)]
struct Arguments {
    /// The bundle.
    bundle: PathBuf,
    /// Engine.
    #[arg(long, default_value = "onnxruntime-cpu")]
    engine: EngineKind,
    /// Timed runs of each network, and reconstructions.
    #[arg(long, default_value = "50")]
    runs: usize,
    /// Runs before them that are not counted.
    #[arg(long, default_value = "5")]
    warm: usize,
    /// Every kernel launched by itself, on a GPU.
    #[arg(long)]
    without_cuda_graphs: bool,
    /// Only this network, by itself; may be given again [default: reconstructions, then every network].
    #[arg(long)]
    network: Vec<String>,
}

fn main() -> Outcome<()> {
    let arguments = Arguments::parse();
    let cuda_graphs = !arguments.without_cuda_graphs;
    let config = EngineConfig { kind: arguments.engine, cuda_graphs, ..EngineConfig::default() };
    let clock = SystemClock::start();
    let bundle = Bundle::open(&arguments.bundle)?;
    let opened_s = clock.now().since(mindeye_config::Moment(0)).as_secs_f64();
    let start = || mindeye_engine::start(&config);
    let mut report = json!({
        "bundle": bundle.label(),
        "engine": start()?.describe(),
        "bundle_checked_s": opened_s,
        "runs": arguments.runs,
    });
    let repeats = Repeats { warm: arguments.warm, runs: arguments.runs };
    if arguments.network.is_empty() {
        let before = gpu_memory_mib();
        report["reconstruction"] = whole::measure(&bundle, start()?, &clock, repeats)?;
        report["memory_mib"] = json!({ "before": before, "with_all_networks": report["reconstruction"]["memory_mib"] });
    }
    report["networks"] = networks::measure(&bundle, &arguments.network, start()?.as_ref(), clock.as_ref(), repeats)?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

/// How often to run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Repeats {
    pub(crate) warm: usize,
    pub(crate) runs: usize,
}

/// Percentiles of milliseconds, by nearest rank.
pub(crate) fn figures(milliseconds: &[f64]) -> Value {
    let mut sorted = milliseconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted[((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len()) - 1];
    if sorted.is_empty() {
        return Value::Null;
    }
    json!({ "n": sorted.len(), "p50_ms": at(0.5), "p95_ms": at(0.95), "p99_ms": at(0.99), "max_ms": at(1.0) })
}

/// Memory in use on the first GPU, MiB, by the driver's own tool; null where there is none.
pub(crate) fn gpu_memory_mib() -> Option<f64> {
    let query = ["--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"];
    let said = Command::new("nvidia-smi").args(query).output().ok()?;
    String::from_utf8(said.stdout).ok()?.trim().parse().ok()
}
