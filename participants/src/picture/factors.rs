//! What a picture shows, as labels: category, scene, layout, colours, texture; everything that is painted follows from them.

use super::PictureId;
use crate::random::Draws;
use serde::Serialize;

/// What stands in the foreground.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "a name says all")]
pub enum Category {
    House,
    Tower,
    Chair,
    Cup,
    Car,
    Boat,
    Balloon,
    Aeroplane,
    Dog,
    Bird,
    Fish,
    Person,
    Tree,
    Flower,
    Mushroom,
    Fruit,
}

impl Category {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::House,
        Self::Tower,
        Self::Chair,
        Self::Cup,
        Self::Car,
        Self::Boat,
        Self::Balloon,
        Self::Aeroplane,
        Self::Dog,
        Self::Bird,
        Self::Fish,
        Self::Person,
        Self::Tree,
        Self::Flower,
        Self::Mushroom,
        Self::Fruit,
    ];

    /// The group of four that it belongs to: 0 artefacts that stand, 1 that move, 2 animate, 3 plants.
    #[must_use]
    pub fn group(self) -> usize {
        self as usize / 4
    }
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "a name says all")]
pub enum Scene {
    Sea,
    Field,
    Mountains,
    City,
    Room,
    Forest,
    Night,
    Desert,
}

impl Scene {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Sea, Self::Field, Self::Mountains, Self::City, Self::Room, Self::Forest, Self::Night, Self::Desert];
}

/// What covers the object's main surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "a name says all")]
pub enum Texture {
    Plain,
    Stripes,
    Checks,
    Spots,
    Speckle,
    Shade,
}

impl Texture {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Plain, Self::Stripes, Self::Checks, Self::Spots, Self::Speckle, Self::Shade];
}

/// One object's place.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Place {
    /// Centre from left (0) to right (1).
    pub across: f64,
    /// Centre from top (0) to bottom (1).
    pub down: f64,
    /// Half its height, share of the picture's side.
    pub size: f64,
    /// Width over height.
    pub aspect: f64,
    /// Turn, clockwise, in turns.
    pub turn: f64,
    /// Looks to the left.
    pub mirrored: bool,
}

/// All labels of a picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Factors {
    /// What stands in the foreground.
    pub category: Category,
    /// Where it stands.
    pub scene: Scene,
    /// One to three of the category, the first the largest.
    pub places: Vec<Place>,
    /// Hue of the main surface, turns.
    pub hue: f64,
    /// Its saturation, 0 to 1.
    pub saturation: f64,
    /// Its brightness, 0 to 1.
    pub value: f64,
    /// Hue of the second colour, turns.
    pub second_hue: f64,
    /// Covering of the main surface.
    pub texture: Texture,
    /// Periods of the texture over the object.
    pub texture_scale: f64,
    /// Orientation of the texture, turns.
    pub texture_turn: f64,
    /// Where the sky ends, from the top, share of the side.
    pub horizon: f64,
    /// Turn of the camera, turns.
    pub tilt: f64,
    /// Hue shift of the whole scene, turns.
    pub scene_hue: f64,
    /// Brightness of the whole, 1 as painted.
    pub light: f64,
    /// Contrast of the whole, 1 as painted.
    pub contrast: f64,
    /// Seed of what has no label: windows of houses, clouds, stars.
    pub details: u64,
}

/// Whether this category in this scene occurs in the collection `novel` only: one scene for each category.
#[must_use]
pub fn is_held_out(category: Category, scene: Scene) -> bool {
    scene as usize == (3 * category as usize + category.group() + 5) % Scene::ALL.len()
}

impl Factors {
    /// The labels of picture `id` of the world with this seed.
    #[must_use]
    pub fn of(seed: u64, id: PictureId) -> Self {
        let mut draws = Draws::new(seed, &[id.collection as u64, u64::from(id.number)]);
        let category = Category::ALL[draws.below(Category::ALL.len())];
        let scene = scene(&mut draws, category, id.collection.is_held_out());
        let horizon = draws.within(0.35, 0.7);
        let texture = Texture::ALL[draws.below(Texture::ALL.len())];
        Self {
            category,
            scene,
            places: places(&mut draws),
            hue: draws.uniform(),
            saturation: draws.within(0.35, 1.0),
            value: draws.within(0.45, 1.0),
            second_hue: draws.uniform(),
            texture,
            texture_scale: draws.within(1.5, 5.0),
            texture_turn: draws.uniform(),
            horizon,
            tilt: draws.within(-0.025, 0.025),
            scene_hue: draws.within(-0.07, 0.07),
            light: draws.within(0.75, 1.2),
            contrast: draws.within(0.75, 1.15),
            details: draws.bits(),
        }
    }
}

/// A scene that may go with `category` in this kind of collection: seven of eight, or the eighth.
fn scene(draws: &mut Draws, category: Category, held_out: bool) -> Scene {
    let allowed: Vec<Scene> =
        Scene::ALL.into_iter().filter(|scene| is_held_out(category, *scene) == held_out).collect();
    allowed[draws.below(allowed.len())]
}

/// One object in half of the pictures, two or three in a quarter each; the others smaller and elsewhere.
fn places(draws: &mut Draws) -> Vec<Place> {
    let count = 1 + usize::from(draws.chance(0.5)) * (1 + draws.below(2));
    let largest = draws.within(0.16, 0.36);
    let mut places: Vec<Place> = Vec::with_capacity(count);
    for n in 0..count {
        let size = largest * if n == 0 { 1.0 } else { draws.within(0.5, 0.85) };
        let candidates = [0; 4].map(|_| [draws.within(0.15, 0.85), draws.within(0.25, 0.8)]);
        let [across, down] = farthest(&candidates, &places);
        let (aspect, turn) = (draws.within(0.75, 1.3), draws.within(-0.04, 0.04));
        places.push(Place { across, down, size, aspect, turn, mirrored: draws.chance(0.5) });
    }
    places
}

/// Of the candidates, the one farthest from all places taken.
fn farthest(candidates: &[[f64; 2]; 4], taken: &[Place]) -> [f64; 2] {
    let room = |c: &[f64; 2]| {
        taken.iter().map(|p| (p.across - c[0]).powi(2) + (p.down - c[1]).powi(2)).fold(f64::INFINITY, f64::min)
    };
    let mut best = candidates[0];
    for candidate in candidates {
        if room(candidate) > room(&best) {
            best = *candidate;
        }
    }
    best
}
