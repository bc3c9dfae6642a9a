//! The ordinary fit of the columns that all trials share, carried from volume to volume: what AR(1) costs then is P per voxel, not P².
//!
//! An AR(1) beta needs each voxel's ρ, so the residuals' sums Σe² and Σe_t e_{t−1} of the ordinary fit. From the moments
//! they take 1.5 P² multiply-adds per voxel: 28 million for V = 15,724 and Friston's 24 (P = 35), 170 million for
//! ridge-LSA at P = 85. But a volume changes the fit by a multiple of one vector. With (A + Λ) b = m before the volume
//! x, y came, and A⁺, H⁺, E⁺ the sums with it (spec: rtfmri section 3.5, recursive least squares),
//!
//! ```text
//!   δ = y − xᵀb       k = (A⁺ + Λ)⁻¹ x       h = xᵀk                      b⁺ = b + k δ
//!   (Σe² + Σλb²)⁺ = Σe² + Σλb² + δ² (1 − h)
//!   (Σe e₋₁)⁺     = Σe e₋₁ + δ (y₋₁ − x₋₁ᵀb) − δ (kᵀE⁺ − (H⁺k)ᵀb) + ½ δ² kᵀH⁺k
//! ```
//!
//! 3 P multiply-adds per voxel and 24 P bytes of traffic: 1.6 million and 13 MB, or 4 million and 32 MB. Residuals are
//! those of any solution b, so a rank that grows in the first volumes needs no care; where a column joins whose past is not
//! empty, a told past changes, or a column becomes dependent, and at every power of two of volumes up to 64, while designs are
//! ill-conditioned and rounding counts, the fit is made anew from the moments.

use super::solve::{Factor, Symmetric, dot};
use super::statistics::{LagOne, Row, Statistics, add_product, blocks};
use std::ops::Range;

/// A column of the carried fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Column {
    pub(crate) slot: usize,
    /// Penalty on its squared coefficient.
    pub(crate) ridge: f64,
}

/// The carried fit of one group of voxels.
pub(crate) struct Running {
    columns: Vec<Column>,
    independent: Vec<bool>,
    /// Whether the sums changed in another way than by a volume at the end.
    stale: bool,
    /// b, `f64[slots][voxels]`; only those of `columns` mean anything.
    coefficients: Vec<Vec<f64>>,
    /// Σe² + Σλb², `f64[voxels]`.
    penalised_squares: Vec<f64>,
    /// Σλb², `f64[voxels]`.
    penalties: Vec<f64>,
    /// Σe_t e_{t−1}, `f64[voxels]`.
    products: Vec<f64>,
    /// δ of the newest volume.
    innovation: Vec<f64>,
    /// Residual of the volume before it under the same fit; kept to be written again.
    residual_before: Vec<f64>,
}

/// How the columns of a new volume relate to those that are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// The same, or more whose past is empty.
    CarriesOn,
    Anew,
}

impl Running {
    /// Of no volume yet, for columns in the first `slots` slots.
    pub(crate) fn new(voxels: usize, slots: usize) -> Self {
        Self {
            columns: Vec::new(),
            independent: Vec::new(),
            stale: false,
            coefficients: vec![vec![0.0; voxels]; slots],
            penalised_squares: vec![0.0; voxels],
            penalties: vec![0.0; voxels],
            products: vec![0.0; voxels],
            innovation: vec![0.0; voxels],
            residual_before: vec![0.0; voxels],
        }
    }

    /// Room for a column in one more slot.
    pub(crate) fn add_slot(&mut self) {
        self.coefficients.push(vec![0.0; self.products.len()]);
    }

    /// A column changed in volumes that came already.
    pub(crate) fn the_past_changed(&mut self) {
        self.stale = true;
    }

