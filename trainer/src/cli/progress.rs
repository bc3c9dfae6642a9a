//! What a training is at: a bar with losses, speed and time left on a terminal, one line per epoch elsewhere.

#![cfg(feature = "libtorch")]

use indicatif::{ProgressBar, ProgressStyle};
use mindeye_config::{Clock, Moment};
use mindeye_trainer::Log;
use mindeye_trainer::learning::Witness;
use std::io::IsTerminal;
use std::sync::Arc;

/// Progress on standard error.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    clock: Arc<dyn Clock>,
    /// When the first update of this run was done, and its number.
    first: Option<(Moment, u64)>,
    left_s: f64,
}

impl Progress {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {wide_msg}");
            ProgressBar::new(1).with_style(style.expect("the template is a constant without errors"))
        });
        Self { bar, clock, first: None, left_s: 0.0 }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Seconds until update `of`, by the pace since this run's first.
    fn seconds_left(&mut self, done: u64, of: u64) -> f64 {
        let now = self.clock.now();
        let (since, first) = *self.first.get_or_insert((now, done));
        let pace = now.since(since).as_secs_f64() / done.saturating_sub(first).max(1) as f64;
        pace * of.saturating_sub(done) as f64
    }
}

impl Witness for Progress {
    fn update(&mut self, done: u64, of: u64, images_per_s: f64, losses: &[(&str, f64)]) {
        self.left_s = self.seconds_left(done, of);
        let Some(bar) = &self.bar else { return };
        let losses: Vec<String> = losses.iter().map(|(name, value)| format!("{name} {value:.4}")).collect();
        bar.set_length(of);
        bar.set_position(done);
        bar.set_message(format!("{}  {images_per_s:.1} images/s  {:.0} s left", losses.join(" "), self.left_s));
    }

    fn epoch(&mut self, log: &Log) {
        let Some(row) = log.rows.last() else { return };
        let told = log.names.iter().zip(&row.values).filter(|(name, _)| *name != "momentum");
        let told: Vec<String> = told.map(|(name, value)| format!("{name} {value:.4}")).collect();
        let line = format!("epoch {}: {} ({:.1} s, {:.0} s left)", row.epoch, told.join(" "), row.seconds, self.left_s);
        match &self.bar {
            Some(bar) => bar.println(line),
            None => eprintln!("{line}"),
        }
    }
}
