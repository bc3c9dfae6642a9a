//! Beside the trials: a score for every volume of the residual stream, and a warning when a run leans to one condition.

use mindeye_tests::bundle::{copy_bundle, demo_bundle, relist};
use mindeye_tests::instrument::Setup;
use mindeye_tests::listener::{Heard, Listener};
use mindeye_tests::phantom_run::PhantomRun;
use mindeye_tests::sender::Sender;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const TRIALS: u32 = 12;
const TR_S: f64 = 1.5;
const BASELINE_S: f64 = 15.0;
const LAG_S: f64 = 5.0;

/// The demo bundle with a stream after 15 s, and statistics that follow a run of two conditions.
fn bundle(copy: &Path) {
    copy_bundle(&demo_bundle(), copy);
    edit(&copy.join("preprocess.toml"), |recipe| {
        recipe.insert(
            "stream".into(),
            table(&format!("kind = \"residual\"\nbaseline_s = [0.0, {BASELINE_S}]\nlag_s = {LAG_S}")),
        );
        recipe.insert("zscore".into(), table("policy = \"leave-current-out\"\nconditions = 2"));
    });
    relist(copy, "preprocess.toml");
    edit(&copy.join("manifest.toml"), |manifest| {
        let estimator = manifest["estimator"].as_table_mut().expect("the training's estimator");
        estimator.insert("zscore".into(), "leave-current-out".into());
    });
}

fn edit(path: &Path, change: impl FnOnce(&mut toml::Table)) {
    let mut table: toml::Table = fs::read_to_string(path).expect("a file").parse().expect("TOML");
    change(&mut table);
    fs::write(path, table.to_string()).expect("a file");
}

fn table(text: &str) -> toml::Value {
    toml::Value::Table(text.parse().expect("TOML"))
}

/// A run whose trials all declare condition 0.
fn lopsided(phantom: &PhantomRun) -> Value {
    let mut start = phantom.start_with_events();
    for event in start["events"].as_array_mut().expect("events") {
        event["condition"] = json!(0);
    }
    start
}

#[test]
fn every_volume_is_scored_after_the_baseline_and_a_lopsided_run_is_warned_of() {
    let room = tempfile::tempdir().unwrap();
    let mut setup = Setup::new(room.path());
    setup.bundle = room.path().join("bundle");
    bundle(&setup.bundle);
    let phantom = PhantomRun::new("run-1", TRIALS, 1);
    let instrument = setup.start();
    let mut listener = Listener::connect(&instrument.results);
    let sender = Sender::connect(&instrument.volumes);
    sender.accepted(&lopsided(&phantom), None);
    phantom.send(&sender, 0..phantom.volumes.len());
    sender.accepted(&phantom.end(phantom.volumes.len()), None);
    let last = phantom.volumes.len() as u64 - 1;
    let newest =
        listener.until("the newest volume's sample", |heard| heard.topic == "stream" && heard.json["index"] == last);
    let warned = |heard: &Heard| heard.topic == "status" && !heard.json["warning"].is_null();
    let before = listener.of("status").find(|heard| warned(heard)).cloned();
    let status = before.unwrap_or_else(|| listener.until("a warning", warned));
    instrument.stop();

    let samples: Vec<&Value> = listener.of("stream").map(|heard| &heard.json).collect();
    assert!(
        samples.windows(2).all(|pair| pair[0]["index"].as_u64() < pair[1]["index"].as_u64()),
        "in order, none twice"
    );
    for sample in &samples {
        let sampled_s = (sample["index"].as_f64().unwrap() + 0.5) * TR_S;
        // 1e-9: two routes to the same time in f64.
        assert!((sample["sampled_s"].as_f64().unwrap() - sampled_s).abs() < 1e-9, "{sample}");
        assert!((sample["shown_s"].as_f64().unwrap() - sampled_s + LAG_S).abs() < 1e-9, "{sample}");
        let is_baseline = sampled_s <= BASELINE_S;
        assert_eq!(sample["reason"], if is_baseline { json!("baseline") } else { json!(null) }, "{sample}");
        assert_eq!(sample["retrieval"].as_array().unwrap().is_empty(), is_baseline, "{sample}");
        assert!(sample.get("image").is_none(), "a stream has no stimulus");
    }
    assert!(newest.json["pool_size"].as_u64().unwrap() > 1, "{}", newest.json);
    // Chance explains at most 9 of 10, 5 + 3 √(10/4) = 9.7; the tenth trial of condition 0 is the first too many.
    let text = status.json["warning"].as_str().unwrap();
    assert!(text.starts_with("condition 0 had 10 of the last 10 trials"), "{text}");
}
