//! `run` and `check`: the instrument, with and without its sockets.

use super::args::{CheckArgs, InstrumentArgs, RunArgs};
use super::{print_json, stop_on_signals};
use crate::app::Daemon;
use crate::publish::Identity;
use crate::settings::{Overrides, Prepared, configure, prepare};
use mindeye_config::{DaemonConfig, Failure, SystemClock};
use mindeye_decode::confidence::Calibration;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Runs the instrument until it is interrupted.
pub(super) fn run(args: RunArgs) -> Result<(), Failure> {
    let (bundle, config) = args.instrument.split()?;
    let clock = SystemClock::start();
    let stop = stop_on_signals()?;
    if let Some(folder) = args.front_ends.as_ref().filter(|folder| !folder.is_dir()) {
        return Err(Failure::usage(format!("--front-ends {}: no such folder", folder.display())));
    }
    let prepared = Prepared { front_ends: args.front_ends, ..prepare(&bundle, &config, clock.clone())? };
    describe(&prepared).iter().for_each(|line| eprintln!("{line}"));
    let daemon = Daemon::start(&config, prepared, clock, args.results_file)?;
    let listening = &daemon.addresses;
    listening.source.iter().for_each(|source| eprintln!("source {source}"));
    eprintln!("operator token {}", daemon.operator_token);
    eprintln!("listening volumes={} results={} http={}", listening.volumes, listening.results, listening.http);
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
    }
    daemon.stop();
    Ok(())
}

/// Validates everything and opens no socket.
pub(super) fn check(args: CheckArgs) -> Result<(), Failure> {
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
    let [prior, latent] = prepared.decoders.painter.loops();
    lines.push(format!("samplers' loops: the prior's on {prior}, the latent's on {latent}"));
    lines.push(confidence(identity));
    lines.extend(identity.estimator_mismatch.iter().map(|mismatch| format!("allowed although {mismatch}")));
    lines
}

fn confidence(identity: &Identity) -> String {
    match &identity.calibration {
        None => "confidence: null, since this bundle carries no calibration (`mindeye-daemon calibrate`)".into(),
        Some(Calibration { trials, temperature, expected_calibration_error: error, .. }) => {
            format!(
                "confidence: calibrated on {trials} held-out trials, temperature {temperature:.3e}, error {error:.3}"
            )
        }
    }
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
        "voxels": prepared.bundle.mask.len(), "calibration": identity.calibration, "networks": networks.collect::<Vec<_>>(),
    })
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
