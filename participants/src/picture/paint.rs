//! Labels become pixels: the scene, shadows, objects from far to near, then light, contrast and grain.

use super::Picture;
use super::backdrop::Backdrop;
use super::colour::{Rgb, direction, fraction, hsv, lit, mix, wave};
use super::factors::{Factors, Place, Texture};
use super::object::{Paint, Part, parts};
use mindeye_preprocess::phantom::hash;

/// Places per pixel and axis that are averaged.
const SAMPLES: usize = 2;

/// Largest grain, share of full scale.
const GRAIN: f64 = 0.02;

/// Paints `factors` at `side` x `side` pixels.
pub(crate) fn paint(factors: &Factors, side: usize) -> Picture {
    let canvas = Canvas::new(factors);
    let mut rgb = Vec::with_capacity(3 * side * side);
    for pixel in 0..side * side {
        let colour = canvas.pixel(pixel % side, pixel / side, side);
        let grain = GRAIN * (hash::uniform(factors.details, (1 << 40) + pixel as u64) - 0.5);
        rgb.extend(colour.map(|c| ((canvas.exposed(c) + grain).clamp(0.0, 1.0) * 255.0 + 0.5) as u8));
    }
    Picture { side, rgb }
}

struct Canvas<'a> {
    factors: &'a Factors,
    backdrop: Backdrop,
    tilt: [f64; 2],
    /// Far (high up) to near.
    objects: Vec<Object<'a>>,
    texture_axes: [f64; 2],
}

struct Object<'a> {
    place: &'a Place,
    turn: [f64; 2],
}

impl<'a> Canvas<'a> {
    fn new(factors: &'a Factors) -> Self {
        let mut objects: Vec<Object<'a>> =
            factors.places.iter().map(|place| Object { place, turn: direction(place.turn) }).collect();
        objects.sort_by(|a, b| a.place.down.total_cmp(&b.place.down));
        let tilt = direction(factors.tilt);
        let texture_axes = direction(factors.texture_turn);
        Self { factors, backdrop: Backdrop::new(factors), tilt, objects, texture_axes }
    }

    /// Mean over the pixel's samples.
    fn pixel(&self, column: usize, row: usize, side: usize) -> Rgb {
        let offset = |n: usize| (n as f64 + 0.5) / SAMPLES as f64;
        let mut sum = [0.0; 3];
        for n in 0..SAMPLES * SAMPLES {
            let x = (column as f64 + offset(n % SAMPLES)) / side as f64;
            let y = (row as f64 + offset(n / SAMPLES)) / side as f64;
            let colour = self.sample([x, y]);
            (0..3).for_each(|c| sum[c] += colour[c]);
        }
        sum.map(|s| s / (SAMPLES * SAMPLES) as f64)
    }

    fn sample(&self, [x, y]: [f64; 2]) -> Rgb {
        let ([cos, sin], u, v) = (self.tilt, x - 0.5, y - 0.5);
        let mut colour = self.backdrop.colour([0.5 + cos * u - sin * v, 0.5 + sin * u + cos * v]);
        for object in &self.objects {
            let local = object.local([x, y]);
            colour = lit(colour, object.shadow(local));
            let covering = parts(self.factors.category).iter().rev().find(|Part(shape, _)| shape.covers(local));
            if let Some(Part(_, paint)) = covering {
                colour = self.surface(*paint, local);
            }
        }
        colour
    }

    /// Colour of the object's surface; light comes from above.
    fn surface(&self, paint: Paint, local: [f64; 2]) -> Rgb {
        let f = self.factors;
        let (main, second) = (hsv(f.hue, f.saturation, f.value), hsv(f.second_hue, 0.7, 0.8));
        let colour = match paint {
            Paint::Main => self.textured(main, second, local),
            Paint::Second => second,
            Paint::Dark => [0.1, 0.1, 0.12],
            Paint::Light => [0.92, 0.92, 0.88],
            Paint::Brown => [0.42, 0.28, 0.16],
            Paint::Green => hsv(0.3 + 0.3 * f.scene_hue, 0.7, 0.5),
            Paint::Skin => hsv(0.07, 0.45, 0.35 + 0.55 * f.value),
        };
        lit(colour, 1.0 - 0.18 * local[1])
    }

    fn textured(&self, main: Rgb, second: Rgb, [x, y]: [f64; 2]) -> Rgb {
        let f = self.factors;
        let [cos, sin] = self.texture_axes;
        let (a, b) = ((cos * x + sin * y) * f.texture_scale, (cos * y - sin * x) * f.texture_scale);
        let spot = |x: f64| fraction(x) - 0.5;
        match f.texture {
            Texture::Plain => main,
            Texture::Stripes => mix(main, second, if wave(0.75 * a) > 0.0 { 0.85 } else { 0.0 }),
            Texture::Checks => mix(main, second, if wave(0.6 * a) * wave(0.6 * b) > 0.0 { 0.85 } else { 0.0 }),
            Texture::Spots => mix(main, second, if spot(a).powi(2) + spot(b).powi(2) < 0.09 { 0.9 } else { 0.0 }),
            Texture::Speckle => {
                let cell = ((4.0 * a).floor() as i64 as u64) << 32 ^ ((4.0 * b).floor() as i64 as u64 & 0xffff_ffff);
                lit(main, 0.6 + 0.8 * hash::uniform(f.details, cell))
            }
            Texture::Shade => lit(main, 0.95 + 0.4 * (cos * x + sin * y)),
        }
    }

    /// Light and contrast of the whole, about middle grey.
    fn exposed(&self, c: f64) -> f64 {
        0.5 + (c * self.factors.light - 0.5) * self.factors.contrast
    }
}

impl Object<'_> {
    /// From the picture's frame into the object's.
    fn local(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let Place { across, down, size, aspect, mirrored, .. } = *self.place;
        let (u, v) = (x - across, y - down);
        let [cos, sin] = self.turn;
        let (right, below) = ((cos * u + sin * v) / (size * aspect), (cos * v - sin * u) / size);
        [if mirrored { -right } else { right }, below]
    }

    /// How much light is left on the ground below the object.
    fn shadow(&self, [x, y]: [f64; 2]) -> f64 {
        let far = (x / 0.9).powi(2) + ((y - 1.0) / 0.16).powi(2);
        if far < 1.0 { 0.55 + 0.45 * far } else { 1.0 }
    }
}
