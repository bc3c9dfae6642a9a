//! Whole reconstructions at full effort, as the daemon's painter runs them, and the steps that they consist of.

use crate::{Outcome, Repeats, figures, gpu_memory_mib};
use mindeye_config::{Clock, Name, Step, Timings};
use mindeye_decode::effort::Effort;
use mindeye_decode::{Bundle, CounterNoise, Decoder, Draw, NoiseSource, Progress, TrialNoise};
use mindeye_engine::Engine;
use mindeye_preprocess::Pattern;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub(crate) fn measure(
    bundle: &Bundle,
    engine: Box<dyn Engine>,
    clock: &Arc<dyn Clock>,
    repeats: Repeats,
) -> Outcome<Value> {
    let (mut decoder, report) = Decoder::warm_up(bundle, engine, Arc::clone(clock))?;
    eprintln!("{report}");
    let (mut whole, mut steps, mut between, mut pictures) = (Vec::new(), BTreeMap::new(), BTreeMap::new(), Vec::new());
    for run in 0..repeats.warm + repeats.runs {
        let (took, parts, picture) = reconstruct(&mut decoder, bundle, clock.as_ref())?;
        pictures.push(picture);
        if run < repeats.warm {
            continue;
        }
        whole.push(took.as_secs_f64() * 1e3);
        let mut after: BTreeMap<_, f64> = BTreeMap::new();
        for Part { step, taken, rest } in parts {
            steps.entry(step.key()).or_insert_with(Vec::new).push(taken.as_secs_f64() * 1e3);
            *after.entry(step.key()).or_default() += rest.as_secs_f64() * 1e3;
        }
        for (step, rest) in after {
            between.entry(step).or_insert_with(Vec::new).push(rest);
        }
    }
    let table = |rows: BTreeMap<&'static str, Vec<f64>>| -> BTreeMap<_, _> {
        rows.into_iter().map(|(step, taken)| (step, figures(&taken))).collect()
    };
    Ok(json!({
        "whole": figures(&whole),
        "steps": table(steps),
        "beside_the_networks_in_all": table(between),
        "memory_mib": gpu_memory_mib(),
        "largest_difference_between_equal_runs": largest_difference(&pictures),
    }))
}

/// One step of a reconstruction.
struct Part {
    step: Step,
    /// In networks.
    taken: Duration,
    /// Beside them: drawing noise, moving numbers, making the picture.
    rest: Duration,
}

/// One trial, always the same: its time, its steps, and its picture.
fn reconstruct(decoder: &mut Decoder, bundle: &Bundle, clock: &dyn Clock) -> Outcome<(Duration, Vec<Part>, Vec<u8>)> {
    let noise = TrialNoise {
        bundle: bundle.hash.clone(),
        seed: 1,
        session: Name::new("bench")?,
        run: Name::new("bench")?,
        trial: 0,
    };
    let mut voxels = vec![0.0; bundle.manifest.dimensions.voxels];
    CounterNoise::with_key(1).fill(Draw::PriorStart, &mut voxels);
    let begun = clock.now();
    let mut reconstruction = decoder.begin(&Pattern(voxels), Effort::Full, noise)?;
    let mut parts = Vec::new();
    loop {
        let (before, start) = (reconstruction.timings().clone(), clock.now());
        let progress = reconstruction.step(decoder)?;
        let took = clock.now().since(start);
        let part = added(&before, reconstruction.timings());
        parts.extend(part.map(|(step, taken)| Part { step, taken, rest: took.saturating_sub(taken) }));
        if let Progress::Picture(candidate) = progress {
            return Ok((clock.now().since(begun), parts, candidate.picture.rgb().to_vec()));
        }
    }
}

/// What a step of the reconstruction added.
fn added(before: &Timings, after: &Timings) -> Option<(Step, Duration)> {
    let grown = |(step, taken): (Step, Duration)| (step, taken - before.get(step).unwrap_or_default());
    after.iter().map(grown).find(|(_, taken)| !taken.is_zero())
}

/// Between the first picture and any other, in levels of 255: 0 on an engine that gives equal bytes.
fn largest_difference(pictures: &[Vec<u8>]) -> u8 {
    let apart = |picture: &Vec<u8>| picture.iter().zip(&pictures[0]).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
    pictures.iter().map(apart).max().unwrap_or(0)
}
