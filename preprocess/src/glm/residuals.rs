//! Each voxel's residual sums Σe² and Σe_t e_{t−1} in the ordinary fit of a model: what ρ is made of.

use super::model::Model;
use super::running::Running;
use super::solve::{DEPENDENT, Factor, Symmetric, dot};
use super::statistics::{LagOne, Statistics, add_product};
use std::ops::Range;

/// Σe² and Σe_t e_{t−1} of some voxels.
pub(crate) struct Sums {
    pub(crate) squares: Vec<f64>,
    pub(crate) products: Vec<f64>,
}

/// The carried fit of a model's base, and the one column that the model has besides: the trial of an LSS fit.
///
/// With z that column, e the base's residuals, c = A⁻¹ Xᵀz and z̃ = z − X c, the residuals are e − z̃β, and
///
/// ```text
///   left = zᵀz − cᵀXᵀz     β = (m_z − zᵀX b) / left
///   Σe² − β (m_z − zᵀX b)      Σee₋₁ − β (E_z − cᵀE − hᵀb) + ½ β² z̃ᵀHz̃,   h = H_z − H c
/// ```
///
/// that is 3 P multiply-adds per voxel.
pub(crate) struct Carried<'a> {
    statistics: &'a Statistics,
    lag_one: &'a LagOne,
    running: &'a Running,
    column: Option<Joining>,
}

struct Joining {
    slot: usize,
    /// Xᵀz, c and h, by column of the base.
    a: Vec<f64>,
    c: Vec<f64>,
    h: Vec<f64>,
    left: f64,
    /// z̃ᵀHz̃.
    crossed: f64,
}

impl<'a> Carried<'a> {
    /// `None` if `running` is not the fit of the model's base.
    pub(crate) fn new(
        statistics: &'a Statistics,
        lag_one: &'a LagOne,
        model: &Model,
        running: Option<&'a Running>,
    ) -> Option<Self> {
        let running = running.filter(|running| running.is_fit_of(&model.base))?;
        let column = match model.base.contains(&model.probe()) {
            true => None,
            false => Joining::new(statistics, lag_one, running, model.probe()),
        };
        Some(Self { statistics, lag_one, running, column })
    }

    pub(crate) fn sums(&self, range: Range<usize>) -> Sums {
        let squares = self.running.squares(range.clone());
        let products = self.running.products()[range.clone()].to_vec();
        let mut sums = Sums { squares, products };
        if let Some(column) = &self.column {
            self.join(column, &mut sums, range);
        }
        sums
    }

    fn join(&self, z: &Joining, sums: &mut Sums, range: Range<usize>) {
        let mut moment = self.statistics.moments(z.slot)[range.clone()].to_vec();
        let mut slope = self.lag_one.moments[z.slot][range.clone()].to_vec();
        for (i, column) in self.running.columns().iter().enumerate() {
            let b = &self.running.coefficients(column.slot)[range.clone()];
            add_product(&mut moment, -z.a[i], b);
            add_product(&mut slope, -z.h[i], b);
            add_product(&mut slope, -z.c[i], &self.lag_one.moments[column.slot][range.clone()]);
        }
        for voxel in 0..moment.len() {
            let beta = moment[voxel] / z.left;
            sums.squares[voxel] -= beta * moment[voxel];
            sums.products[voxel] += beta * (0.5 * beta * z.crossed - slope[voxel]);
        }
    }
}

impl Joining {
    /// `None` where the base explains the column: it changes no residual.
    fn new(statistics: &Statistics, lag_one: &LagOne, running: &Running, slot: usize) -> Option<Self> {
        let slots: Vec<usize> = running.columns().iter().map(|column| column.slot).collect();
        let with = |gram: &Symmetric| -> Vec<f64> { slots.iter().map(|other| gram.get(slot, *other)).collect() };
        let a = with(statistics.gram());
        let c = Factor::new(&running.gram(statistics)).solve(&a);
        let own = statistics.gram().get(slot, slot);
        let left = own - dot(&a, &c);
        let crossed_base = lag_one.gram.of(&slots).times(&c);
        let crossed_own = with(&lag_one.gram);
        let h: Vec<f64> = crossed_own.iter().zip(&crossed_base).map(|(own, base)| own - base).collect();
        let crossed = lag_one.gram.get(slot, slot) - dot(&c, &crossed_own) - dot(&c, &h);
        (left > DEPENDENT * own).then_some(Self { slot, a, c, h, left, crossed })
    }
}

