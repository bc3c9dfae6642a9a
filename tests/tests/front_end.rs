//! A calibration is loaded between two runs: from then on it answers, every result says so, and what does not fit is refused.

use mindeye_decode::Bundle;
use mindeye_tests::bundle::{copy_bundle, demo_bundle};
use mindeye_tests::eventually;
use mindeye_tests::http::post;
use mindeye_tests::instrument::{Instrument, Setup};
use mindeye_tests::listener::Listener;
use mindeye_tests::phantom_run::PhantomRun;
use mindeye_tests::record::{Record, run_folder};
use mindeye_tests::sender::Sender;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::path::Path;

const TRIALS: u32 = 2;
/// What the calibration of these tests sees in every beta.
const SCENE: usize = 5;

/// A calibration of `bundle` in the new folder `dir`: z-scores of its own, and tokens that are the vector of one scene
/// whatever the betas.
fn calibration(bundle: &Path, dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    for file in ["mask.nii.gz", "preprocess.toml"] {
        fs::copy(bundle.join(file), dir.join(file)).unwrap();
    }
    let opened = Bundle::open(bundle).unwrap();
    let dimensions = &opened.manifest.dimensions;
    let (voxels, outputs) = (dimensions.voxels, dimensions.tokens * dimensions.token_dim);
    let lags = opened.zscore.lags_s().to_vec();
    let numbers = lags.len() * voxels;
    let table = mindeye_preprocess::ZscoreTable::new(lags, voxels, vec![0.25; numbers], vec![3.0; numbers]).unwrap();
    table.write(&dir.join("zscore.safetensors")).unwrap();
    let vectors = fs::read(bundle.join("gallery/vectors.safetensors")).unwrap();
    let vectors = SafeTensors::deserialize(&vectors).unwrap();
    let vector = vectors.tensor("vectors").unwrap().data()[SCENE * 4 * outputs..][..4 * outputs].to_vec();
    write_ridge(dir, voxels, outputs, &vector);
    let (tokens, token_dim) = (dimensions.tokens, dimensions.token_dim);
    let facts = format!(
        "format = \"mindeye-ridge-checkpoint/1\"\nkind = \"direct\"\nvoxels = {voxels}\ntokens = {tokens}\ntoken_dim = {token_dim}\n"
    );
    fs::write(dir.join("ridge.toml"), facts).unwrap();
}

/// One trial, two voxels, coefficients of 0: the bias alone answers.
fn write_ridge(dir: &Path, voxels: usize, outputs: usize, bias: &[u8]) {
    let places: Vec<u8> = [1, voxels as i64 - 1].iter().flat_map(|place: &i64| place.to_le_bytes()).collect();
    let (alpha, zeros) = (1.0_f64.to_le_bytes(), vec![0; 4 * outputs]);
    let view = |dtype, shape: &[usize], bytes| TensorView::new(dtype, shape.to_vec(), bytes).unwrap();
    let tensors = [
        ("ridge.alpha", view(Dtype::F64, &[1], &alpha[..])),
        ("ridge.basis", view(Dtype::F32, &[1, 2], &zeros[..8])),
        ("ridge.bias", view(Dtype::F32, &[outputs], bias)),
        ("ridge.coefficients", view(Dtype::F32, &[1, outputs], &zeros[..])),
        ("ridge.voxels", view(Dtype::I64, &[2], &places[..])),
    ];
    let metadata = HashMap::from([("format".to_owned(), "mindeye-ridge/1".to_owned())]);
    fs::write(dir.join("ridge.safetensors"), safetensors::serialize(tensors, Some(metadata)).unwrap()).unwrap();
}

/// A daemon that may load what lies in `room/front-ends`.
fn setup(room: &Path) -> Setup {
    fs::create_dir_all(room.join("front-ends")).unwrap();
    let flags = vec!["--front-ends".into(), room.join("front-ends").into()];
    Setup { flags, ..Setup::new(room) }
}

fn load(daemon: &Instrument, name: &str) -> (u16, Value) {
    let body = json!({"token": daemon.token, "command": "load_front_end", "front_end": name});
    let (status, answer) = post(&daemon.http, "/api/v1/command", &body);
    (status, serde_json::from_str(&answer).unwrap_or(Value::Null))
}