    /// Whether this is the fit of exactly `slots` (in any order) to the sums as they are.
    pub(crate) fn is_fit_of(&self, slots: &[usize]) -> bool {
        let has = |slot: &usize| self.columns.iter().any(|column| column.slot == *slot);
        !self.stale && !self.columns.is_empty() && self.columns.len() == slots.len() && slots.iter().all(has)
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// b of one slot.
    pub(crate) fn coefficients(&self, slot: usize) -> &[f64] {
        &self.coefficients[slot]
    }

    /// Σe_t e_{t−1} of each voxel.
    pub(crate) fn products(&self) -> &[f64] {
        &self.products
    }

    /// Σe² of the voxels in `range`.
    pub(crate) fn squares(&self, range: Range<usize>) -> Vec<f64> {
        let pairs = self.penalised_squares[range.clone()].iter().zip(&self.penalties[range]);
        pairs.map(|(squares, penalty)| squares - penalty).collect()
    }

    /// Adds a volume to `statistics` and carries the fit of `columns` along.
    pub(crate) fn add_row(&mut self, statistics: &mut Statistics, columns: Vec<Column>, row: Row, y: &[f64]) {
        let change = self.take(columns, statistics);
        if change == Change::CarriesOn {
            self.predict(statistics, &row, y);
        }
        statistics.add_row(row, y);
        let rows = statistics.rows().len();
        let carried = change == Change::CarriesOn && !(rows.is_power_of_two() && rows <= LAST_ANEW);
        if !(carried && self.correct(statistics)) {
            self.make_anew(statistics);
        }
    }

    fn take(&mut self, columns: Vec<Column>, statistics: &Statistics) -> Change {
        let is_new = |column: &&Column| !self.columns.contains(column);
        let added: Vec<Column> = columns.iter().filter(is_new).copied().collect();
        let kept_all = added.len() + self.columns.len() == columns.len();
        let empty = |column: &Column| statistics.gram().get(column.slot, column.slot) == 0.0;
        if self.stale || !kept_all || !added.iter().all(empty) {
            self.columns = columns;
            return Change::Anew;
        }
        for column in &added {
            self.coefficients[column.slot].fill(0.0);
        }
        let was_independent = |column: &Column| {
            let before = self.columns.iter().position(|before| before == column);
            before.is_some_and(|at| self.independent[at])
        };
        self.independent = columns.iter().map(was_independent).collect();
        self.columns = columns;
        Change::CarriesOn
    }

    /// δ, and the newest pair of residuals under the fit before.
    fn predict(&mut self, statistics: &Statistics, row: &Row, y: &[f64]) {
        let mut innovation = std::mem::take(&mut self.innovation);
        innovation.copy_from_slice(y);
        self.take_fitted(row, &mut innovation);
        if let (Some(before), Some(lag_one)) = (statistics.rows().last(), statistics.lag_one()) {
            let mut residual = std::mem::take(&mut self.residual_before);
            residual.copy_from_slice(&lag_one.newest);
            self.take_fitted(before, &mut residual);
            add_product_of(&mut self.products, &residual, &innovation);
            self.residual_before = residual;
        }
        self.innovation = innovation;
    }

    /// residual −= xᵀb.
    fn take_fitted(&self, row: &Row, residual: &mut [f64]) {
        for (slot, x) in row.iter().filter(|entry| self.columns.iter().any(|column| column.slot == entry.0)) {
            add_product(residual, -x, &self.coefficients[*slot]);
        }
    }

    /// b⁺ and the sums under it; false where a column has become dependent.
    fn correct(&mut self, statistics: &Statistics) -> bool {
        let (Some(lag_one), Some(row)) = (statistics.lag_one(), statistics.rows().last()) else { return false };
        let factor = Factor::new(&self.gram(statistics));
        let independent: Vec<bool> = (0..self.columns.len()).map(|at| factor.is_independent(at)).collect();
        if self.independent.iter().zip(&independent).any(|(was, is)| *was && !is) {
            return false;
        }
        self.independent = independent;
        let x: Vec<f64> = self.columns.iter().map(|column| value(row, column.slot)).collect();
        let gain = factor.solve(&x);
        let slots: Vec<usize> = self.columns.iter().map(|column| column.slot).collect();
        let crossed = lag_one.gram.of(&slots).times(&gain);
        self.step(lag_one, &gain, &crossed, dot(&x, &gain));
        true
    }

    fn step(&mut self, lag_one: &LagOne, gain: &[f64], crossed: &[f64], leverage: f64) {
        let half = 0.5 * dot(gain, crossed);
        let mut slope = [0.0; BLOCK];
        for block in blocks(self.products.len(), BLOCK) {
            let slope = &mut slope[..block.len()];
            slope.fill(0.0);
            let penalties = &mut self.penalties[block.clone()];
            penalties.fill(0.0);
            let delta = &self.innovation[block.clone()];
            for ((column, k), c) in self.columns.iter().zip(gain).zip(crossed) {
                let crossed_data = &lag_one.moments[column.slot][block.clone()];
                let b = &mut self.coefficients[column.slot][block.clone()];
                for (((slope, e), b), delta) in slope.iter_mut().zip(crossed_data).zip(b.iter_mut()).zip(delta) {
                    *slope += k * e - c * *b;
                    *b += k * delta;
                }
                add_penalty(penalties, column.ridge, b);
            }
            let squares = &mut self.penalised_squares[block.clone()];
            let sums = squares.iter_mut().zip(&mut self.products[block.clone()]);
            for (((square, product), slope), delta) in sums.zip(slope).zip(delta) {
                *square += (1.0 - leverage) * delta * delta;
                *product += delta * (half * delta - *slope);
            }
        }
    }

    /// The fit from the moments: P² per voxel.
    fn make_anew(&mut self, statistics: &Statistics) {
        let Some(lag_one) = statistics.lag_one() else { return };
        self.stale = false;
        let factor = Factor::new(&self.gram(statistics));
        self.independent = (0..self.columns.len()).map(|at| factor.is_independent(at)).collect();
        let inverse = factor.inverse();
        let slots: Vec<usize> = self.columns.iter().map(|column| column.slot).collect();
        let lagged = lag_one.gram.of(&slots);
        for block in blocks(self.products.len(), BLOCK) {
            self.sums_anew(statistics, lag_one, (&inverse, &lagged), &slots, block);
        }
    }

    /// b = (A + Λ)⁻¹ m, Σe² + Σλb² = S − bᵀm, Σe e₋₁ = Q − bᵀE + ½ bᵀHb.
    fn sums_anew(
        &mut self,
        statistics: &Statistics,
        lag_one: &LagOne,
        (inverse, lagged): (&Symmetric, &Symmetric),
        slots: &[usize],
        block: Range<usize>,
    ) {
        for (i, slot) in slots.iter().enumerate() {
            let b = &mut self.coefficients[*slot][block.clone()];
            b.fill(0.0);
            for (a, other) in inverse.row(i).iter().zip(slots) {
                add_product(b, *a, &statistics.moments(*other)[block.clone()]);
            }
        }
        let penalties = &mut self.penalties[block.clone()];
        penalties.fill(0.0);
        for column in &self.columns {
            add_penalty(penalties, column.ridge, &self.coefficients[column.slot][block.clone()]);
        }
        let mut squares = statistics.squares()[block.clone()].to_vec();
        let mut products = lag_one.squares[block.clone()].to_vec();
        let mut half_crossed = vec![0.0; block.len()];
        for (i, slot) in slots.iter().enumerate() {
            half_crossed.fill(0.0);
            for (h, other) in lagged.row(i).iter().zip(slots) {
                add_product(&mut half_crossed, 0.5 * h, &self.coefficients[*other][block.clone()]);
            }
            let (m, e) = (&statistics.moments(*slot)[block.clone()], &lag_one.moments[*slot][block.clone()]);
            let b = &self.coefficients[*slot][block.clone()];
            for (voxel, b) in b.iter().enumerate() {
                squares[voxel] -= b * m[voxel];
                products[voxel] += b * (half_crossed[voxel] - e[voxel]);
            }
        }
        self.penalised_squares[block.clone()].copy_from_slice(&squares);
        self.products[block].copy_from_slice(&products);
    }

    /// A + Λ of the columns.
    pub(crate) fn gram(&self, statistics: &Statistics) -> Symmetric {
        let slots: Vec<usize> = self.columns.iter().map(|column| column.slot).collect();
        let mut gram = statistics.gram().of(&slots);
        for (i, column) in self.columns.iter().enumerate() {
            gram.add(i, i, column.ridge);
        }
        gram
    }

    /// Bytes of the fit.
    pub(crate) fn bytes(&self) -> usize {
        (self.coefficients.len() + 5) * self.products.len() * size_of::<f64>()
    }
}

/// Beyond so many volumes rounding is that of well-conditioned sums: 1e-13 after a thousand more.
const LAST_ANEW: usize = 64;

/// Voxels per block: 2 KB of f64 per column, so that 85 columns of b and E stay in the second-level cache.
const BLOCK: usize = 256;

fn value(row: &Row, slot: usize) -> f64 {
    row.binary_search_by_key(&slot, |entry| entry.0).map_or(0.0, |at| row[at].1)
}

/// out += λ b², voxel by voxel.
fn add_penalty(out: &mut [f64], ridge: f64, b: &[f64]) {
    if ridge > 0.0 {
        out.iter_mut().zip(b).for_each(|(out, b)| *out += ridge * b * b);
    }
}

/// out += a b, voxel by voxel.
fn add_product_of(out: &mut [f64], a: &[f64], b: &[f64]) {
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out += a * b;
    }
}