/// The sums from the moments alone, 1.5 P² multiply-adds per voxel:
/// Σe² = S − bᵀm − Σλb² and Σe_t e_{t−1} = Q − bᵀE + ½ bᵀHb, with b = (A + Λ)⁻¹ m.
pub(crate) struct Direct<'a> {
    statistics: &'a Statistics,
    lag_one: &'a LagOne,
    model: &'a Model,
    inverse: Symmetric,
    gram_lag: &'a Symmetric,
    ridge: &'a [f64],
}

/// Voxels that are solved side by side.
pub(crate) const LANES: usize = 16;
type Lanes = [f64; LANES];

impl<'a> Direct<'a> {
    pub(crate) fn new(
        statistics: &'a Statistics,
        lag_one: &'a LagOne,
        model: &'a Model,
        factor: &Factor,
        gram_lag: &'a Symmetric,
        ridge: &'a [f64],
    ) -> Self {
        Self { statistics, lag_one, model, inverse: factor.inverse(), gram_lag, ridge }
    }

    /// The sums of up to 16 voxels from `from` on; of those beyond the last voxel, anything.
    pub(crate) fn sums(&self, from: usize) -> Sums {
        let terms = self.model.terms.len();
        let (mut m, mut e, mut b) = (vec![[0.0; LANES]; terms], vec![[0.0; LANES]; terms], vec![[0.0; LANES]; terms]);
        gather(self.model, |slot| self.statistics.moments(slot), from, &mut m);
        gather(self.model, |slot| &self.lag_one.moments[slot], from, &mut e);
        for (i, b) in b.iter_mut().enumerate() {
            for (a, m) in self.inverse.row(i).iter().zip(&m) {
                add_scaled(b, *a, m);
            }
        }
        let (mut squares, mut products) = ([0.0; LANES], [0.0; LANES]);
        load(self.statistics.squares(), from, &mut squares);
        load(&self.lag_one.squares, from, &mut products);
        for (i, b_i) in b.iter().enumerate() {
            // ½ bᵀHb from the lower triangle: Σ bᵢ (½ Hᵢᵢ bᵢ + Σ_{j<i} Hᵢⱼ bⱼ).
            let row = self.gram_lag.row(i);
            let mut hb = b_i.map(|b| 0.5 * row[i] * b);
            for (h, b_j) in row.iter().zip(&b[..i]) {
                add_scaled(&mut hb, *h, b_j);
            }
            for lane in 0..LANES {
                squares[lane] -= b_i[lane] * (m[i][lane] + self.ridge[i] * b_i[lane]);
                products[lane] += b_i[lane] * (hb[lane] - e[i][lane]);
            }
        }
        Sums { squares: squares.to_vec(), products: products.to_vec() }
    }
}

fn gather<'a>(model: &Model, column: impl Fn(usize) -> &'a [f64], from: usize, out: &mut [Lanes]) {
    for (term, out) in model.terms.iter().zip(out) {
        for (slot, factor) in &term.moments {
            let mut lanes = [0.0; LANES];
            load(column(*slot), from, &mut lanes);
            add_scaled(out, *factor, &lanes);
        }
    }
}

/// The lanes from `from` on; those beyond the last voxel stay as they are.
fn load(column: &[f64], from: usize, lanes: &mut Lanes) {
    let to = column.len().min(from + LANES);
    lanes[..to - from].copy_from_slice(&column[from..to]);
}

fn add_scaled(out: &mut Lanes, factor: f64, lanes: &Lanes) {
    for lane in 0..LANES {
        out[lane] += factor * lanes[lane];
    }
}