#[test]
fn from_the_next_run_on_the_calibration_answers_and_every_result_says_so() {
    let room = tempfile::tempdir().unwrap();
    let setup = setup(room.path());
    calibration(&setup.bundle, &room.path().join("front-ends/sub-2"));
    let daemon = setup.start();
    let (mut listener, sender) = (Listener::connect(&daemon.results), Sender::connect(&daemon.volumes));
    let run = PhantomRun::new("run-1", TRIALS, 1);

    sender.accepted(&run.start_with_events(), None);
    let (status, answer) = load(&daemon, "sub-2");
    assert_eq!(status, 409, "{answer}");
    assert_eq!(answer["error"], "front end `sub-2`: a run is open; a front end is loaded between runs");
    run.send(&sender, 0..run.volumes.len());
    sender.accepted(&run.end(run.volumes.len()), None);
    let plain = listener.finals(TRIALS.into());
    listener.end_of("run-1");

    let (status, answer) = load(&daemon, "sub-2");
    assert_eq!(status, 202, "{answer}");
    let label = answer["front_end"].as_str().unwrap().to_owned();
    assert!(label.starts_with("sub-2@"), "{label}");
    let journalled = || fs::read(setup.journal().join("input.journal")).ok();
    let said = format!("load_front_end {label}");
    eventually("the command in the journal", || {
        journalled().filter(|bytes| bytes.windows(said.len()).any(|window| window == said.as_bytes()))
    });

    let mut again = Listener::connect(&daemon.results);
    let second = run.named("run-2");
    let ready = sender.accepted(&second.start_with_events(), None);
    let bundle = plain[0].json["bundle"].as_str().unwrap();
    assert_eq!(ready["bundle"], format!("{bundle}+{label}"));
    second.send(&sender, 0..second.volumes.len());
    sender.accepted(&second.end(second.volumes.len()), None);
    let ids = &Bundle::open(&setup.bundle).unwrap().gallery.unwrap().ids;
    for heard in again.finals(TRIALS.into()) {
        assert_eq!(heard.json["run"], "run-2");
        assert_eq!(heard.json["bundle"], format!("{bundle}+{label}"));
        assert_eq!(heard.json["retrieval"][0]["id"], ids[SCENE].as_str(), "{}", heard.json["retrieval"]);
    }
    again.end_of("run-2");
    daemon.stop();
    // Betas are those of the same volumes; only what became of them differs.
    let record = |run: &str| Record::read(&run_folder(&setup.journal(), run));
    let (one, two) = (record("run-1"), record("run-2"));
    assert_eq!(one.betas.keys().collect::<Vec<_>>(), two.betas.keys().collect::<Vec<_>>());
}

#[test]
fn what_does_not_fit_is_refused_by_name_and_the_backbone_goes_on() {
    let room = tempfile::tempdir().unwrap();
    let setup = setup(room.path());
    let folder = |name: &str| room.path().join("front-ends").join(name);
    let good = folder("good");
    calibration(&setup.bundle, &good);
    let spoilt = |name: &str, file: &str, change: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        copy_bundle(&good, &folder(name));
        let path = folder(name).join(file);
        fs::write(&path, change(fs::read(&path).unwrap())).unwrap();
    };
    let text = |from: &'static str, to: &'static str| {
        move |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(from, to).into_bytes()
    };
    spoilt("tokens", "ridge.toml", &text("tokens = 17", "tokens = 16"));
    spoilt("kind", "ridge.toml", &text("direct", "affine"));
    spoilt("lags", "preprocess.toml", &text("revision_lags_s = [7.5]", "revision_lags_s = [6.0]"));
    spoilt("cut", "ridge.safetensors", &|bytes| bytes[..bytes.len() / 2].to_vec());
    copy_bundle(&good, &folder("mask"));
    let mask = mindeye_preprocess::Mask::read(&good.join("mask.nii.gz")).unwrap();
    let shifted = mask.voxels().iter().map(|voxel| voxel + 1).collect();
    let other = mindeye_preprocess::Mask::from_voxels(mask.grid().clone(), shifted).unwrap();
    other.write(&folder("mask").join("mask.nii.gz")).unwrap();

    let daemon = setup.start();
    let cases = [
        ("tokens", 422, "tokens and their width (16, 64), the bundle has (17, 64)"),
        ("kind", 422, "must be direct or shared, found `affine`"),
        ("lags", 422, "preprocess.toml"),
        ("cut", 422, "ridge.safetensors"),
        ("mask", 422, "mask.nii.gz: voxels at places where both should have the same"),
        ("absent", 422, "ridge.toml"),
    ];
    for (name, expected, part) in cases {
        let (status, answer) = load(&daemon, name);
        let error = answer["error"].as_str().unwrap_or_default();
        assert_eq!(status, expected, "{name}: {answer}");
        assert!(error.starts_with(&format!("front end `{name}`: ")) && error.contains(part), "{error}");
    }
    let body = json!({"token": daemon.token, "command": "load_front_end", "front_end": "../good"});
    assert!(post(&daemon.http, "/api/v1/command", &body).0 >= 400, "a path is no name");
    let body = json!({"token": daemon.token, "command": "load_front_end"});
    assert_eq!(post(&daemon.http, "/api/v1/command", &body).0, 400);
    let body = json!({"token": "wrong", "command": "load_front_end", "front_end": "good"});
    assert_eq!(post(&daemon.http, "/api/v1/command", &body).0, 403);

    let mut listener = Listener::connect(&daemon.results);
    let run = PhantomRun::new("run-1", TRIALS, 1);
    run.play(&Sender::connect(&daemon.volumes));
    for heard in listener.finals(TRIALS.into()) {
        assert!(!heard.json["bundle"].as_str().unwrap().contains('+'), "{}", heard.json["bundle"]);
    }
    daemon.stop();

    let without = Setup { flags: Vec::new(), room: room.path().join("second"), ..setup };
    fs::create_dir(&without.room).unwrap();
    let daemon = without.start();
    let (status, answer) = load(&daemon, "good");
    assert_eq!(status, 422, "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("--front-ends"), "{answer}");
}

#[test]
fn the_demo_bundle_is_the_one_these_tests_think_of() {
    let dimensions = Bundle::open(&demo_bundle()).unwrap().manifest.dimensions;
    assert_eq!((dimensions.tokens, dimensions.token_dim), (17, 64));
}
