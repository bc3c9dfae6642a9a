//! Three hundred small scenes, drawn and not photographed, each recognisable at a glance and owned by nobody.
//!
//! Six motifs in turn (hills, rings, flower, city, waves, lights), each with its own colours and proportions, so that a
//! wrong retrieval is visible on the page.

use crate::random_init::Noise;
use image::{Rgb, RgbImage};
use std::f64::consts::TAU;

/// Side of a picture, pixels.
pub const SIDE: u32 = 64;
/// Steps along the colour wheel by the golden ratio keep neighbours in the gallery apart.
const GOLDEN_RATIO: f64 = 0.618_033_988_749_895;

/// Red, green, blue in 0..1.
type Colour = [f64; 3];
/// Position in the picture, 0..1 from the left and from the top.
type Place = (f64, f64);

/// Picture number `scene`; always the same.
#[must_use]
pub fn picture(scene: u32) -> RgbImage {
    let chance = Chance { noise: Noise::new(u64::from(scene), "scene") };
    let hue = (f64::from(scene) * GOLDEN_RATIO).fract();
    let motif = match scene % 6 {
        0 => hills,
        1 => rings,
        2 => flower,
        3 => city,
        4 => waves,
        _ => lights,
    };
    RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let place = ((f64::from(x) + 0.5) / f64::from(SIDE), (f64::from(y) + 0.5) / f64::from(SIDE));
        Rgb(motif(&chance, hue, place).map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8))
    })
}

/// The choices that make one scene of a motif.
struct Chance {
    noise: Noise,
}

impl Chance {
    /// Choice `i`, between `low` and `high`.
    fn between(&self, i: u64, low: f64, high: f64) -> f64 {
        low + (high - low) * self.noise.uniform(i)
    }
}

/// A sun over two ranges of hills.
fn hills(chance: &Chance, hue: f64, (x, y): Place) -> Colour {
    let ridge = |i: u64, level: f64| {
        let wave = |k: u64, f: f64| (TAU * (f * x + chance.between(10 * i + k, 0.0, 1.0))).sin() / f;
        level + 0.09 * (wave(0, 1.0) + wave(1, 2.3) + wave(2, 4.1))
    };
    let sun = (chance.between(1, 0.2, 0.8), chance.between(2, 0.15, 0.4));
    if y > ridge(2, 0.8) {
        colour(hue + 0.35, 0.6, 0.3)
    } else if y > ridge(1, 0.6) {
        colour(hue + 0.3, 0.5, 0.5)
    } else if distance((x, y), sun) < chance.between(3, 0.07, 0.13) {
        colour(0.13, 0.3, 1.0)
    } else {
        mix(colour(hue, 0.6, 0.85), colour(hue + 0.12, 0.25, 1.0), y / 0.7)
    }
}

/// Rings around a point.
fn rings(chance: &Chance, hue: f64, place: Place) -> Colour {
    let centre = (chance.between(1, 0.25, 0.75), chance.between(2, 0.25, 0.75));
    let phase = distance(place, centre) * chance.between(3, 3.0, 9.0);
    let edge = smooth(((TAU * phase).sin() + 0.3) * 3.0);
    mix(colour(hue, 0.7, 0.35), colour(hue + chance.between(4, 0.1, 0.5), 0.4, 0.95), edge)
}

/// A flower on a plain ground.
fn flower(chance: &Chance, hue: f64, place: Place) -> Colour {
    let centre = (chance.between(1, 0.4, 0.6), chance.between(2, 0.4, 0.6));
    let (radius, petals) = (distance(place, centre), chance.between(3, 3.0, 9.0).floor());
    let angle = (place.1 - centre.1).atan2(place.0 - centre.0) + chance.between(4, 0.0, TAU);
    let reach = chance.between(5, 0.22, 0.36) * (0.65 + 0.35 * (petals * angle).cos());
    if radius < 0.08 {
        colour(0.14, 0.8, 0.95)
    } else if radius < reach {
        mix(colour(hue, 0.75, 0.75), colour(hue, 0.35, 1.0), radius / reach)
    } else {
        colour(hue + chance.between(6, 0.3, 0.6), 0.35, chance.between(7, 0.35, 0.9))
    }
}

