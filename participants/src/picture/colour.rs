//! Colours and waves from additions, multiplications and divisions alone, so that pictures are equal bytes everywhere.

/// Red, green, blue, each 0 to 1 as a screen takes them.
pub(crate) type Rgb = [f64; 3];

/// Hue in turns, saturation and value from 0 to 1 (Smith 1978).
pub(crate) fn hsv(hue: f64, saturation: f64, value: f64) -> Rgb {
    let channel = |offset: f64| {
        let place = 6.0 * fraction(hue + offset);
        let full = ((place - 3.0).abs() - 1.0).clamp(0.0, 1.0);
        value * (1.0 - saturation * (1.0 - full))
    };
    [channel(0.0), channel(2.0 / 3.0), channel(1.0 / 3.0)]
}

/// `a` at share 0, `b` at share 1.
pub(crate) fn mix(a: Rgb, b: Rgb, share: f64) -> Rgb {
    [0, 1, 2].map(|c| a[c] + (b[c] - a[c]) * share.clamp(0.0, 1.0))
}

/// A colour `gain` times as bright.
pub(crate) fn lit(colour: Rgb, gain: f64) -> Rgb {
    colour.map(|c| (c * gain).clamp(0.0, 1.0))
}

/// sin(2π `turns`), to 6e-8: the library's sine may differ between machines in its last bit, a polynomial may not.
pub(crate) fn wave(turns: f64) -> f64 {
    let t = fraction(turns);
    let folded = match t {
        t if t < 0.25 => t,
        t if t < 0.75 => 0.5 - t,
        t => t - 1.0,
    };
    let x = std::f64::consts::TAU * folded;
    let s = x * x;
    x * (1.0 - s / 6.0 * (1.0 - s / 20.0 * (1.0 - s / 42.0 * (1.0 - s / 72.0 * (1.0 - s / 110.0)))))
}

/// (cos, sin) of an angle in turns.
pub(crate) fn direction(turns: f64) -> [f64; 2] {
    [wave(turns + 0.25), wave(turns)]
}

/// What lies behind the point, 0 to 1.
pub(crate) fn fraction(x: f64) -> f64 {
    x - x.floor()
}

/// 0 below `low`, 1 above `high`, smooth between.
pub(crate) fn step(low: f64, high: f64, x: f64) -> f64 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wave_is_a_sine() {
        for n in -400..400 {
            let turns = f64::from(n) / 97.0;
            let sine = (std::f64::consts::TAU * turns).sin();
            // 6e-8: the first term that is left out, (π/2)¹³/13!.
            assert!((wave(turns) - sine).abs() < 6e-8, "{turns}: {} against {sine}", wave(turns));
        }
    }

    #[test]
    fn hues_go_round_from_red_over_green_and_blue() {
        let third = 1.0 / 3.0;
        for (hue, expected) in [(0.0, [1.0, 0.0, 0.0]), (third, [0.0, 1.0, 0.0]), (2.0 * third, [0.0, 0.0, 1.0])] {
            let found = hsv(hue, 1.0, 1.0);
            assert!((0..3).all(|c| (found[c] - expected[c]).abs() < 1e-12), "{hue}: {found:?}");
        }
        assert_eq!(hsv(0.2, 0.0, 0.5), [0.5; 3]);
    }
}
