//! Eight kinds of scene behind the objects, each with its own light, ground and things.

use super::colour::{Rgb, fraction, hsv, lit, mix, step, wave};
use super::factors::{Factors, Scene};
use crate::random::Draws;
use mindeye_preprocess::phantom::hash;

/// A scene with its details drawn.
pub(crate) struct Backdrop {
    scene: Scene,
    horizon: f64,
    hue: f64,
    /// Numbers in 0..1 that a scene uses as it likes.
    p: [f64; 8],
    details: u64,
}

impl Backdrop {
    pub(crate) fn new(factors: &Factors) -> Self {
        let mut draws = Draws::new(factors.details, &[1]);
        let p = [0; 8].map(|_| draws.uniform());
        Self { scene: factors.scene, horizon: factors.horizon, hue: factors.scene_hue, p, details: factors.details }
    }

    /// Colour at a place, x to the right and y down, the picture within 0 to 1.
    pub(crate) fn colour(&self, [x, y]: [f64; 2]) -> Rgb {
        match self.scene {
            Scene::Sea => self.sea(x, y),
            Scene::Field => self.field(x, y),
            Scene::Mountains => self.mountains(x, y),
            Scene::City => self.city(x, y),
            Scene::Room => self.room(x, y),
            Scene::Forest => self.forest(x, y),
            Scene::Night => self.night(x, y),
            Scene::Desert => self.desert(x, y),
        }
    }

    fn shade(&self, hue: f64, saturation: f64, value: f64) -> Rgb {
        hsv(hue + self.hue, saturation, value)
    }

    /// Blue above, paler towards the horizon, with clouds where the noise is high.
    fn sky(&self, x: f64, y: f64) -> Rgb {
        let blue = mix(self.shade(0.58, 0.65, 0.9), self.shade(0.55, 0.2, 0.97), y / self.horizon);
        let cloud = self.clouds(3.0 * x + 9.0 * self.p[0], 7.0 * y);
        mix(blue, [0.97, 0.97, 0.98], step(0.75 - 0.35 * self.p[1], 0.95, cloud))
    }

    fn sea(&self, x: f64, y: f64) -> Rgb {
        let [sun_x, sun_y] = [0.15 + 0.7 * self.p[2], self.horizon * (0.2 + 0.6 * self.p[3])];
        if y < self.horizon {
            let sky = mix(self.shade(0.56, 0.6, 0.85), self.shade(0.08, 0.45, 1.0), y / self.horizon);
            let sun = (x - sun_x).powi(2) + (y - sun_y).powi(2);
            return mix([1.0, 0.95, 0.7], sky, step(0.003, 0.008, sun));
        }
        let depth = (y - self.horizon) / (1.0 - self.horizon);
        let ripple = wave(6.0 / (depth + 0.15) + 0.4 * wave(2.0 * x + self.p[4]) + x * (1.0 + 3.0 * self.p[5]));
        lit(mix(self.shade(0.5, 0.5, 0.75), self.shade(0.6, 0.85, 0.45), depth), 1.0 + 0.18 * ripple)
    }

    fn field(&self, x: f64, y: f64) -> Rgb {
        let hill = self.horizon - 0.08 * wave(0.6 * x + self.p[2]) - 0.05 * wave(1.7 * x + self.p[3]);
        if y < hill {
            return self.sky(x, y);
        }
        let depth = (y - hill) / (1.0 - hill);
        let rows = wave((x - 0.5) * (4.0 + 10.0 * self.p[4]) / (0.2 + depth) + self.p[5]);
        let grass = mix(self.shade(0.22, 0.5, 0.75), self.shade(0.3, 0.75, 0.5), depth);
        let blossom = self.cell(26.0 * x, 26.0 * y) > 0.985 - 0.06 * self.p[6];
        if blossom { self.shade(self.p[7], 0.7, 1.0) } else { lit(grass, 1.0 + 0.1 * rows) }
    }

