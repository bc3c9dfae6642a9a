//! A run as the scanner records it: volumes of a head that answers pictures, drifts, moves and is noisy.
//!
//! ```text
//!   in the head:    S (1 + (Σ answer x response(t − onset) + smooth and global noise + drift)/100)
//!   in the scanner: the head where it lies now (read by Keys' kernel), + thermal noise, magnitude, int16
//! ```
//!
//! Sampled in the middle of the TR. The same (participant, session, run, index) gives the same bytes in any order; asking
//! backwards costs the noise of all volumes before.

use crate::anatomy::Branch;
use crate::encoding::Stimulus;
use crate::haemodynamics::Haemodynamics;
use crate::noise::{Lasting, LastingNoise, MODES, Modes, Scales, SmoothNoise};
use crate::participant::{Participant, TrialState};
use crate::picture::WORLD;
use crate::random::{Draws, key};
use crate::schedule::{RUNS, Schedule, Shown};
use mindeye_preprocess::motion::{Motion, Rigid, centre_mm};
use mindeye_preprocess::phantom::{hash, head::GREY};
use mindeye_preprocess::resample::{Kernel, Volume, resample};
use mindeye_preprocess::{Event, Grid, Mask, RawVolume, VoxelType};
use std::f64::consts::TAU;
use std::sync::Arc;

/// Period of the drift's wave, seconds: near the usual high-pass cut-off.
const DRIFT_PERIOD_S: f64 = 150.0;

/// One run of one participant.
pub struct BoldRun {
    participant: Arc<Participant>,
    session: usize,
    run: usize,
    /// Answer to each trial, percent signal change, `f32[voxels]`.
    answers: Vec<Vec<f32>>,
    events: Vec<Event>,
    haemodynamics: Haemodynamics,
    noise: LastingNoise,
    /// Noise of the volume that was asked for last.
    now: Option<(u32, Lasting)>,
    /// Where the head lies at each volume.
    motion: Vec<Motion>,
    /// Every voxel of the grid.
    everywhere: Mask,
}

impl BoldRun {
    /// Run `run` of session `session` (both from 0): about a second for its 75 pictures.
    ///
    /// # Panics
    /// When there is no such run.
    #[must_use]
    pub fn new(participant: Arc<Participant>, session: usize, run: usize) -> Self {
        let shown = participant.schedule().run(session, run).to_vec();
        let day = participant.day_state(session);
        let answer = |(trial, shown): (usize, &Shown)| {
            let response = participant.encoder().response(&Stimulus::of(WORLD, shown.picture));
            participant.answer(&response, &participant.trial_state(session, run, trial, *shown), &day)
        };
        let answers = shown.iter().enumerate().map(answer).collect();
        let grid = participant.anatomy().grid().clone();
        let all = (0..grid.voxel_count() as u32).collect();
        Self {
            answers,
            events: Schedule::events(),
            haemodynamics: Haemodynamics::new(participant.head(), participant.anatomy()),
            noise: noise(&participant, session, run),
            now: None,
            motion: motion(&participant, session, run),
            everywhere: Mask::from_voxels(grid, all).expect("all voxels of a grid ascend"),
            participant,
            session,
            run,
        }
    }

    /// Who lies in the scanner.
    #[must_use]
    pub fn participant(&self) -> &Participant {
        &self.participant
    }

    /// Voxels and their place.
    #[must_use]
    pub fn grid(&self) -> &Grid {
        self.participant.anatomy().grid()
    }

    /// Repetition time, seconds.
    #[must_use]
    pub fn tr_s(&self) -> f64 {
        self.participant.head().tr_s
    }

    /// Volumes of the run.
    #[must_use]
    pub fn volume_count(&self) -> u32 {
        volumes(&self.participant)
    }

    /// Trials in order of onset, each with what was shown.
    #[must_use]
    pub fn trials(&self) -> Vec<(Event, Shown)> {
        let shown = self.participant.schedule().run(self.session, self.run);
        self.events.iter().copied().zip(shown.iter().copied()).collect()
    }

