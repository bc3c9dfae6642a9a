//! The truth study: how near every estimate comes to the truth of simulated runs at every lag, and how near any could.
//!
//! ```text
//! cargo run -p mindeye-preprocess --example truth -- study OUT.json [PAIRS]     three pairs of runs each by default
//! cargo run -p mindeye-preprocess --example truth -- tune OUT.json [PAIRS]      other participants: what the preset rests on
//! cargo run -p mindeye-preprocess --example truth -- runs OUT.json              one pair, for tests/oracle
//! ```
#![allow(clippy::print_stderr, reason = "a program that tells how far it is")]
#![allow(clippy::unwrap_used, reason = "a study of simulated runs stops where one fails")]

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../tests/glm_support/mod.rs"]
mod glm_support;
#[path = "../tests/truth_support/mod.rs"]
mod truth_support;

use mindeye_config::PreprocessConfig;
use serde_json::{Value, json};
use truth_support::{LAGS_S, Mean, Pair, TWELVE, WHOLE, estimators, evidence_left};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (answer, out) = match words[..] {
        ["study", out] => (study(3), out),
        ["study", out, pairs] => (study(pairs.parse().expect("PAIRS is a number")), out),
        ["tune", out] => (tune(1), out),
        ["tune", out, pairs] => (tune(pairs.parse().expect("PAIRS is a number")), out),
        ["runs", out] => (runs(), out),
        _ => {
            eprintln!("usage: truth study OUT.json [PAIRS] | truth tune OUT.json [PAIRS] | truth runs OUT.json");
            std::process::exit(64);
        }
    };
    std::fs::write(out, format!("{answer:#}\n")).expect("OUT.json can be written");
}

fn study(pairs: u64) -> Value {
    let mut conditions = Vec::new();
    for interval_s in [4.0, 6.0] {
        for tr_s in [1.0, 1.5, 2.0] {
            for stretch in [0.8, 1.0, 1.2] {
                conditions.push(condition(interval_s, tr_s, stretch, pairs));
            }
        }
    }
    json!({
        "what": "single-trial betas of simulated runs: correlation over trials with the true amplitudes (r) and between two runs of the same scenes in other orders (again), mean over voxels, half of its 95 % interval over voxels and runs; lists go by lag and end with the whole run, which a window has not; bound: the best linear estimate that knows response, noise, drift and motion statistics and no later volume",
        "how": "60 trials of 3 s, 100 voxels, SFNR 70, AR(1) noise of 0.4, drift of 1 %, responses of 1 % SD around 0.5 %; Glover's response assumed, the true one stretched; motion-6; cosines of 0.01 Hz in LSS and LSA, ridge-LSA as config/preprocess/ridge-lsa.toml has it; first and last 5 trials left out",
        "lags_s": LAGS_S,
        "pairs_of_runs": pairs,
        "conditions": conditions,
        "forty_in_a_row": forty_in_a_row(),
    })
}

fn condition(interval_s: f64, tr_s: f64, stretch: f64, pairs: u64) -> Value {
    eprintln!("every {interval_s} s, TR {tr_s} s, response x {stretch}");
    let pairs: Vec<Pair> = (1..=pairs).map(|seed| Pair::new(interval_s, tr_s, stretch, seed)).collect();
    let bounds: Vec<Vec<f64>> = pairs.iter().map(Pair::bound).collect();
    let bound: Vec<f64> =
        (0..=WHOLE).map(|row| bounds.iter().map(|b| b[row]).sum::<f64>() / bounds.len() as f64).collect();
    let rows: Vec<(&str, Vec<(Mean, Mean)>)> =
        estimators().iter().map(|(name, recipe)| (*name, pooled(&pairs, recipe))).collect();
    let estimate = |(name, means): &(&str, Vec<(Mean, Mean)>)| {
        let list = |of: &dyn Fn(&(Mean, Mean)) -> f64| means.iter().map(|mean| round(of(mean))).collect::<Vec<f64>>();
        let share = means.get(WHOLE).map(|whole| round(means[TWELVE].0.value / whole.0.value));
        let bound_share = means.get(WHOLE).map(|whole| round(bound[TWELVE] / whole.0.value));
        json!({ "estimate": name, "r": list(&|m| m.0.value), "r_half_interval": list(&|m| m.0.half_interval),
            "again": list(&|m| m.1.value), "again_half_interval": list(&|m| m.1.half_interval),
            "at_12_s_of_whole_run": share, "bound_at_12_s_of_this_whole_run": bound_share })
    };
    json!({ "interval_s": interval_s, "tr_s": tr_s, "stretch": stretch,
        "bound": bound.iter().map(|r| round(*r)).collect::<Vec<_>>(),
        "bound_at_12_s_of_bound_whole_run": round(bound[TWELVE] / bound[WHOLE]),
        "estimates": rows.iter().map(estimate).collect::<Vec<_>>() })
}

/// Seeds of tuning begin here; the study's begin at 1.
const TUNING_SEED: u64 = 1000;

