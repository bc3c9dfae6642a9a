//! A simulated head in a simulated scanner: volumes with known trial responses under drift, noise and motion.
//!
//! Realistic: the matrix (64x64x36 at 3 mm), a brain on a dark background with folded intensity, SFNR 70, slow drift
//! that differs across the head, a double-gamma response of about 1 % to a 3 s stimulus, trials every 6 s whose
//! responses overlap and add, small smooth head motion that shows at edges.
//!
//! Not realistic: noise is white in time and space, with no heartbeat and no breath; responses are independent from
//! voxel to voxel and exactly equal at every repeat; every voxel has the same haemodynamic response; motion is a
//! translation to first order, without rotation, spin history or susceptibility; all slices are sampled together.
//!
//! So it shows that the path is wired, timed and exact. It says nothing about decoding a brain.

mod anatomy;
pub mod hash;
pub mod head;
mod response;

pub use response::{AMPLITUDE_PERCENT, response, scene_id, window_gain};

use crate::{Event, Grid, Mask, Pattern};
use anatomy::{Anatomy, BRAIN_INTENSITY};
use hash::Noise;
use response::Haemodynamics;
use std::collections::HashMap;
use std::f64::consts::TAU;

/// What is simulated.
#[derive(Debug, Clone, PartialEq)]
pub struct PhantomConfig {
    /// Noise, drift, motion and order of scenes follow from it; responses do not.
    pub seed: u64,
    /// Repetition time, seconds.
    pub tr_s: f64,
    /// Trials.
    pub trials: u32,
    /// Seconds from one onset to the next.
    pub interval_s: f64,
    /// Onset of the first trial, seconds.
    pub first_onset_s: f64,
    /// Duration of each stimulus, seconds.
    pub stimulus_s: f64,
    /// Scenes that trials are drawn from, each once before any comes again.
    pub scenes: u32,
    /// Brain intensity over noise SD; infinite for none.
    pub sfnr: f64,
    /// Largest drift of a voxel over the run, percent of its intensity.
    pub drift_percent: f64,
    /// Largest head displacement along each axis, mm.
    pub motion_mm: f64,
}

impl Default for PhantomConfig {
    /// Sixty trials of 3 s every 6 s at a TR of 1.5 s.
    fn default() -> Self {
        Self {
            seed: 1,
            tr_s: 1.5,
            trials: 60,
            interval_s: 6.0,
            first_onset_s: 9.0,
            stimulus_s: 3.0,
            scenes: 300,
            sfnr: 70.0,
            drift_percent: 1.0,
            motion_mm: 0.1,
        }
    }
}

/// The phantom's grid: 64x64x36 voxels of 3 mm, RAS+, centre of the grid at 0 mm.
#[must_use]
pub fn grid() -> Grid {
    anatomy::grid()
}

/// The phantom's "visual" region: the posterior part of the brain, about 4,000 voxels, always the same.
#[must_use]
pub fn mask() -> Mask {
    anatomy::visual_mask()
}

/// A run of the phantom. Volumes may be asked for in any order; the same (configuration, index) gives the same bytes.
pub struct Phantom {
    config: PhantomConfig,
    mask: Mask,
    anatomy: Anatomy,
    haemodynamics: Haemodynamics,
    events: Vec<(Event, u32)>,
    /// Responses of the scenes that were needed so far, in mask order.
    patterns: HashMap<u32, Pattern>,
}

