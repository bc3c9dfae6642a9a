//! Sixteen things in the foreground, each a list of simple parts from back to front.

use super::factors::Category;

/// A part's outline; x to the right, y down, the object within -1 to 1.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// Centre and half axes.
    Ellipse([f64; 2], [f64; 2]),
    /// Centre and half sides.
    Box([f64; 2], [f64; 2]),
    /// Corners of a convex polygon, clockwise on the screen.
    Polygon(&'static [[f64; 2]]),
}

/// What a part is painted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// The main colour with its texture.
    Main,
    /// The second colour.
    Second,
    /// Nearly black.
    Dark,
    /// Nearly white.
    Light,
    /// Wood.
    Brown,
    /// Leaves.
    Green,
    /// Skin.
    Skin,
}

/// A shape with its paint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part(pub(crate) Shape, pub(crate) Paint);

impl Shape {
    /// Whether it covers the point.
    pub(crate) fn covers(&self, [x, y]: [f64; 2]) -> bool {
        match self {
            Self::Ellipse([cx, cy], [rx, ry]) => {
                let (a, b) = ((x - cx) / rx, (y - cy) / ry);
                a * a + b * b <= 1.0
            }
            Self::Box([cx, cy], [hx, hy]) => (x - cx).abs() <= *hx && (y - cy).abs() <= *hy,
            Self::Polygon(corners) => {
                let next = corners.iter().cycle().skip(1);
                corners.iter().zip(next).all(|(a, b)| (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0]) >= 0.0)
            }
        }
    }
}

