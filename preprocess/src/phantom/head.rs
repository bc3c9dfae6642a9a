//! A head that really turns: intensity is a function of place, so a moved volume is computed and never interpolated.
//!
//! Realistic: scalp, skull, cerebrospinal fluid, a folded ribbon of grey over white matter, ventricles, cerebellum and
//! eyes with the contrasts of a T2*-weighted EPI; each voxel is the mean over its own box, which stays with the scanner
//! while the head moves; edges of 1 to 2 mm, nothing symmetric; white noise and magnitude images.
//!
//! Not realistic: no coil sensitivity, distortion, drop-out or spin history, all slices sampled together, noise without
//! heartbeat or breath.
//!
//! So it is a truth to hold motion correction to: no interpolation kernel, ours or a peer's, had a part in making it.

use crate::Grid;
use crate::motion::{Motion, Rigid};
use crate::phantom::hash;
use crate::resample::Affine;

/// Intensity of grey matter, scanner's units: SFNR is told against it.
pub const GREY: f64 = 1000.0;

/// Places per voxel and axis that are averaged.
const PLACES: usize = 3;

/// Further outside the scalp than this, mm, a voxel of up to 5 mm holds nothing.
const OUTSIDE_MM: f64 = -10.0;

/// Deeper in the white matter than this, mm, no sulcus reaches.
const CORE_MM: f64 = 8.0;

/// Half axes and centre, RAS+ mm.
struct Ellipsoid {
    centre: [f64; 3],
    half: [f64; 3],
}

const SCALP: Ellipsoid = Ellipsoid { centre: [0.0, -2.0, 2.0], half: [77.0, 96.0, 66.0] };
const SKULL: Ellipsoid = Ellipsoid { centre: [0.0, -2.0, 2.0], half: [72.0, 91.0, 61.0] };
const FLUID: Ellipsoid = Ellipsoid { centre: [0.5, -3.0, 2.0], half: [67.0, 85.0, 55.0] };
const BRAIN: Ellipsoid = Ellipsoid { centre: [0.5, -3.0, 3.0], half: [65.0, 82.5, 52.0] };
const WHITE: Ellipsoid = Ellipsoid { centre: [1.0, -4.0, 4.0], half: [54.0, 70.0, 41.0] };
const CEREBELLUM: Ellipsoid = Ellipsoid { centre: [2.0, -52.0, -34.0], half: [44.0, 26.0, 22.0] };
const VENTRICLES: [Ellipsoid; 2] = [
    Ellipsoid { centre: [-12.0, 2.0, 8.0], half: [6.0, 28.0, 8.0] },
    Ellipsoid { centre: [13.0, -1.0, 9.0], half: [7.0, 30.0, 9.0] },
];
const EYES: [Ellipsoid; 2] = [
    Ellipsoid { centre: [-32.0, 78.0, -22.0], half: [12.0; 3] },
    Ellipsoid { centre: [31.0, 79.0, -21.0], half: [12.0; 3] },
];

impl Ellipsoid {
    /// Distance to the surface in mm, about right near it; positive inside.
    fn depth(&self, place: [f64; 3]) -> f64 {
        let square: f64 = (0..3).map(|axis| ((place[axis] - self.centre[axis]) / self.half[axis]).powi(2)).sum();
        let least = self.half.iter().fold(f64::INFINITY, |a, b| a.min(*b));
        (1.0 - square.sqrt()) * least
    }
}

/// `below` outside, `above` inside, a smooth step of `width` mm at depth 0.
fn step(below: f64, above: f64, depth: f64, width: f64) -> f64 {
    let t = (0.5 + depth / width).clamp(0.0, 1.0);
    below + (above - below) * t * t * (3.0 - 2.0 * t)
}

/// How far the folded surface goes in at a place, mm: 0 on gyri, up to 8 in sulci some 30 mm apart.
fn sulcus(place: [f64; 3]) -> f64 {
    let [x, y, z] = place;
    let across = (x / 5.1 + 0.6 * (z / 9.0).sin()).sin() * (y / 5.7 + 0.8 * (x / 11.0).sin()).sin();
    let along = 0.6 * (z / 4.9 + 0.5 * (y / 13.0).sin()).sin();
    5.0 * (across + along).max(0.0)
}

/// Intensity of the head at rest, scanner's units, at a place in RAS+ mm.
#[must_use]
pub fn intensity(place: [f64; 3]) -> f64 {
    let mut s = step(0.0, 350.0, SCALP.depth(place), 2.0);
    s = step(s, 60.0, SKULL.depth(place), 2.0);
    s = step(s, 1300.0, FLUID.depth(place), 1.5);
    let (brain, white) = (BRAIN.depth(place), WHITE.depth(place));
    if brain > -2.0 {
        let fold = if white < CORE_MM { sulcus(place) } else { 0.0 };
        s = step(s, GREY, brain - fold, 1.0);
        s = step(s, 820.0, white - fold, 1.5);
    }
    for ventricle in &VENTRICLES {
        s = step(s, 1350.0, ventricle.depth(place), 1.5);
    }
    let folia = 1.0 + 0.12 * (place[2] / 1.9).sin();
    s = step(s, 930.0 * folia, CEREBELLUM.depth(place), 1.5);
    EYES.iter().fold(s, |s, eye| step(s, 1250.0, eye.depth(place), 1.5))
}