/// Towers with lit windows in the evening.
fn city(chance: &Chance, hue: f64, (x, y): Place) -> Colour {
    let towers = chance.between(1, 5.0, 9.0).floor();
    let tower = (x * towers).floor();
    let top = chance.between(20 + tower as u64, 0.25, 0.75);
    if y < top {
        return mix(colour(hue, 0.6, 0.45), colour(hue + 0.1, 0.45, 0.95), y);
    }
    let (column, row) = ((x * towers).fract() * 4.0, (y - top) * 22.0);
    let wall = colour(hue + 0.5, 0.35, 0.16 + 0.05 * (tower % 3.0));
    let window = (0.6..3.6).contains(&column) && column.fract() > 0.35 && row.fract() > 0.45;
    let lit = chance.noise.uniform(1000 + (tower * 400.0 + row.floor() * 8.0 + column.floor()) as u64) > 0.45;
    if window && lit { colour(0.12, 0.45, 1.0) } else { wall }
}

/// Wavy bands.
fn waves(chance: &Chance, hue: f64, (x, y): Place) -> Colour {
    let tilt = chance.between(1, 0.0, TAU);
    let (along, across) = (x * tilt.cos() + y * tilt.sin(), y * tilt.cos() - x * tilt.sin());
    let bend = chance.between(2, 0.02, 0.1) * (TAU * along * chance.between(3, 0.8, 2.5)).sin();
    let band = ((across + bend) * chance.between(4, 3.0, 7.0)).rem_euclid(1.0);
    mix(colour(hue, 0.65, 0.4), colour(hue + 0.15, 0.3, 1.0), smooth((band - 0.5).abs() * 16.0 - 4.0))
}

/// Soft discs of light in the dark.
fn lights(chance: &Chance, hue: f64, place: Place) -> Colour {
    let mut sum = colour(hue, 0.7, 0.18);
    for i in 0..9 {
        let at = |k: u64| chance.noise.uniform(100 + 10 * i + k);
        let radius = 0.06 + 0.16 * at(2);
        let glow = smooth((radius - distance(place, (at(0), at(1)))) * 60.0) * (0.35 + 0.4 * at(3));
        let light = colour(hue + 0.3 * at(4), 0.55, 1.0);
        sum = std::array::from_fn(|c| sum[c] + glow * light[c]);
    }
    sum
}

/// Hue around the wheel (any number), saturation and brightness 0..1.
fn colour(hue: f64, saturation: f64, brightness: f64) -> Colour {
    [0.0, 2.0 / 3.0, 1.0 / 3.0].map(|shift| {
        let wheel = ((hue + shift).rem_euclid(1.0) * 6.0 - 3.0).abs() - 1.0;
        brightness * (1.0 - saturation * (1.0 - wheel.clamp(0.0, 1.0)))
    })
}

fn mix(a: Colour, b: Colour, share: f64) -> Colour {
    let share = share.clamp(0.0, 1.0);
    std::array::from_fn(|c| a[c] + (b[c] - a[c]) * share)
}

/// A step from 0 to 1 around x = 0, soft over one unit.
fn smooth(x: f64) -> f64 {
    let t = (x + 0.5).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

fn distance(a: Place, b: Place) -> f64 {
    (a.0 - b.0).hypot(a.1 - b.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_of_300_pictures_look_alike() {
        let pictures: Vec<_> = (0..300).map(picture).collect();
        let mean_difference = |a: &RgbImage, b: &RgbImage| {
            let sum: f64 = a.as_raw().iter().zip(b.as_raw()).map(|(x, y)| f64::from(x.abs_diff(*y))).sum();
            sum / a.as_raw().len() as f64
        };
        for (i, a) in pictures.iter().enumerate() {
            for (j, b) in pictures.iter().enumerate().skip(i + 1) {
                // 5 of 255: about where two flat colours side by side are told apart easily.
                assert!(mean_difference(a, b) > 5.0, "scenes {i} and {j}");
            }
        }
    }

    #[test]
    fn primary_colours_are_where_the_wheel_has_them() {
        for (hue, expected) in [(0.0, [1.0, 0.0, 0.0]), (1.0 / 3.0, [0.0, 1.0, 0.0]), (2.0 / 3.0, [0.0, 0.0, 1.0])] {
            let found = colour(hue, 1.0, 1.0);
            assert!(found.iter().zip(&expected).all(|(f, e)| (f - e).abs() < 1e-9), "{hue} {found:?}");
        }
    }
}