impl Phantom {
    /// A run of `config`.
    #[must_use]
    pub fn new(config: PhantomConfig) -> Self {
        Self {
            mask: mask(),
            anatomy: Anatomy::new(),
            haemodynamics: Haemodynamics::new(config.stimulus_s),
            events: events(&config),
            patterns: HashMap::new(),
            config,
        }
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &PhantomConfig {
        &self.config
    }

    /// Voxels and their place.
    #[must_use]
    pub fn grid(&self) -> &Grid {
        self.mask.grid()
    }

    /// The region that responds.
    #[must_use]
    pub fn mask(&self) -> &Mask {
        &self.mask
    }

    /// Trials in order, each with the scene that is shown.
    #[must_use]
    pub fn events(&self) -> Vec<(Event, u32)> {
        self.events.clone()
    }

    /// Volumes of the run: it goes on for 12 s after the last onset, so that every window closes.
    #[must_use]
    pub fn volume_count(&self) -> u32 {
        (self.run_s() / self.config.tr_s).ceil() as u32
    }

    fn run_s(&self) -> f64 {
        self.events.last().map_or(0.0, |(event, _)| event.onset_s) + 12.0
    }

    /// Volume `index` as int16, x fastest. Per voxel, in scanner's units and sampled in the middle of the TR:
    /// |S + ∇S·motion + S (drift + A Σ r h(t − onset)) / 100 + noise|, with S the intensity at rest.
    ///
    /// 147,456 voxels take one hash and some ten operations each, 2 million in all: of the order of a millisecond.
    pub fn volume(&mut self, index: u32) -> Vec<i16> {
        let time_s = (f64::from(index) + 0.5) * self.config.tr_s;
        let mut signal = self.anatomy.displaced(self.motion_mm(index));
        self.anatomy.add_percent_plane(&mut signal, self.drift_percent(time_s));
        self.add_responses(&mut signal, time_s);
        let noise = Noise::new(self.config.seed, index, BRAIN_INTENSITY / self.config.sfnr);
        let magnitude = |(voxel, s): (usize, &f32)| ((s + noise.at(voxel)).abs() + 0.5) as i16;
        signal.iter().enumerate().map(magnitude).collect()
    }

    /// Displacement of the head at volume `index`, RAS+ mm.
    #[must_use]
    pub fn motion_mm(&self, index: u32) -> [f64; 3] {
        let turns = f64::from(index) * self.config.tr_s / 180.0;
        [0, 1, 2].map(|axis| self.config.motion_mm * (TAU * (turns + self.phase(axis))).sin())
    }

    /// Drift at `time_s` in percent, at the right, front and top of the head (the left, back and bottom do the
    /// opposite): a slow line, and a wave near the high-pass cut-off of 128 s.
    fn drift_percent(&self, time_s: f64) -> [f64; 3] {
        let line = time_s / self.run_s() - 0.5;
        let wave = |axis| (TAU * (time_s / 128.0 + self.phase(axis))).sin();
        [3, 4, 5].map(|axis| self.config.drift_percent * (line + 0.5 * wave(axis)) * (2.0 * self.phase(axis + 3) - 1.0))
    }

    /// A number in 0..1 that only the seed decides.
    fn phase(&self, which: u64) -> f64 {
        hash::uniform(self.config.seed, which)
    }

    fn add_responses(&mut self, signal: &mut [f32], time_s: f64) {
        for (event, scene) in &self.events {
            let height = self.haemodynamics.at(time_s - event.onset_s);
            if height == 0.0 {
                continue;
            }
            let pattern = self.patterns.entry(*scene).or_insert_with(|| response_pattern(*scene, &self.mask));
            let gain = (AMPLITUDE_PERCENT / 100.0 * height) as f32;
            for (voxel, r) in self.mask.voxels().iter().zip(&pattern.0) {
                let voxel = *voxel as usize;
                signal[voxel] += gain * r * self.anatomy.intensity(voxel);
            }
        }
    }
}

/// The noiseless response of a scene in the voxels of `mask`: one unit is [`AMPLITUDE_PERCENT`] at the peak.
#[must_use]
pub fn response_pattern(scene: u32, mask: &Mask) -> Pattern {
    Pattern(mask.voxels().iter().map(|voxel| response(scene, *voxel)).collect())
}

/// Onsets at fixed intervals; scenes in an order that follows from the seed, each once before any comes again.
fn events(config: &PhantomConfig) -> Vec<(Event, u32)> {
    let scenes = config.scenes.max(1);
    let mut order: Vec<u32> = (0..scenes).collect();
    let event = |trial: u32| Event {
        trial,
        onset_s: config.first_onset_s + f64::from(trial) * config.interval_s,
        duration_s: config.stimulus_s,
    };
    let mut events = Vec::new();
    for trial in 0..config.trials {
        if trial % scenes == 0 {
            let round = u64::from(trial / scenes);
            order.sort_by_key(|scene| hash::of(config.seed, round << 32 | u64::from(*scene)));
        }
        events.push((event(trial), order[(trial % scenes) as usize]));
    }
    events
}
