//! A participant: a head, an encoding model, and what varies from trial to trial and from day to day.

use crate::anatomy::{Anatomy, Branch, SmoothField, TooFewVoxels};
use crate::encoding::{Encoder, Stimulus};
use crate::parameters::{Head, Mixture, PresetError};
use crate::picture::{Collection, PictureId, WORLD};
use crate::random::Draws;
use crate::schedule::{RUNS, Schedule, Shown, TRIALS};
use mindeye_config::ConfigError;
use mindeye_preprocess::Mask;
use ndarray::Array2;

/// Pictures over which responses are standardised and out of which the variation inside the signal subspace is mixed.
pub const REFERENCE_PICTURES: u32 = 384;

/// Reference pictures in the variation of one trial.
const WANDERING: usize = 8;

/// Distance over which amplitudes change, mm.
const AMPLITUDE_MAP_MM: f64 = 40.0;
/// Distance over which a day's offset changes, mm.
const OFFSET_MAP_MM: f64 = 60.0;

/// Why there is no such participant.
#[derive(Debug, thiserror::Error)]
pub enum ParticipantError {
    /// The preset.
    #[error(transparent)]
    Preset(#[from] PresetError),
    /// The mixture.
    #[error(transparent)]
    Mixture(#[from] ConfigError),
    /// The anatomy.
    #[error(transparent)]
    Anatomy(#[from] TooFewVoxels),
}

/// The stimuli of the reference pictures: 2 s; the same for every participant.
#[must_use]
pub fn reference_stimuli() -> Vec<Stimulus> {
    let picture = |number| Stimulus::of(WORLD, PictureId { collection: Collection::Reference, number });
    (0..REFERENCE_PICTURES).map(picture).collect()
}

/// One synthetic participant.
pub struct Participant {
    head: Head,
    mixture: Mixture,
    anatomy: Anatomy,
    encoder: Encoder,
    /// f32[reference pictures, voxels].
    reference: Array2<f32>,
    /// SD of the response to pictures, percent signal change, of each voxel.
    amplitude: Vec<f32>,
    /// The neighbour towards whose tuning each voxel turns from day to day.
    partner: Vec<u32>,
    schedule: Schedule,
}

/// What a trial is like beside its picture.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialState {
    /// Attention, times what earlier showings leave.
    pub gain: f64,
    /// Whether the participant looked away in thought.
    pub lapse: bool,
    /// Reference pictures whose responses are mixed in, with their weights.
    pub wandering: [(usize, f32); WANDERING],
}

/// What a day is like.
#[derive(Debug, Clone, PartialEq)]
pub struct DayState {
    /// Factor on responses to pictures.
    pub gain: f64,
    /// Angle by which tuning turns towards that of a neighbour, radians.
    pub turn: f64,
    /// Offset of each voxel's betas, percent signal change.
    pub offset: Vec<f32>,
}

impl Participant {
    /// The built-in participant `name`: about 4 s.
    ///
    /// # Errors
    /// [`ParticipantError::Preset`] for a name that is none.
    pub fn built_in(name: &str) -> Result<Self, ParticipantError> {
        Self::new(Head::built_in(name)?, Mixture::built_in()?, &reference_stimuli())
    }

    /// The participant with this head; `reference` are [`reference_stimuli`].
    ///
    /// # Errors
    /// [`ParticipantError::Anatomy`] when the head has too small a ribbon.
    pub fn new(head: Head, mixture: Mixture, reference: &[Stimulus]) -> Result<Self, ParticipantError> {
        let anatomy = Anatomy::new(&head)?;
        let (encoder, responses) = Encoder::new(&anatomy, head.seed, reference);
        let (amplitude, partner) = (amplitudes(&head, &anatomy), partners(&head, &anatomy));
        let schedule = Schedule::new(head.seed);
        Ok(Self { head, mixture, anatomy, encoder, reference: responses.0, amplitude, partner, schedule })
    }

    /// The preset.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The mixture.
    #[must_use]
    pub fn mixture(&self) -> &Mixture {
        &self.mixture
    }

    /// The head at rest.
    #[must_use]
    pub fn anatomy(&self) -> &Anatomy {
        &self.anatomy
    }

    /// The visual mask.
    #[must_use]
    pub fn mask(&self) -> &Mask {
        self.anatomy.mask()
    }

    /// The encoding model.
    #[must_use]
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// What the participant sees when.
    #[must_use]
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// SD of each voxel's response to pictures, percent signal change, `f32[voxels]`.
    #[must_use]
    pub fn amplitude(&self) -> &[f32] {
        &self.amplitude
    }

    /// For each voxel the neighbour towards whose tuning it turns.
    #[must_use]
    pub fn partner(&self) -> &[u32] {
        &self.partner
    }

    /// Responses to the reference pictures, f32[pictures, voxels], mean 0 and SD 1.
    #[must_use]
    pub fn reference(&self) -> &Array2<f32> {
        &self.reference
    }

    /// What trial `trial` of a run is like; session and run from 0.
    #[must_use]
    pub fn trial_state(&self, session: usize, run: usize, trial: usize, shown: Shown) -> TrialState {
        let (number, mix) = ((session * RUNS + run) * TRIALS + trial, &self.mixture.trial);
        let mut draws = Draws::new(self.head.seed, &[Branch::Trial as u64, number as u64]);
        let lapse = draws.chance(mix.lapse_share);
        let attention = self.attention(draws.normal()) * if lapse { mix.lapse_gain } else { 1.0 };
        let gain = attention * repetition(mix.repetition, shown.seen_before);
        let pictures = self.reference.nrows();
        let scale = mix.subspace / (WANDERING as f64).sqrt();
        let wandering = [0; WANDERING].map(|_| (draws.below(pictures), (scale * draws.normal()) as f32));
        TrialState { gain, lapse, wandering }
    }

    /// Gain of attention at a standard normal number; its mean is 1.
    pub(crate) fn attention(&self, normal: f64) -> f64 {
        let sd = self.mixture.trial.attention_sd;
        (sd * normal - sd * sd / 2.0).exp()
    }

    /// What the day of a session is like.
    #[must_use]
    pub fn day_state(&self, session: usize) -> DayState {
        let mix = &self.mixture.day;
        let mut draws = Draws::new(self.head.seed, &[Branch::Day as u64, session as u64]);
        let gain = 1.0 + mix.gain_sd * draws.normal();
        let turn = mix.tuning_sd * draws.normal();
        let field = SmoothField::new(&mut draws, 6, OFFSET_MAP_MM);
        let offset = |(site, a): (&crate::anatomy::Site, &f32)| a * (mix.offset_sd * field.at(site.place_mm)) as f32;
        DayState { gain, turn, offset: self.anatomy.sites().iter().zip(&self.amplitude).map(offset).collect() }
    }

    /// The head's answer to one showing, percent signal change at the response's peak, `f32[voxels]`:
    /// A (d g (m + s cos φ + s' sin φ) + τ Σ wⱼ rⱼ) + offset, with s the voxel's response to the picture, s' its
    /// neighbour's, rⱼ the responses to reference pictures.
    #[must_use]
    pub fn answer(&self, response: &[f32], trial: &TrialState, day: &DayState) -> Vec<f32> {
        let mean = self.mixture.trial.mean as f32;
        let (gain, sin, cos) = ((day.gain * trial.gain) as f32, day.turn.sin() as f32, day.turn.cos() as f32);
        let mut wandering = vec![0.0_f32; response.len()];
        for (picture, weight) in &trial.wandering {
            let row = self.reference.row(*picture);
            wandering.iter_mut().zip(row).for_each(|(sum, r)| *sum += weight * r);
        }
        let one = |v: usize| {
            let turned = cos * response[v] + sin * response[self.partner[v] as usize];
            self.amplitude[v] * (gain * (mean + turned) + wandering[v]) + day.offset[v]
        };
        (0..response.len()).map(one).collect()
    }
}

/// What is left of a response after earlier showings.
pub(crate) fn repetition(lost: f64, seen_before: u32) -> f64 {
    (1.0 - lost).powi(seen_before as i32)
}

/// Lognormal over voxels: half of the logarithm's variance a smooth map, half the voxel's own.
fn amplitudes(head: &Head, anatomy: &Anatomy) -> Vec<f32> {
    let field = SmoothField::new(&mut Draws::new(head.seed, &[Branch::Amplitude as u64]), 8, AMPLITUDE_MAP_MM);
    let one = |(site, voxel): (&crate::anatomy::Site, &u32)| {
        let own = Draws::new(head.seed, &[Branch::Amplitude as u64, 1 + u64::from(*voxel)]).normal();
        let log = head.amplitude_spread * (field.at(site.place_mm) + own) / std::f64::consts::SQRT_2;
        (head.amplitude_percent * log.exp()) as f32
    };
    anatomy.sites().iter().zip(anatomy.mask().voxels()).map(one).collect()
}

/// A voxel within 9 mm, of the same area where there is one.
fn partners(head: &Head, anatomy: &Anatomy) -> Vec<u32> {
    const NEAR_MM2: f64 = 81.0;
    let sites = anatomy.sites();
    let one = |v: usize| {
        let near = |u: &usize| {
            let square: f64 = (0..3).map(|a| (sites[v].place_mm[a] - sites[*u].place_mm[a]).powi(2)).sum();
            *u != v && square < NEAR_MM2 && sites[*u].area == sites[v].area
        };
        let candidates: Vec<usize> = (0..sites.len()).filter(near).collect();
        let mut draws = Draws::new(head.seed, &[Branch::Partner as u64, u64::from(anatomy.mask().voxels()[v])]);
        if candidates.is_empty() { v as u32 } else { candidates[draws.below(candidates.len())] as u32 }
    };
    (0..sites.len()).map(one).collect()
}