/// Parts of `category` from back to front.
pub(crate) fn parts(category: Category) -> &'static [Part] {
    use Paint::{Brown, Dark, Green, Light, Main, Second, Skin};
    use Shape::{Box, Ellipse, Polygon};
    match category {
        Category::House => &[
            Part(Box([0.45, -0.6], [0.1, 0.3]), Brown),
            Part(Box([0.0, 0.4], [0.75, 0.6]), Main),
            Part(Polygon(&[[0.0, -1.0], [0.95, -0.15], [-0.95, -0.15]]), Second),
            Part(Box([0.0, 0.65], [0.16, 0.35]), Dark),
            Part(Box([-0.45, 0.3], [0.15, 0.18]), Light),
            Part(Box([0.45, 0.3], [0.15, 0.18]), Light),
        ],
        Category::Tower => &[
            Part(Polygon(&[[-0.28, -0.55], [0.28, -0.55], [0.42, 1.0], [-0.42, 1.0]]), Main),
            Part(Box([0.0, -0.5], [0.38, 0.12]), Second),
            Part(Polygon(&[[0.0, -1.0], [0.32, -0.6], [-0.32, -0.6]]), Dark),
            Part(Box([0.0, -0.05], [0.08, 0.16]), Light),
            Part(Box([0.0, 0.5], [0.08, 0.16]), Light),
        ],
        Category::Chair => &[
            Part(Box([-0.5, 0.3], [0.09, 0.7]), Brown),
            Part(Box([0.5, 0.3], [0.09, 0.7]), Brown),
            Part(Box([0.0, -0.45], [0.6, 0.5]), Main),
            Part(Box([0.0, 0.2], [0.7, 0.15]), Second),
        ],
        Category::Cup => &[
            Part(Ellipse([0.65, 0.05], [0.32, 0.42]), Second),
            Part(Ellipse([0.65, 0.05], [0.18, 0.26]), Light),
            Part(Polygon(&[[-0.7, -0.7], [0.7, -0.7], [0.5, 0.85], [-0.5, 0.85]]), Main),
            Part(Ellipse([0.0, -0.7], [0.7, 0.18]), Dark),
        ],
        Category::Car => &[
            Part(Polygon(&[[-0.45, -0.45], [0.35, -0.45], [0.65, 0.0], [-0.7, 0.0]]), Second),
            Part(Polygon(&[[-0.38, -0.35], [-0.05, -0.35], [-0.05, -0.02], [-0.55, -0.02]]), Light),
            Part(Polygon(&[[0.03, -0.35], [0.3, -0.35], [0.5, -0.02], [0.03, -0.02]]), Light),
            Part(Box([0.0, 0.2], [1.0, 0.25]), Main),
            Part(Ellipse([-0.55, 0.45], [0.24, 0.24]), Dark),
            Part(Ellipse([0.55, 0.45], [0.24, 0.24]), Dark),
            Part(Ellipse([-0.55, 0.45], [0.1, 0.1]), Light),
            Part(Ellipse([0.55, 0.45], [0.1, 0.1]), Light),
        ],
        Category::Boat => &[
            Part(Box([0.0, -0.2], [0.05, 0.8]), Brown),
            Part(Polygon(&[[0.1, -0.95], [0.85, 0.3], [0.1, 0.3]]), Second),
            Part(Polygon(&[[-0.1, -0.7], [-0.1, 0.3], [-0.6, 0.3]]), Light),
            Part(Polygon(&[[-1.0, 0.45], [1.0, 0.45], [0.65, 0.95], [-0.65, 0.95]]), Main),
        ],
        Category::Balloon => &[
            Part(Polygon(&[[-0.35, 0.2], [0.35, 0.2], [0.15, 0.75], [-0.15, 0.75]]), Dark),
            Part(Ellipse([0.0, -0.3], [0.68, 0.7]), Main),
            Part(Box([0.0, 0.85], [0.2, 0.15]), Brown),
        ],
        Category::Aeroplane => &[
            Part(Polygon(&[[-0.85, -0.55], [-0.65, -0.55], [-0.45, 0.0], [-0.9, 0.0]]), Second),
            Part(Ellipse([0.0, 0.0], [1.0, 0.22]), Main),
            Part(Polygon(&[[-0.1, 0.0], [0.35, 0.0], [-0.25, 0.8], [-0.5, 0.8]]), Second),
            Part(Polygon(&[[-0.3, -0.6], [-0.12, -0.6], [0.25, -0.1], [-0.05, -0.1]]), Second),
            Part(Ellipse([0.7, -0.06], [0.14, 0.08]), Light),
        ],
        Category::Dog => &[
            Part(Box([-0.5, 0.65], [0.1, 0.35]), Main),
            Part(Box([0.35, 0.65], [0.1, 0.35]), Main),
            Part(Box([-0.28, 0.6], [0.1, 0.35]), Second),
            Part(Box([0.15, 0.6], [0.1, 0.35]), Second),
            Part(Polygon(&[[-0.95, -0.5], [-0.8, -0.5], [-0.5, 0.1], [-0.65, 0.2]]), Main),
            Part(Ellipse([-0.1, 0.15], [0.65, 0.36]), Main),
            Part(Ellipse([0.6, -0.35], [0.34, 0.3]), Main),
            Part(Ellipse([0.88, -0.25], [0.16, 0.13]), Second),
            Part(Ellipse([0.42, -0.5], [0.12, 0.26]), Dark),
            Part(Ellipse([0.68, -0.42], [0.06, 0.06]), Dark),
        ],
        Category::Bird => &[
            Part(Polygon(&[[-1.0, -0.2], [-0.5, -0.05], [-0.45, 0.25]]), Second),
            Part(Box([-0.05, 0.75], [0.04, 0.25]), Dark),
            Part(Box([0.15, 0.75], [0.04, 0.25]), Dark),
            Part(Ellipse([0.0, 0.2], [0.6, 0.42]), Main),
            Part(Ellipse([0.5, -0.35], [0.3, 0.3]), Main),
            Part(Polygon(&[[0.75, -0.45], [1.0, -0.3], [0.75, -0.22]]), Brown),
            Part(Ellipse([-0.1, 0.15], [0.35, 0.2]), Second),
            Part(Ellipse([0.57, -0.42], [0.07, 0.07]), Dark),
        ],
        Category::Fish => &[
            Part(Polygon(&[[-1.0, -0.5], [-0.5, 0.0], [-1.0, 0.5]]), Second),
            Part(Polygon(&[[-0.2, -0.75], [0.25, -0.35], [-0.4, -0.35]]), Second),
            Part(Ellipse([0.15, 0.0], [0.8, 0.48]), Main),
            Part(Ellipse([0.62, -0.12], [0.12, 0.12]), Light),
            Part(Ellipse([0.64, -0.12], [0.06, 0.06]), Dark),
        ],
        Category::Person => &[
            Part(Box([-0.17, 0.65], [0.13, 0.35]), Second),
            Part(Box([0.17, 0.65], [0.13, 0.35]), Second),
            Part(Polygon(&[[-0.35, -0.4], [-0.25, -0.15], [-0.6, 0.35], [-0.72, 0.2]]), Skin),
            Part(Polygon(&[[0.35, -0.4], [0.72, 0.2], [0.6, 0.35], [0.25, -0.15]]), Skin),
            Part(Polygon(&[[-0.38, -0.42], [0.38, -0.42], [0.3, 0.38], [-0.3, 0.38]]), Main),
            Part(Ellipse([0.0, -0.78], [0.26, 0.22]), Dark),
            Part(Ellipse([0.0, -0.68], [0.22, 0.26]), Skin),
        ],
        Category::Tree => &[
            Part(Box([0.0, 0.6], [0.12, 0.4]), Brown),
            Part(Ellipse([-0.35, 0.0], [0.42, 0.38]), Green),
            Part(Ellipse([0.38, 0.02], [0.42, 0.38]), Green),
            Part(Ellipse([0.0, -0.4], [0.55, 0.55]), Main),
        ],
        Category::Flower => &[
            Part(Box([0.0, 0.5], [0.06, 0.5]), Green),
            Part(Ellipse([0.3, 0.6], [0.28, 0.12]), Green),
            Part(Ellipse([0.0, -0.75], [0.24, 0.25]), Main),
            Part(Ellipse([0.42, -0.45], [0.25, 0.24]), Main),
            Part(Ellipse([0.27, 0.02], [0.24, 0.25]), Main),
            Part(Ellipse([-0.27, 0.02], [0.24, 0.25]), Main),
            Part(Ellipse([-0.42, -0.45], [0.25, 0.24]), Main),
            Part(Ellipse([0.0, -0.35], [0.26, 0.26]), Second),
        ],
        Category::Mushroom => &[
            Part(Polygon(&[[-0.2, 0.0], [0.2, 0.0], [0.32, 1.0], [-0.32, 1.0]]), Light),
            Part(Ellipse([0.0, 0.1], [0.85, 0.2]), Second),
            Part(Polygon(&[[-0.85, 0.1], [-0.6, -0.5], [0.0, -0.85], [0.6, -0.5], [0.85, 0.1]]), Main),
        ],
        Category::Fruit => &[
            Part(Box([0.05, -0.75], [0.05, 0.22]), Brown),
            Part(Ellipse([0.3, -0.75], [0.26, 0.12]), Green),
            Part(Ellipse([-0.25, 0.1], [0.55, 0.65]), Main),
            Part(Ellipse([0.25, 0.1], [0.55, 0.65]), Main),
            Part(Ellipse([-0.35, -0.2], [0.13, 0.17]), Light),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_can_be_seen() {
        for category in Category::ALL {
            for (n, Part(shape, _)) in parts(category).iter().enumerate() {
                let places = (0..100 * 100).map(|i| [f64::from(i % 100) / 50.0 - 1.0, f64::from(i / 100) / 50.0 - 1.0]);
                let covered = places.filter(|place| shape.covers(*place)).count();
                assert!(covered > 20, "part {n} of {category:?} covers {covered} of 10,000 places");
            }
        }
    }
}