    fn mountains(&self, x: f64, y: f64) -> Rgb {
        let ridge = |rate: f64, phase: f64| {
            let at = |rate: f64| (2.0 * fraction(rate * x + phase) - 1.0).abs();
            0.75 * at(rate) + 0.25 * at(2.7 * rate)
        };
        let far = self.horizon - 0.32 * ridge(1.3 + self.p[2], self.p[3]);
        let near = self.horizon + 0.12 - 0.3 * ridge(0.9 + self.p[4], self.p[5]);
        if y < far.min(near) {
            return self.sky(x, y);
        }
        let rough = 0.8 + 0.4 * self.clouds(14.0 * x, 9.0 * y);
        if y >= near {
            return lit(self.shade(0.28, 0.35, 0.45), rough * (1.1 - 0.3 * y));
        }
        let snow = y < far + 0.05 + 0.08 * self.p[6];
        if snow { lit([0.95, 0.96, 1.0], rough) } else { lit(self.shade(0.63, 0.3, 0.55), rough) }
    }

    fn city(&self, x: f64, y: f64) -> Rgb {
        let columns = 4.0 + (5.0 * self.p[2]).floor();
        let column = (columns * x + self.p[3]).floor();
        let top = self.horizon - 0.35 * self.cell(column, 1000.0) + 0.05;
        if y > self.horizon + 0.2 {
            let dashes = (y - 0.93).abs() < 0.015 && fraction(5.0 * x + self.p[4]) < 0.5;
            return if dashes { [0.9, 0.9, 0.8] } else { [0.36, 0.36, 0.38] };
        }
        if y < top {
            return mix(self.shade(0.6, 0.25, 0.8), self.shade(0.07, 0.3, 0.9), y / self.horizon);
        }
        let (across, down) = (fraction(columns * x + self.p[3]), (y - top) * 16.0);
        let window = fraction(across * 3.0 - 0.5) > 0.45 && fraction(down) > 0.45 && across > 0.12;
        let bricks = self.shade(self.cell(column, 2000.0), 0.2, 0.3 + 0.4 * self.cell(column, 3000.0));
        let lamp = self.cell(column * 7.0 + (across * 3.0).floor(), down.floor()) > 0.55;
        if window { if lamp { [0.98, 0.9, 0.55] } else { lit(bricks, 0.5) } } else { bricks }
    }

    fn room(&self, x: f64, y: f64) -> Rgb {
        let floor = self.horizon + 0.15;
        if y > floor {
            let depth = (y - floor) / (1.0 - floor) + 0.25;
            let [a, b] = [(x - 0.5) * 3.0 / depth + self.p[2], 2.5 / depth];
            let dark = (a.floor() + b.floor()).rem_euclid(2.0) < 1.0;
            return self.shade(0.07 + 0.1 * self.p[3], 0.45, if dark { 0.4 } else { 0.65 });
        }
        let [from_x, from_y] = [x - (0.2 + 0.6 * self.p[4]), y - floor * 0.42];
        let (half_x, half_y) = (0.1 + 0.06 * self.p[5], 0.13 + 0.07 * self.p[6]);
        if from_x.abs() < half_x && from_y.abs() < half_y {
            let bar = from_x.abs() < 0.012 || from_y.abs() < 0.012;
            return if bar { [0.95; 3] } else { self.shade(0.57, 0.35, 0.95) };
        }
        let frame = from_x.abs() < half_x + 0.02 && from_y.abs() < half_y + 0.02;
        let wall = self.shade(self.p[7], 0.35, 0.8);
        let stripes = wave(x * (4.0 + 10.0 * self.p[0])) > 0.3;
        if frame { [0.95; 3] } else { lit(wall, if stripes { 0.86 } else { 1.0 }) }
    }

