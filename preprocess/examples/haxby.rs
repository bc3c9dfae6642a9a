//! Haxby's categories from a causal stream, motion off: figure with its block-bootstrap interval.
//!
//! ```text
//! cargo run -p mindeye-preprocess --example haxby -- OUT.json
//! ```
//! Needs haxby_pymvpa beside the repository or in MINDEYE_SHARED_DATA.
#![allow(clippy::print_stderr, reason = "a program that says what is missing")]
#![allow(clippy::unwrap_used, reason = "a study of one recording stops where it fails")]

#[path = "../tests/glm_support/mod.rs"]
mod glm_support;
#[path = "../tests/haxby_support/mod.rs"]
mod haxby_support;

use glm_support::Random;
use haxby_support::{Haxby, Policy, block_bootstrap, choose};
use mindeye_config::ZscorePolicy;
use serde_json::{Value, json};

fn main() {
    let Some(out) = std::env::args().nth(1) else {
        eprintln!("usage: haxby OUT.json");
        std::process::exit(64);
    };
    let Some(haxby) = Haxby::read() else {
        eprintln!("{} is not there", haxby_support::folder().display());
        std::process::exit(69);
    };
    let offsets = [ZscorePolicy::FrozenPerLag, ZscorePolicy::NeutralOffset];
    let ridges = [0.3, 1.0, 3.0];
    let one = |name: &str, offsets: &[ZscorePolicy], volumes: &[usize]| -> Value {
        let (policy, left_out) = choose(&haxby, offsets, volumes, &ridges);
        row(name, &haxby, policy, left_out)
    };
    let answer = json!({
        "what": "eight categories (chance 12.5 %), single volumes of runs 9 to 12 streamed through RunPreprocessor, motion off; trained on runs 1 to 8 with frozen mean and SD; 95 % interval by 2,000 draws of whole blocks",
        "how": "offset, number of volumes averaged (the newest and those before it) and ridge chosen by leaving out each of runs 1 to 8 in turn; test runs played no part in the choice",
        "limits": "one slice of one subject, block design of 9 volumes: says something of normalisation and streaming, nothing of motion correction or of event-related decoding; averaging over volumes profits from blocks",
        "candidates": { "offset": ["run's mean so far", "declared rest so far"], "volumes": [1, 2, 3, 4, 5, 6], "ridge": ridges },
        "rows": [
            one("one volume, mean of the run so far", &offsets[..1], &[1]),
            one("one volume, mean of declared rest so far", &offsets[1..], &[1]),
            one("chosen among all", &offsets, &[1, 2, 3, 4, 5, 6]),
        ],
    });
    std::fs::write(&out, format!("{answer:#}\n")).expect("OUT.json can be written");
}

fn row(name: &str, haxby: &Haxby, policy: Policy, left_out: f64) -> Value {
    let answers = haxby.test(policy);
    let mut random = Random::new(1);
    let (share, interval) = block_bootstrap(&answers, || random.uniform());
    json!({ "policy": name, "offset": format!("{:?}", policy.offset), "volumes": policy.volumes, "ridge": policy.ridge,
        "share_of_left_out_training_runs": left_out, "test_share": share, "interval_95": interval,
        "test_volumes": answers.len() })
}
