//! How often the two looks at a gallery agree with one full look, and what each takes.
//!
//! `gallery_two_stage` prints JSON. 10,000 vectors of 1,024 numbers whose variance falls as a power of the dimension, as
//! the variance of picture embeddings does; a query is an item plus noise, as a decoded trial is. The peer is the full
//! exact search in the same run.
#![allow(clippy::print_stdout, reason = "its answer is JSON on standard output")]

use mindeye_config::{Moment, SystemClock};
use mindeye_decode::{CoarseProjection, CounterNoise, Draw, ExactIndex, Gallery, NoiseSource, TwoStageGallery};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const ITEMS: usize = 10_000;
const WIDTH: usize = 1024;
const QUERIES: usize = 400;
/// Standard deviation falls as (1 + dimension)^-decay; beside it the length of a query's noise over that of its item, with
/// which the full search is right in some trials and wrong in others.
const GALLERIES: [(f64, f32); 2] = [(0.25, 5.0), (0.5, 2.5)];
const DIMENSIONS: [usize; 2] = [128, 512];
fn main() -> Outcome<()> {
    let mut rows = Vec::new();
    for (decay, noise) in GALLERIES {
        let vectors = vectors(decay);
        let ids = (0..ITEMS).map(|i| format!("item-{i}")).collect();
        let gallery = Arc::new(Gallery::new(ids, &vectors, WIDTH, Path::new("none"))?);
        for dimensions in DIMENSIONS {
            rows.push(compare(&gallery, &vectors, (decay, noise), dimensions)?);
        }
    }
    println!(
        "{}",
        serde_json::to_string_pretty(&json!({ "items": ITEMS, "width": WIDTH, "queries": QUERIES, "rows": rows }))?
    );
    Ok(())
}

fn compare(gallery: &Arc<Gallery>, vectors: &[f32], (decay, noise): (f64, f32), dimensions: usize) -> Outcome<Value> {
    let clock = SystemClock::start();
    let begun = clock.now();
    let projection = CoarseProjection::fit(gallery, dimensions, 1)?;
    let index = ExactIndex::new(projection.apply_to_all(gallery), dimensions)?;
    let fit_s = clock.now().since(begun).as_secs_f64();
    let pair = TwoStageGallery::new(gallery.clone(), projection, Box::new(index))?;

    let (mut agreed, mut right, mut full_ms, mut pair_ms) = (0, 0, Vec::new(), Vec::new());
    for number in 0..QUERIES {
        let item = number * (ITEMS / QUERIES);
        let query = query(&vectors[item * WIDTH..][..WIDTH], number as u32, decay, noise);
        let start = clock.now();
        let full = gallery.score(&query)?.ranked(1)[0].0;
        let between = clock.now();
        let found = pair.search(&query, Moment(u64::MAX), clock.as_ref())?.found[0].item;
        pair_ms.push(clock.now().since(between).as_secs_f64() * 1e3);
        full_ms.push(between.since(start).as_secs_f64() * 1e3);
        agreed += usize::from(found == full);
        right += usize::from(full == item);
    }
    let (full_ms, pair_ms) = (median(full_ms), median(pair_ms));
    let share = |count: usize| count as f64 / QUERIES as f64;
    Ok(json!({
        "decay": decay, "noise": noise, "dimensions": dimensions, "fit_and_project_s": fit_s,
        "recall_at_1_of_pair_against_full": share(agreed), "full_is_the_item": share(right),
        "full_ms_median": full_ms, "pair_ms_median": pair_ms, "full_over_pair": full_ms / pair_ms,
    }))
}

/// The vectors, f32[items, width], rows at random.
fn vectors(decay: f64) -> Vec<f32> {
    (0..ITEMS as u32).flat_map(|item| random(item, decay)).collect()
}

/// The item plus `noise` times its length of the same spectrum.
fn query(item: &[f32], number: u32, decay: f64, noise: f32) -> Vec<f32> {
    let other = random(1_000_000 + number, decay);
    let length = |x: &[f32]| x.iter().map(|v| v * v).sum::<f32>().sqrt();
    let factor = noise * length(item) / length(&other);
    item.iter().zip(&other).map(|(v, z)| v + factor * z).collect()
}

fn random(number: u32, decay: f64) -> Vec<f32> {
    let mut row = vec![0.0; WIDTH];
    CounterNoise::with_key(1).fill(Draw::PriorStep(number), &mut row);
    row.iter_mut().enumerate().for_each(|(j, v)| *v *= (1.0 + j as f64).powf(-decay) as f32);
    row
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
