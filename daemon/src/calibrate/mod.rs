//! How sure a bundle may be, fitted on trials that it was not trained on: recorded runs, or runs of the phantom.
//!
//! ```text
//!   runs ──RunWorker──► the beta that each trial would be answered with ──backbone, gallery──► scores ┐
//!   what was shown (journal, phantom) ────────────────────────────────────────────────────────────────┴─► calibration.toml
//! ```
//! The betas are those of the live path, with as little evidence as a live answer has; a confidence that was fitted on betas
//! of whole runs would promise too much. What was shown is used here, in scoring, and by nothing that decodes.

mod scored;

use crate::replay::read_recorded;
use crate::scanner::PhantomSource;
use crate::settings::{Prepared, recipe};
use mindeye_config::{Clock, DaemonConfig, Failure};
use mindeye_decode::Gallery;
use mindeye_decode::confidence::{Assessment, Calibration, Scored};
use mindeye_preprocess::phantom::{Phantom, PhantomConfig};
use scored::Session;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;

/// Seed of resampling and permutations, which follow from it and the trials.
const SEED: u64 = 1;

/// Where held-out trials come from.
#[derive(Debug, Clone, PartialEq)]
pub enum HeldOut {
    /// Folders of recorded runs whose events name the pictures.
    Recorded(Vec<PathBuf>),
    /// This phantom.
    Phantom(PhantomConfig),
}

/// What to fit, and on what.
#[derive(Debug, Clone, PartialEq)]
pub struct CalibrateOptions {
    /// The trials.
    pub held_out: HeldOut,
    /// Share of given answers that may be wrong, 0 to 1.
    pub risk: f64,
    /// Share of trials with a known stimulus that may be taken for absent, 0 to 1.
    pub false_alarms: f64,
    /// New folder for the bundle with its calibration.
    pub out: PathBuf,
}

/// What was fitted, and what it is worth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CalibrateReport {
    /// The bundle that was fitted, and
    pub bundle: String,
    /// the one that says so.
    pub calibrated: String,
    /// Trials that became due with an estimate.
    pub due: usize,
    /// `calibration.toml`.
    pub calibration: Calibration,
    /// Figures on the trials of the fit, each judged by a temperature of the other half.
    pub assessment: Assessment,
}

/// Fits on held-out trials and writes the bundle with its `calibration.toml` into a new folder.
///
/// # Errors
/// Status 64 for a run that does not exist or an `out` that does, 65 for a bundle without a gallery, runs that show no
/// picture of it, or trials of which no share is right often enough to be answered; 1 when nothing can be written.
pub fn calibrate(
    options: &CalibrateOptions,
    mut prepared: Prepared,
    config: &DaemonConfig,
    clock: &Arc<dyn Clock>,
) -> Result<CalibrateReport, Failure> {
    if options.out.exists() {
        return Err(Failure::usage(format!("{} exists; a bundle is written into a new folder", options.out.display())));
    }
    let gallery = prepared.bundle.gallery.clone();
    let gallery = gallery.ok_or_else(|| Failure::data("the bundle has no gallery, and so no scores to be sure of"))?;
    let recipe = recipe(&prepared.bundle, config)?;
    let mut session = Session::new(&recipe, &gallery, &mut prepared.decoders.scorer, clock.as_ref());
    match &options.held_out {
        HeldOut::Recorded(runs) => {
            for run in runs {
                session.play_recorded(&read_recorded(run)?)?;
            }
        }
        HeldOut::Phantom(config) => session.play_source(&mut PhantomSource::new(Phantom::new(config.clone())))?,
    }
    let trials = session.into_trials();
    let calibration = fit(&trials, &gallery, options)?;
    let assessment =
        Assessment::of(&calibration, &trials, SEED).ok_or_else(|| nothing_shown(trials.len(), &gallery))?;
    prepared
        .bundle
        .write_calibrated(&calibration, &options.out)
        .map_err(|error| Failure::other(format!("{}: {error}", options.out.display())))?;
    let calibrated = crate::settings::open_bundle(&options.out)?.label();
    Ok(CalibrateReport { bundle: prepared.bundle.label(), calibrated, due: trials.len(), calibration, assessment })
}

/// Fits on the trials, each also against the gallery without what it showed: trials whose stimulus is absent.
fn fit(trials: &[Scored], gallery: &Gallery, options: &CalibrateOptions) -> Result<Calibration, Failure> {
    let known = trials.iter().filter(|trial| trial.shown.is_some()).count();
    if known == 0 {
        return Err(nothing_shown(trials.len(), gallery));
    }
    let with_absent: Vec<Scored> =
        trials.iter().flat_map(|trial| [Some(trial.clone()), trial.without_shown()]).flatten().collect();
    let fitted = Calibration::fit(&with_absent, options.risk, options.false_alarms);
    let fitted = fitted.ok_or_else(|| {
        let risk = 100.0 * options.risk;
        Failure::data(format!(
            "at no confidence are at most {risk} % of the {known} trials wrong; allow more with --risk"
        ))
    })?;
    Ok(Calibration { trials: known, ..fitted })
}

fn nothing_shown(due: usize, gallery: &Gallery) -> Failure {
    Failure::data(format!("of {due} trials none shows one of the gallery's {} pictures", gallery.len()))
}