    /// What each trial was like beside its picture.
    #[must_use]
    pub fn trial_states(&self) -> Vec<TrialState> {
        let shown = self.participant.schedule().run(self.session, self.run).iter().enumerate();
        shown.map(|(trial, shown)| self.participant.trial_state(self.session, self.run, trial, *shown)).collect()
    }

    /// The answer to each trial without measurement noise, percent signal change at the response's peak, `f32[voxels]`.
    #[must_use]
    pub fn answers(&self) -> &[Vec<f32>] {
        &self.answers
    }

    /// Where the head lies at volume `index`, against the first session's rest.
    #[must_use]
    pub fn motion(&self, index: u32) -> Motion {
        self.motion[index as usize]
    }

    /// Stretch of the haemodynamic response of each voxel of the mask against SPM's.
    #[must_use]
    pub fn hrf_stretch(&self) -> Vec<f64> {
        (0..self.participant.mask().len()).map(|voxel| self.haemodynamics.stretch(voxel)).collect()
    }

    /// Height of each voxel's response `t` seconds after an onset, 1 at its peak, `f32[voxels]`; `None` when all are 0.
    #[must_use]
    pub fn response_heights(&self, t: f64) -> Option<Vec<f32>> {
        self.haemodynamics.heights(t)
    }

    /// Volume `index`, int16[x, y, z], x fastest.
    ///
    /// # Panics
    /// When the run has no such volume.
    pub fn volume(&mut self, index: u32) -> Vec<i16> {
        assert!(index < self.volume_count(), "volume {index} of {}", self.volume_count());
        let time_s = (f64::from(index) + 0.5) * self.tr_s();
        let mut percent = self.brain_percent(index, time_s);
        self.add_answers(time_s, &mut percent);
        let intensity = self.participant.anatomy().intensity();
        let head: Vec<f32> = intensity.iter().zip(&percent).map(|(s, p)| s * (1.0 + p / 100.0)).collect();
        self.acquire(&self.moved(&head, index), index)
    }

    /// Noise and drift of the whole brain, percent, f32[x, y, z].
    fn brain_percent(&mut self, index: u32, time_s: f64) -> Vec<f32> {
        self.advance(index);
        let (head, mix) = (self.participant.head(), &self.participant.mixture().bold);
        let brain = self.participant.anatomy().brain();
        let (_, lasting) = self.now.as_ref().expect("the line above has set it");
        let scales = Scales {
            smooth: (head.noise * mix.smooth_percent) as f32,
            global: (head.noise * mix.global_percent) as f32,
        };
        let mut inside = vec![0.0; brain.len()];
        self.noise.add(lasting, scales, &mut inside);
        self.noise.modes().add(&self.drift(time_s), &mut inside);
        let mut percent = vec![0.0; self.grid().voxel_count()];
        brain.iter().zip(&inside).for_each(|(voxel, p)| percent[*voxel as usize] = *p);
        percent
    }

    /// Brings the noise to volume `index`; from the run's beginning where it is already past.
    fn advance(&mut self, index: u32) {
        let stay = self.participant.mixture().bold.ar1_per_s.powf(self.tr_s());
        let start = self.now.take().filter(|(at, _)| *at <= index);
        let (mut at, mut lasting) = start.unwrap_or_else(|| (0, self.noise.first(0)));
        while at < index {
            at += 1;
            lasting = self.noise.next(&lasting, stay, at);
        }
        self.now = Some((at, lasting));
    }

    /// Percent of each mode: a line and a slow wave.
    fn drift(&self, time_s: f64) -> [f32; MODES] {
        let line = time_s / Schedule::run_s() - 0.5;
        let mut draws = self.draws(2);
        [0; MODES].map(|_| {
            let (slope, phase) = (draws.within(-1.0, 1.0), draws.uniform());
            let wave = 0.5 * (TAU * (time_s / DRIFT_PERIOD_S + phase)).sin();
            (self.participant.mixture().bold.drift_percent * 0.5 * (slope * line + 0.5 * wave)) as f32
        })
    }