/// Whether a place of the head at rest, RAS+ mm, belongs to the brain.
#[must_use]
pub fn in_brain(place: [f64; 3]) -> bool {
    BRAIN.depth(place) > 0.0 || CEREBELLUM.depth(place) > 0.0
}

/// Linear indices of the voxels of `grid` that lie in the brain at rest.
#[must_use]
pub fn brain_voxels(grid: &Grid) -> Vec<u32> {
    let inside = (0..grid.voxel_count()).filter(|voxel| in_brain(grid.to_mm(coordinates(grid, *voxel))));
    inside.map(|voxel| voxel as u32).collect()
}

/// The head after `motion`, without noise: `f32[x, y, z]`, x fastest, scanner's units. 27 places per voxel, some 100 ns
/// each inside the head: 0.3 s for 64x64x36.
#[must_use]
pub fn volume(grid: &Grid, motion: &Rigid) -> Vec<f32> {
    let to_rest = Affine::of_grid(grid).then(motion.inverse().affine());
    (0..grid.voxel_count()).map(|voxel| mean_over_voxel(coordinates(grid, voxel), &to_rest)).collect()
}

fn mean_over_voxel(middle: [f64; 3], to_rest: &Affine) -> f32 {
    let place = to_rest.apply(middle);
    if SCALP.depth(place) < OUTSIDE_MM && EYES.iter().all(|eye| eye.depth(place) < OUTSIDE_MM) {
        return 0.0;
    }
    let offset = |n: usize| (n as f64 + 0.5) / PLACES as f64 - 0.5;
    let count = PLACES * PLACES * PLACES;
    let within = (0..count).map(|n| [n % PLACES, n / PLACES % PLACES, n / (PLACES * PLACES)].map(offset));
    let sum: f64 = within.map(|o| intensity(to_rest.apply([0, 1, 2].map(|axis| middle[axis] + o[axis])))).sum();
    (sum / count as f64) as f32
}

fn coordinates(grid: &Grid, voxel: usize) -> [f64; 3] {
    let [nx, ny, _] = grid.dim;
    [voxel % nx, voxel / nx % ny, voxel / (nx * ny)].map(|n| n as f64)
}

/// What the scanner makes of `clean` in volume `index`: Gaussian noise of SD [`GREY`] / `sfnr`, magnitude, int16 as
/// little-endian bytes. The same (seed, index) gives the same bytes.
#[must_use]
pub fn acquire(clean: &[f32], sfnr: f64, seed: u64, index: u32) -> Vec<u8> {
    let noise = hash::Noise::new(seed, index, GREY / sfnr);
    let magnitude = |(voxel, s): (usize, &f32)| ((s + noise.at(voxel)).abs() + 0.5) as i16;
    clean.iter().enumerate().flat_map(|(voxel, s)| magnitude((voxel, s)).to_le_bytes()).collect()
}

/// A restless subject: volume 0 is at rest; later a drift of up to 1 mm and 1 degree per axis, and every fifth volume a
/// jump to a new place within 2 mm and 2 degrees of it.
#[must_use]
pub fn wander(seed: u64, index: u32) -> Motion {
    if index == 0 {
        return Motion::STILL;
    }
    let (jump, time) = (u64::from(index / 5), f64::from(index));
    Motion(std::array::from_fn(|n| {
        let unit = if n < 3 { 1.0 } else { 1.0_f64.to_radians() };
        let drift = (time * (0.05 + 0.011 * n as f64) + hash::uniform(seed, n as u64) * 6.0).sin();
        let place = if jump == 0 { 0.0 } else { 4.0 * hash::uniform(seed, 6 * jump + n as u64) - 2.0 };
        unit * (drift + place)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::motion::centre_mm;
    use crate::phantom::grid;

    #[test]
    fn tissues_have_their_contrast() {
        let cases = [
            ("air", [0.0, 120.0, 0.0], 0.0..1.0),
            ("skull", [0.0, -2.0, 60.0], 50.0..70.0),
            ("deep white matter", [30.0, 0.0, 4.0], 810.0..830.0),
            ("ventricle", [-12.0, 2.0, 8.0], 1340.0..1360.0),
            ("eye", [31.0, 79.0, -21.0], 1240.0..1260.0),
        ];
        for (tissue, place, range) in cases {
            assert!(range.contains(&intensity(place)), "{tissue}: {}", intensity(place));
        }
    }

    #[test]
    fn a_shift_by_one_voxel_moves_every_value_by_one_voxel() {
        let grid = grid();
        let moved = volume(&grid, &Motion([3.0, 0.0, 0.0, 0.0, 0.0, 0.0]).about(centre_mm(&grid)));
        let still = volume(&grid, &Rigid::IDENTITY);
        let line = grid.linear_index([0, 30, 18])..grid.linear_index([63, 30, 18]);
        for voxel in line {
            // 0.01 of 1000: the same places computed with other roundings.
            assert!((moved[voxel + 1] - still[voxel]).abs() < 0.01, "voxel {voxel}");
        }
    }

    #[test]
    fn the_subject_moves_to_three_millimetres_and_degrees_and_no_further() {
        let all: Vec<Motion> = (0..200).map(|index| wander(5, index)).collect();
        let largest = |n: usize| all.iter().map(|m| m.0[n].abs()).fold(0.0, f64::max);
        for n in 0..3 {
            assert!((2.0..=3.0).contains(&largest(n)), "shift {n}: {}", largest(n));
            assert!((2.0..=3.0).contains(&largest(n + 3).to_degrees()), "angle {n}: {}", largest(n + 3));
        }
    }
}
