//! Every voxel has a response of its own: SPM's double gamma on a time axis that differs from head to head and place to place.

use crate::anatomy::{Anatomy, Branch, Site, SmoothField};
use crate::parameters::Head;
use crate::random::Draws;
use crate::schedule::STIMULUS_S;
use mindeye_config::HrfHeight;
use mindeye_preprocess::{DoubleGamma, Regressor};

/// Different responses in one head; a voxel takes the nearest. Neighbouring ones peak within 0.15 s of each other.
const CLASSES: usize = 32;
/// Widest range of the logarithm of the stretch, SDs to each side.
const RANGE: f64 = 2.5;
/// Distance over which responses change, mm.
const MAP_MM: f64 = 40.0;

/// Responses of all voxels of the visual mask to one showing.
pub(crate) struct Haemodynamics {
    responses: Vec<Regressor>,
    /// Class of each voxel.
    class: Vec<u8>,
    stretches: Vec<f64>,
}

impl Haemodynamics {
    pub(crate) fn new(head: &Head, anatomy: &Anatomy) -> Self {
        let field = SmoothField::new(&mut Draws::new(head.seed, &[Branch::Haemodynamics as u64]), 6, MAP_MM);
        let class = |(site, voxel): (&Site, &u32)| {
            let own = Draws::new(head.seed, &[Branch::Haemodynamics as u64, 1 + u64::from(*voxel)]).normal();
            // Three quarters of the variance is a map: neighbours share their vessels.
            let z = 0.75_f64.sqrt() * field.at(site.place_mm) + 0.5 * own;
            (((z / RANGE + 1.0) / 2.0).clamp(0.0, 1.0) * (CLASSES - 1) as f64).round() as u8
        };
        let z = |class: usize| RANGE * (2.0 * class as f64 / (CLASSES - 1) as f64 - 1.0);
        let stretches: Vec<f64> = (0..CLASSES).map(|c| head.hrf_stretch * (head.hrf_spread * z(c)).exp()).collect();
        let shape = |stretch: &f64| DoubleGamma { stretch: *stretch, ..DoubleGamma::SPM };
        let response = |stretch: &f64| Regressor::new(shape(stretch), STIMULUS_S, HrfHeight::Peak);
        Self {
            responses: stretches.iter().map(response).collect(),
            class: anatomy.sites().iter().zip(anatomy.mask().voxels()).map(class).collect(),
            stretches,
        }
    }

    /// Height of every voxel's response `t` seconds after an onset, 1 at the peak; `None` when all are over or not begun.
    pub(crate) fn heights(&self, t: f64) -> Option<Vec<f32>> {
        let heights: Vec<f32> = self.responses.iter().map(|response| response.at(t) as f32).collect();
        let any = heights.iter().any(|h| *h != 0.0);
        any.then(|| self.class.iter().map(|class| heights[usize::from(*class)]).collect())
    }

    /// Stretch of each voxel's time axis against SPM's.
    pub(crate) fn stretch(&self, voxel: usize) -> f64 {
        self.stretches[usize::from(self.class[voxel])]
    }
}
