//! Colour scales: equal steps in the number look like equal steps in the picture.

/// Red, green, blue.
pub(crate) type Rgb = [u8; 3];

/// Colours of trial types (Okabe and Ito 2008, told apart by colour-blind readers), repeated after the seventh.
pub(crate) const CATEGORIES: [Rgb; 7] =
    [[0, 114, 178], [213, 94, 0], [0, 158, 115], [204, 121, 167], [230, 159, 0], [86, 180, 233], [120, 120, 120]];

/// Anchors of viridis (van der Walt and Smith 2015), evenly spaced.
const VIRIDIS: [Rgb; 9] = [
    [68, 1, 84],
    [71, 44, 122],
    [59, 81, 139],
    [44, 113, 142],
    [33, 144, 141],
    [39, 173, 129],
    [92, 200, 99],
    [170, 220, 50],
    [253, 231, 37],
];

/// Hot is positive and cold is negative, and both ends are bright: a map on a grey head.
const THERMAL: [Rgb; 7] =
    [[120, 225, 255], [40, 135, 255], [30, 60, 205], [95, 95, 95], [205, 30, 25], [250, 120, 20], [255, 228, 85]];

/// Blue over white to red, on paper (after ColorBrewer's RdBu).
const DIVERGING: [Rgb; 5] = [[33, 102, 172], [146, 197, 222], [255, 255, 255], [244, 165, 130], [178, 24, 43]];

/// 0 dark violet to 1 yellow.
pub(crate) fn sequential(at: f64) -> Rgb {
    between(&VIRIDIS, at)
}

/// 0 light blue over 0.5 grey to 1 yellow.
pub(crate) fn thermal(at: f64) -> Rgb {
    between(&THERMAL, at)
}

/// 0 blue over 0.5 white to 1 red.
pub(crate) fn diverging(at: f64) -> Rgb {
    between(&DIVERGING, at)
}

/// 0 black to 1 white.
pub(crate) fn grey(at: f64) -> Rgb {
    between(&[[0; 3], [255; 3]], at)
}

/// `weight` of `over` on the rest of `under`.
pub(crate) fn blend(under: Rgb, over: Rgb, weight: f64) -> Rgb {
    std::array::from_fn(|c| mix(under[c], over[c], weight.clamp(0.0, 1.0)))
}

/// As CSS and SVG write it.
pub(crate) fn css(colour: Rgb) -> String {
    let [r, g, b] = colour;
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn between(anchors: &[Rgb], at: f64) -> Rgb {
    let place = at.clamp(0.0, 1.0) * (anchors.len() - 1) as f64;
    let below = (place.floor() as usize).min(anchors.len() - 2);
    blend(anchors[below], anchors[below + 1], place - below as f64)
}

fn mix(from: u8, to: u8, weight: f64) -> u8 {
    (f64::from(from) * (1.0 - weight) + f64::from(to) * weight).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_their_anchors_and_clamp_beyond() {
        for at in [0.0, -3.0] {
            assert_eq!((sequential(at), thermal(at), grey(at)), (VIRIDIS[0], THERMAL[0], [0; 3]));
        }
        for at in [1.0, 7.0] {
            assert_eq!((sequential(at), thermal(at), grey(at)), (VIRIDIS[8], THERMAL[6], [255; 3]));
        }
        assert_eq!((thermal(0.5), grey(0.5), diverging(0.5)), (THERMAL[3], [128; 3], [255; 3]));
        assert_eq!(css([0, 114, 178]), "#0072b2");
    }
}
