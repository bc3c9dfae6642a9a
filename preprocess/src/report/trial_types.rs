//! Kinds of trials: the report may know what was shown, the stages never do.

use crate::program::Facts;
use crate::report::colour::{CATEGORIES, Rgb, css};
use crate::report::page::escape;
use mindeye_preprocess::Pattern;
use std::collections::BTreeMap;

/// The `trial_type`s of a run, in the order of their first onset.
pub(crate) struct TrialTypes {
    pub(crate) names: Vec<String>,
    kinds: BTreeMap<u32, usize>,
}

/// The betas of one kind, in the order of trials.
pub(crate) struct Kind<'a> {
    pub(crate) name: &'a str,
    pub(crate) betas: Vec<&'a Pattern>,
}

impl TrialTypes {
    pub(crate) fn of(facts: &Facts) -> Self {
        let mut types = Self { names: Vec::new(), kinds: BTreeMap::new() };
        for trial in &facts.inputs.trials {
            let Some(name) = &trial.trial_type else { continue };
            let known = types.names.iter().position(|known| known == name);
            let kind = known.unwrap_or_else(|| {
                types.names.push(name.clone());
                types.names.len() - 1
            });
            types.kinds.insert(trial.event.trial, kind);
        }
        types
    }

    pub(crate) fn kind_of(&self, trial: u32) -> Option<usize> {
        self.kinds.get(&trial).copied()
    }

    pub(crate) fn name_of(&self, trial: u32) -> Option<&str> {
        Some(&self.names[self.kind_of(trial)?])
    }

    /// The colour of a trial; grey without a kind.
    pub(crate) fn colour_of(&self, trial: u32) -> Rgb {
        self.kind_of(trial).map_or(CATEGORIES[6], |kind| CATEGORIES[kind % CATEGORIES.len()])
    }

    /// Betas by kind; trials without one are left out, and so are kinds without a beta. A run that names no kind at
    /// all is one kind.
    pub(crate) fn betas<'a>(&'a self, facts: &'a Facts) -> Vec<Kind<'a>> {
        let betas = &facts.run.betas;
        if self.names.is_empty() {
            return vec![Kind { name: "all trials", betas: betas.iter().map(|beta| &beta.beta).collect() }];
        }
        let of_kind = |kind: usize| betas.iter().filter(move |beta| self.kind_of(beta.trial) == Some(kind));
        let kinds = self.names.iter().enumerate();
        let kinds = kinds.map(|(kind, name)| Kind { name, betas: of_kind(kind).map(|beta| &beta.beta).collect() });
        kinds.filter(|kind| !kind.betas.is_empty()).collect()
    }

    /// Colour and name of each kind, as HTML.
    pub(crate) fn legend(&self) -> String {
        let entry = |(kind, name): (usize, &String)| {
            let colour = css(CATEGORIES[kind % CATEGORIES.len()]);
            format!("<span><i style=\"background:{colour}\"></i>{}</span>", escape(name))
        };
        let entries: String = self.names.iter().enumerate().map(entry).collect();
        if entries.is_empty() { entries } else { format!("<div class=\"legend\">{entries}</div>") }
    }
}
