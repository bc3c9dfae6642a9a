//! Box and Muller's transform on many words at once, without a call or a branch inside, so that the compiler takes several
//! in one instruction.
//!
//! √(−2 ln u) (cos, sin)(2πv) with u = (word + 1)/2³² in (0, 1] and v = word/2³² in [0, 1). A reconstruction of published
//! size draws 3.6 million numbers before the prior's first step; at the 17 ns of a library call each that is 60 ms, a third of
//! what the whole reconstruction takes on a data-centre GPU. It is the same polynomial on every machine, which the libraries'
//! logarithms are not. Below 1e-11 of the value, thousands of times finer than the f32 that leaves.

use std::f64::consts::{LN_2, TAU};

/// Words that are transformed together: pairs in equal places of `u` and `v`.
pub(crate) const LANES: usize = 16;

/// The first and the second normal number of each pair of words.
pub(crate) fn normals(u: &[u32; LANES], v: &[u32; LANES]) -> [[f32; LANES]; 2] {
    let mut made = [[0.0; LANES]; 2];
    for lane in 0..LANES {
        let radius = (-2.0 * ln_of_word(u[lane])).sqrt();
        let [cos, sin] = cos_sin_of_word(v[lane]);
        made[0][lane] = (radius * cos) as f32;
        made[1][lane] = (radius * sin) as f32;
    }
    made
}

/// ln((word + 1)/2³²) = e ln 2 + 2 (s + s³/3 + s⁵/5 + ...) with s = (m − 1)/(m + 1) and m in [√½, √2).
#[inline(always)]
fn ln_of_word(word: u32) -> f64 {
    const BITS: u64 = 52;
    const ONE: u64 = 1.0_f64.to_bits();
    /// √½: what is added moves mantissas from there on into the next exponent.
    const MIDDLE: u64 = std::f64::consts::FRAC_1_SQRT_2.to_bits();
    let shifted = (f64::from(word) + 1.0).to_bits() + (ONE - MIDDLE);
    let exponent = (shifted >> BITS) as i32 - 1023;
    let m = f64::from_bits((shifted & ((1 << BITS) - 1)) + MIDDLE);
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    // s is at most 0.172: the first term left out, s¹⁷/17, is 6e-15.
    let series = 1.0
        + z * (1.0 / 3.0
            + z * (1.0 / 5.0 + z * (1.0 / 7.0 + z * (1.0 / 9.0 + z * (1.0 / 11.0 + z * (1.0 / 13.0 + z / 15.0))))));
    f64::from(exponent - 32) * LN_2 + 2.0 * s * series
}

/// Cosine and sine of 2π word/2³²: those of the angle to the nearest quarter turn, then turned by so many quarters.
#[inline(always)]
fn cos_sin_of_word(word: u32) -> [f64; 2] {
    const EIGHTH: u32 = 1 << 29;
    let quarters = word.wrapping_add(EIGHTH) >> 30;
    let rest = word.wrapping_sub(quarters << 30).cast_signed();
    let x = f64::from(rest) * (TAU / 4_294_967_296.0);
    let z = x * x;
    // x is at most π/4: the first terms left out, x¹⁵/15! and x¹⁶/16!, are 2e-14 and 1e-15.
    let sin = x * series(z, [6.0, 20.0, 42.0, 72.0, 110.0, 156.0]);
    let cos = series(z, [2.0, 12.0, 30.0, 56.0, 90.0, 132.0, 182.0]);
    let (is_odd, cos_sign, sin_sign) = (quarters & 1 == 1, (quarters + 1) & 2, quarters & 2);
    let (a, b) = if is_odd { (sin, cos) } else { (cos, sin) };
    [if cos_sign == 0 { a } else { -a }, if sin_sign == 0 { b } else { -b }]
}

/// 1 − z/d₁ (1 − z/d₂ (1 − ...)): sine and cosine differ in where their factorials begin.
#[inline(always)]
fn series<const N: usize>(z: f64, divisors: [f64; N]) -> f64 {
    divisors.into_iter().rev().fold(1.0, |inner, divisor| 1.0 - z * (1.0 / divisor) * inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every power of two and its neighbours, and a thousand words between.
    fn words() -> Vec<u32> {
        let edges = (0..32).flat_map(|bit| [1_u32 << bit, (1_u32 << bit) - 1, !(1_u32 << bit)]);
        edges.chain((0..1000).map(|i: u32| i.wrapping_mul(0x9E37_79B9))).chain([u32::MAX]).collect()
    }

    #[test]
    fn logarithm_and_angle_are_the_librarys() {
        for word in words() {
            let (ln, [cos, sin]) = (ln_of_word(word), cos_sin_of_word(word));
            let u = (f64::from(word) + 1.0) / 4_294_967_296.0;
            let angle = TAU * f64::from(word) / 4_294_967_296.0;
            // 1e-11 of ln u, 1e-12 beside 1: the terms left out, and some ten roundings of f64.
            assert!((ln - u.ln()).abs() <= 1e-11 * u.ln().abs(), "{word}: ln {ln}, expected {}", u.ln());
            assert!((cos - angle.cos()).abs() < 1e-12, "{word}: cos {cos}, expected {}", angle.cos());
            assert!((sin - angle.sin()).abs() < 1e-12, "{word}: sin {sin}, expected {}", angle.sin());
        }
    }
}