    fn draws(&self, part: u64) -> Draws {
        Draws::new(run_key(&self.participant, self.session, self.run), &[part])
    }

    fn add_answers(&self, time_s: f64, percent: &mut [f32]) {
        for (event, answer) in self.events.iter().zip(&self.answers) {
            let Some(heights) = self.haemodynamics.heights(time_s - event.onset_s) else { continue };
            for ((voxel, a), h) in self.participant.mask().voxels().iter().zip(answer).zip(&heights) {
                percent[*voxel as usize] += a * h;
            }
        }
    }

    /// The head where it lies at volume `index`.
    fn moved(&self, head: &[f32], index: u32) -> Vec<f32> {
        let there = self.motion[index as usize].about(centre_mm(self.grid()));
        if there == Rigid::IDENTITY {
            return head.to_vec();
        }
        let bytes: Vec<u8> = head.iter().flat_map(|v| v.to_le_bytes()).collect();
        let raw = RawVolume::new(VoxelType::Float32, head.len(), &bytes).expect("four bytes for each voxel");
        let volume = Volume::from_raw(self.grid().clone(), raw).expect("the head is finite");
        let scanner_to_head = there.inverse();
        let read = resample(&volume, &self.everywhere, scanner_to_head.affine(), Kernel::Keys);
        read.expect("the phantom's grid is no plane").0.0
    }

    /// Thermal noise, magnitude, int16.
    fn acquire(&self, clean: &[f32], index: u32) -> Vec<i16> {
        let sd = self.participant.head().noise * GREY / self.participant.mixture().bold.sfnr;
        let noise = hash::Noise::new(key(run_key(&self.participant, self.session, self.run), &[3]), index, sd);
        let magnitude = |(voxel, s): (usize, &f32)| ((s + noise.at(voxel)).abs() + 0.5) as i16;
        clean.iter().enumerate().map(magnitude).collect()
    }
}

fn run_key(participant: &Participant, session: usize, run: usize) -> u64 {
    key(participant.head().seed, &[Branch::Motion as u64, (session * RUNS + run) as u64])
}

fn volumes(participant: &Participant) -> u32 {
    (Schedule::run_s() / participant.head().tr_s).ceil() as u32
}

/// Smooth and global noise at the voxels of the whole brain.
fn noise(participant: &Participant, session: usize, run: usize) -> LastingNoise {
    let (anatomy, seed) = (participant.anatomy(), participant.head().seed);
    let smooth = SmoothNoise::new(anatomy.grid(), anatomy.brain(), participant.mixture().bold.smooth_fwhm_mm);
    let place = |voxel: &u32| anatomy.grid().to_mm(crate::anatomy::coordinates(anatomy.grid(), *voxel as usize));
    let places: Vec<[f64; 3]> = anatomy.brain().iter().map(place).collect();
    let modes = Modes::new(&mut Draws::new(seed, &[Branch::Modes as u64, 1]), &places);
    LastingNoise::new(smooth, modes, key(run_key(participant, session, run), &[1]))
}

/// Where the head lies at each volume: put down anew each day (the first is the reference), then a random walk.
fn motion(participant: &Participant, session: usize, run: usize) -> Vec<Motion> {
    let mix = &participant.mixture().bold;
    let unit = |n: usize| if n < 3 { 1.0 } else { 1f64.to_radians() };
    let mut day = Draws::new(participant.head().seed, &[Branch::Motion as u64, u64::MAX, session as u64]);
    let put_down = if session == 0 { 0.0 } else { mix.reposition_mm };
    let mut place: [f64; 6] = std::array::from_fn(|n| unit(n) * put_down * day.normal());
    let mut walk = Draws::new(run_key(participant, session, run), &[4]);
    let step = mix.motion_mm * (participant.head().tr_s / 60.0).sqrt();
    let volumes = (0..volumes(participant)).map(|_| {
        let now = Motion(place);
        place.iter_mut().enumerate().for_each(|(n, p)| *p += unit(n) * step * walk.normal());
        now
    });
    volumes.collect()
}