    fn forest(&self, x: f64, y: f64) -> Rgb {
        let ground = self.horizon + 0.2;
        if y > ground {
            let leaves = self.clouds(16.0 * x, 20.0 * y);
            return lit(self.shade(0.14 + 0.12 * self.p[2], 0.6, 0.4), 0.6 + 0.8 * leaves);
        }
        let columns = 5.0 + (6.0 * self.p[3]).floor();
        let place = columns * x + self.p[4];
        let width = 0.12 + 0.2 * self.cell(place.floor(), 50.0);
        let lean = 0.25 * (y - 0.5) * (self.cell(place.floor(), 60.0) - 0.5);
        let middle = 0.25 + 0.5 * self.cell(place.floor(), 70.0);
        let bark = (fraction(place) - middle - lean).abs() < width;
        let crowns = self.clouds(9.0 * x, 9.0 * y) > 0.35 + 0.9 * y / ground - 0.5 * self.p[5];
        let light = mix(self.shade(0.25, 0.45, 0.85), self.shade(0.33, 0.6, 0.45), y / ground);
        if bark && !crowns {
            return lit(self.shade(0.07, 0.45, 0.32), 0.8 + 0.4 * self.clouds(40.0 * x, 6.0 * y));
        }
        if crowns { lit(self.shade(0.31, 0.75, 0.42), 0.6 + 0.8 * self.clouds(20.0 * x, 20.0 * y)) } else { light }
    }

    fn night(&self, x: f64, y: f64) -> Rgb {
        let hill = self.horizon + 0.15 + 0.06 * wave(0.8 * x + self.p[2]) + 0.03 * wave(2.3 * x + self.p[3]);
        if y > hill {
            return lit(self.shade(0.6, 0.4, 0.13), 0.8 + 0.5 * self.clouds(8.0 * x, 12.0 * y));
        }
        let [moon_x, moon_y] = [0.1 + 0.8 * self.p[4], 0.08 + 0.25 * self.p[5]];
        let moon = (x - moon_x).powi(2) + (y - moon_y).powi(2);
        let radius = 0.04 + 0.06 * self.p[6];
        if moon < radius * radius {
            return lit([0.95, 0.93, 0.8], 0.85 + 0.3 * self.clouds(18.0 * x, 18.0 * y));
        }
        let star = self.cell(22.0 * x, 22.0 * y) > 0.93;
        let sky = mix(self.shade(0.65, 0.8, 0.16), self.shade(0.72, 0.6, 0.35), y / hill);
        if star { [0.9, 0.9, 0.85] } else { sky }
    }

    fn desert(&self, x: f64, y: f64) -> Rgb {
        let dune =
            self.horizon + 0.1 * wave(0.5 * x + self.p[2]) + 0.04 * (2.0 * fraction(1.5 * x + self.p[3]) - 1.0).abs();
        if y < dune {
            return mix(self.shade(0.06, 0.55, 0.95), self.shade(0.12, 0.35, 1.0), y / self.horizon);
        }
        let second = dune + 0.22 + 0.08 * wave(0.9 * x + self.p[4]);
        let ripple = wave((y - dune) * (14.0 + 16.0 * self.p[5]) + 1.2 * wave(x + self.p[6]));
        let sand = if y > second { self.shade(0.09, 0.6, 0.72) } else { self.shade(0.1, 0.45, 0.88) };
        lit(sand, 1.0 + 0.08 * ripple)
    }

    /// A number in 0..1 for the unit square that the place lies in.
    fn cell(&self, x: f64, y: f64) -> f64 {
        let place = (x.floor() as i64 as u64).wrapping_mul(0x1_0000_0001) ^ (y.floor() as i64 as u64);
        hash::uniform(self.details, place)
    }

    /// Smooth noise in 0..1: numbers on the unit lattice, two octaves.
    fn clouds(&self, x: f64, y: f64) -> f64 {
        0.65 * self.lattice(x, y) + 0.35 * self.lattice(2.1 * x + 31.0, 2.1 * y + 17.0)
    }

    fn lattice(&self, x: f64, y: f64) -> f64 {
        let (u, v) = (step(0.0, 1.0, fraction(x)), step(0.0, 1.0, fraction(y)));
        let row = |dy: f64| self.cell(x, y + dy) + (self.cell(x + 1.0, y + dy) - self.cell(x, y + dy)) * u;
        row(0.0) + (row(1.0) - row(0.0)) * v
    }
}
