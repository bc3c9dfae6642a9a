//! A wrong file is refused with its own name, the key, and both sides.

mod support;

use mindeye_config::{
    Budget, BundleManifest, Checked, ConfigError, DaemonConfig, ModelDimensions, PreprocessConfig, SchedulerConfig,
    SessionConfig, from_toml, load,
};
use serde::de::DeserializeOwned;
use std::path::Path;

type Read = fn(&str) -> Result<(), ConfigError>;

/// Reads `text` as a file of type `T`.
fn read<T: DeserializeOwned + Checked>(text: &str) -> Result<(), ConfigError> {
    from_toml::<T>(text, Path::new("sites/room-2.toml")).map(drop)
}

struct Case {
    wrong: &'static str,
    read: Read,
    text: String,
}
fn toml_of(v: &impl serde::Serialize) -> String { toml::to_string(v).unwrap() }
#[test]
fn look() {
    let cases: Vec<(Read, String)> = vec![
        (read::<DaemonConfig>, "[volumes]\nbnd = 3".into()),
        (read::<DaemonConfig>, "[volume]\nbnd = 3".into()),
        (read::<DaemonConfig>, "[volumes]\nmax_gap = \"x\"".into()),
        (read::<DaemonConfig>, "[volumes]\nmax_gap = -1".into()),
        (read::<DaemonConfig>, "[engine]\nkind = \"gpu\"".into()),
        (read::<DaemonConfig>, "[session]\nsession = \"a b\"\nparticipant=\"x\"".into()),
        (read::<DaemonConfig>, "[session]\nsession = \"a\"".into()),
        (read::<DaemonConfig>, "a = = 3".into()),
        (read::<DaemonConfig>, "[trial]\nevent_max_late_s = 8".into()),
        (read::<DaemonConfig>, "[deadline]\ndeadline_s = 0.01".into()),
        (read::<DaemonConfig>, "[deadline]\ndeadline_s = nan".into()),
        (read::<DaemonConfig>, "[volumes]\nidle_run_s = inf".into()),
        (read::<PreprocessConfig>, "revision_lags_s = [7.5]".into()),
        (read::<PreprocessConfig>, toml_of(&support::preprocess()).replace("window_end_s = 8.0", "")),
        (read::<PreprocessConfig>, toml_of(&support::preprocess()).replace("window_end_s = 8.0", "window_end_s = 3.0")),
        (read::<PreprocessConfig>, toml_of(&support::preprocess()).replace("\"window\"", "\"lss\"")),
        (read::<PreprocessConfig>, toml_of(&support::preprocess()).replace("[7.5]", "[7.5, 6.0]")),
        (read::<PreprocessConfig>, toml_of(&support::preprocess()).replace("[7.5]", "[3.0]")),
        (read::<Budget>, toml_of(&support::budget()).replace("[step.glm]\ntypical_ms = 1.0\nceiling_ms = 2.0\n", "")),
        (read::<Budget>, toml_of(&support::budget()).replace("[step.glm]", "[step.nap]")),
        (read::<Budget>, toml_of(&support::budget()).replacen("2.0", "0.5", 1)),
        (read::<BundleManifest>, toml_of(&support::manifest()).replace("bundle/1", "bundle/2")),
        (read::<BundleManifest>, toml_of(&support::manifest()).replace("networks/backbone.onnx", "../backbone.onnx")),
        (read::<BundleManifest>, toml_of(&support::manifest()).replacen("networks/backbone.onnx", "networks/b.onnx", 1)),
        (read::<SchedulerConfig>, toml_of(&support::scheduler()).replace("steps = 20", "steps = 2000")),
        (read::<ModelDimensions>, toml_of(&support::model()).replace("norm_groups = 8", "norm_groups = 7")),
        (read::<SessionConfig>, "session = \"a\"\nparticipant = \"b\"\nname = \"c\"".into()),
    ];
    for (r, t) in cases { match r(&t) { Ok(()) => println!("OK?? {t}"), Err(e) => println!("{e}") } }
    println!("{}", load::<DaemonConfig>(Path::new("/nowhere/x.toml")).unwrap_err());
    println!("{}", toml_of(&support::manifest()));
    let d: DaemonConfig = load(&support::home().join("daemon/default.toml")).unwrap();
    assert_eq!(d, DaemonConfig::default());
}
