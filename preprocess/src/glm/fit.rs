//! From normal equations to one trial's beta in every voxel: ordinary least squares, or with AR(1) noise.

use super::model::{Model, System};
use super::solve::{Symmetric, dot};
use super::statistics::{LagOne, Statistics, combine};

/// One trial's beta in every voxel of a group, in scanner's units per unit of the regressor.
pub(crate) struct Fit {
    pub(crate) beta: Vec<f64>,
    /// (voxel, standard error) for some voxels, evenly spaced.
    pub(crate) errors: Vec<(usize, f64)>,
}

/// Standard errors are computed for about this many voxels. Each needs all coefficients of its voxel, P² operations
/// where the beta needs P, and their mean is what is reported.
const ERRORS: usize = 128;

/// The fit of `model`'s last term, or `None` where the volumes do not determine it.
pub(crate) fn fit(statistics: &Statistics, model: &Model) -> Option<Fit> {
    match statistics.lag_one() {
        None => ordinary(statistics, model),
        Some(lag_one) => Autoregressive::new(statistics, lag_one, model).map(Autoregressive::fit),
    }
}

/// β = wᵀ m: as many multiply-adds per voxel as the model has terms.
fn ordinary(statistics: &Statistics, model: &Model) -> Option<Fit> {
    let system = System::new(&model.gram(statistics.gram()), model.ridge(), statistics.rows().len())?;
    let weights = model.of_moments(&system.weights);
    let beta = combine(&weights, |slot| statistics.moments(slot), statistics.voxels());
    let error = |voxel: usize| {
        let moments = at_voxel(model, |slot| statistics.moments(slot), voxel);
        (voxel, standard_error(&system, &moments, statistics.squares()[voxel]))
    };
    Some(Fit { beta, errors: spaced(statistics.voxels()).map(error).collect() })
}

/// σ̂ √(wᵀAw) with σ̂² = (yᵀy − bᵀm − Σλb²) / degrees of freedom.
fn standard_error(system: &System, moments: &[f64], squares: f64) -> f64 {
    let b: Vec<f64> = (0..moments.len()).map(|i| dot(system.inverse.row(i), moments)).collect();
    let residual = squares - dot(&b, moments) - system.penalty(&b);
    (residual.max(0.0) / system.freedom * system.variance).sqrt()
}

fn at_voxel<'a>(model: &Model, column: impl Fn(usize) -> &'a [f64], voxel: usize) -> Vec<f64> {
    let of_term = |moments: &Vec<(usize, f64)>| moments.iter().map(|(slot, f)| f * column(*slot)[voxel]).sum();
    model.terms.iter().map(|term| of_term(&term.moments)).collect()
}

fn spaced(voxels: usize) -> impl Iterator<Item = usize> {
    (0..voxels).step_by((voxels / ERRORS).max(1))
}

/// Voxels that are solved side by side.
const LANES: usize = 16;
type Lanes = [f64; LANES];

/// AR(1) as nilearn fits it (`run_glm`, `noise_model="ar1"`): ordinary residuals e give each voxel
/// ρ = (Σ e_t e_{t−1} / (n − 1)) / (Σ e_t² / n), cut to hundredths towards 0; with rows whitened by x_t − ρ x_{t−1},
/// the first row as it is, the normal equations of ρ are
///
///   A_ρ = A − ρ H + ρ² (A − x_n x_nᵀ),   m_ρ = m − ρ e + ρ² (m − x_n y_n)
///
/// and one solution serves all voxels of a ρ. The residuals' sums come from the statistics alone:
/// Σe_t² = S − bᵀm and Σe_t e_{t−1} = Q − bᵀE + ½ bᵀHb. That is 1.5 P² + 4 P multiply-adds per voxel; 15,724 voxels
/// and P = 17 take some 8 million.
struct Autoregressive<'a> {
    statistics: &'a Statistics,
    lag_one: &'a LagOne,
    model: &'a Model,
    gram: Symmetric,
    gram_lag: Symmetric,
    newest: Vec<f64>,
    ordinary: System,
    /// By hundredths of ρ from −99; made when first needed.
    whitened: Vec<Option<Whitened>>,
}

/// The normal equations of one ρ.
struct Whitened {
    system: System,
    /// wᵀ x_n.
    newest: f64,
}

const HUNDREDTHS: f64 = 100.0;
const LARGEST: f64 = 99.0;

impl<'a> Autoregressive<'a> {
    fn new(statistics: &'a Statistics, lag_one: &'a LagOne, model: &'a Model) -> Option<Self> {
        let gram = model.gram(statistics.gram());
        let ordinary = System::new(&gram, model.ridge(), statistics.rows().len())?;
        Some(Self {
            gram_lag: model.gram(&lag_one.gram),
            newest: model.row(statistics.rows().last()?),
            whitened: (0..=2 * LARGEST as usize).map(|_| None).collect(),
            statistics,
            lag_one,
            model,
            gram,
            ordinary,
        })
    }

