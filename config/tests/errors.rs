//! A wrong file is refused with its own name, the key, and both sides of the disagreement.

mod support;

use mindeye_config::{
    Budget, BundleManifest, Checked, ConfigError, DaemonConfig, ModelDimensions, PreprocessConfig, SchedulerConfig,
    SessionConfig, from_toml, load,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

const FILE: &str = "sites/room-2.toml";

/// What goes wrong with `text`, or nothing.
type Read = fn(&str) -> Option<ConfigError>;

fn read<T: DeserializeOwned + Checked>(text: &str) -> Option<ConfigError> {
    from_toml::<T>(text, Path::new(FILE)).err()
}

/// A good file in which the first `good` became `wrong`.
fn with(value: &impl Serialize, good: &str, wrong: &str) -> String {
    let text = toml::to_string(value).unwrap();
    assert!(text.contains(good), "{good} does not stand in\n{text}");
    text.replacen(good, wrong, 1)
}

struct Case {
    read: Read,
    text: String,
    /// The key that the message must name.
    key: &'static str,
    /// Both sides: what was found and what was wanted.
    sides: [&'static str; 2],
}

/// Every case is shown, not only the first that fails.
fn check(cases: &[Case]) {
    let failures: Vec<String> = cases.iter().filter_map(failure).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn failure(case: &Case) -> Option<String> {
    let Some(error) = (case.read)(&case.text) else { return Some(format!("accepted:\n{}", case.text)) };
    let message = error.to_string();
    let wanted = [format!("{FILE}: key `{}`: ", case.key), case.sides[0].into(), case.sides[1].into()];
    let missing: Vec<&String> = wanted.iter().filter(|part| !message.contains(*part)).collect();
    let is_one_line = !message.contains('\n');
    (!missing.is_empty() || !is_one_line).then(|| format!("`{message}` lacks {missing:?}"))
}

#[test]
fn unknown_key_is_named_with_the_known_ones() {
    let daemon = read::<DaemonConfig>;
    check(&[
        Case { read: daemon, text: "[volume]".into(), key: "volume", sides: ["`volume`", "`volumes`"] },
        Case { read: daemon, text: "[volumes]\nbnd = 1".into(), key: "volumes.bnd", sides: ["`bnd`", "`bind`"] },
        Case {
            read: read::<SessionConfig>,
            text: with(&support::session(), "participant = ", "name = \"x\"\nparticipant = "),
            key: "name",
            sides: ["`name`", "`participant`"],
        },
        Case {
            read: read::<PreprocessConfig>,
            text: with(&support::preprocess(), "baseline_s", "base_s"),
            key: "beta.base_s",
            sides: ["`base_s`", "`baseline_s`"],
        },
        Case {
            read: read::<SchedulerConfig>,
            text: with(&support::scheduler(), "steps = 20", "step = 20"),
            key: "step",
            sides: ["`step`", "`steps`"],
        },
        Case {
            read: read::<ModelDimensions>,
            text: with(&support::model(), "hidden =", "width ="),
            key: "width",
            sides: ["`width`", "`hidden`"],
        },
        Case {
            read: read::<Budget>,
            text: with(&support::budget(), "[step.glm]", "[step.nap]"),
            key: "step.?", // the parser stops before the key has a name; the message has it
            sides: ["`nap`", "`glm`"],
        },
        Case {
            read: read::<BundleManifest>,
            text: with(&support::manifest(), "tolerance", "slack"),
            key: "network[0].slack",
            sides: ["`slack`", "`tolerance`"],
        },
    ]);
}

#[test]
fn wrong_type_or_word_is_named_with_what_was_wanted() {
    let daemon = read::<DaemonConfig>;
    check(&[
        Case {
            read: daemon,
            text: "[volumes]\nmax_gap = \"many\"".into(),
            key: "volumes.max_gap",
            sides: ["string \"many\"", "u32"],
        },
        Case {
            read: daemon,
            text: "[volumes]\nmax_gap = -1".into(),
            key: "volumes.max_gap",
            sides: ["integer `-1`", "u32"],
        },
        Case { read: daemon, text: "[engine]\nkind = \"gpu\"".into(), key: "engine.kind", sides: ["`gpu`", "`mock`"] },
        Case {
            read: daemon,
            text: with(&support::daemon(), "session = \"ses-1\"", "session = \"../ses\""),
            key: "session.session",
            sides: ["`../ses`", "A-Z a-z 0-9 _ -"],
        },
        Case {
            read: read::<PreprocessConfig>,
            text: with(&support::preprocess(), "\"window\"", "\"fir\""),
            key: "beta.kind",
            sides: ["`fir`", "`window`"],
        },
        Case {
            read: read::<BundleManifest>,
            text: with(&support::manifest(), "\"random-init\"", "\"found\""),
            key: "origin",
            sides: ["`found`", "`checkpoint`"],
        },
    ]);
}

#[test]
fn missing_key_is_named_with_its_table() {
    let says = |key| ["missing field", key];
    check(&[
        Case {
            read: read::<DaemonConfig>,
            text: "[session]\nsession = \"ses-1\"".into(),
            key: "session",
            sides: says("`participant`"),
        },
        Case {
            read: read::<SessionConfig>,
            text: "participant = \"sub-1\"".into(),
            key: ".",
            sides: says("`session`"),
        },
        Case {
            read: read::<PreprocessConfig>,
            text: with(&support::preprocess(), "kind = \"window\"\n", ""),
            key: "beta",
            sides: says("`kind`"),
        },
        Case {
            read: read::<BundleManifest>,
            text: with(&support::manifest(), "bytes = 0\n", ""),
            key: "file[0]",
            sides: says("`bytes`"),
        },
        Case {
            read: read::<Budget>,
            text: with(&support::budget(), "[step.glm]\ntypical_ms = 1.0\nceiling_ms = 2.0\n", ""),
            key: "step.glm",
            sides: ["has no row", "typical_ms and ceiling_ms"],
        },
    ]);
}

#[test]
fn daemon_values_out_of_range_are_named_with_their_bound() {
    let case = |text: &str, key, sides| Case { read: read::<DaemonConfig>, text: text.into(), key, sides };
    check(&[
        case("[volumes]\nmax_volume_mib = 2048", "volumes.max_volume_mib", ["2048", "1 to 2047"]),
        case("[volumes]\nring_volumes = 1", "volumes.ring_volumes", ["must be", "2 or more"]),
        case("[volumes]\nqueue_volumes = 0", "volumes.queue_volumes", ["must be", "above 0"]),
        case("[volumes]\nidle_run_s = inf", "volumes.idle_run_s", ["inf", "above 0"]),
        case("[volumes]\ngrid_tolerance_mm = -0.5", "volumes.grid_tolerance_mm", ["-0.5", "above 0"]),
        case("[results]\nhigh_water_mark = 0", "results.high_water_mark", ["must be", "above 0"]),
        case("[http]\nstale_after_s = 0.0", "http.stale_after_s", ["found 0", "above 0"]),
        case("[journal]\nbatch_records = 0", "journal.batch_records", ["must be", "above 0"]),
        case("[engine]\nmock_delay_ms = -1.0", "engine.mock_delay_ms", ["-1", "0 or more"]),
        case("[deadline]\ndecode_after_s = nan", "deadline.decode_after_s", ["NaN", "above 0"]),
        case("[deadline]\nguard_ms = -1.0", "deadline.guard_ms", ["-1", "0 or more"]),
        case("[deadline]\ndeadline_s = 0.01", "deadline.deadline_s", ["0.01 s", "20 ms"]),
        case("[trial]\nevent_max_late_s = 8.0", "trial.event_max_late_s", ["8", "deadline.decode_after_s = 7.5"]),
        case("[trial]\ntop_k = 0", "trial.top_k", ["must be", "above 0"]),
    ]);
}

#[test]
fn recipe_values_out_of_range_are_named_with_their_bound() {
    let case = |good, wrong, key, sides| Case {
        read: read::<PreprocessConfig>,
        text: with(&support::preprocess(), good, wrong),
        key,
        sides,
    };
    check(&[
        case("tr_s = 1.5", "tr_s = 0.0", "tr_s", ["found 0", "above 0"]),
        case("slice_reference = 0.5", "slice_reference = 1.5", "slice_reference", ["1.5", "0 to 1"]),
        case("[7.5]", "[]", "revision_lags_s", ["[]", "one or more"]),
        case("[7.5]", "[7.5, 6.0]", "revision_lags_s", ["[7.5, 6.0]", "ascending"]),
        case("[7.5]", "[4.0]", "revision_lags_s", ["4 s", "window_start_s = 4"]),
        case("\"window\"", "\"glmsingle-b3\"", "beta.kind", ["\"glmsingle-b3\"", "\"window\""]),
        case("window_end_s = 8.0", "window_end_s = 4.0", "beta.window_end_s", ["found 4", "window_start_s = 4"]),
        case("baseline_s = 0.0", "baseline_s = -3.0", "beta.baseline_s", ["-3", "0 or more"]),
        case("iterations = 10", "iterations = 0", "motion.iterations", ["found 0", "1 or more"]),
        case("least_overlap = 0.75", "least_overlap = 1.75", "motion.least_overlap", ["1.75", "0 to 1"]),
        case("fwhm_mm = 0.0", "fwhm_mm = 60.0", "smoothing.fwhm_mm", ["60 mm", "30 mm"]),
        case("volumes = 1\n", "volumes = 99\n", "averaging.volumes", ["found 99", "1 to 16"]),
        case(
            "[slice_timing]\nkind = \"none\"",
            "[slice_timing]\nkind = \"linear\"",
            "slice_reference",
            ["found 0.5", "must be 0"],
        ),
        case("lag_s = 5.0", "lag_s = -5.0", "stream.lag_s", ["-5", "0 or more"]),
        case("baseline_s = [0.0, 60.0]", "baseline_s = [60.0, 60.0]", "stream.baseline_s", ["[60, 60]", "[from, to]"]),
        case("conditions = 0", "conditions = 2", "zscore.conditions", ["only leave-current-out", "follows the run"]),
    ]);
}

#[test]
fn model_scheduler_and_budget_values_out_of_range_are_named_with_their_bound() {
    let model = |good, wrong, key, sides| Case {
        read: read::<ModelDimensions>,
        text: with(&support::model(), good, wrong),
        key,
        sides,
    };
    let scheduler = |good, wrong, key, sides| Case {
        read: read::<SchedulerConfig>,
        text: with(&support::scheduler(), good, wrong),
        key,
        sides,
    };
    check(&[
        model("blocks = 4", "blocks = 0", "blocks", ["found 0", "1 or more"]),
        model("norm_groups = 8", "norm_groups = 7", "upsampler_channels", ["[16, 32, 64]", "norm_groups = 7"]),
        scheduler("steps = 20", "steps = 2000", "steps", ["2000", "train_timesteps = 1000"]),
        scheduler("beta_end = 0.012", "beta_end = 0.0001", "beta_end", ["0.0001", "0.00085"]),
        scheduler("strength = 0.85", "strength = 1.5", "strength", ["1.5", "at most at 1"]),
        scheduler("strength = 0.85", "strength = 0.1", "fast_steps", ["strength 0.1", "of 8 steps"]),
        scheduler("guided_share = 1.0", "guided_share = 1.1", "guided_share", ["between 0 and 1", "1.1"]),
        scheduler("candidates = 1", "candidates = 0", "candidates", ["1 to 64", "found 0"]),
        scheduler("fast_steps = 8\nlow", "fast_steps = 21\nlow", "fast_steps", ["steps = 20", "found 21"]),
        scheduler(
            "steps = 20\nfast_steps = 8\ntoken",
            "steps = 101\nfast_steps = 8\ntoken",
            "prior.steps",
            ["100", "101"],
        ),
        scheduler("latent_scale = 0.18215", "latent_scale = 0.0", "latent_scale", ["found 0", "above 0"]),
        Case {
            read: read::<Budget>,
            text: with(&support::budget(), "[step.glm]\ntypical_ms = 1.0", "[step.glm]\ntypical_ms = 3.0"),
            key: "step.glm.ceiling_ms",
            sides: ["found 2", "typical_ms = 3"],
        },
    ]);
}

#[test]
fn manifest_that_contradicts_itself_is_named_with_both_sides() {
    let case = |good, wrong, key, sides| Case {
        read: read::<BundleManifest>,
        text: with(&support::manifest(), good, wrong),
        key,
        sides,
    };
    const NETWORK: &str = "path = \"networks/backbone.onnx\"\nprecision";
    const LISTED: &str = "path = \"networks/backbone.onnx\"\nsha256";
    let leaving = |wrong, shown| case(LISTED, wrong, "file.path", ["inside the bundle", shown]);
    check(&[
        case("mindeye-bundle/1", "mindeye-bundle/2", "format", ["mindeye-bundle/1", "mindeye-bundle/2"]),
        case(NETWORK, "path = \"b.onnx\"\nprecision", "network.path", ["\"b.onnx\"", "network backbone"]),
        case("slice_reference = 0.5", "slice_reference = -1.0", "estimator.slice_reference", ["-1", "0 to 1"]),
        leaving("path = \"../backbone.onnx\"\nsha256", "\"../backbone.onnx\""),
        leaving("path = \"/etc/passwd\"\nsha256", "\"/etc/passwd\""),
        leaving("path = \"networks/../../x\"\nsha256", "\"networks/../../x\""),
        leaving("path = \"\"\nsha256", "\"\""),
    ]);
}

#[test]
fn text_that_is_not_toml_is_named_with_its_line() {
    let text = "[volumes]\nmax_gap = = 3\n".into();
    check(&[Case { read: read::<DaemonConfig>, text, key: ".", sides: ["line 2", "`=`"] }]);
}

#[test]
fn file_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absent.toml");
    let error = load::<DaemonConfig>(&path).unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }));
    assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
}

#[test]
fn full_values_of_these_tests_are_good_files() {
    fn good<T: DeserializeOwned + Checked + Serialize>(value: &T) {
        let text = toml::to_string(value).unwrap();
        assert!(read::<T>(&text).is_none(), "{text}\n{:?}", read::<T>(&text));
    }
    good(&support::daemon());
    good(&support::session());
    good(&support::preprocess());
    good(&support::scheduler());
    good(&support::model());
    good(&support::budget());
    good(&support::manifest());
}

#[test]
fn estimators_that_differ_are_told_apart_by_the_first_field_in_the_words_of_the_file() {
    let here = support::estimator();
    let training = mindeye_config::Estimator { beta: mindeye_config::BetaKind::GlmsingleB3, ..here.clone() };
    assert!(here.agrees_with(&here).is_ok());
    let message = here.agrees_with(&training).unwrap_err().to_string();
    let expected = "differ in `beta`: here \"window\", in training \"glmsingle-b3\"";
    assert!(message.ends_with(expected), "{message}");
}
