//! One trial's beta in every voxel under AR(1) noise, as nilearn fits it (`run_glm`, `noise_model="ar1"`).
//!
//! Ordinary residuals e give each voxel ρ = (Σ e_t e_{t−1} / (n − 1)) / (Σ e_t² / n), cut to hundredths towards 0; one
//! system per hundredth then serves all its voxels, and β = wᵀm_ρ takes 2 P multiply-adds and 16 P bytes per voxel. That
//! is 1.1 million and 9 MB at P = 35 (Friston's 24), V = 15,724, besides the residual sums (`running.rs`, `residuals.rs`)
//! and the systems (`whitened.rs`).
//!
//! ρ does not depend on how its sums were come by: where rounding could decide to which hundredth a voxel belongs,
//! they are computed from the moments alone. So a late event, whose fit is made anew, has the bytes of a timely one.

use super::fit::{Fit, spaced};
use super::model::{Model, System};
use super::residuals::{Carried, Direct, LANES, Sums};
use super::running::Running;
use super::solve::dot;
use super::statistics::{LagOne, Statistics, blocks};
use super::whitened::Whitening;
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ops::Range;

const HUNDREDTHS: f64 = 100.0;
/// ρ in hundredths is at most this, either way.
const LARGEST: f64 = 99.0;
/// A carried sum is exact to 1e-9 of itself or better; a ratio this near a whole hundredth is computed again.
const TIE: f64 = 1e-6;
/// Residuals below this share of a voxel's squares are rounding.
const NOTHING: f64 = 1e-9;
/// Voxels per block.
const BLOCK: usize = 256;

/// The fit of `model`'s last term, or `None` where the volumes do not determine it.
pub(crate) fn fit(statistics: &Statistics, lag_one: &LagOne, model: &Model, running: Option<&Running>) -> Option<Fit> {
    let gram = model.gram(statistics.gram());
    let ordinary = System::new(&gram, model.ridge(), statistics.rows().len())?;
    let whitening = Whitening {
        gram,
        gram_lag: model.gram(&lag_one.gram),
        newest: model.row(statistics.rows().last()?),
        ridge: model.ridge(),
    };
    let carried = Carried::new(statistics, lag_one, model, running);
    let direct = OnceCell::new();
    let residuals =
        Residuals { statistics, lag_one, model, ordinary: &ordinary, whitening: &whitening, carried, direct };
    let (mut rho, mut noise) = (vec![0u8; statistics.voxels()], Vec::new());
    for block in blocks(rho.len(), BLOCK) {
        residuals.rho(block, &mut rho, &mut noise);
    }
    let systems = Systems::new(&rho, &whitening, model);
    let beta = systems.betas(&rho, statistics, lag_one);
    let error = |(voxel, noise): (usize, f64)| {
        (voxel, (noise / ordinary.freedom * systems.variance[usize::from(rho[voxel])]).sqrt())
    };
    Some(Fit { beta, errors: noise.into_iter().map(error).collect() })
}

/// Where a fit's residual sums come from.
struct Residuals<'a> {
    statistics: &'a Statistics,
    lag_one: &'a LagOne,
    model: &'a Model,
    ordinary: &'a System,
    whitening: &'a Whitening,
    carried: Option<Carried<'a>>,
    direct: OnceCell<Direct<'a>>,
}

impl Residuals<'_> {
    /// Writes ρ of a block's voxels, as a place among the hundredths, and for some of them the noise that is left:
    /// Σ(e_t − ρ e_{t−1})² = (1 + ρ²) Σe² − 2ρ Σe_t e_{t−1} but for the ends.
    fn rho(&self, block: Range<usize>, rho: &mut [u8], noise: &mut Vec<(usize, f64)>) {
        let n = self.statistics.rows().len() as f64;
        let sums = self.sums(block.clone());
        let mut reported = spaced(rho.len()).skip_while(|voxel| *voxel < block.start).peekable();
        for (at, voxel) in block.clone().enumerate() {
            let (squares, products) = (sums.squares[at], sums.products[at]);
            let hundredths = quantised(ratio(squares, products, n));
            rho[voxel] = (hundredths + LARGEST) as u8;
            if reported.next_if_eq(&voxel).is_some() {
                let rho = hundredths / HUNDREDTHS;
                noise.push((voxel, ((1.0 + rho * rho) * squares - 2.0 * rho * products).max(0.0)));
            }
        }
    }

    fn sums(&self, block: Range<usize>) -> Sums {
        let Some(carried) = &self.carried else { return self.direct_sums(block) };
        let n = self.statistics.rows().len() as f64;
        let mut sums = carried.sums(block.clone());
        for (at, voxel) in block.enumerate() {
            let (squares, data) = (sums.squares[at], self.statistics.squares()[voxel]);
            let ratio = ratio(squares, sums.products[at], n);
            if data > 0.0 && (squares < NOTHING * data || (ratio - ratio.round()).abs() < TIE) {
                let again = self.direct().sums(voxel / LANES * LANES);
                (sums.squares[at], sums.products[at]) = (again.squares[voxel % LANES], again.products[voxel % LANES]);
            }
        }
        sums
    }

    fn direct_sums(&self, block: Range<usize>) -> Sums {
        let mut all = Sums { squares: Vec::with_capacity(BLOCK), products: Vec::with_capacity(BLOCK) };
        for from in block.clone().step_by(LANES) {
            let sums = self.direct().sums(from);
            let count = LANES.min(block.end - from);
            all.squares.extend_from_slice(&sums.squares[..count]);
            all.products.extend_from_slice(&sums.products[..count]);
        }
        all
    }

    fn direct(&self) -> &Direct<'_> {
        let whitening = self.whitening;
        self.direct.get_or_init(|| {
            let factor = &self.ordinary.factor;
            Direct::new(self.statistics, self.lag_one, self.model, factor, &whitening.gram_lag, &whitening.ridge)
        })
    }
}

