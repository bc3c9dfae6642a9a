//! What came out of a headless demo: one row per trial, a summary, and what falls short.

use super::Plan;
use super::chance;
use crate::failure::{Failure, Result, doing};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// From this many trials on, ranks can be told from luck at the level below.
const TRIALS_FOR_RANKS: u32 = 40;
const WANTED_P: f64 = 0.001;
const WANTED_FULL: f64 = 0.95;

/// The whole report, in the form of its JSON.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    trials: Vec<Trial>,
    summary: Summary,
}

/// A trial's final result.
#[derive(Debug, Clone, Serialize)]
struct Trial {
    trial: u64,
    effort: String,
    deadline_met: Option<bool>,
    /// The last volume's last byte in, to the result out.
    latency_ms: Option<f64>,
    onset_to_publish_s: Option<f64>,
    /// Of the stimulus that was shown, from 1 (best) to `pool_size`.
    retrieval_rank: Option<u32>,
    pool_size: Option<u32>,
    revision: Option<u64>,
}

#[derive(Debug, Clone, Serialize)]
struct Summary {
    expected: u32,
    n: usize,
    /// Trials with a picture: full, fast or blurry.
    pictures: usize,
    efforts: BTreeMap<String, usize>,
    deadlines_missed: usize,
    latency_ms: Option<Spread>,
    onset_to_publish_s: Option<Spread>,
    ranked: usize,
    mean_rank: Option<f64>,
    chance_mean_rank: Option<f64>,
    top1: Option<f64>,
    chance_top1: Option<f64>,
    /// Of the mean rank under uniform ranks, by 100,000 seeded draws; tells something from 40 trials on.
    p_uniform_rank: Option<f64>,
    speed: f64,
    seed: u64,
}

/// Percentiles by nearest rank.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Spread {
    p50: f64,
    p95: f64,
    max: f64,
}

/// Final results that the daemon has written so far; a line that is still under way does not count.
pub(crate) fn count_finals(path: &Path) -> usize {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_inclusive('\n').filter(|line| line.ends_with('\n') && matches!(read_line(line), Ok(Some(_)))).count()
}

impl Report {
    /// Reads the daemon's results file; none means no results.
    pub(crate) fn read(path: &Path, plan: Plan) -> Result<Self> {
        let text = if path.exists() { fs::read_to_string(path).map_err(doing("read", path))? } else { String::new() };
        Self::parse(&text, plan).map_err(|failure| Failure::data(format!("{}: {}", path.display(), failure.message)))
    }

    fn parse(text: &str, plan: Plan) -> Result<Self> {
        let mut trials = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let read = read_line(line).map_err(|what| Failure::data(format!("line {}: {what}", number + 1)))?;
            trials.extend(read);
        }
        trials.sort_by_key(|trial| trial.trial);
        Ok(Self { summary: Summary::of(&trials, plan), trials })
    }

    pub(crate) fn json(&self) -> String {
        // Strings, numbers and lists of them: nothing that cannot be JSON.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The same for a person.
    pub(crate) fn table(&self) -> String {
        let mut text = String::from("trial  effort     deadline  latency ms  onset to picture s  rank\n");
        for trial in &self.trials {
            let deadline = trial.deadline_met.map_or("?", |met| if met { "met" } else { "missed" });
            let rank =
                trial.retrieval_rank.map_or_else(|| "-".into(), |rank| format!("{rank} of {}", known(trial.pool_size)));
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "{:>5}  {:<9}  {deadline:<8}  {:>10}  {:>18}  {rank}",
                trial.trial,
                trial.effort,
                decimals(trial.latency_ms, 1),
                decimals(trial.onset_to_publish_s, 2),
            );
        }
        text + &self.summary.sentence()
    }

    /// Each condition that is not met, in words.
    pub(crate) fn complaints(&self, expected: u32, strict: bool) -> Vec<String> {
        let mut complaints = self.missing_pictures(expected);
        if strict {
            complaints.extend(self.summary.strict_complaints(expected));
        }
        complaints
    }

    fn missing_pictures(&self, expected: u32) -> Vec<String> {
        let mut complaints = Vec::new();
        let twice: Vec<u64> =
            self.trials.windows(2).filter(|pair| pair[0].trial == pair[1].trial).map(|pair| pair[0].trial).collect();
        if !twice.is_empty() {
            complaints.push(format!("trials {twice:?} have more than one final result"));
        }
        if self.summary.n != expected as usize {
            complaints.push(format!("{} of {expected} trials have a final result", self.summary.n));
        }
        let without: Vec<String> =
            self.trials.iter().filter(|trial| !trial.has_picture()).map(Trial::in_words).collect();
        if !without.is_empty() {
            complaints.push(format!("{} of {expected} trials got no picture ({})", without.len(), without.join(", ")));
        }
        complaints
    }
}

/// The trial of a line, if it is a final one.
fn read_line(line: &str) -> std::result::Result<Option<Trial>, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| format!("not JSON: {error}"))?;
    if value["final"] != Value::Bool(true) {
        return Ok(None);
    }
    Trial::of(&value).map(Some)
}

