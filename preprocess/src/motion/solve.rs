//! A small symmetric positive definite system, solved by Cholesky's factorisation.

/// x with A x = b, or `None` where A is not positive definite to working precision (a direction without information).
pub(crate) fn solve<const N: usize>(a: &[[f64; N]; N], b: [f64; N]) -> Option<[f64; N]> {
    let l = cholesky(a)?;
    let mut x = forward(&l, b);
    for row in (0..N).rev() {
        let known = (row + 1..N).map(|r| l[r][row] * x[r]).sum::<f64>();
        x[row] = (x[row] - known) / l[row][row];
    }
    Some(x)
}

/// L⁻¹ b.
pub(crate) fn forward<const N: usize>(l: &[[f64; N]; N], b: [f64; N]) -> [f64; N] {
    let mut x = b;
    for row in 0..N {
        let known = (0..row).map(|c| l[row][c] * x[c]).sum::<f64>();
        x[row] = (x[row] - known) / l[row][row];
    }
    x
}

/// What is left of a diagonal element after the rows before it must exceed this share of it.
const SINGULAR: f64 = 1e-10;

/// L with A = L Lᵀ, lower; `None` as for [`solve`].
pub(crate) fn cholesky<const N: usize>(a: &[[f64; N]; N]) -> Option<[[f64; N]; N]> {
    let mut l = [[0.0; N]; N];
    for row in 0..N {
        for column in 0..=row {
            let rest = a[row][column] - (0..column).map(|k| l[row][k] * l[column][k]).sum::<f64>();
            if row != column {
                l[row][column] = rest / l[column][column];
            } else if rest > SINGULAR * a[row][row] {
                l[row][row] = rest.sqrt();
            } else {
                return None;
            }
        }
    }
    Some(l)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_system_gives_back_its_solution() {
        let a = [[4.0, 2.0, 0.6], [2.0, 5.0, 1.0], [0.6, 1.0, 3.0]];
        let x = [1.5, -2.0, 0.25];
        let b = a.map(|row| row.iter().zip(x).map(|(a, x)| a * x).sum());
        for (found, expected) in solve(&a, b).unwrap().iter().zip(x) {
            // 1e-14: a few roundings of numbers near 1.
            assert!((found - expected).abs() < 1e-14);
        }
    }

    #[test]
    fn a_direction_without_information_has_no_solution() {
        assert_eq!(solve(&[[1.0, 1.0], [1.0, 1.0]], [1.0, 1.0]), None);
        assert_eq!(solve(&[[0.0, 0.0], [0.0, 1.0]], [0.0, 1.0]), None);
        assert_eq!(solve(&[[f64::NAN, 0.0], [0.0, 1.0]], [0.0, 1.0]), None);
    }
}
