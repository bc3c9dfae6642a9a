//! `mindeye-train`: from recorded betas to weights, and from weights to honest numbers.

use clap::{Parser, Subcommand};
use mindeye_config::{Failure, run_program};
use mindeye_trainer::{calibrate, evaluate, import};
use std::process::ExitCode;

/// Trains MindEye from single-trial betas, calibrates it to a new participant, and measures it.
#[derive(Debug, Parser)]
#[command(name = "mindeye-train", version, about)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Turn recorded data into a training folder
    Import(import::Arguments),
    /// Train by gradient descent (not in this version)
    Fit(Unbuilt),
    /// Fit a new participant's front-end in closed form
    Calibrate(calibrate::Arguments),
    /// Measure a checkpoint on held-out trials
    Evaluate(evaluate::Arguments),
}

#[derive(Debug, clap::Args)]
struct Unbuilt {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<String>,
}

fn main() -> ExitCode {
    run_program::<Cli>(|cli| match cli.verb {
        Verb::Import(arguments) => import::run(&arguments),
        Verb::Fit(_) => {
            Err(Failure::unavailable("training by gradient descent is not in this version; `calibrate` is"))
        }
        Verb::Calibrate(arguments) => calibrate::run(&arguments),
        Verb::Evaluate(arguments) => evaluate::run(&arguments),
    })
}