/// What the voxels of each hundredth share.
struct Systems {
    /// Slot and its weight, by hundredth.
    weights: Vec<(usize, [f64; PLACES])>,
    /// wᵀx_n.
    newest: [f64; PLACES],
    /// wᵀA_ρw: the beta's variance in units of the noise's.
    variance: [f64; PLACES],
}

/// Room for ρ of −99 to 99 hundredths.
const PLACES: usize = 256;

impl Systems {
    fn new(rho: &[u8], whitening: &Whitening, model: &Model) -> Self {
        let mut used = [false; PLACES];
        rho.iter().for_each(|place| used[usize::from(*place)] = true);
        let places: Vec<usize> = (0..PLACES).filter(|place| used[*place]).collect();
        let rhos: Vec<f64> = places.iter().map(|place| rho_at(*place)).collect();
        let slots = model.of_moments(&vec![1.0; model.terms.len()]);
        let sources = sources(model, &slots);
        let mut systems = Self {
            weights: slots.into_iter().map(|(slot, _)| (slot, [0.0; PLACES])).collect(),
            newest: [0.0; PLACES],
            variance: [0.0; PLACES],
        };
        for (place, w) in places.into_iter().zip(whitening.weights(&rhos)) {
            let penalty: f64 = whitening.ridge.iter().zip(&w).map(|(ridge, w)| ridge * w * w).sum();
            systems.variance[place] = w.last().map_or(f64::NAN, |last| last - penalty);
            systems.newest[place] = dot(&w, &whitening.newest);
            for (at, factor, term) in &sources {
                systems.weights[*at].1[place] += factor * w[*term];
            }
        }
        systems
    }

    /// β = wᵀ m_ρ; NaN, which the caller counts, where whitening left the trial undetermined.
    fn betas(&self, rho: &[u8], statistics: &Statistics, lag_one: &LagOne) -> Vec<f64> {
        let mut betas = vec![0.0; rho.len()];
        let (mut now, mut lagged, mut own) = ([0.0; BLOCK], [0.0; BLOCK], [0.0; BLOCK]);
        for block in blocks(rho.len(), BLOCK) {
            let (out, places) = (&mut betas[block.clone()], &rho[block.clone()]);
            for (at, place) in places.iter().enumerate() {
                let rho = rho_at(usize::from(*place));
                (now[at], lagged[at]) = (1.0 + rho * rho, rho);
                out[at] = -rho * rho * self.newest[usize::from(*place)] * lag_one.newest[block.start + at];
            }
            for (slot, weights) in &self.weights {
                let (m, e) = (&statistics.moments(*slot)[block.clone()], &lag_one.moments[*slot][block.clone()]);
                // Each voxel's own weight first: what is left then runs in the processor's vectors.
                own.iter_mut().zip(places).for_each(|(own, place)| *own = weights[usize::from(*place)]);
                let factors = now.iter().zip(&lagged).zip(&own);
                for (((out, m), e), ((now, lagged), own)) in out.iter_mut().zip(m).zip(e).zip(factors) {
                    *out += own * (now * m - lagged * e);
                }
            }
        }
        betas
    }
}

/// (place among `slots`, factor, term) of every moment that a term is made of.
fn sources(model: &Model, slots: &[(usize, f64)]) -> Vec<(usize, f64, usize)> {
    let place: BTreeMap<usize, usize> = slots.iter().enumerate().map(|(at, (slot, _))| (*slot, at)).collect();
    let of_term = |(term, moments): (usize, &Vec<(usize, f64)>)| -> Vec<(usize, f64, usize)> {
        moments.iter().map(|(slot, factor)| (place[slot], *factor, term)).collect()
    };
    model.terms.iter().map(|term| &term.moments).enumerate().flat_map(of_term).collect()
}

fn rho_at(place: usize) -> f64 {
    (place as f64 - LARGEST) / HUNDREDTHS
}

/// γ₁/γ₀ in hundredths.
fn ratio(squares: f64, products: f64, n: f64) -> f64 {
    HUNDREDTHS * (products / (n - 1.0)) / (squares / n)
}

/// Cut towards 0 as nilearn does; 0 for a voxel without residual.
fn quantised(ratio: f64) -> f64 {
    if ratio.is_finite() { ratio.trunc().clamp(-LARGEST, LARGEST) } else { 0.0 }
}
