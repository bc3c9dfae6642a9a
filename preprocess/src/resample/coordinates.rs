//! An affine map carries coordinates from one frame to another: voxel to millimetre, head to head, voxel to voxel.

use crate::Grid;

/// p ↦ L p + b in three dimensions, f64. Each use says which frames it joins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Affine {
    /// L, row-major.
    pub linear: [[f64; 3]; 3],
    /// b, in the unit of the frame it leads to.
    pub shift: [f64; 3],
}

impl Affine {
    /// p ↦ p.
    pub const IDENTITY: Self = Self { linear: [[1., 0., 0.], [0., 1., 0.], [0., 0., 1.]], shift: [0.; 3] };

    /// Voxel index to RAS+ mm of `grid`.
    #[must_use]
    pub fn of_grid(grid: &Grid) -> Self {
        let row = |r: usize| grid.affine[r];
        Self { linear: [0, 1, 2].map(|r| [row(r)[0], row(r)[1], row(r)[2]]), shift: [0, 1, 2].map(|r| row(r)[3]) }
    }

    /// Where `p` goes.
    #[must_use]
    pub fn apply(&self, p: [f64; 3]) -> [f64; 3] {
        [0, 1, 2].map(|r| dot(self.linear[r], p) + self.shift[r])
    }

    /// This map first, `next` after it: p ↦ next(self(p)).
    #[must_use]
    pub fn then(&self, next: &Self) -> Self {
        let column = |c: usize| [0, 1, 2].map(|r| self.linear[r][c]);
        let linear = next.linear.map(|row| [0, 1, 2].map(|c| dot(row, column(c))));
        Self { linear, shift: next.apply(self.shift) }
    }

    /// The way back; `None` where the map flattens space or holds a number that is not finite.
    #[must_use]
    pub fn inverse(&self) -> Option<Self> {
        let m = &self.linear;
        let cofactor = |r: usize, c: usize| {
            let ([r1, r2], [c1, c2]) = (others(r), others(c));
            m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
        };
        let determinant = (0..3).map(|c| m[0][c] * cofactor(0, c)).sum::<f64>();
        if !determinant.is_normal() {
            return None;
        }
        let linear = [0, 1, 2].map(|r| [0, 1, 2].map(|c| cofactor(c, r) / determinant));
        let shift = linear.map(|row| -dot(row, self.shift));
        Some(Self { linear, shift })
    }
}

pub(crate) fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// The other two indices in cyclic order, so that cofactors need no sign.
fn others(index: usize) -> [usize; 2] {
    [(index + 1) % 3, (index + 2) % 3]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oblique() -> Affine {
        Affine { linear: [[-2.9, 0.4, 0.1], [0.3, 2.8, -0.9], [0.2, 0.8, 3.1]], shift: [88.0, -120.5, -40.25] }
    }

    #[test]
    fn a_map_and_its_inverse_cancel_in_both_orders() {
        let there = oblique();
        let back = there.inverse().unwrap();
        for both in [there.then(&back), back.then(&there)] {
            for p in [[0.0; 3], [63.0, 63.0, 35.0]] {
                let q = both.apply(p);
                // 1e-12: a few roundings of numbers up to 200.
                assert!((0..3).all(|axis| (p[axis] - q[axis]).abs() < 1e-12), "{p:?} came back as {q:?}");
            }
        }
    }

    #[test]
    fn then_applies_the_receiver_first() {
        let shift = Affine { shift: [1.0, 0.0, 0.0], ..Affine::IDENTITY };
        let double = Affine { linear: [[2., 0., 0.], [0., 2., 0.], [0., 0., 2.]], shift: [0.; 3] };
        assert_eq!(shift.then(&double).apply([1.0; 3]), [4.0, 2.0, 2.0]);
        assert_eq!(double.then(&shift).apply([1.0; 3]), [3.0, 2.0, 2.0]);
    }

    #[test]
    fn a_flat_map_has_no_inverse() {
        let flat = Affine { linear: [[1., 0., 0.], [0., 1., 0.], [1., 1., 0.]], shift: [0.; 3] };
        let unknown = Affine { linear: [[f64::NAN; 3]; 3], shift: [0.; 3] };
        assert_eq!((flat.inverse(), unknown.inverse()), (None, None));
    }
}