#[cfg(test)]
mod tests {
    use super::super::statistics::Lags;
    use super::*;

    /// A constant, a wave, and from row 20 on a response with a ridge.
    fn row(t: usize) -> Row {
        let response = if t < 20 { 0.0 } else { (0.5 * (t as f64 - 19.0)).sin() };
        let row = [(0, 1.0), (1, (0.7 * t as f64).cos()), (2, response)];
        row.into_iter().filter(|(_, x)| *x != 0.0).collect()
    }

    fn columns(t: usize) -> Vec<Column> {
        let ridge = [0.0, 0.2, 0.5];
        (0..if t < 20 { 2 } else { 3 }).map(|slot| Column { slot, ridge: ridge[slot] }).collect()
    }

    fn y(t: usize) -> Vec<f64> {
        (0..3).map(|v| ((t * t * (v + 2) + 5 * t) % 17) as f64 - 8.0).collect()
    }

    #[test]
    fn a_carried_fit_is_the_fit_made_anew() {
        let mut statistics = Statistics::new(3, 3, Lags::ZeroAndOne);
        let mut carried = Running::new(3, 3);
        for t in 0..31 {
            carried.add_row(&mut statistics, columns(t), row(t), &y(t));
            let mut anew = Running::new(3, 3);
            anew.columns = columns(t);
            anew.make_anew(&statistics);
            let pairs = carried.squares(0..3).into_iter().zip(anew.squares(0..3));
            for (found, expected) in pairs.chain(carried.products.iter().copied().zip(anew.products.iter().copied())) {
                // 1e-10: sums up to 1,000 in sixteen digits, carried over at most fifteen volumes.
                assert!((found - expected).abs() < 1e-10, "row {t}: {found} against {expected}");
            }
        }
        assert!(carried.is_fit_of(&[2, 0, 1]) && !carried.is_fit_of(&[0, 1]));
        carried.the_past_changed();
        assert!(!carried.is_fit_of(&[0, 1, 2]), "the sums are no longer those of the fit");
    }
}