    fn fit(mut self) -> Fit {
        let voxels = self.statistics.voxels();
        let mut fit = Fit { beta: vec![0.0; voxels], errors: Vec::new() };
        let terms = self.model.terms.len();
        let (mut m, mut e, mut b) = (vec![[0.0; LANES]; terms], vec![[0.0; LANES]; terms], vec![[0.0; LANES]; terms]);
        let step = (voxels / ERRORS).max(1);
        for from in (0..voxels).step_by(LANES) {
            gather(self.model, |slot| self.statistics.moments(slot), from, &mut m);
            gather(self.model, |slot| &self.lag_one.moments[slot], from, &mut e);
            multiply(&self.ordinary.inverse, &m, &mut b);
            let rho = self.rho(from, &m, &e, &b);
            for voxel in from..voxels.min(from + LANES) {
                let lane = voxel - from;
                let voxel = Voxel { m: &m, e: &e, lane, rho: rho[lane], newest: self.lag_one.newest[voxel], voxel };
                self.whiten(voxel.rho);
                fit.beta[voxel.voxel] = self.beta(&voxel);
                if voxel.voxel.is_multiple_of(step) {
                    fit.errors.push((voxel.voxel, self.standard_error(&voxel)));
                }
            }
        }
        fit
    }

    /// ρ of each lane, in whole hundredths.
    fn rho(&self, from: usize, m: &[Lanes], e: &[Lanes], b: &[Lanes]) -> Lanes {
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
            let ridge = self.ordinary.ridge()[i];
            for lane in 0..LANES {
                squares[lane] -= b_i[lane] * (m[i][lane] + ridge * b_i[lane]);
                products[lane] += b_i[lane] * (hb[lane] - e[i][lane]);
            }
        }
        let n = self.statistics.rows().len() as f64;
        std::array::from_fn(|lane| quantised(products[lane] / (n - 1.0), squares[lane] / n))
    }

    fn whiten(&mut self, rho: f64) {
        let at = (rho + LARGEST) as usize;
        if self.whitened[at].is_none() {
            self.whitened[at] = self.whitened_by(rho / HUNDREDTHS);
        }
    }

    fn whitened_by(&self, rho: f64) -> Option<Whitened> {
        let mut gram = self.gram.plus(-rho, &self.gram_lag).plus(rho * rho, &self.gram);
        for (i, a) in self.newest.iter().enumerate() {
            for (j, b) in self.newest.iter().enumerate() {
                gram.add(i, j, -rho * rho * a * b);
            }
        }
        let system = System::new(&gram, self.model.ridge(), self.statistics.rows().len())?;
        Some(Whitened { newest: dot(&system.weights, &self.newest), system })
    }

    /// wᵀ m_ρ; NaN, which the caller counts, where whitening left the trial undetermined.
    fn beta(&self, voxel: &Voxel<'_>) -> f64 {
        let Some(whitened) = &self.whitened[(voxel.rho + LARGEST) as usize] else { return f64::NAN };
        let rho = voxel.rho / HUNDREDTHS;
        let (mut wm, mut we) = (0.0, 0.0);
        for (i, w) in whitened.system.weights.iter().enumerate() {
            wm += w * voxel.m[i][voxel.lane];
            we += w * voxel.e[i][voxel.lane];
        }
        (1.0 + rho * rho) * wm - rho * we - rho * rho * whitened.newest * voxel.newest
    }

    fn standard_error(&self, voxel: &Voxel<'_>) -> f64 {
        let Some(whitened) = &self.whitened[(voxel.rho + LARGEST) as usize] else { return f64::NAN };
        let rho = voxel.rho / HUNDREDTHS;
        let moment = |i: usize| {
            let (m, e) = (voxel.m[i][voxel.lane], voxel.e[i][voxel.lane]);
            (1.0 + rho * rho) * m - rho * e - rho * rho * self.newest[i] * voxel.newest
        };
        let moments: Vec<f64> = (0..voxel.m.len()).map(moment).collect();
        let (squares, products) = (self.statistics.squares()[voxel.voxel], self.lag_one.squares[voxel.voxel]);
        let squares = (1.0 + rho * rho) * squares - 2.0 * rho * products - rho * rho * voxel.newest * voxel.newest;
        standard_error(&whitened.system, &moments, squares)
    }
}

/// One lane of a block.
struct Voxel<'a> {
    m: &'a [Lanes],
    e: &'a [Lanes],
    lane: usize,
    voxel: usize,
    /// Hundredths.
    rho: f64,
    /// y_n.
    newest: f64,
}

/// γ₁/γ₀ in hundredths, cut towards 0 as nilearn does; 0 for a voxel without residual.
fn quantised(gamma_one: f64, gamma_zero: f64) -> f64 {
    let rho = (HUNDREDTHS * gamma_one / gamma_zero).trunc();
    if gamma_zero > 0.0 && rho.is_finite() { rho.clamp(-LARGEST, LARGEST) } else { 0.0 }
}

fn gather<'a>(model: &Model, column: impl Fn(usize) -> &'a [f64], from: usize, out: &mut [Lanes]) {
    for (term, out) in model.terms.iter().zip(out) {
        *out = [0.0; LANES];
        for (slot, factor) in &term.moments {
            let mut lanes = [0.0; LANES];
            load(column(*slot), from, &mut lanes);
            add_scaled(out, *factor, &lanes);
        }
    }
}

/// The lanes from `from` on; beyond the last voxel they stay as they are, and nobody looks at them.
fn load(column: &[f64], from: usize, lanes: &mut Lanes) {
    let to = column.len().min(from + LANES);
    lanes[..to - from].copy_from_slice(&column[from..to]);
}

fn multiply(matrix: &Symmetric, x: &[Lanes], out: &mut [Lanes]) {
    for (i, out) in out.iter_mut().enumerate() {
        *out = [0.0; LANES];
        for (a, x) in matrix.row(i).iter().zip(x) {
            add_scaled(out, *a, x);
        }
    }
}

fn add_scaled(out: &mut Lanes, factor: f64, lanes: &Lanes) {
    for lane in 0..LANES {
        out[lane] += factor * lanes[lane];
    }
}
