//! Single-trial betas without volumes: the head's answer with the errors that an estimate from volumes has.
//!
//! The errors of one beta are smooth over the cortex, have global components, are correlated from trial to trial within a
//! run, and have a part of their own in each voxel. A run of 75 trials takes about 0.1 s.

use crate::anatomy::Branch;
use crate::noise::{Lasting, LastingNoise, Modes, Scales, SmoothNoise};
use crate::participant::Participant;
use crate::picture::PictureId;
use crate::random::{Draws, key};
use crate::schedule::{RUNS, TRIALS};
use mindeye_preprocess::phantom::hash::Noise;
use ndarray::Array2;

/// Makes betas of one participant.
pub struct BetaSource<'a> {
    participant: &'a Participant,
    noise: LastingNoise,
    scales: Scales,
    thermal_sd: f64,
}

impl<'a> BetaSource<'a> {
    /// Of `participant`.
    #[must_use]
    pub fn new(participant: &'a Participant) -> Self {
        let (mask, mix, head) = (participant.mask(), &participant.mixture().beta, participant.head());
        let smooth = SmoothNoise::new(mask.grid(), mask.voxels(), mix.smooth_fwhm_mm);
        let places: Vec<[f64; 3]> = participant.anatomy().sites().iter().map(|site| site.place_mm).collect();
        let modes = Modes::new(&mut Draws::new(head.seed, &[Branch::Modes as u64]), &places);
        Self {
            participant,
            noise: LastingNoise::new(smooth, modes, key(head.seed, &[Branch::Noise as u64, 0])),
            scales: Scales { smooth: (head.noise * mix.smooth_sd) as f32, global: (head.noise * mix.global_sd) as f32 },
            thermal_sd: head.noise * mix.thermal_sd,
        }
    }

    /// Whose betas they are.
    #[must_use]
    pub fn participant(&self) -> &'a Participant {
        self.participant
    }

    /// Betas of a run, percent signal change, f32[trials, voxels]; session and run from 0. `response` gives the encoding
    /// model's response to a picture ([`crate::encoding::Encoder::response`]).
    #[must_use]
    pub fn run(&self, session: usize, run: usize, response: &dyn Fn(PictureId) -> Vec<f32>) -> Array2<f32> {
        let trials = self.participant.schedule().run(session, run);
        let day = self.participant.day_state(session);
        let mut betas = Array2::zeros((trials.len(), self.participant.mask().len()));
        let mut lasting: Option<Lasting> = None;
        for (trial, (shown, mut row)) in trials.iter().zip(betas.rows_mut()).enumerate() {
            let state = self.participant.trial_state(session, run, trial, *shown);
            let mut beta = self.participant.answer(&response(shown.picture), &state, &day);
            let number = ((session * RUNS + run) * TRIALS + trial) as u32;
            let now = match &lasting {
                None => self.noise.first(number),
                Some(before) => self.noise.next(before, self.participant.mixture().beta.ar1, number),
            };
            self.noise.add(&now, self.scales, &mut beta);
            self.add_thermal(number, &mut beta);
            row.iter_mut().zip(&beta).for_each(|(to, b)| *to = *b);
            lasting = Some(now);
        }
        betas
    }

    fn add_thermal(&self, number: u32, beta: &mut [f32]) {
        let seed = key(self.participant.head().seed, &[Branch::Noise as u64, 1]);
        let thermal = Noise::new(seed, number, self.thermal_sd);
        beta.iter_mut().enumerate().for_each(|(v, b)| *b += thermal.at(v));
    }

    /// Covariance of the errors of one beta, percent², at voxels `u` and `v`, without the variation inside the signal
    /// subspace.
    #[must_use]
    pub fn noise_covariance(&self, u: usize, v: usize) -> f64 {
        let own = if u == v { self.thermal_sd * self.thermal_sd } else { 0.0 };
        self.noise.covariance(self.scales, u, v) + own
    }
}
