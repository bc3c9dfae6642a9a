//! The normal equations under AR(1) noise, solved for many ρ side by side.

use super::solve::{DEPENDENT, Symmetric};

/// With rows whitened by x_t − ρ x_{t−1}, the first row as it is, the normal equations of ρ are
///
///   A_ρ = A − ρ H + ρ² (A − x_n x_nᵀ),   m_ρ = m − ρ E + ρ² (m − x_n y_n).
///
/// Voxels need some 40 to 60 different ρ, and each its own factor, P³/6 operations: 0.4 million in all at P = 35, 6
/// million at P = 85. Eight ρ pass through Cholesky's loops together, as lanes of the processor's vectors. A row's entries
/// left of its first that is not zero stay zero: with trials before the nuisance (ridge-LSA), each of which overlaps five
/// neighbours, 70 trials and 15 nuisance columns take 1.2 million instead of 6.
pub(crate) struct Whitening {
    pub(crate) gram: Symmetric,
    pub(crate) gram_lag: Symmetric,
    /// x_n.
    pub(crate) newest: Vec<f64>,
    pub(crate) ridge: Vec<f64>,
}

const LANES: usize = 8;
type Lanes = [f64; LANES];

impl Whitening {
    /// w of (A_ρ + Λ) w = e_last for each ρ; NaN where the columns before explain the last.
    pub(crate) fn weights(&self, rhos: &[f64]) -> Vec<Vec<f64>> {
        rhos.chunks(LANES).flat_map(|chunk| self.weights_of_lanes(chunk)).collect()
    }

    fn weights_of_lanes(&self, rhos: &[f64]) -> Vec<Vec<f64>> {
        // A lane without a ρ solves the ordinary equations, and nobody looks at it.
        let rho: Lanes = std::array::from_fn(|lane| rhos.get(lane).copied().unwrap_or(0.0));
        let solved = Factors::new(self, &rho).solve_last();
        (0..rhos.len()).map(|lane| solved.iter().map(|w| w[lane]).collect()).collect()
    }

    /// The first column of row i that is not zero for some ρ; i if none before the diagonal is.
    fn first(&self, i: usize) -> usize {
        let is_zero = |j: &usize| self.gram.get(i, *j) == 0.0 && self.gram_lag.get(i, *j) == 0.0;
        (0..i).find(|j| !is_zero(j)).unwrap_or(i)
    }

    fn entry(&self, rho: &Lanes, i: usize, j: usize) -> Lanes {
        let (a, h, newest) = (self.gram.get(i, j), self.gram_lag.get(i, j), self.newest[i] * self.newest[j]);
        let ridge = if i == j { self.ridge[i] } else { 0.0 };
        rho.map(|rho| a + ridge - rho * h + rho * rho * (a - newest))
    }
}

/// L of D A_ρ D = L Lᵀ for eight ρ, as [`super::solve::Factor`] makes it for one.
struct Factors {
    /// Row i from its first column that is not zero.
    rows: Vec<Vec<Lanes>>,
    first: Vec<usize>,
    scale: Vec<Lanes>,
    /// 1/Lᵢᵢ; 0 for a dependent column, whose row is empty.
    inverse_diagonal: Vec<Lanes>,
}

impl Factors {
    fn new(whitening: &Whitening, rho: &Lanes) -> Self {
        let n = whitening.newest.len();
        let scale: Vec<Lanes> = (0..n).map(|i| whitening.entry(rho, i, i).map(inverse_root)).collect();
        let first = (0..n).map(|i| whitening.first(i)).collect();
        let mut factors = Self { rows: Vec::with_capacity(n), first, scale, inverse_diagonal: Vec::with_capacity(n) };
        for i in 0..n {
            factors.add_row(|j| whitening.entry(rho, i, j), i);
        }
        factors
    }

