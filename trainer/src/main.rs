//! `mindeye-train`: the verbs that the trainer will have, each of which says that it is not there yet.

use clap::{Parser, Subcommand};
use mindeye_config::{Failure, run_program};
use std::process::ExitCode;

/// Trains MindEye from single-trial betas. NOT IN THIS VERSION: every verb ends with status 69.
#[derive(Debug, Parser)]
#[command(name = "mindeye-train", version, about)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Turn recorded data into a training folder (not in this version)
    Import(Arguments),
    /// Train (not in this version)
    Fit(Arguments),
    /// Fit a new participant's front-end (not in this version)
    Calibrate(Arguments),
    /// Measure a checkpoint on held-out trials (not in this version)
    Evaluate(Arguments),
}

#[derive(Debug, clap::Args)]
struct Arguments {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<String>,
}

fn main() -> ExitCode {
    run_program::<Cli>(|cli| {
        let (Verb::Import(_) | Verb::Fit(_) | Verb::Calibrate(_) | Verb::Evaluate(_)) = cli.verb;
        Err(Failure::unavailable("the trainer is not in this version; bundles carry random weights until it is"))
    })
}
