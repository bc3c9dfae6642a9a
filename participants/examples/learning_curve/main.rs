//! The learning curve of centred ridge, the ideal observer and the noise ceiling of each synthetic participant.
//!
//! ```text
//! cargo run --release -p mindeye-participants --example learning_curve -- OUT.json [sub-01 ...] [--sessions 1,40] [--mixture F]
//! ```
//!
//! Trial betas of the fast path, the stand-in embedding, centred ridge with α by left-out training pictures, three repeats
//! averaged, top-1 of 300 over 30 pools. Nothing is chosen on test pictures. 4,000 voxels and 27,000 trials take about two
//! minutes on two cores and 2 GB.

mod data;
mod ridge;
mod score;

use data::{Betas, World, betas, days};
use mindeye_config::load;
use mindeye_decode::metrics::Interval;
use mindeye_participants::betas::BetaSource;
use mindeye_participants::observer::{IdealObserver, Showing};
use mindeye_participants::parameters::{Head, Mixture, names};
use mindeye_participants::picture::Collection;
use mindeye_participants::{Participant, reference_stimuli};
use ndarray::{Array2, Axis, s};
use serde_json::{Value, json};
use std::path::PathBuf;

struct Arguments {
    out: PathBuf,
    participants: Vec<String>,
    sessions: Vec<usize>,
    mixture: Option<PathBuf>,
}

fn arguments() -> Arguments {
    let mut words = std::env::args().skip(1);
    let out = words.next().expect("usage: OUT.json [PARTICIPANT ...] [--sessions 1,40] [--mixture FILE]").into();
    let mut found = Arguments { out, participants: Vec::new(), sessions: vec![1, 2, 5, 10, 20, 40], mixture: None };
    while let Some(word) = words.next() {
        let mut value = || words.next().expect("a flag has a value");
        match word.as_str() {
            "--sessions" => found.sessions = value().split(',').map(|n| n.parse().expect("a number")).collect(),
            "--mixture" => found.mixture = Some(value().into()),
            _ => found.participants.push(word),
        }
    }
    if found.participants.is_empty() {
        found.participants = names().map(str::to_owned).to_vec();
    }
    found
}

fn main() {
    let arguments = arguments();
    let mixture = match &arguments.mixture {
        Some(path) => load(path).expect("a mixture"),
        None => Mixture::built_in().expect("the built-in mixture"),
    };
    let (world, reference) = (World::new(), reference_stimuli());
    let mut report = serde_json::Map::new();
    for name in &arguments.participants {
        let head = Head::built_in(name).expect("a participant");
        let participant = Participant::new(head, mixture.clone(), &reference).expect("an anatomy");
        let found = measure(&participant, &world, &arguments.sessions);
        eprintln!("{name}: {found}");
        report.insert(name.clone(), found);
    }
    std::fs::write(&arguments.out, serde_json::to_string_pretty(&report).expect("numbers")).expect("a writable file");
}

fn measure(participant: &Participant, world: &World, sessions: &[usize]) -> Value {
    let responses = world.responses(participant);
    let source = BetaSource::new(participant);
    let train = betas(&source, &responses, Collection::Train);
    let sets = [("test", Collection::Test), ("novel", Collection::Novel)]
        .map(|(name, collection)| (name, betas(&source, &responses, collection)));
    let mut curve = Vec::new();
    for &count in sessions {
        let trials = train.session.iter().filter(|session| **session < count).count();
        let ridge = ridge::fit(train.values.slice(s![..trials, ..]), &train.picture[..trials], world.embeddings.view());
        let mut row =
            json!({"sessions": count, "trials": trials, "alpha": ridge.alpha, "validation_r2": ridge.validation_r2});
        for (name, test) in &sets {
            for (kind, repeats) in [("three_repeats", 3), ("single", 1)] {
                let groups = groups(test, repeats);
                let targets = world.embeddings.select(Axis(0), &shown(test));
                row[name][kind] = interval(score::centred_top1(&ridge.predict(test.values.view(), &groups), &targets));
            }
        }
        eprintln!("{row}");
        curve.push(row);
    }
    let ideal = ideal(participant, &source, &responses, &sets[0].1);
    json!({"voxels": participant.mask().len(), "ridge": curve, "ideal_observer": ideal, "noise_ceiling": ceiling(&sets[0].1)})
}

fn interval(found: Interval) -> Value {
    json!([found.value, found.low, found.high].map(|v| (v * 1e4).round() / 1e4))
}

/// Pictures of a test set, ascending.
fn shown(test: &Betas) -> Vec<usize> {
    let mut shown = test.picture.clone();
    shown.sort_unstable();
    shown.dedup();
    shown
}

/// For each picture of [`shown`] its first `repeats` trials.
fn groups(test: &Betas, repeats: usize) -> Vec<Vec<usize>> {
    let of = |picture: &usize| (0..test.picture.len()).filter(|t| test.picture[*t] == *picture).take(repeats).collect();
    shown(test).iter().map(of).collect()
}

fn ideal(participant: &Participant, source: &BetaSource<'_>, responses: &Array2<f32>, test: &Betas) -> Value {
    let pictures = shown(test);
    let observer = IdealObserver::new(source, &responses.select(Axis(0), &pictures));
    let days = days(participant);
    let showing = |t: &usize| Showing {
        beta: test.values.row(*t).to_slice().expect("rows in one piece"),
        day: &days[test.session[*t]],
        seen_before: test.shown[*t].seen_before,
    };
    let score = |repeats: usize| {
        let showings: Vec<Vec<Showing<'_>>> =
            groups(test, repeats).iter().map(|group| group.iter().map(showing).collect()).collect();
        interval(score::expected_top1(&observer.log_likelihoods(&showings)))
    };
    json!({"three_repeats": score(3), "single": score(1)})
}

/// Per voxel: signal variance over noise variance of one trial, and the noise ceiling of three averaged trials (Allen et
/// al. 2022): 100 snr/(snr + 1/3), snr = (variance of all trials − variance within pictures)/variance within pictures.
fn ceiling(test: &Betas) -> Value {
    let groups = groups(test, 3);
    let voxels = test.values.ncols();
    let one = |v: usize| {
        let values = |g: &Vec<usize>| g.iter().map(|t| f64::from(test.values[[*t, v]])).collect::<Vec<_>>();
        let within: f64 = groups.iter().map(|g| variance(&values(g), 1.0)).sum::<f64>() / groups.len() as f64;
        let total = variance(&test.values.column(v).iter().map(|b| f64::from(*b)).collect::<Vec<_>>(), 1.0);
        ((total - within) / within).max(0.0)
    };
    let mut snr: Vec<f64> = (0..voxels).map(one).collect();
    snr.sort_by(f64::total_cmp);
    let at = |share: f64| snr[(share * (voxels - 1) as f64) as usize];
    let of = |snr: f64| json!({"snr": (snr * 1e4).round() / 1e4, "ceiling_percent": (1e3 * snr / (snr + 1.0 / 3.0)).round() / 10.0});
    json!({"p10": of(at(0.1)), "median": of(at(0.5)), "p90": of(at(0.9))})
}

fn variance(values: &[f64], freedom: f64) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (values.len() as f64 - freedom)
}