/// Ridges and drift of ridge-LSA AR(1), one changed at a time or two, on participants that the study does not report: mean
/// correlation with the truth over spacing, TR and response at 7.5 and 12 s and of the whole run.
fn tune(pairs: u64) -> Value {
    let mut conditions = Vec::new();
    for interval_s in [4.0, 6.0] {
        for (tr_s, stretch) in [(1.0, 1.0), (1.5, 0.8), (1.5, 1.0), (1.5, 1.2), (2.0, 1.0)] {
            let seeds = TUNING_SEED..TUNING_SEED + pairs;
            conditions.push(seeds.map(|seed| Pair::new(interval_s, tr_s, stretch, seed)).collect::<Vec<_>>());
        }
    }
    let of = |(alpha, drift, cutoff_hz): (f64, f64, f64)| {
        let recipe = tuned(alpha, drift, cutoff_hz);
        let rows: Vec<Vec<f64>> = conditions.iter().map(|pairs| rows_of(&pooled(pairs, &recipe))).collect();
        let mean = |row: usize| rows.iter().map(|r| r[row]).sum::<f64>() / rows.len() as f64;
        let shares: Vec<f64> = rows.iter().map(|r| round(r[1] / r[2])).collect();
        eprintln!("alpha {alpha}, drift {drift}, {cutoff_hz} Hz: {:.4} {:.4} {:.4}", mean(0), mean(1), mean(2));
        json!({ "ridge_alpha": alpha, "ridge_drift": drift, "cutoff_hz": cutoff_hz, "r_at_7.5_s": round(mean(0)),
            "r_at_12_s": round(mean(1)), "r_whole_run": round(mean(2)), "share_at_12_s_by_condition": shares })
    };
    json!({ "seeds_from": TUNING_SEED, "pairs_of_runs": pairs, "grid": GRID.into_iter().map(of).collect::<Vec<_>>() })
}

/// (`ridge_alpha`, `ridge_drift`, `cutoff_hz`): 0.01 Hz is nilearn's cut-off, 1/128 Hz SPM's.
const GRID: [(f64, f64, f64); 11] = [
    (1.0, 4.0, 0.01),
    (0.5, 4.0, 0.01),
    (0.5, 8.0, 0.01),
    (1.0, 8.0, 0.0078125),
    (0.5, 4.0, 0.0078125),
    (0.5, 8.0, 0.0078125),
    (0.5, 16.0, 0.0078125),
    (0.25, 8.0, 0.0078125),
    (0.35, 8.0, 0.0078125),
    (0.5, 8.0, 0.0066667),
    (0.5, 8.0, 0.005),
];

fn tuned(alpha: f64, drift: f64, cutoff_hz: f64) -> PreprocessConfig {
    let mut recipe = truth_support::preset();
    (recipe.beta.ridge_alpha, recipe.beta.ridge_drift, recipe.drift.cutoff_hz) = (alpha, drift, cutoff_hz);
    recipe
}

/// At 7.5 s, at 12 s, whole run.
fn rows_of(means: &[(Mean, Mean)]) -> Vec<f64> {
    [2, TWELVE, WHOLE].map(|row| means[row].0.value).to_vec()
}

fn pooled(pairs: &[Pair], recipe: &PreprocessConfig) -> Vec<(Mean, Mean)> {
    let all: Vec<_> = pairs.iter().map(|pair| pair.accuracy(recipe)).collect();
    let of_row = |row: usize| {
        let r: Vec<f64> = all.iter().flat_map(|rows| rows[row].0.clone()).collect();
        let again: Vec<f64> = all.iter().flat_map(|rows| rows[row].1.clone()).collect();
        (Mean::of(&r), Mean::of(&again))
    };
    (0..all[0].len()).map(of_row).collect()
}

fn forty_in_a_row() -> Value {
    let of = |(name, recipe): &(&str, PreprocessConfig)| {
        let shares = [4.0, 6.0].map(|interval_s| {
            let left = evidence_left(recipe, interval_s, 1..5);
            left.iter().map(|share| round(*share)).collect::<Vec<f64>>()
        });
        json!({ "estimate": name, "every_4_s": shares[0], "every_6_s": shares[1] })
    };
    Value::Array(estimators().iter().map(of).collect())
}

/// One pair of runs with our whole-run betas beside them: every 4 s and 6 s, TR 1.5 s, the assumed response true.
fn runs() -> Value {
    let recipes = estimators();
    let of = |interval_s: f64| {
        let pair = Pair::new(interval_s, 1.5, 1.0, 1);
        let run = |run: &glm_support::Run| {
            let ours: serde_json::Map<String, Value> = recipes[1..]
                .iter()
                .map(|(name, recipe)| ((*name).into(), json!(truth_support::estimate(recipe, run, None)[WHOLE])))
                .collect();
            json!({ "tr_s": run.tr_s, "scenes": run.scenes, "truth": run.truth, "ours_whole_run": ours,
                "onsets_s": run.events.iter().map(|event| event.onset_s).collect::<Vec<_>>(), "duration_s": 3.0,
                "data": run.volumes.iter().map(|volume| &volume.values).collect::<Vec<_>>() })
        };
        json!({ "interval_s": interval_s, "runs": pair.0.iter().map(run).collect::<Vec<_>>() })
    };
    json!([of(4.0), of(6.0)])
}

fn round(value: f64) -> f64 {
    (1e4 * value).round() / 1e4
}
