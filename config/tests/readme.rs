//! README.md describes every key there is, with its default, and no other.

mod support;

use mindeye_config::{DaemonConfig, EngineKind, SchedulerConfig, Step, TrainingConfig};
use std::collections::{BTreeMap, BTreeSet};

/// A row of a key table: key, then the other cells.
type Rows = BTreeMap<String, Vec<String>>;

/// Rows of the key tables below the heading that names `file`, up to the next heading of that level.
fn documented(file: &str) -> Rows {
    let readme = std::fs::read_to_string(support::home().join("README.md")).unwrap();
    let heading = format!("## `{file}`");
    let mut sections = readme.split("\n## ").map(|section| format!("## {section}"));
    let section = sections.find(|section| section.starts_with(&heading));
    let section = section.unwrap_or_else(|| panic!("README.md has no section `{heading}`"));
    let tables = section.split("\n| key |").skip(1).map(|table| table.split("\n\n").next().unwrap_or_default());
    tables.flat_map(str::lines).filter_map(row).collect()
}

fn row(line: &str) -> Option<(String, Vec<String>)> {
    let cells: Vec<&str> = line.strip_prefix("| `")?.trim_end_matches('|').split(" | ").map(str::trim).collect();
    let (key, rest) = cells.split_first()?;
    Some((key.trim_end_matches('`').to_owned(), rest.iter().map(ToString::to_string).collect()))
}

fn check(file: &str, value: &impl serde::Serialize) {
    let there: BTreeSet<String> = support::keys(value).into_iter().map(|(key, _)| generic(&key)).collect();
    let told: BTreeSet<String> = documented(file).into_keys().collect();
    let untold: Vec<&String> = there.difference(&told).collect();
    let imagined: Vec<&String> = told.difference(&there).collect();
    assert!(untold.is_empty() && imagined.is_empty(), "{file}: not described {untold:?}; do not exist {imagined:?}");
}

/// One row speaks for every step.
fn generic(key: &str) -> String {
    let step = Step::ALL.into_iter().find(|step| key.starts_with(&format!("step.{}.", step.key())));
    step.map_or_else(|| key.to_owned(), |step| key.replace(&format!("step.{}.", step.key()), "step.STEP."))
}

#[test]
fn every_key_is_described_and_no_other() {
    check("daemon.toml", &support::daemon());
    check("session.toml", &support::session());
    check("preprocess.toml", &support::preprocess());
    check("scheduler.toml", &support::scheduler());
    check("model.toml", &support::model());
    check("renderer.toml", &support::renderer());
    check("training.toml", &TrainingConfig::default());
    check("manifest.toml", &support::manifest());
    check("engines/manifest.toml", &support::engines());
    check("budget.toml", &support::budget());
}

#[test]
fn described_defaults_are_the_defaults() {
    let defaults = [
        ("daemon.toml", support::keys(&DaemonConfig::default())),
        ("scheduler.toml", support::keys(&SchedulerConfig::default())),
        ("training.toml", support::keys(&TrainingConfig::default())),
    ];
    for (file, defaults) in defaults {
        let told = documented(file);
        for (key, value) in defaults {
            assert_eq!(told[&key][0], format!("`{value}`"), "{file}: default of `{key}`");
        }
    }
}

#[test]
fn words_that_a_file_may_say_are_all_there() {
    let readme = std::fs::read_to_string(support::home().join("README.md")).unwrap();
    let engines = EngineKind::ALL.map(EngineKind::key);
    let steps = Step::ALL.map(Step::key);
    for word in engines.iter().chain(&steps) {
        assert!(readme.contains(&format!("`{word}`")), "README.md does not mention `{word}`");
    }
}
