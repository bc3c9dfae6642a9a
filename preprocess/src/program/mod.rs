//! The program around the library: command line, files in, files out.

mod accuracy;
mod command;
mod derivatives;
mod error;
mod inputs;
mod notes;
mod progress;
mod quality;
mod staging;
mod summary;

pub(crate) use accuracy::LagAccuracy;
pub(crate) use command::Arguments;
pub(crate) use error::ProgramError;
pub(crate) use inputs::Inputs;
pub(crate) use quality::{Carpet, Quality, quantile};

use command::{RunArguments, Verb};
use mindeye_preprocess::offline::{RecordedRun, RunBetas};
use mindeye_preprocess::{Event, Pattern, RunPlan};
use progress::Progress;
use quality::Watch;
use staging::Staging;
use std::sync::Arc;
use summary::Summary;

/// Everything about one run that the derivatives and the report tell.
pub(crate) struct Facts {
    pub(crate) inputs: Inputs,
    pub(crate) run: RunBetas,
    pub(crate) quality: Quality,
    /// Accuracy at each lag, where the truth was given; empty without.
    pub(crate) accuracy: Vec<LagAccuracy>,
    /// Every volume as estimates saw it, kept where it is to be written and is not the raw one.
    pub(crate) patterns: Vec<Pattern>,
    /// What a reader must know before believing the numbers, one sentence each.
    pub(crate) notes: Vec<String>,
}

/// Does what the command line says.
pub(crate) fn run(arguments: Arguments) -> Result<(), ProgramError> {
    let Verb::Run(arguments) = arguments.verb;
    let staging = Staging::for_folder(&arguments.out)?;
    let progress = Progress::new();
    let facts = preprocess(&arguments, &progress)?;
    progress.phase("writing derivatives and report");
    derivatives::write(&facts, staging.path())?;
    staging::write(staging.path(), "report.html", crate::report::page(&facts))?;
    staging.keep()?;
    progress.finish();
    facts.notes.iter().for_each(|note| eprintln!("note: {note}"));
    Summary::of(&facts, &arguments.out).tell(arguments.json);
    Ok(())
}

fn preprocess(arguments: &RunArguments, progress: &Progress) -> Result<Facts, ProgramError> {
    progress.phase("reading");
    let inputs = Inputs::read(arguments)?;
    let events: Vec<Event> = inputs.trials.iter().map(|trial| trial.event).collect();
    let recorded = RecordedRun {
        recipe: &inputs.recipe,
        mask: Arc::new(inputs.usable.mask.clone()),
        tr_s: inputs.tr.tr_s,
        dtype: inputs.bold.dtype,
        volumes: &inputs.bold.volumes,
        events: &events,
        plan: RunPlan {
            reference: inputs.reference.clone(),
            run_grid: Some(inputs.bold.grid.clone()),
            slice_timing_s: inputs.slice_timing_s.clone(),
            hrf_index: inputs.hrf_index.clone(),
            volumes: None,
        },
    };
    let mut watch = Watch::new(inputs.usable.mask.len());
    progress.volumes("streaming", inputs.bold.volumes.len());
    let keep = inputs.write_bold && inputs.changes_volumes();
    let mut patterns = Vec::new();
    let run = recorded.estimate(inputs.mode, &mut |seen| {
        watch.see(seen);
        if keep {
            patterns.push(seen.pattern.clone());
        }
        progress.volume(seen.index);
    })?;
    let quality = watch.sum_up(&run.moments);
    require_a_beta(&inputs, &run)?;
    let accuracy = match &inputs.truth {
        Some(truth) => accuracy::by_lag(truth, &inputs, &recorded)?,
        None => Vec::new(),
    };
    let notes = notes::of(&inputs, &run, &quality);
    Ok(Facts { inputs, run, quality, accuracy, patterns, notes })
}

/// A run that shows nothing about any trial is the wrong run, the wrong table, or the wrong recipe.
fn require_a_beta(inputs: &Inputs, run: &RunBetas) -> Result<(), ProgramError> {
    if !run.betas.is_empty() {
        return Ok(());
    }
    let (volumes, tr_s) = (inputs.bold.volumes.len(), inputs.tr.tr_s);
    let first = run.without.first().map_or("the events table has no trial".into(), |trial| {
        format!("trial {} at {} s: {}", trial.event.trial, trial.event.onset_s, trial.reason)
    });
    Err(ProgramError::NoBeta { bold: inputs.bold_path.clone(), volumes, tr_s, trials: inputs.trials.len(), first })
}
