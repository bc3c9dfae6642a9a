//! The normal equations of a growing design, summed volume by volume: the fit of the run so far, at any time.
//!
//! With x_t the design's row of volume t and y_t its voxels,
//! G ← G + x_t x_tᵀ, B ← B + x_t y_tᵀ, S ← S + y_t²; and for AR(1) noise
//! H ← H + x_t x_{t−1}ᵀ + x_{t−1} x_tᵀ, E ← E + x_t y_{t−1}ᵀ + x_{t−1} y_tᵀ, Q ← Q + y_t y_{t−1},
//! t − 1 being the kept volume before (spec: rtfmri section 3.9). Only entries that are not zero cost anything: of P
//! columns some 25 per volume, so V = 15,724 voxels take 25 × V multiply-adds and 6 MB of memory traffic, well below
//! a millisecond.
//!
//! Voxels enter as differences from the first kept volume: a constant column makes that the same fit, and 1e-16 of
//! a signal change weighs less than 1e-16 of a signal. Each entry is a sum in the order of the volumes whatever
//! order columns came in, so a column summed late has the bytes of one summed in time.

use super::solve::Symmetric;

/// Voxels per block: 16 KB of f64 stay in the first-level cache while the columns pass.
const BLOCK: usize = 2048;

/// A design row: (slot, value) of the entries that are not zero, ascending.
pub(crate) type Row = Vec<(usize, f64)>;

/// Sums over the kept volumes; columns are called slots because they keep their place when others come.
#[derive(Clone)]
pub(crate) struct Statistics {
    rows: Vec<Row>,
    gram: Symmetric,
    /// B, `f64[slots][voxels]`.
    moments: Vec<Vec<f64>>,
    squares: Vec<f64>,
    lag_one: Option<LagOne>,
}

/// What AR(1) needs on top.
#[derive(Clone)]
pub(crate) struct LagOne {
    pub(crate) gram: Symmetric,
    /// E, `f64[slots][voxels]`.
    pub(crate) moments: Vec<Vec<f64>>,
    /// Q, `f64[voxels]`.
    pub(crate) squares: Vec<f64>,
    /// y of the newest row.
    pub(crate) newest: Vec<f64>,
}

/// Which cross products are summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lags {
    /// Of each volume with itself.
    Zero,
    /// Also with the one before.
    ZeroAndOne,
}

impl Statistics {
    pub(crate) fn new(voxels: usize, slots: usize, lags: Lags) -> Self {
        let columns = || vec![vec![0.0; voxels]; slots];
        let lag_one = LagOne {
            gram: Symmetric::zeros(slots),
            moments: columns(),
            squares: vec![0.0; voxels],
            newest: vec![0.0; voxels],
        };
        Self {
            rows: Vec::new(),
            gram: Symmetric::zeros(slots),
            moments: columns(),
            squares: vec![0.0; voxels],
            lag_one: (lags == Lags::ZeroAndOne).then_some(lag_one),
        }
    }

    pub(crate) fn voxels(&self) -> usize {
        self.squares.len()
    }

    /// Kept volumes, n.
    pub(crate) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(crate) fn gram(&self) -> &Symmetric {
        &self.gram
    }

    pub(crate) fn moments(&self, slot: usize) -> &[f64] {
        &self.moments[slot]
    }

    /// Σ y² of each voxel.
    pub(crate) fn squares(&self) -> &[f64] {
        &self.squares
    }

    pub(crate) fn lag_one(&self) -> Option<&LagOne> {
        self.lag_one.as_ref()
    }

    /// Value of one column in one row.
    pub(crate) fn value(&self, row: usize, slot: usize) -> f64 {
        value(&self.rows[row], slot)
    }

    /// Makes room for one more column, which is zero so far.
    pub(crate) fn add_slot(&mut self) -> usize {
        self.gram.grow();
        self.moments.push(vec![0.0; self.squares.len()]);
        if let Some(lag_one) = &mut self.lag_one {
            lag_one.gram.grow();
            lag_one.moments.push(vec![0.0; self.squares.len()]);
        }
        self.moments.len() - 1
    }

    /// Adds a volume.
    pub(crate) fn add_row(&mut self, row: Row, y: &[f64]) {
        for (i, a) in &row {
            for (j, b) in &row {
                self.gram.add(*i, *j, a * b);
            }
        }
        for block in blocks(y.len(), BLOCK) {
            for (slot, x) in &row {
                add_product(&mut self.moments[*slot][block.clone()], *x, &y[block.clone()]);
            }
        }
        for (square, y) in self.squares.iter_mut().zip(y) {
            *square += y * y;
        }
        if let Some(lag_one) = &mut self.lag_one {
            lag_one.add_row(self.rows.last(), &row, y);
        }
        self.rows.push(row);
    }