    fn add_row(&mut self, entry: impl Fn(usize) -> Lanes, i: usize) {
        let first = self.first[i];
        let mut row: Vec<Lanes> = Vec::with_capacity(i - first);
        for j in first..i {
            let both = first.max(self.first[j]);
            let explained = dot(&row[both - first..], &self.rows[j][both - self.first[j]..]);
            let entry = entry(j);
            row.push(std::array::from_fn(|lane| {
                let scaled = entry[lane] * self.scale[i][lane] * self.scale[j][lane];
                (scaled - explained[lane]) * self.inverse_diagonal[j][lane]
            }));
        }
        let explained = dot(&row, &row);
        let inverse_diagonal: Lanes = std::array::from_fn(|lane| {
            let left = if self.scale[i][lane] > 0.0 { 1.0 - explained[lane] } else { 0.0 };
            if left > DEPENDENT { 1.0 / left.sqrt() } else { 0.0 }
        });
        for entry in &mut row {
            *entry = std::array::from_fn(|lane| if inverse_diagonal[lane] > 0.0 { entry[lane] } else { 0.0 });
        }
        self.rows.push(row);
        self.inverse_diagonal.push(inverse_diagonal);
    }

    /// The right-hand side is 0 but for its last entry, so only the way back is left.
    fn solve_last(&self) -> Vec<Lanes> {
        let n = self.rows.len();
        let mut x = vec![[0.0; LANES]; n];
        let Some(last) = n.checked_sub(1) else { return x };
        x[last] = std::array::from_fn(|lane| {
            let d = self.inverse_diagonal[last][lane];
            if d > 0.0 { self.scale[last][lane] * d * d } else { f64::NAN }
        });
        for i in (0..n).rev() {
            if i < last {
                x[i] = std::array::from_fn(|lane| x[i][lane] * self.inverse_diagonal[i][lane]);
            }
            let (before, from_i) = x.split_at_mut(i);
            for (x, l) in before[self.first[i]..].iter_mut().zip(&self.rows[i]) {
                for lane in 0..LANES {
                    x[lane] -= l[lane] * from_i[0][lane];
                }
            }
        }
        for (x, scale) in x.iter_mut().zip(&self.scale) {
            *x = std::array::from_fn(|lane| x[lane] * scale[lane]);
        }
        x
    }
}

fn dot(a: &[Lanes], b: &[Lanes]) -> Lanes {
    let mut sum = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sum[lane] += a[lane] * b[lane];
        }
    }
    sum
}

fn inverse_root(value: f64) -> f64 {
    if value > 0.0 { 1.0 / value.sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::super::solve::Factor;
    use super::*;

    /// Rows of a design whose third column is the sum of the first two when `dependent`.
    fn whitening(dependent: bool) -> (Vec<Vec<f64>>, Whitening) {
        let row = |t: usize| {
            let (a, b) = ((t as f64 * 0.9).sin(), (t as f64 * 0.37).cos());
            vec![a, b, if dependent { a + b } else { (t as f64 * 1.7).sin() }, (t % 4) as f64]
        };
        let rows: Vec<Vec<f64>> = (0..30).map(row).collect();
        let sums = |of: &dyn Fn(usize, usize) -> f64| {
            let mut gram = Symmetric::zeros(4);
            (0..4).for_each(|i| (0..4).for_each(|j| gram.add(i, j, of(i, j))));
            gram
        };
        let gram = sums(&|i, j| rows.iter().map(|x| x[i] * x[j]).sum());
        let gram_lag = sums(&|i, j| rows.windows(2).map(|x| x[0][i] * x[1][j] + x[1][i] * x[0][j]).sum());
        let newest = rows[29].clone();
        (rows, Whitening { gram, gram_lag, newest, ridge: vec![0.0, 0.0, 0.0, 0.3] })
    }

    #[test]
    fn eight_at_a_time_are_one_at_a_time_on_whitened_rows() {
        for dependent in [false, true] {
            let (rows, whitening) = whitening(dependent);
            let rhos: Vec<f64> = (0..11).map(|i| -0.5 + 0.13 * f64::from(i)).collect();
            for (rho, weights) in rhos.iter().zip(whitening.weights(&rhos)) {
                let white = |t: usize, i: usize| rows[t][i] - if t == 0 { 0.0 } else { rho * rows[t - 1][i] };
                let mut gram = Symmetric::zeros(4);
                for i in 0..4 {
                    (0..4).for_each(|j| gram.add(i, j, (0..30).map(|t| white(t, i) * white(t, j)).sum()));
                    gram.add(i, i, whitening.ridge[i]);
                }
                let expected = Factor::new(&gram).solve(&[0.0, 0.0, 0.0, 1.0]);
                for (found, expected) in weights.iter().zip(&expected) {
                    // 1e-12: sixteen digits and a condition number of some hundreds.
                    assert!((found - expected).abs() < 1e-12, "ρ = {rho}: {found} against {expected}");
                }
            }
        }
    }
}
