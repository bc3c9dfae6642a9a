//! Labels of a picture as numbers: what later areas answer to.

use crate::picture::{Category, Factors, Scene, Texture};

/// Categories, groups of them, scenes, places 3x3, sizes, counts, hues, textures, horizon, light.
pub(crate) const LABELS: usize = 16 + 4 + 8 + 9 + 3 + 3 + 6 + 6 + 3 + 2;

/// Labels of objects come first: a voxel sees them through its receptive field.
pub(crate) const OBJECT_LABELS: usize = 16 + 4;

/// The labels, each of the order of 1 where it holds and 0 where it does not.
pub(crate) fn labels(factors: &Factors) -> [f32; LABELS] {
    let mut out = [0.0; LABELS];
    let mut at = Writer { out: &mut out, next: 0 };
    at.one_of(Category::ALL.len(), factors.category as usize);
    at.one_of(4, factors.category.group());
    at.one_of(Scene::ALL.len(), factors.scene as usize);
    for row in 0..3 {
        for column in 0..3 {
            at.put(objects_near(factors, column as f64 / 2.0, row as f64 / 2.0));
        }
    }
    let largest = factors.places[0].size;
    [0.18, 0.26, 0.34].into_iter().for_each(|size| at.put(bump(largest, size, 0.05)));
    at.one_of(3, factors.places.len() - 1);
    for hue in 0..6 {
        at.put(factors.saturation * circular_bump(factors.hue, f64::from(hue) / 6.0));
    }
    at.one_of(Texture::ALL.len(), factors.texture as usize);
    [0.4, 0.52, 0.64].into_iter().for_each(|horizon| at.put(bump(factors.horizon, horizon, 0.08)));
    at.put(factors.light - 1.0);
    at.put(2.0 * factors.value - 1.4);
    out
}

struct Writer<'a> {
    out: &'a mut [f32; LABELS],
    next: usize,
}

impl Writer<'_> {
    fn put(&mut self, value: f64) {
        self.out[self.next] = value as f32;
        self.next += 1;
    }

    fn one_of(&mut self, count: usize, which: usize) {
        (0..count).for_each(|n| self.put(f64::from(u8::from(n == which))));
    }
}

/// exp(−(x − centre)²/2 width²).
fn bump(x: f64, centre: f64, width: f64) -> f64 {
    (-(x - centre).powi(2) / (2.0 * width * width)).exp()
}

/// 1 at the same hue, 0 at the opposite one.
fn circular_bump(hue: f64, centre: f64) -> f64 {
    (0.5 + 0.5 * (std::f64::consts::TAU * (hue - centre)).cos()).powi(2)
}

/// How much object lies about a place of the picture, from left and top, 0 to 1.
fn objects_near(factors: &Factors, across: f64, down: f64) -> f64 {
    let near = |p: &crate::picture::Place| 3.0 * p.size * bump(p.across, across, 0.22) * bump(p.down, down, 0.22);
    factors.places.iter().map(near).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::{Collection, PictureId, WORLD};

    #[test]
    fn every_label_varies_over_the_world_and_all_are_of_the_order_of_one() {
        let all: Vec<_> = (0..2000)
            .map(|number| labels(&Factors::of(WORLD, PictureId { collection: Collection::Train, number })))
            .collect();
        for label in 0..LABELS {
            let values: Vec<f32> = all.iter().map(|l| l[label]).collect();
            let mean = values.iter().sum::<f32>() / 2000.0;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 2000.0;
            // Least of all varies what lies in the upper left corner, where objects seldom are.
            assert!(variance > 0.002, "label {label}: variance {variance}");
            assert!(values.iter().all(|v| v.abs() < 3.5), "label {label}");
        }
    }
}
