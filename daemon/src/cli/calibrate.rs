//! `calibrate`: how sure a bundle may be, fitted on runs that it was not trained on.

use super::args::CalibrateArgs;
use super::print_json;
use crate::calibrate::{CalibrateOptions, CalibrateReport, HeldOut, calibrate};
use crate::settings::{Overrides, configure, prepare};
use mindeye_config::{Clock, Failure, SystemClock};
use mindeye_preprocess::phantom::PhantomConfig;
use std::sync::Arc;

/// Fits, writes the calibrated bundle and says what it is worth.
pub(super) fn run(args: CalibrateArgs) -> Result<(), Failure> {
    let share = |flag: &str, value: f64| match value {
        value if (0.0..=1.0).contains(&value) => Ok(value),
        value => Err(Failure::usage(format!("{flag} must lie between 0 and 1, found {value}"))),
    };
    let (risk, false_alarms) = (share("--risk", args.risk)?, share("--false-alarms", args.false_alarms)?);
    let held_out = match args.phantom {
        Some(trials) => HeldOut::Phantom(PhantomConfig { trials, seed: args.seed, ..PhantomConfig::default() }),
        None => HeldOut::Recorded(args.runs),
    };
    let config = configure(Overrides { config: args.config, engine: args.engine, ..Overrides::default() })?;
    let clock: Arc<dyn Clock> = SystemClock::start();
    let prepared = prepare(&args.bundle, &config, clock.clone())?;
    let options = CalibrateOptions { held_out, risk, false_alarms, out: args.out.clone() };
    let report = calibrate(&options, prepared, &config, &clock)?;
    if args.json {
        print_json(&report);
    }
    describe(&report).iter().for_each(|line| eprintln!("{line}"));
    eprintln!("written to {}", args.out.display());
    Ok(())
}

fn describe(report: &CalibrateReport) -> Vec<String> {
    let CalibrateReport { calibration, assessment, .. } = report;
    let error = assessment.calibration_error;
    let answered = assessment.coverage_risk.iter().rev().find(|point| point.threshold >= calibration.abstain_below);
    let (coverage, risk) = answered.map_or((0.0, 0.0), |point| (point.coverage, point.risk));
    let mut lines = vec![
        format!(
            "{} trials of {} due, {} pictures: first right in {:.1} %, after local scaling in {:.1} %",
            assessment.trials,
            report.due,
            assessment.pool_size,
            100.0 * assessment.top1,
            100.0 * assessment.top1_csls
        ),
        format!(
            "temperature {:.3e}; calibration error {:.3} (95 % {:.3} to {:.3}), each trial judged by the other half",
            calibration.temperature, error.value, error.low, error.high
        ),
        format!(
            "below a confidence of {:.3} no answer: {:.1} % answered, {:.1} % of them wrong",
            calibration.abstain_below,
            100.0 * coverage,
            100.0 * risk
        ),
    ];
    if let Some(area) = assessment.absent_area_under_roc {
        let found = 100.0 * assessment.absent_found;
        lines.push(format!("a stimulus that is not in the gallery: area under ROC {area:.3}, {found:.1} % noticed"));
    }
    if let Some(null) = assessment.null {
        let (observed, mean, p) = (null.observed, null.mean, null.p);
        lines.push(format!("mean rank {observed:.1}, by chance {mean:.1}, p = {p:.4}"));
    }
    lines.push(format!("bundle {} is {} with its calibration", report.bundle, report.calibrated));
    lines
}
