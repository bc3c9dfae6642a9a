//! A picture as the brain takes it apart: channels and labels, the same for every participant.

use super::gabor::{CELLS, CHANNELS, DEGREES, channels};
use super::labels::{LABELS, labels};
use crate::picture::{Factors, Picture, PictureId, SIDE};

/// What the encoding model needs of one picture: 24 kB.
#[derive(Debug, Clone)]
pub struct Stimulus {
    /// f32[[`CELLS`]², [`CHANNELS`]], places row by row from the top.
    channels: Vec<f32>,
    labels: [f32; LABELS],
    /// Objects: right and up of fixation, degrees; size, share of the picture.
    objects: Vec<[f32; 3]>,
}

impl Stimulus {
    /// Picture `id` of the world `seed`; about 10 ms.
    #[must_use]
    pub fn of(seed: u64, id: PictureId) -> Self {
        let factors = Factors::of(seed, id);
        Self::new(&factors, &Picture::of(seed, id, SIDE))
    }

    /// A picture with its labels; `picture` has [`SIDE`] pixels.
    #[must_use]
    pub fn new(factors: &Factors, picture: &Picture) -> Self {
        let by_channel = channels(picture);
        let place_first = |n: usize| by_channel[n % CHANNELS * CELLS * CELLS + n / CHANNELS];
        let degrees = |share: f64| ((share - 0.5) * DEGREES) as f32;
        let object = |p: &crate::picture::Place| [degrees(p.across), -degrees(p.down), p.size as f32];
        Self {
            channels: (0..CHANNELS * CELLS * CELLS).map(place_first).collect(),
            labels: labels(factors),
            objects: factors.places.iter().map(object).collect(),
        }
    }

    /// f32[places, channels].
    #[must_use]
    pub fn channels(&self) -> &[f32] {
        &self.channels
    }

    pub(crate) fn labels(&self) -> &[f32; LABELS] {
        &self.labels
    }

    /// How much object lies in a receptive field, 0 to about 1.
    pub(crate) fn objects_within(&self, centre_deg: [f32; 2], radius_deg: f32) -> f32 {
        let within = |[x, y, size]: &[f32; 3]| {
            // The field of the object and of the voxel together; a picture is 8.4 degrees.
            let spread = radius_deg * radius_deg + (size * DEGREES as f32).powi(2);
            let distance = (x - centre_deg[0]).powi(2) + (y - centre_deg[1]).powi(2);
            2.5 * size * (-distance / (2.0 * spread)).exp()
        };
        self.objects.iter().map(within).sum()
    }
}
