//! `replay`: a recorded run once more.

use super::args::ReplayArgs;
use super::print_json;
use crate::replay::{ReplayOptions, replay};
use crate::settings::{Overrides, configure, prepare};
use mindeye_config::{Failure, SystemClock};

/// Replays, compares, and fails when a beta differs.
pub(super) fn run(args: ReplayArgs) -> Result<(), Failure> {
    let overrides = Overrides { config: args.config, engine: args.engine, ..Overrides::default() };
    let mut config = configure(overrides)?;
    config.trial.candidates = args.candidates.or(config.trial.candidates);
    let clock = SystemClock::start();
    let prepared = prepare(&args.bundle, &config, clock.clone())?;
    let options = ReplayOptions {
        journal: args.journal,
        speed: args.speed,
        decisions: args.decisions,
        archive: args.archive,
        out: args.out.clone(),
    };
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
    if args.archive {
        eprintln!(
            "{} trials that got less than `full` were drawn in full now; none of these pictures was live",
            report.archived
        );
    }
    if report.betas_different > 0 {
        return Err(Failure::data(format!("{} betas differ from the recorded ones", report.betas_different)));
    }
    Ok(())
}
