//! Every preset of this folder loads as what it is for, and says what its comments say.

mod support;

use mindeye_config::{
    Budget, Checked, DaemonConfig, ModelDimensions, PreprocessConfig, RendererDimensions, SessionConfig, Step,
    StepBudget, TrainingConfig, load,
};
use serde::de::DeserializeOwned;

/// All presets of a kind, by file name.
fn load_all<T: DeserializeOwned + Checked>(kind: &str) -> Vec<(String, T)> {
    let file = |path: std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let value = load(&path).unwrap_or_else(|error| panic!("{error}"));
        (name, value)
    };
    support::presets(kind).into_iter().map(file).collect()
}

#[test]
fn every_preset_loads() {
    let names = |kind: &str, found: Vec<String>| (kind.to_owned(), found);
    let found = [
        names("daemon", load_all::<DaemonConfig>("daemon").into_iter().map(|(name, _)| name).collect()),
        names("session", load_all::<SessionConfig>("session").into_iter().map(|(name, _)| name).collect()),
        names("preprocess", load_all::<PreprocessConfig>("preprocess").into_iter().map(|(name, _)| name).collect()),
        names("model", load_all::<ModelDimensions>("model").into_iter().map(|(name, _)| name).collect()),
        names("renderer", load_all::<RendererDimensions>("renderer").into_iter().map(|(name, _)| name).collect()),
        names("training", load_all::<TrainingConfig>("training").into_iter().map(|(name, _)| name).collect()),
        names("budget", load_all::<Budget>("budget").into_iter().map(|(name, _)| name).collect()),
    ];
    let readme = std::fs::read_to_string(support::home().join("README.md")).unwrap();
    for (kind, names) in found {
        for name in names {
            assert!(readme.contains(&format!("`{kind}/{name}`")), "README.md does not mention `{kind}/{name}`");
        }
    }
}

#[test]
fn default_preset_is_the_default_written_out() {
    let path = support::home().join("daemon/default.toml");
    assert_eq!(load::<DaemonConfig>(&path).unwrap(), DaemonConfig::default());
    let text = std::fs::read_to_string(path).unwrap();
    let written: toml::Table = toml::from_str(&text).unwrap();
    assert_eq!(support::keys(&written), support::keys(&DaemonConfig::default()), "every key stands in the file");
}

#[test]
fn training_presets_are_the_released_values() {
    let path = |name: &str| support::home().join("training").join(name);
    let mindeye1: TrainingConfig = load(&path("mindeye1.toml")).unwrap();
    assert_eq!(mindeye1, TrainingConfig::default());
    assert_eq!(load::<TrainingConfig>(&path("low-level.toml")).unwrap(), TrainingConfig::low_level());
    let written: toml::Table = toml::from_str(&std::fs::read_to_string(path("mindeye1.toml")).unwrap()).unwrap();
    assert_eq!(support::keys(&written), support::keys(&TrainingConfig::default()), "every key stands in the file");
}

#[test]
fn recipes_can_be_served_at_the_default_due_time() {
    let decode_after_s = DaemonConfig::default().deadline.decode_after_s;
    for (name, recipe) in load_all::<PreprocessConfig>("preprocess") {
        assert!(recipe.revision_lags_s[0] <= decode_after_s, "{name}");
    }
}

#[test]
fn our_own_overhead_on_two_cores_is_at_most_20_ms() {
    let budget: Budget = load(&support::home().join("budget/two-cores.toml")).unwrap();
    // The journal is written beside the path from volume to answer, and the total contains all.
    let is_ours = |step: &Step| !step.is_network() && !matches!(step, Step::Journal | Step::Total);
    let ceilings_ms: f64 = Step::ALL.into_iter().filter(is_ours).map(|step| row(&budget, step).ceiling_ms).sum();
    assert!(ceilings_ms <= 20.0, "{ceilings_ms} ms");
}

#[test]
fn budgets_allow_the_whole_what_they_expect_of_its_parts() {
    for (name, budget) in load_all::<Budget>("budget") {
        let parts = |step: &Step| !matches!(step, Step::Journal | Step::Total);
        let expected_ms: f64 = Step::ALL.into_iter().filter(parts).map(|step| row(&budget, step).typical_ms).sum();
        let total = row(&budget, Step::Total);
        assert!(expected_ms <= total.ceiling_ms, "{name}: the parts take {expected_ms} ms, {total:?}");
    }
}

fn row(budget: &Budget, step: Step) -> StepBudget {
    budget.row(step).expect("a checked budget has a row for every step")
}
