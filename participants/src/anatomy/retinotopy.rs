//! Which part of the visual field a place of the cortex sees, and to which area it belongs.
//!
//! Eccentricity grows exponentially from the occipital pole forward (the complex-logarithmic map of Schwartz 1977). Above
//! and below the calcarine, V1 gives way to V2 at the vertical meridian, V2 to V3 at the horizontal one, each a mirror image
//! of the one before (Wandell, Dumoulin & Brewer 2007). Upper field below, left field right. Ahead of the early areas and
//! beyond V3 lie larger fields: V4 and ventral below, lateral at the side, dorsal above.

use super::warp::Branch;
use crate::random::Draws;

/// Where visual cortex is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// Primary visual cortex.
    V1,
    /// Second.
    V2,
    /// Third.
    V3,
    /// Fourth: colour and form.
    V4,
    /// Lateral occipital: objects.
    Lateral,
    /// Ventral occipitotemporal: categories and scenes.
    Ventral,
    /// Dorsal: where things are.
    Dorsal,
}

impl Area {
    /// All of them.
    pub const ALL: [Self; 7] = [Self::V1, Self::V2, Self::V3, Self::V4, Self::Lateral, Self::Ventral, Self::Dorsal];

    /// Radius (SD) of a receptive field at the fixation point, degrees, and its growth per degree of eccentricity
    /// (population receptive fields: Dumoulin & Wandell 2008; Kay et al. 2013 for the larger areas).
    #[must_use]
    pub fn field_radius(self) -> [f64; 2] {
        match self {
            Self::V1 => [0.4, 0.10],
            Self::V2 => [0.5, 0.15],
            Self::V3 => [0.6, 0.20],
            Self::V4 => [0.8, 0.35],
            Self::Lateral => [1.2, 0.45],
            Self::Ventral => [1.5, 0.50],
            Self::Dorsal => [1.3, 0.45],
        }
    }
}

/// One voxel of visual cortex.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Site {
    /// Place in the template head, RAS+ mm.
    pub place_mm: [f64; 3],
    /// Its area.
    pub area: Area,
    /// Centre of its receptive field: right and up of fixation, degrees.
    pub centre_deg: [f64; 2],
    /// Radius (SD) of its receptive field, degrees.
    pub radius_deg: f64,
}

/// The occipital pole, template mm.
const POLE_MM: f64 = -84.0;
/// Millimetres over which eccentricity grows by e.
const MAGNIFICATION_MM: f64 = 17.0;
/// Eccentricity at the pole and the largest that a picture reaches, degrees.
const ECCENTRICITY_DEG: [f64; 2] = [0.4, 4.0];
/// Borders V1/V2, V2/V3, V3/beyond: degrees above or below the calcarine.
const BORDERS_DEG: [f64; 3] = [22.0, 42.0, 60.0];
/// Height of the calcarine, template mm.
const CALCARINE_MM: f64 = 10.0;
/// Early areas end here, mm ahead of the pole.
const EARLY_MM: f64 = 38.0;
/// Scatter of field centres between neighbours, shares of the radius.
const SCATTER: f64 = 0.25;

impl Site {
    /// The site of voxel `voxel` of the participant `seed` at a place of the template head.
    #[must_use]
    pub fn at(place_mm: [f64; 3], voxel: u32, seed: u64) -> Self {
        let mut draws = Draws::new(seed, &[Branch::Site as u64, u64::from(voxel)]);
        let ahead_mm = (place_mm[1] - POLE_MM).max(0.0);
        let above_deg = (place_mm[2] - CALCARINE_MM).atan2(place_mm[0].abs() + 4.0).to_degrees();
        let area = area(ahead_mm, above_deg);
        let [least, most] = ECCENTRICITY_DEG;
        let eccentricity =
            (least * (ahead_mm.min(EARLY_MM) / MAGNIFICATION_MM * draws.within(0.9, 1.1)).exp()).min(most);
        let angle = polar_angle_deg(area, above_deg, &mut draws).to_radians();
        let [base, slope] = area.field_radius();
        let radius_deg = (base + slope * eccentricity) * draws.within(0.85, 1.2);
        let side = if place_mm[0] > 0.0 { -1.0 } else { 1.0 };
        let scatter = SCATTER * radius_deg;
        let centre_deg = [
            side * eccentricity * angle.cos() + scatter * draws.normal(),
            eccentricity * angle.sin() + scatter * draws.normal(),
        ];
        Self { place_mm, area, centre_deg, radius_deg }
    }
}

fn area(ahead_mm: f64, above_deg: f64) -> Area {
    let off = above_deg.abs();
    match () {
        () if ahead_mm >= EARLY_MM && above_deg < -4.0 => Area::Ventral,
        () if ahead_mm >= EARLY_MM && above_deg > 35.0 => Area::Dorsal,
        () if ahead_mm >= EARLY_MM => Area::Lateral,
        () if off < BORDERS_DEG[0] => Area::V1,
        () if off < BORDERS_DEG[1] => Area::V2,
        () if off < BORDERS_DEG[2] => Area::V3,
        () if above_deg < 0.0 => Area::V4,
        () => Area::Dorsal,
    }
}

/// Elevation in the visual field, degrees: 90 is straight up. Below the calcarine lies the upper field.
fn polar_angle_deg(area: Area, above_deg: f64, draws: &mut Draws) -> f64 {
    let [v1, v2, v3] = BORDERS_DEG;
    let off = above_deg.abs();
    let share = match area {
        Area::V1 => off / v1,
        Area::V2 => 1.0 - (off - v1) / (v2 - v1),
        Area::V3 => (off - v2) / (v3 - v2),
        Area::V4 | Area::Lateral | Area::Ventral | Area::Dorsal => return draws.within(-80.0, 80.0),
    };
    -above_deg.signum() * 90.0 * share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_is_crossed_inverted_and_grows_forward() {
        let at = |place| Site::at(place, 3, 1);
        // Left hemisphere, below the calcarine: right upper field, as far as scatter allows (a quarter of the radius).
        let left_below = at([-14.0, -62.0, 5.0]);
        assert_eq!(left_below.area, Area::V1);
        assert!(left_below.centre_deg[0] > 0.0 && left_below.centre_deg[1] > 0.0, "{left_below:?}");
        let right_above = at([14.0, -62.0, 15.0]);
        assert!(right_above.centre_deg[0] < 0.0 && right_above.centre_deg[1] < 0.0, "{right_above:?}");
        assert!(at([-14.0, -48.0, 5.0]).radius_deg > left_below.radius_deg);
    }

    #[test]
    fn areas_follow_one_another_from_the_calcarine_outwards() {
        let cases = [
            ([-20.0, -75.0, 11.0], Area::V1),
            ([-20.0, -75.0, 24.0], Area::V2),
            ([-20.0, -75.0, 40.0], Area::V3),
            ([-4.0, -75.0, -10.0], Area::V4),
            ([-4.0, -75.0, 45.0], Area::Dorsal),
            ([-45.0, -40.0, 12.0], Area::Lateral),
            ([-30.0, -40.0, -12.0], Area::Ventral),
        ];
        for (place, area) in cases {
            assert_eq!(Site::at(place, 0, 1).area, area, "{place:?}");
        }
    }
}
