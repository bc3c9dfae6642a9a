//! A run of the phantom as messages: what a scanner's sender would send, one value per message.

use crate::sender::{Sender, header};
use mindeye_preprocess::phantom::{Phantom, PhantomConfig, scene_id};
use serde_json::{Value, json};
use std::ops::Range;

/// Session that every run here belongs to.
pub const SESSION: &str = "ses-1";

/// A run: its volumes and its trials.
#[derive(Debug, Clone)]
pub struct PhantomRun {
    /// Name.
    pub run: String,
    /// Voxels of each volume, int16.
    pub volumes: Vec<Vec<u8>>,
    /// `{onset_s, duration_s, trial, image}` of each trial.
    pub events: Vec<Value>,
    config: PhantomConfig,
}

impl PhantomRun {
    /// `trials` trials of the phantom of `seed`, every 6 s from second 9.
    #[must_use]
    pub fn new(run: &str, trials: u32, seed: u64) -> Self {
        let config = PhantomConfig { trials, seed, ..PhantomConfig::default() };
        let mut phantom = Phantom::new(config.clone());
        let bytes = |volume: Vec<i16>| volume.iter().flat_map(|voxel| voxel.to_le_bytes()).collect();
        let volumes = (0..phantom.volume_count()).map(|index| bytes(phantom.volume(index))).collect();
        let event = |(event, scene): (mindeye_preprocess::Event, u32)| {
            json!({
                "onset_s": event.onset_s, "duration_s": event.duration_s,
                "trial": event.trial, "image": scene_id(scene),
            })
        };
        let events = phantom.events().into_iter().map(event).collect();
        Self { run: run.into(), volumes, events, config }
    }

    /// The same run under another name.
    #[must_use]
    pub fn named(&self, run: &str) -> Self {
        Self { run: run.into(), ..self.clone() }
    }

    /// `run_start` without trials.
    #[must_use]
    pub fn start(&self) -> Value {
        let grid = mindeye_preprocess::phantom::grid();
        header(
            "run_start",
            json!({
                "session": SESSION, "run": self.run, "tr_s": self.config.tr_s,
                "shape": grid.dim, "affine": grid.affine, "dtype": "int16",
            }),
        )
    }

    /// `run_start` that names every trial.
    #[must_use]
    pub fn start_with_events(&self) -> Value {
        let mut start = self.start();
        start["events"] = json!(self.events);
        start
    }

    /// Header of volume `index`.
    #[must_use]
    pub fn volume(&self, index: usize) -> Value {
        header("volume", json!({"run": self.run, "index": index, "dtype": "int16", "shape": [64, 64, 36]}))
    }

    /// `event` number `trial`.
    #[must_use]
    pub fn event(&self, trial: usize) -> Value {
        let mut event = self.events[trial].clone();
        event["run"] = json!(self.run);
        header("event", event)
    }

    /// `run_end` after `volumes` volumes.
    #[must_use]
    pub fn end(&self, volumes: usize) -> Value {
        header("run_end", json!({"run": self.run, "volumes": volumes}))
    }

    /// The first volume whose acquisition ends 7.5 s after the onset of `trial`, or later: the trial is due with it.
    ///
    /// # Panics
    /// If there is no such trial.
    #[must_use]
    pub fn due_volume(&self, trial: usize) -> usize {
        let onset_s = self.events[trial]["onset_s"].as_f64().expect("an onset");
        ((onset_s + 7.5) / self.config.tr_s).ceil() as usize - 1
    }

    /// Sends the volumes of `range` as fast as they go, then waits until each is accepted.
    ///
    /// # Panics
    /// If one is refused.
    pub fn send(&self, sender: &Sender, range: Range<usize>) {
        for index in range.clone() {
            sender.send(&self.volume(index), Some(&self.volumes[index]));
        }
        for index in range {
            let answer = sender.answer();
            let expected = header("accepted", json!({"run": self.run, "index": index}));
            assert_eq!(answer, expected, "volume {index}");
        }
    }

    /// Plays the whole run: start with all trials, volumes, end.
    ///
    /// # Panics
    /// If anything is refused.
    pub fn play(&self, sender: &Sender) {
        sender.accepted(&self.start_with_events(), None);
        self.send(sender, 0..self.volumes.len());
        sender.accepted(&self.end(self.volumes.len()), None);
    }
}
