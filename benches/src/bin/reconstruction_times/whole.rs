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
    let (mut whole, mut steps, mut pictures) = (Vec::new(), BTreeMap::new(), Vec::new());
    for run in 0..repeats.warm + repeats.runs {
        let (took, parts, picture) = reconstruct(&mut decoder, bundle, clock.as_ref())?;
        pictures.push(picture);
        if run < repeats.warm {
            continue;
        }
        whole.push(took.as_secs_f64() * 1e3);
        for (step, taken) in parts {
            steps.entry(step.key()).or_insert_with(Vec::new).push(taken.as_secs_f64() * 1e3);
        }
    }
    let steps: BTreeMap<_, _> = steps.into_iter().map(|(step, taken)| (step, figures(&taken))).collect();
    Ok(json!({
        "whole": figures(&whole),
        "steps": steps,
        "memory_mib": gpu_memory_mib(),
        "largest_difference_between_equal_runs": largest_difference(&pictures),
    }))
}

/// One trial, always the same: its time, that of each step, and its picture.
fn reconstruct(
    decoder: &mut Decoder,
    bundle: &Bundle,
    clock: &dyn Clock,
) -> Outcome<(Duration, Vec<(Step, Duration)>, Vec<u8>)> {
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
        let before = reconstruction.timings().clone();
        let progress = reconstruction.step(decoder)?;
        parts.extend(added(&before, reconstruction.timings()));
        if let Progress::Picture(candidate) = progress {
            return Ok((clock.now().since(begun), parts, candidate.picture.rgb().to_vec()));
        }
    }
}

/// What a step of the reconstruction added.
fn added(before: &Timings, after: &Timings) -> Vec<(Step, Duration)> {
    let grown = |(step, taken): (Step, Duration)| (step, taken - before.get(step).unwrap_or_default());
    after.iter().map(grown).filter(|(_, taken)| !taken.is_zero()).collect()
}

/// Between the first picture and any other, in levels of 255: 0 on an engine that gives equal bytes.
fn largest_difference(pictures: &[Vec<u8>]) -> u8 {
    let apart = |picture: &Vec<u8>| picture.iter().zip(&pictures[0]).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
    pictures.iter().map(apart).max().unwrap_or(0)
}
