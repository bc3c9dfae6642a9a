//! The gamma distribution, of which haemodynamic responses are made.

/// Gamma density of `shape` and `scale` seconds at `t` seconds, 1/s; 0 before 0.
pub(crate) fn density(shape: f64, scale: f64, t: f64) -> f64 {
    if t <= 0.0 {
        return 0.0;
    }
    let x = t / scale;
    ((shape - 1.0) * x.ln() - x - ln_gamma(shape)).exp() / scale
}

/// Its integral from 0 to `t`: the regularised incomplete gamma function P(shape, t/scale).
///
/// The series below the mean and Legendre's continued fraction above it (Numerical Recipes, section 6.2), to 1e-15.
pub(crate) fn distribution(shape: f64, scale: f64, t: f64) -> f64 {
    if t <= 0.0 {
        return 0.0;
    }
    let x = t / scale;
    let front = (shape * x.ln() - x - ln_gamma(shape)).exp();
    if x < shape + 1.0 { front * series(shape, x) } else { 1.0 - front * continued_fraction(shape, x) }
}

/// Σ xⁿ / (a (a+1) ... (a+n)).
fn series(a: f64, x: f64) -> f64 {
    let mut term = 1.0 / a;
    let mut sum = term;
    let mut denominator = a;
    while term > sum * 1e-17 {
        denominator += 1.0;
        term *= x / denominator;
        sum += term;
    }
    sum
}

/// Lentz's evaluation of 1/(x+1−a− 1(1−a)/(x+3−a− 2(2−a)/(x+5−a− ...))).
fn continued_fraction(a: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / b;
    let mut value = d;
    for i in 1..500 {
        let i = f64::from(i);
        let an = -i * (i - a);
        b += 2.0;
        d = 1.0 / nonzero(an * d + b, TINY);
        c = nonzero(b + an / c, TINY);
        let step = d * c;
        value *= step;
        if (step - 1.0).abs() < 1e-16 {
            break;
        }
    }
    value
}

fn nonzero(value: f64, tiny: f64) -> f64 {
    if value.abs() < tiny { tiny } else { value }
}

/// ln Γ(a) for a > 0 (Lanczos 1964 with g = 7 and nine terms, 1e-15).
fn ln_gamma(a: f64) -> f64 {
    const LANCZOS: [f64; 9] = [
        0.999_999_999_999_809_9,
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let a = a - 1.0;
    let t = a + 7.5;
    let sum = (1..9).fold(LANCZOS[0], |sum, i| sum + LANCZOS[i] / (a + i as f64));
    0.5 * std::f64::consts::TAU.ln() + (a + 0.5) * t.ln() - t + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ln_gamma_is_the_factorial_between_and_at_integers() {
        let cases =
            [(1.0, 0.0), (6.0, 120f64.ln()), (16.0, 1_307_674_368_000f64.ln()), (0.5, 0.5 * std::f64::consts::PI.ln())];
        for (a, expected) in cases {
            // 1e-13: fifteen digits of Lanczos on numbers up to 28.
            assert!((ln_gamma(a) - expected).abs() < 1e-13, "{a}: {} against {expected}", ln_gamma(a));
        }
    }

    #[test]
    fn the_distribution_of_an_integer_shape_is_erlang_s() {
        for shape in [6u32, 16] {
            for t in [0.1, 1.0, 5.0, 6.9, 7.1, 12.0, 20.0, 32.0, 90.0] {
                let (mut term, mut sum) = (1.0, 1.0);
                for i in 1..shape {
                    term *= t / f64::from(i);
                    sum += term;
                }
                let erlang = 1.0 - f64::exp(-t) * sum;
                let ours = distribution(f64::from(shape), 1.0, t);
                // 1e-13: Erlang's form loses digits below the mean, where 1 is subtracted from nearly 1.
                assert!((ours - erlang).abs() < 1e-13, "shape {shape} at {t}: {ours} against {erlang}");
            }
        }
    }

    #[test]
    fn the_density_is_the_slope_of_the_distribution() {
        for t in [0.5, 3.0, 6.0, 12.0, 20.0] {
            let (shape, scale) = (6.0 / 0.9, 0.9);
            let slope = (distribution(shape, scale, t + 1e-4) - distribution(shape, scale, t - 1e-4)) / 2e-4;
            // 1e-8: a central difference of step 1e-4 errs by 1e-8/6 times the third derivative, which is below 1.
            assert!((slope - density(shape, scale, t)).abs() < 1e-8, "at {t}");
        }
    }
}
