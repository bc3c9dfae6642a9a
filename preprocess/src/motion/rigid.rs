//! A rigid motion is six numbers for people, and a rotation with a shift for arithmetic.

use crate::Grid;
use crate::resample::Affine;

/// Head motion of one volume against the reference: `[mm, mm, mm, rad, rad, rad]` in RAS+, in the order `trans_x`,
/// `trans_y`, `trans_z`, `rot_x`, `rot_y`, `rot_z`.
///
/// What lies at x in the reference lies at R (x − c) + c + t in the volume, so positive shifts are where the head went:
/// right, forward, up. R = Rx Ry Rz, right-handed turns about the RAS+ axes: `rot_x` > 0 lifts the nose (+y towards +z),
/// `rot_y` > 0 turns up towards right (+z towards +x), `rot_z` > 0 turns right towards front (+x towards +y). c is the
/// centre of the reference's grid ([`centre_mm`]), so that the six numbers follow from geometry alone. Other programs
/// turn about other points and in other senses: compare maps, not parameters.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Motion(pub [f64; 6]);

impl Motion {
    /// No motion.
    pub const STILL: Self = Self([0.0; 6]);

    /// The same motion as a map of RAS+ mm, turning about `centre_mm`.
    #[must_use]
    pub fn about(&self, centre_mm: [f64; 3]) -> Rigid {
        let [tx, ty, tz, a, b, c] = self.0;
        let ((sx, cx), (sy, cy), (sz, cz)) = (a.sin_cos(), b.sin_cos(), c.sin_cos());
        let linear = [
            [cy * cz, -cy * sz, sy],
            [cx * sz + sx * sy * cz, cx * cz - sx * sy * sz, -sx * cy],
            [sx * sz - cx * sy * cz, sx * cz + cx * sy * sz, cx * cy],
        ];
        let turned = Affine { linear, shift: [0.0; 3] }.apply(centre_mm);
        let shift = [0, 1, 2].map(|axis| centre_mm[axis] - turned[axis] + [tx, ty, tz][axis]);
        Rigid(Affine { linear, shift })
    }
}

/// x ↦ R x + b in RAS+ mm with R a rotation: from a place in the reference to the same place of the head in a volume.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rigid(Affine);

impl Rigid {
    /// No motion.
    pub const IDENTITY: Self = Self(Affine::IDENTITY);

    /// The map itself.
    #[must_use]
    pub fn affine(&self) -> &Affine {
        &self.0
    }

    /// The six numbers of this map about `centre_mm`; exact while `rot_y` stays within ±90°.
    #[must_use]
    pub fn motion(&self, centre_mm: [f64; 3]) -> Motion {
        let r = &self.0.linear;
        let moved = self.0.apply(centre_mm);
        let [tx, ty, tz] = [0, 1, 2].map(|axis| moved[axis] - centre_mm[axis]);
        let rot_x = (-r[1][2]).atan2(r[2][2]);
        let rot_y = r[0][2].atan2(r[0][0].hypot(r[0][1]));
        let rot_z = (-r[0][1]).atan2(r[0][0]);
        Motion([tx, ty, tz, rot_x, rot_y, rot_z])
    }

    /// This motion first, `next` after it.
    #[must_use]
    pub fn then(&self, next: &Self) -> Self {
        Self(self.0.then(&next.0))
    }

    /// The way back: x ↦ Rᵀ (x − b).
    #[must_use]
    pub fn inverse(&self) -> Self {
        let r = &self.0.linear;
        let linear = [0, 1, 2].map(|row| [r[0][row], r[1][row], r[2][row]]);
        let [x, y, z] = Affine { linear, shift: [0.0; 3] }.apply(self.0.shift);
        Self(Affine { linear, shift: [-x, -y, -z] })
    }
}

/// Centre of a grid in RAS+ mm, half way between its corner voxels: the point about which [`Motion`] turns.
#[must_use]
pub fn centre_mm(grid: &Grid) -> [f64; 3] {
    grid.to_mm(grid.dim.map(|n| (n as f64 - 1.0) / 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CENTRE: [f64; 3] = [3.0, -17.5, 12.25];

    fn assert_same(a: &Rigid, b: &Rigid, what: &str) {
        for place in [[0.0; 3], [70.0, -90.0, 60.0]] {
            let (p, q) = (a.affine().apply(place), b.affine().apply(place));
            // 1e-12: a few roundings of numbers near 100.
            assert!((0..3).all(|axis| (p[axis] - q[axis]).abs() < 1e-12), "{what}: {p:?} against {q:?}");
        }
    }

    #[test]
    fn each_number_moves_the_head_the_way_its_name_says() {
        let quarter = std::f64::consts::FRAC_PI_2;
        let cases: [([f64; 6], [f64; 3], [f64; 3]); 6] = [
            ([5.0, 0., 0., 0., 0., 0.], [0., 0., 0.], [5., 0., 0.]),
            ([0., 5.0, 0., 0., 0., 0.], [0., 0., 0.], [0., 5., 0.]),
            ([0., 0., 5.0, 0., 0., 0.], [0., 0., 0.], [0., 0., 5.]),
            ([0., 0., 0., quarter, 0., 0.], [0., 1., 0.], [0., 0., 1.]),
            ([0., 0., 0., 0., quarter, 0.], [0., 0., 1.], [1., 0., 0.]),
            ([0., 0., 0., 0., 0., quarter], [1., 0., 0.], [0., 1., 0.]),
        ];
        for (motion, from, to) in cases {
            let from = [0, 1, 2].map(|axis| CENTRE[axis] + from[axis]);
            let found = Motion(motion).about(CENTRE).affine().apply(from);
            // 1e-12: rounding.
            assert!((0..3).all(|a| (found[a] - CENTRE[a] - to[a]).abs() < 1e-12), "{motion:?}: {found:?}");
        }
    }

    #[test]
    fn six_numbers_come_back_from_the_map() {
        let motion = Motion([1.5, -2.0, 0.25, 0.3, -0.4, 0.5]);
        let found = motion.about(CENTRE).motion(CENTRE);
        // 1e-13: rounding of sines near 1 and of millimetres near 20.
        assert!(found.0.iter().zip(motion.0).all(|(a, b)| (a - b).abs() < 1e-13), "{found:?}");
    }

    #[test]
    fn inverse_and_then_cancel_in_both_orders() {
        let there = Motion([10.0, -20.0, 5.0, 0.2, 0.1, -0.26]).about(CENTRE);
        assert_same(&there.then(&there.inverse()), &Rigid::IDENTITY, "there and back");
        assert_same(&there.inverse().then(&there), &Rigid::IDENTITY, "back and there");
    }

    #[test]
    fn the_centre_is_half_way_between_corner_voxels() {
        let affine = [[-3., 0., 0., 90.], [0., 3., 0., -80.], [0., 0., 4., -20.], [0., 0., 0., 1.]];
        assert_eq!(centre_mm(&Grid { dim: [61, 41, 11], affine }), [0.0, -20.0, 0.0]);
    }
}