impl Trial {
    fn of(message: &Value) -> std::result::Result<Self, String> {
        let scores = &message["target_scores"];
        let pool_size = whole(&scores["pool_size"]).or_else(|| whole(&message["pool_size"]));
        Ok(Self {
            trial: message["trial"].as_u64().ok_or("no whole number `trial`")?,
            effort: message["effort"].as_str().ok_or("no text `effort`")?.into(),
            deadline_met: message["deadline_met"].as_bool(),
            latency_ms: message["timings_ms"]["total"].as_f64(),
            onset_to_publish_s: message["onset_to_publish_s"].as_f64(),
            retrieval_rank: whole(&scores["rank"]),
            pool_size,
            revision: message["revision"].as_u64(),
        })
    }

    fn has_picture(&self) -> bool {
        ["full", "fast", "blurry"].contains(&self.effort.as_str())
    }

    fn in_words(&self) -> String {
        format!("{}: {}", self.trial, self.effort)
    }

    /// Rank and pool, where the stimulus was known and in the pool.
    fn rank_in_pool(&self) -> Option<(u32, u32)> {
        Some((self.retrieval_rank?, self.pool_size?))
    }
}

impl Summary {
    fn of(trials: &[Trial], plan: Plan) -> Self {
        let mut efforts = BTreeMap::new();
        trials.iter().for_each(|trial| *efforts.entry(trial.effort.clone()).or_insert(0) += 1);
        let ranks: Vec<(u32, u32)> = trials.iter().filter_map(Trial::rank_in_pool).collect();
        let mean = |value: fn(f64, f64) -> f64| {
            let sum: f64 = ranks.iter().map(|&(rank, pool)| value(f64::from(rank), f64::from(pool))).sum();
            (!ranks.is_empty()).then(|| sum / ranks.len() as f64)
        };
        Self {
            expected: plan.trials,
            n: trials.len(),
            pictures: trials.iter().filter(|trial| trial.has_picture()).count(),
            efforts,
            deadlines_missed: trials.iter().filter(|trial| trial.deadline_met == Some(false)).count(),
            latency_ms: spread(trials.iter().filter_map(|trial| trial.latency_ms)),
            onset_to_publish_s: spread(trials.iter().filter_map(|trial| trial.onset_to_publish_s)),
            ranked: ranks.len(),
            mean_rank: mean(|rank, _| rank),
            chance_mean_rank: mean(|_, pool| f64::midpoint(pool, 1.0)),
            top1: mean(|rank, _| f64::from(u8::from(rank == 1.0))),
            chance_top1: mean(|_, pool| 1.0 / pool),
            p_uniform_rank: chance::p_uniform_rank(&ranks),
            speed: plan.speed,
            seed: plan.seed,
        }
    }

    fn strict_complaints(&self, expected: u32) -> Vec<String> {
        let mut complaints = Vec::new();
        if self.deadlines_missed > 0 {
            complaints.push(format!("{} of {expected} deadlines missed, none may be", self.deadlines_missed));
        }
        let full = self.efforts.get("full").copied().unwrap_or(0);
        if (full as f64) < WANTED_FULL * f64::from(expected) {
            complaints.push(format!("{full} of {expected} trials at full effort, 95 % wanted"));
        }
        if expected >= TRIALS_FOR_RANKS {
            complaints.extend(self.rank_complaint());
        }
        complaints
    }

    fn rank_complaint(&self) -> Option<String> {
        if self.ranked < TRIALS_FOR_RANKS as usize {
            return Some(format!("{} trials have a rank, {TRIALS_FOR_RANKS} wanted", self.ranked));
        }
        let p = self.p_uniform_rank.unwrap_or(1.0);
        (p >= WANTED_P).then(|| {
            let (mean, chance) = (decimals(self.mean_rank, 2), decimals(self.chance_mean_rank, 2));
            format!("mean rank {mean} against {chance} by chance has p = {p:.4}, less than {WANTED_P} wanted")
        })
    }

    fn sentence(&self) -> String {
        let Self { n, expected, pictures, deadlines_missed, .. } = self;
        let latency = self.latency_ms.map_or_else(String::new, |Spread { p50, p95, max }| {
            format!("latency ms: p50 {p50:.1}, p95 {p95:.1}, max {max:.1}\n")
        });
        let rank = self.mean_rank.map_or_else(String::new, |mean| {
            let (chance, p) = (decimals(self.chance_mean_rank, 2), decimals(self.p_uniform_rank, 5));
            format!("mean rank {mean:.2} (chance {chance}), p = {p} under uniform ranks\n")
        });
        format!(
            "{n} of {expected} trials, {pictures} with a picture, {deadlines_missed} deadlines missed\n{latency}{rank}"
        )
    }
}

fn spread(values: impl Iterator<Item = f64>) -> Option<Spread> {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let max = *sorted.last()?;
    let percentile = |p: f64| sorted[((p * sorted.len() as f64).ceil() as usize).clamp(1, sorted.len()) - 1];
    Some(Spread { p50: percentile(0.50), p95: percentile(0.95), max })
}

fn whole(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

fn known(value: Option<u32>) -> String {
    value.map_or_else(|| "?".into(), |value| value.to_string())
}

fn decimals(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests;
