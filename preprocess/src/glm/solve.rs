//! Small symmetric systems: Cholesky's factor that leaves out what the columns before already explain.

/// A symmetric matrix, n × n, row-major.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Symmetric {
    n: usize,
    values: Vec<f64>,
}

impl Symmetric {
    pub(crate) fn zeros(n: usize) -> Self {
        Self { n, values: vec![0.0; n * n] }
    }

    pub(crate) fn size(&self) -> usize {
        self.n
    }

    pub(crate) fn get(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.n + column]
    }

    /// Adds to one entry; the caller keeps the matrix symmetric.
    pub(crate) fn add(&mut self, row: usize, column: usize, value: f64) {
        self.values[row * self.n + column] += value;
    }

    pub(crate) fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.n..][..self.n]
    }

    /// The rows and columns of `indices`.
    pub(crate) fn of(&self, indices: &[usize]) -> Self {
        let entries = indices.iter().flat_map(|i| indices.iter().map(|j| self.get(*i, *j)));
        Self { n: indices.len(), values: entries.collect() }
    }

    /// The product with a vector.
    pub(crate) fn times(&self, x: &[f64]) -> Vec<f64> {
        (0..self.n).map(|row| dot(self.row(row), x)).collect()
    }

    /// One more row and column, of zeros.
    pub(crate) fn grow(&mut self) {
        let mut larger = Self::zeros(self.n + 1);
        for row in 0..self.n {
            larger.values[row * larger.n..][..self.n].copy_from_slice(self.row(row));
        }
        *self = larger;
    }

    pub(crate) fn clear_row_and_column(&mut self, index: usize) {
        for other in 0..self.n {
            self.values[index * self.n + other] = 0.0;
            self.values[other * self.n + index] = 0.0;
        }
    }
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// A column of which the ones before explain all but this share of its square is left out: it spans nothing that
/// rounding has not touched (16 digits less 9 leave 1e-7), and a pseudo-inverse gives the same fit without it.
pub(crate) const DEPENDENT: f64 = 1e-9;

/// L of D A D = L Lᵀ, D scaling the diagonal to 1, with the rows of dependent columns empty. What lies left of a row's first
/// entry that is not zero stays zero and costs nothing.
pub(crate) struct Factor {
    n: usize,
    lower: Vec<f64>,
    /// First column of each row that is not zero.
    first: Vec<usize>,
    scale: Vec<f64>,
    independent: Vec<bool>,
}

impl Factor {
    pub(crate) fn new(matrix: &Symmetric) -> Self {
        let n = matrix.size();
        let scale: Vec<f64> = (0..n).map(|i| inverse_root(matrix.get(i, i))).collect();
        let first = (0..n).map(|i| (0..i).find(|j| matrix.get(i, *j) != 0.0).unwrap_or(i)).collect();
        let mut factor = Self { n, lower: vec![0.0; n * n], first, scale, independent: vec![false; n] };
        for i in 0..n {
            factor.add_row(matrix, i);
        }
        factor
    }

    fn add_row(&mut self, matrix: &Symmetric, i: usize) {
        let n = self.n;
        for j in self.first[i]..i {
            if !self.independent[j] {
                continue;
            }
            let both = self.first[i].max(self.first[j])..j;
            let explained = dot(&self.lower[i * n..][both.clone()], &self.lower[j * n..][both]);
            let scaled = matrix.get(i, j) * self.scale[i] * self.scale[j];
            self.lower[i * n + j] = (scaled - explained) / self.lower[j * n + j];
        }
        let row = &self.lower[i * n..][..i];
        let left = if self.scale[i] > 0.0 { 1.0 - dot(row, row) } else { 0.0 };
        self.independent[i] = left > DEPENDENT;
        if self.independent[i] {
            self.lower[i * n + i] = left.sqrt();
        } else {
            self.lower[i * n..][..=i].fill(0.0);
        }
    }

    pub(crate) fn is_independent(&self, column: usize) -> bool {
        self.independent[column]
    }

    pub(crate) fn rank(&self) -> usize {
        self.independent.iter().filter(|independent| **independent).count()
    }

