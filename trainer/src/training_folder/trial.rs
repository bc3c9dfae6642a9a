//! A trial of a training folder: what was shown, and whether it may be learned from.

use super::FolderError;
use mindeye_config::{Name, Sha256, sha256_of_bytes};
use mindeye_preprocess::bids::{Row, Table};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// What a trial is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// To learn from.
    Train,
    /// To choose by.
    Validation,
    /// To report on, once.
    Test,
}

impl Split {
    /// The word in a table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }

    /// The split called `word`.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        [Self::Train, Self::Validation, Self::Test].into_iter().find(|split| split.name() == word)
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One line of `trials.tsv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// Number, unique in its session and run.
    pub trial: u32,
    /// What was shown.
    pub image: Name,
    /// What it is for.
    pub split: Split,
    /// Session.
    pub session: Name,
    /// Run.
    pub run: Name,
}

/// Reads `trials.tsv`, one or more lines.
pub(crate) fn read_trials(path: &Path) -> Result<Vec<Trial>, FolderError> {
    let table = Table::read(path)?;
    let trials = table.rows().map(|row| trial_of(&row)).collect::<Result<Vec<_>, _>>()?;
    if trials.is_empty() {
        return Err(FolderError::format(path, "has a header and no trial"));
    }
    Ok(trials)
}

fn trial_of(row: &Row<'_>) -> Result<Trial, FolderError> {
    let missing = |column: &str| row.wrong(column, "is missing or empty".into());
    let name = |column: &str| {
        let cell = row.cell(column).ok_or_else(|| missing(column))?;
        Name::new(cell).map_err(|e| row.wrong(column, format!(": {e}")))
    };
    let word = row.cell("split").ok_or_else(|| missing("split"))?;
    let split = Split::named(word)
        .ok_or_else(|| row.wrong("split", format!("must be train, validation or test, found `{word}`")))?;
    let trial = row.whole("trial")?.ok_or_else(|| missing("trial"))?;
    Ok(Trial { trial, image: name("image")?, split, session: name("session")?, run: name("run")? })
}

/// `trials.tsv` of these trials.
pub(crate) fn trial_table(trials: &[Trial]) -> String {
    let mut table = String::from("trial\timage\tsplit\tsession\trun\n");
    for Trial { trial, image, split, session, run } in trials {
        table.push_str(&format!("{trial}\t{image}\t{split}\t{session}\t{run}\n"));
    }
    table
}

/// Digest of which image is for what: equal for equal splits, whatever the order of trials.
#[must_use]
pub fn split_hash(trials: &[Trial]) -> Sha256 {
    let pairs: std::collections::BTreeSet<String> =
        trials.iter().map(|trial| format!("{}\t{}\n", trial.image, trial.split)).collect();
    sha256_of_bytes(pairs.into_iter().collect::<String>().as_bytes())
}
