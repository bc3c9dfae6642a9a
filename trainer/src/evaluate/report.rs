//! `report.json`, and the line that the program prints.

use super::pictures::ReconstructionReport;
use super::retrieval::{Centrings, RetrievalReport, TopOne};
use super::{Arguments, EvaluateError, html};
use crate::leakage::Leaks;
use crate::training_folder::{TrainingFolder, TrialsUsed, split_hash};
use mindeye_config::{Failure, Sha256};
use mindeye_decode::metrics::{Interval, paired_difference};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// One training among several.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelReport {
    /// The model.
    pub model: String,
    /// Its top-1 by the place in the report.
    pub top1: BTreeMap<String, f64>,
}

/// All that `evaluate` found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The model; of several, what they have in common.
    pub model: String,
    /// Each of several trainings, whose mean all other numbers are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelReport>,
    /// Name of the training folder.
    pub data: String,
    /// Part that was measured.
    pub split: String,
    /// Digest of which image is for what.
    pub split_sha256: Sha256,
    /// Trials measured.
    pub trials: usize,
    /// Images that they showed.
    pub images: usize,
    /// Seed of pools, bootstrap and permutations.
    pub seed: u64,
    /// One brain per trial.
    pub single_trial: Option<RetrievalReport>,
    /// One brain per image.
    pub repeats_averaged: Option<RetrievalReport>,
    /// Pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconstruction: Option<ReconstructionReport>,
    /// This model's top-1 minus another's, paired by image, with its interval.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub minus_other: BTreeMap<String, Interval>,
    /// What was found and allowed.
    pub leakage: Leaks,
    /// What nobody said: choices of which it is not known what trials they saw.
    pub unknown_provenance: Vec<&'static str>,
}

impl Report {
    pub(super) fn new(model: String, folder: &TrainingFolder, arguments: &Arguments) -> Self {
        let provenance = &folder.facts().provenance;
        let unknown = |used: TrialsUsed, what: &'static str| (used == TrialsUsed::Unknown).then_some(what);
        let unknown_provenance =
            [unknown(provenance.mask_chosen_with, "mask"), unknown(provenance.normalised_with, "normalisation")];
        Self {
            model,
            models: Vec::new(),
            data: folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned(),
            split: arguments.split.to_string(),
            split_sha256: split_hash(folder.trials()),
            trials: 0,
            images: 0,
            seed: arguments.seed,
            single_trial: None,
            repeats_averaged: None,
            reconstruction: None,
            minus_other: BTreeMap::new(),
            leakage: Leaks::default(),
            unknown_provenance: unknown_provenance.into_iter().flatten().collect(),
        }
    }

    /// Top-1 numbers with their path in the report.
    pub(super) fn tops(&self) -> Vec<(String, &TopOne)> {
        let both = [("single_trial", &self.single_trial), ("repeats_averaged", &self.repeats_averaged)];
        both.into_iter().filter_map(|(brains, report)| Some(tops(brains, report.as_ref()?))).flatten().collect()
    }

    /// Paired differences to the report that `arguments` name.
    pub(super) fn against(&mut self, arguments: &Arguments) -> Result<(), EvaluateError> {
        let Some(path) = &arguments.against else { return Ok(()) };
        let wrong = |problem: String| EvaluateError::Picture { path: path.clone(), problem };
        let text = std::fs::read_to_string(path).map_err(|e| wrong(e.to_string()))?;
        let other: serde_json::Value = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        let mut differences = BTreeMap::new();
        for (name, top) in self.tops() {
            let place = format!("/{}/per_image", name.replace('.', "/"));
            let theirs =
                other.pointer(&place).and_then(|v| v.as_object()).ok_or_else(|| wrong(format!("no {place}")))?;
            let value = |image: &String| theirs.get(image).and_then(serde_json::Value::as_f64);
            let both: Option<Vec<(f64, f64)>> = top.per_image.iter().map(|(i, own)| Some((*own, value(i)?))).collect();
            let both = both.filter(|both| both.len() == theirs.len());
            let both = both.ok_or_else(|| {
                wrong(format!("{place} has other images than this test set's {}", top.per_image.len()))
            })?;
            let (own, theirs): (Vec<f64>, Vec<f64>) = both.into_iter().unzip();
            differences.insert(name, paired_difference(&own, &theirs, arguments.seed)?);
        }
        self.minus_other = differences;
        Ok(())
    }

    pub(super) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report holds names and numbers only") + "\n"
    }

    /// Writes `out` and the page beside it; each appears whole.
    pub(super) fn write(&self, out: &Path) -> Result<(), Failure> {
        for (path, text) in [(out.with_extension("html"), html::page(self)), (out.to_owned(), self.to_json())] {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            if !parent.is_dir() {
                return Err(Failure::usage(format!("--out {}: no such folder {}", out.display(), parent.display())));
            }
            let write = || -> std::io::Result<()> {
                let mut file = tempfile::NamedTempFile::new_in(parent)?;
                std::io::Write::write_all(&mut file, text.as_bytes())?;
                #[cfg(unix)]
                std::fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
                file.persist(&path).map(drop).map_err(|e| e.error)
            };
            write().map_err(|e| Failure::other(format!("{}: {e}", path.display())))?;
        }
        Ok(())
    }

    #[expect(clippy::print_stdout, reason = "standard output is where a program's answer goes")]
    pub(super) fn tell(&self, out: &Path, json: bool) {
        if json {
            print!("{}", self.to_json());
            return;
        }
        println!("{}: {} trials of {} images, {}", out.display(), self.trials, self.images, self.model);
        for (name, top) in self.tops() {
            let (top1, null) = (&top.top1, &top.permutation_null);
            println!(
                "  {name:<42} {:.3}{} [{:.3}, {:.3}] of {} (chance {:.4}, p {:.4})",
                top1.value,
                top.sd_over_models.map(|sd| format!(" SD {sd:.3}")).unwrap_or_default(),
                top1.low,
                top1.high,
                top.pool_size,
                top.chance,
                null.p
            );
        }
    }
}

/// The four top-1 numbers of one kind of brain, with their path in the report.
pub(super) fn tops<'r>(brains: &str, report: &'r RetrievalReport) -> Vec<(String, &'r TopOne)> {
    let directions = [("image_retrieval", &report.image_retrieval), ("brain_retrieval", &report.brain_retrieval)];
    let of = |(direction, both): (&str, &'r Centrings)| {
        [("raw", &both.raw), ("centred", &both.centred)].map(|(c, top)| (format!("{brains}.{direction}.{c}"), top))
    };
    directions.into_iter().flat_map(of).collect()
}
