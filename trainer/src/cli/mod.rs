//! The command line: verbs, flags, and what each of them calls.

mod fit;
mod progress;

use clap::{Parser, Subcommand};
use mindeye_config::Failure;
use mindeye_trainer::{calibrate, evaluate, import, targets};

/// Trains MindEye from single-trial betas.
#[derive(Debug, Parser)]
#[command(name = "mindeye-train", version, about)]
pub(crate) struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Turn recorded data into a training folder
    Import(import::Arguments),
    /// Compute a training folder's image targets from its pictures
    Targets(targets::Arguments),
    /// Train a part of a model on a training folder, and write its checkpoint
    Fit(fit::Arguments),
    /// Fit a new participant's front-end in closed form
    Calibrate(calibrate::Arguments),
    /// Measure a checkpoint on held-out trials
    Evaluate(evaluate::Arguments),
}

/// Does what the command line says.
pub(crate) fn run(cli: Cli) -> Result<(), Failure> {
    match cli.verb {
        Verb::Fit(arguments) => fit::run(arguments),
        Verb::Import(arguments) => import::run(&arguments),
        Verb::Targets(arguments) => targets::run(&arguments),
        Verb::Calibrate(arguments) => calibrate::run(&arguments),
        Verb::Evaluate(arguments) => evaluate::run(&arguments),
    }
}