    /// Sums one column anew, with `values` in the rows and voxels as `y_of` writes them.
    pub(crate) fn sum_again(&mut self, slot: usize, values: &[f64], mut y_of: impl FnMut(usize, &mut [f64])) {
        for (row, value) in self.rows.iter_mut().zip(values) {
            set_value(row, slot, *value);
        }
        self.sum_gram_again(slot);
        let (mut y, mut y_before) = (vec![0.0; self.voxels()], vec![0.0; self.voxels()]);
        self.moments[slot].fill(0.0);
        for (index, x) in values.iter().enumerate().filter(|(_, x)| **x != 0.0) {
            y_of(index, &mut y);
            add_product(&mut self.moments[slot], *x, &y);
        }
        let Some(lag_one) = &mut self.lag_one else { return };
        lag_one.moments[slot].fill(0.0);
        for (index, pair) in values.windows(2).enumerate().filter(|(_, pair)| **pair != [0.0, 0.0]) {
            y_of(index, &mut y_before);
            y_of(index + 1, &mut y);
            add_products(&mut lag_one.moments[slot], pair[1], &y_before, pair[0], &y);
        }
    }

    fn sum_gram_again(&mut self, slot: usize) {
        self.gram.clear_row_and_column(slot);
        for row in &self.rows {
            let x = value(row, slot);
            if x == 0.0 {
                continue;
            }
            for (other, b) in row {
                self.gram.add(slot, *other, x * b);
                if *other != slot {
                    self.gram.add(*other, slot, x * b);
                }
            }
        }
        if let Some(lag_one) = &mut self.lag_one {
            lag_one.gram.clear_row_and_column(slot);
            for pair in self.rows.windows(2) {
                lag_one.add_gram(&pair[0], &pair[1], Some(slot));
            }
        }
    }

    /// Bytes of the sums.
    pub(crate) fn bytes(&self) -> usize {
        let columns = self.moments.len() * if self.lag_one.is_some() { 2 } else { 1 };
        columns * self.voxels() * size_of::<f64>()
    }
}

impl LagOne {
    fn add_row(&mut self, before: Option<&Row>, row: &Row, y: &[f64]) {
        if let Some(before) = before {
            self.add_gram(before, row, None);
            let entries = union(before, row);
            for block in blocks(y.len(), BLOCK) {
                for (slot, x_before, x) in &entries {
                    let column = &mut self.moments[*slot][block.clone()];
                    add_products(column, *x, &self.newest[block.clone()], *x_before, &y[block.clone()]);
                }
            }
            for ((square, before), y) in self.squares.iter_mut().zip(&self.newest).zip(y) {
                *square += before * y;
            }
        }
        self.newest.copy_from_slice(y);
    }

    /// H += x xᵀ₋₁ + x₋₁ xᵀ, all of it or one slot's row and column.
    fn add_gram(&mut self, before: &Row, row: &Row, only: Option<usize>) {
        let entries = union(before, row);
        for (i, i_before, i_now) in &entries {
            for (j, j_before, j_now) in &entries {
                if only.is_none_or(|slot| *i == slot || *j == slot) {
                    self.gram.add(*i, *j, i_now * j_before + j_now * i_before);
                }
            }
        }
    }
}

/// (slot, value before, value now) where either is not zero, ascending.
fn union(before: &Row, now: &Row) -> Vec<(usize, f64, f64)> {
    let mut all = Vec::with_capacity(now.len() + 8);
    let (mut b, mut n) = (before.iter().peekable(), now.iter().peekable());
    loop {
        let slot = match (b.peek(), n.peek()) {
            (None, None) => return all,
            (Some(b), None) => b.0,
            (None, Some(n)) => n.0,
            (Some(b), Some(n)) => b.0.min(n.0),
        };
        let of = |at: Option<&(usize, f64)>| at.map_or(0.0, |(_, x)| *x);
        all.push((slot, of(b.next_if(|b| b.0 == slot)), of(n.next_if(|n| n.0 == slot))));
    }
}

fn value(row: &Row, slot: usize) -> f64 {
    row.binary_search_by_key(&slot, |entry| entry.0).map_or(0.0, |at| row[at].1)
}

fn set_value(row: &mut Row, slot: usize, value: f64) {
    match row.binary_search_by_key(&slot, |entry| entry.0) {
        Ok(at) if value == 0.0 => drop(row.remove(at)),
        Ok(at) => row[at].1 = value,
        Err(_) if value == 0.0 => {}
        Err(at) => row.insert(at, (slot, value)),
    }
}

