//! The encoding model of one participant: tuning of all voxels, standardised over reference pictures.

use super::gabor::{CELLS, CHANNELS, ORIENTATIONS};
use super::labels::OBJECT_LABELS;
use super::stimulus::Stimulus;
use super::tuning::{Maps, Tuning};
use crate::anatomy::{Anatomy, Branch};
use crate::random::Draws;
use ndarray::{Array2, ArrayView2};

/// Gabor channels.
const FORM: usize = 3 * ORIENTATIONS;
/// Contrast, in units of mean energy, from which on a response no longer grows with it.
const HALF: f32 = 0.02;

/// A participant's encoding model.
pub struct Encoder {
    tunings: Vec<Tuning>,
    /// f32[voxels, places].
    fields: Array2<f32>,
    /// Mean and 1/SD of form, colour and meaning of each voxel.
    drives: Vec<[[f32; 2]; 3]>,
    /// Mean and 1/SD of the mixed response of each voxel.
    mixed: Vec<[f32; 2]>,
}

/// Responses to the reference pictures, f32[pictures, voxels], mean 0 and SD 1 in every voxel: the signal subspace.
pub struct ReferenceResponses(pub Array2<f32>);

impl Encoder {
    /// The model of `anatomy` for the participant `seed`, standardised over `reference` (256 or more pictures), and its
    /// responses to them.
    #[must_use]
    pub fn new(anatomy: &Anatomy, seed: u64, reference: &[Stimulus]) -> (Self, ReferenceResponses) {
        let maps = Maps::new(&mut Draws::new(seed, &[Branch::Tuning as u64]));
        let voxel = |v: usize| Draws::new(seed, &[Branch::Tuning as u64, 1 + u64::from(anatomy.mask().voxels()[v])]);
        let tunings: Vec<Tuning> =
            anatomy.sites().iter().enumerate().map(|(v, site)| Tuning::new(site, &maps, &mut voxel(v))).collect();
        let fields = Array2::from_shape_fn((tunings.len(), CELLS * CELLS), |(v, place)| tunings[v].field[place]);
        let unit = [[0.0, 1.0]; 3];
        let count = tunings.len();
        let mut encoder = Self { tunings, fields, drives: vec![unit; count], mixed: vec![[0.0, 1.0]; count] };
        let responses = encoder.standardise(reference);
        (encoder, ReferenceResponses(responses))
    }

    fn standardise(&mut self, reference: &[Stimulus]) -> Array2<f32> {
        let drives: Vec<Vec<[f32; 3]>> = reference.iter().map(|stimulus| self.drives(stimulus)).collect();
        for voxel in 0..self.tunings.len() {
            for part in 0..3 {
                self.drives[voxel][part] = standard(drives.iter().map(|d| d[voxel][part]));
            }
        }
        let mut responses = Array2::zeros((reference.len(), self.tunings.len()));
        for (drives, mut row) in drives.iter().zip(responses.rows_mut()) {
            row.iter_mut().zip(self.mix(drives)).for_each(|(to, r)| *to = r);
        }
        for (voxel, mut column) in responses.columns_mut().into_iter().enumerate() {
            self.mixed[voxel] = standard(column.iter().copied());
            let [mean, scale] = self.mixed[voxel];
            column.iter_mut().for_each(|r| *r = (*r - mean) * scale);
        }
        responses
    }

    /// Voxels.
    #[must_use]
    pub fn voxel_count(&self) -> usize {
        self.tunings.len()
    }

    /// What each voxel likes.
    #[must_use]
    pub fn tunings(&self) -> &[Tuning] {
        &self.tunings
    }

    /// Response of every voxel to a picture, `f32[voxels]`; over the world's pictures mean 0 and SD 1. About 5 ms.
    #[must_use]
    pub fn response(&self, stimulus: &Stimulus) -> Vec<f32> {
        let mixed = self.mix(&self.drives(stimulus));
        mixed.iter().zip(&self.mixed).map(|(r, [mean, scale])| (r - mean) * scale).collect()
    }

    /// Form, colour and meaning of every voxel, not yet standardised.
    #[must_use]
    pub fn drives(&self, stimulus: &Stimulus) -> Vec<[f32; 3]> {
        let channels = ArrayView2::from_shape((CELLS * CELLS, CHANNELS), stimulus.channels())
            .expect("a stimulus has all places of all channels");
        let pooled = self.fields.dot(&channels);
        let one = |(tuning, pooled): (&Tuning, ndarray::ArrayView1<'_, f32>)| {
            let pooled = pooled.to_slice().expect("rows of a product are in one piece");
            [form(tuning, pooled), colour(tuning, pooled), meaning(tuning, stimulus)]
        };
        self.tunings.iter().zip(pooled.rows()).map(one).collect()
    }

    fn mix(&self, drives: &[[f32; 3]]) -> Vec<f32> {
        let one = |((tuning, drive), standard): ((&Tuning, &[f32; 3]), &[[f32; 2]; 3])| {
            (0..3).map(|p| tuning.shares[p] * (drive[p] - standard[p][0]) * standard[p][1]).sum()
        };
        self.tunings.iter().zip(drives).zip(&self.drives).map(one).collect()
    }
}

/// (Σ w E / (c + mean E))ⁿ: divided by the contrast of the field (Heeger 1992), then compressed.
fn form(tuning: &Tuning, pooled: &[f32]) -> f32 {
    let liked: f32 = pooled[..FORM].iter().zip(&tuning.channels).map(|(e, w)| e * w).sum();
    let contrast = pooled[..FORM].iter().sum::<f32>() / FORM as f32;
    (liked / (HALF + contrast)).powf(tuning.exponent)
}

/// Σ w √E over the four opponent colours, and luminance.
fn colour(tuning: &Tuning, pooled: &[f32]) -> f32 {
    let colours = pooled[FORM..CHANNELS - 1].iter().zip(&tuning.channels[FORM..]);
    colours.map(|(c, w)| w * c.sqrt()).sum::<f32>() + tuning.channels[CHANNELS - 1] * pooled[CHANNELS - 1]
}

/// ln(1 + exp(b Σ w l)): labels of objects through the receptive field, the others as they are, then a soft rectifier.
fn meaning(tuning: &Tuning, stimulus: &Stimulus) -> f32 {
    let gate = stimulus.objects_within(tuning.centre_deg, tuning.radius_deg);
    let sum = |from: usize, to: usize| -> f32 {
        tuning.labels[from..to].iter().zip(&stimulus.labels()[from..to]).map(|(w, l)| w * l).sum()
    };
    let drive = (0.3 + gate) * sum(0, OBJECT_LABELS) + sum(OBJECT_LABELS, tuning.labels.len());
    (1.0 + drive.exp()).ln()
}

/// Mean and 1/SD; 0 for what does not vary, which then adds nothing.
fn standard(values: impl Iterator<Item = f32> + Clone) -> [f32; 2] {
    let count = values.clone().count() as f64;
    let mean = values.clone().map(f64::from).sum::<f64>() / count;
    let variance = values.map(|v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count;
    [mean as f32, if variance > 1e-12 { (1.0 / variance.sqrt()) as f32 } else { 0.0 }]
}
