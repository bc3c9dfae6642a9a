//! What the program says when it is done: one line for people, or JSON for machines.

use crate::program::Facts;
use mindeye_preprocess::offline::Mode;
use serde::Serialize;
use std::path::Path;

#[derive(Serialize)]
pub(crate) struct Summary {
    out: String,
    mode: &'static str,
    volumes: usize,
    tr_s: f64,
    voxels: usize,
    voxels_excluded: usize,
    trials: usize,
    betas: usize,
    /// Numbers of the trials without a beta.
    without_beta: Vec<u32>,
    notes: Vec<String>,
}

impl Summary {
    pub(crate) fn of(facts: &Facts, out: &Path) -> Self {
        let (inputs, run) = (&facts.inputs, &facts.run);
        Self {
            out: out.display().to_string(),
            mode: mode_name(inputs.mode),
            volumes: inputs.bold.volumes.len(),
            tr_s: inputs.tr.tr_s,
            voxels: inputs.mask.len(),
            voxels_excluded: inputs.usable.excluded(),
            trials: inputs.trials.len(),
            betas: run.betas.len(),
            without_beta: run.without.iter().map(|trial| trial.event.trial).collect(),
            notes: facts.notes.clone(),
        }
    }

    #[expect(clippy::print_stdout, reason = "standard output is where a program's answer goes")]
    pub(crate) fn tell(&self, json: bool) {
        let machine = || serde_json::to_string_pretty(self).expect("a summary holds names and numbers only");
        let people = || {
            let Self { out, mode, volumes, voxels, trials, betas, .. } = self;
            format!(
                "{out}: {betas} of {trials} trials, {voxels} voxels, {mode}, from {volumes} volumes; see report.html"
            )
        };
        println!("{}", if json { machine() } else { people() });
    }
}

pub(crate) fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Online { .. } => "online",
        Mode::Offline => "offline",
    }
}