/// Ranges of `size` voxels, the last one shorter.
pub(crate) fn blocks(voxels: usize, size: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..voxels).step_by(size).map(move |from| from..voxels.min(from + size))
}

/// out += x y.
pub(crate) fn add_product(out: &mut [f64], x: f64, y: &[f64]) {
    for (out, y) in out.iter_mut().zip(y) {
        *out += x * y;
    }
}

/// out += a y + b z, in one rounding order for sums in time and sums made again.
fn add_products(out: &mut [f64], a: f64, y: &[f64], b: f64, z: &[f64]) {
    for ((out, y), z) in out.iter_mut().zip(y).zip(z) {
        *out += a * y + b * z;
    }
}

/// out = Σ wᵢ columnᵢ over the columns of one kind.
pub(crate) fn combine<'a>(weights: &[(usize, f64)], column: impl Fn(usize) -> &'a [f64], voxels: usize) -> Vec<f64> {
    let mut out = vec![0.0; voxels];
    for block in blocks(voxels, BLOCK) {
        for (slot, weight) in weights {
            add_product(&mut out[block.clone()], *weight, &column(*slot)[block.clone()]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn y(row: usize) -> Vec<f64> {
        (0..3).map(|v| ((row * 7 + v * 3) % 11) as f64 - 5.0).collect()
    }

    fn row(values: [f64; 3]) -> Row {
        values.into_iter().enumerate().filter(|(_, x)| *x != 0.0).collect()
    }

    const DESIGN: [[f64; 3]; 6] =
        [[1.0, 0.0, 0.0], [1.0, 0.3, 0.0], [1.0, 0.9, 0.2], [1.0, 0.1, 0.7], [1.0, 0.0, 0.4], [1.0, 0.0, 0.0]];

    #[test]
    fn the_sums_are_the_products_of_design_and_data() {
        let mut statistics = Statistics::new(3, 3, Lags::ZeroAndOne);
        for (t, x) in DESIGN.iter().enumerate() {
            statistics.add_row(row(*x), &y(t));
        }
        let lag_one = statistics.lag_one().unwrap();
        let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found} against {expected}");
        for i in 0..3 {
            for j in 0..3 {
                close(statistics.gram().get(i, j), DESIGN.iter().map(|x| x[i] * x[j]).sum());
                let crossed = |t: usize| DESIGN[t][i] * DESIGN[t - 1][j] + DESIGN[t - 1][i] * DESIGN[t][j];
                close(lag_one.gram.get(i, j), (1..6).map(crossed).sum());
                close(statistics.moments(i)[j], (0..6).map(|t| DESIGN[t][i] * y(t)[j]).sum());
                let crossed = |t: usize| DESIGN[t][i] * y(t - 1)[j] + DESIGN[t - 1][i] * y(t)[j];
                close(lag_one.moments[i][j], (1..6).map(crossed).sum());
            }
            close(statistics.squares()[i], (0..6).map(|t| y(t)[i] * y(t)[i]).sum());
            close(lag_one.squares[i], (1..6).map(|t| y(t)[i] * y(t - 1)[i]).sum());
        }
    }

    #[test]
    fn a_column_that_comes_late_has_the_bytes_of_one_in_time() {
        for lags in [Lags::Zero, Lags::ZeroAndOne] {
            let mut timely = Statistics::new(3, 3, lags);
            let mut late = Statistics::new(3, 2, lags);
            for (t, x) in DESIGN.iter().enumerate() {
                timely.add_row(row(*x), &y(t));
                late.add_row(row([x[0], 0.0, 0.0]), &y(t));
            }
            // The late run learns of the two columns in the other order.
            let slots = [(2, late.add_slot()), (1, 1)];
            for (column, slot) in slots {
                let values: Vec<f64> = DESIGN.iter().map(|x| x[column]).collect();
                late.sum_again(slot, &values, |t, out| out.copy_from_slice(&y(t)));
            }
            for i in 0..3 {
                assert_eq!(timely.moments(i), late.moments(i), "{lags:?}, column {i}");
                for j in 0..3 {
                    assert_eq!(timely.gram().get(i, j), late.gram().get(i, j), "{lags:?}, {i}, {j}");
                }
            }
            if let (Some(a), Some(b)) = (timely.lag_one(), late.lag_one()) {
                assert_eq!((&a.moments, &a.gram), (&b.moments, &b.gram));
            }
        }
    }
}