    /// x = A⁻¹ b over the independent columns, 0 in the others.
    pub(crate) fn solve(&self, b: &[f64]) -> Vec<f64> {
        let n = self.n;
        let mut x: Vec<f64> = b.iter().zip(&self.scale).map(|(b, s)| b * s).collect();
        for i in 0..n {
            let from = self.first[i];
            let known = dot(&self.lower[i * n..][from..i], &x[from..i]);
            x[i] = if self.independent[i] { (x[i] - known) / self.lower[i * n + i] } else { 0.0 };
        }
        for i in (0..n).rev().filter(|i| self.independent[*i]) {
            x[i] /= self.lower[i * n + i];
            let (before, from_i) = x.split_at_mut(i);
            let from = self.first[i];
            for (x, l) in before[from..].iter_mut().zip(&self.lower[i * n + from..]) {
                *x -= l * from_i[0];
            }
        }
        x.iter().zip(&self.scale).map(|(x, s)| x * s).collect()
    }

    /// (A⁻¹)ᵢᵢ: the squared length of column i of L⁻¹, n³/6 operations for all; 0 for dependent columns.
    pub(crate) fn inverse_diagonal(&self) -> Vec<f64> {
        let of_column = |column: usize| {
            let mut forward = vec![0.0; self.n];
            for i in (column..self.n).filter(|i| self.independent[*i]) {
                let from = column.max(self.first[i]).min(i);
                let known = dot(&self.lower[i * self.n..][from..i], &forward[from..i]);
                let unit = if i == column { 1.0 } else { 0.0 };
                forward[i] = (unit - known) / self.lower[i * self.n + i];
            }
            self.scale[column].powi(2) * dot(&forward, &forward)
        };
        (0..self.n).map(of_column).collect()
    }

    /// A⁻¹ over the independent columns, 0 elsewhere.
    pub(crate) fn inverse(&self) -> Symmetric {
        let mut inverse = Symmetric::zeros(self.n);
        let mut unit = vec![0.0; self.n];
        for column in 0..self.n {
            unit[column] = 1.0;
            let solved = self.solve(&unit);
            unit[column] = 0.0;
            for (row, value) in solved.into_iter().enumerate() {
                inverse.add(row, column, value);
            }
        }
        inverse
    }
}

fn inverse_root(value: f64) -> f64 {
    if value > 0.0 { 1.0 / value.sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[&[f64]]) -> Symmetric {
        Symmetric { n: rows.len(), values: rows.concat() }
    }

    #[test]
    fn a_system_is_solved_and_scales_do_not_matter() {
        let matrix = of(&[&[4.0, 2.0, 1e-4], &[2.0, 3.0, 2e-4], &[1e-4, 2e-4, 1e-7]]);
        let factor = Factor::new(&matrix);
        let x = factor.solve(&[1.0, 2.0, 3e-4]);
        let back: Vec<f64> = (0..3).map(|row| dot(matrix.row(row), &x)).collect();
        for (found, expected) in back.iter().zip([1.0, 2.0, 3e-4]) {
            // 1e-12 of the right-hand side: sixteen digits, and a condition number below 100 once scaled.
            assert!((found - expected).abs() < 1e-12 * expected, "{found} against {expected}");
        }
        assert_eq!(factor.rank(), 3);
        let inverse = factor.inverse();
        for (i, diagonal) in factor.inverse_diagonal().into_iter().enumerate() {
            assert!((diagonal / inverse.get(i, i) - 1.0).abs() < 1e-12, "{diagonal} against {}", inverse.get(i, i));
        }
    }

    #[test]
    fn a_column_that_others_explain_and_an_empty_one_are_left_out() {
        // The third column is the sum of the first two; the fourth is empty.
        let matrix = of(&[&[1.0, 0.5, 1.5, 0.0], &[0.5, 2.0, 2.5, 0.0], &[1.5, 2.5, 4.0, 0.0], &[0.0; 4]]);
        let factor = Factor::new(&matrix);
        assert_eq!((factor.rank(), factor.is_independent(2), factor.is_independent(3)), (2, false, false));
        let x = factor.solve(&[1.0, 0.0, 1.0, 7.0]);
        // (2, -0.5)/1.75 solves the first two rows.
        assert!((x[0] - 2.0 / 1.75).abs() < 1e-14 && (x[1] + 0.5 / 1.75).abs() < 1e-14, "{x:?}");
        assert_eq!((x[2], x[3]), (0.0, 0.0));
    }
}
