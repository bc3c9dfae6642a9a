//! Kinds of trials compared voxel by voxel: the difference of their mean betas over its standard error.

use crate::program::quantile;
use crate::report::trial_types::Kind;

/// A weighted sum of the kinds' means.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Contrast {
    pub(crate) name: String,
    /// One weight per kind.
    weights: Vec<f64>,
}

/// One number per usable voxel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ContrastMap {
    /// Σ c_k m_k, unit of the betas.
    pub(crate) effect: Vec<f32>,
    /// Effect over its standard error; 0 where that is 0.
    pub(crate) t: Vec<f32>,
    /// Trials less kinds.
    pub(crate) freedom: usize,
}

/// Kinds up to which every pair is compared; of more, each is compared with the mean of the others.
const PAIRS_UP_TO: usize = 3;

/// What there is to compare; empty where no kind has a second trial, so that no variance is known.
pub(crate) fn contrasts(kinds: &[Kind<'_>]) -> Vec<Contrast> {
    let count = kinds.len();
    let weights =
        |plus: usize, minus: &dyn Fn(usize) -> f64| (0..count).map(|k| f64::from(k == plus) - minus(k)).collect();
    if kinds.iter().all(|kind| kind.betas.len() < 2) {
        return Vec::new();
    }
    if count == 1 {
        return vec![Contrast { name: format!("{} against baseline", kinds[0].name), weights: vec![1.0] }];
    }
    if count > PAIRS_UP_TO {
        let share = 1.0 / (count - 1) as f64;
        let others = |plus: usize| weights(plus, &|k| if k == plus { 0.0 } else { share });
        let name = |plus: usize| format!("{} against the others", kinds[plus].name);
        return (0..count).map(|plus| Contrast { name: name(plus), weights: others(plus) }).collect();
    }
    let pairs = (0..count).flat_map(|plus| (plus + 1..count).map(move |minus| (plus, minus)));
    let contrast = |(plus, minus): (usize, usize)| Contrast {
        name: format!("{} against {}", kinds[plus].name, kinds[minus].name),
        weights: weights(plus, &|k| f64::from(k == minus)),
    };
    pairs.map(contrast).collect()
}

impl Contrast {
    /// t = Σ c_k m_k / √(s̃² Σ c_k²/n_k), with m_k and n_k a kind's mean and number of trials, and s² the variance
    /// within kinds pooled over all of them: a one-way layout. s̃² = (s² + s₀²)/2, with s₀² the median of s² over the
    /// voxels: from few trials some s² are small by luck and would make the greatest t (moderated t, Smyth 2004,
    /// doi:10.2202/1544-6115.1027, with the prior's degrees of freedom set to the data's).
    pub(crate) fn map(&self, kinds: &[Kind<'_>]) -> ContrastMap {
        let trials: usize = kinds.iter().map(|kind| kind.betas.len()).sum();
        let freedom = trials - kinds.len();
        let spread: f64 = self.weights.iter().zip(kinds).map(|(c, kind)| c * c / kind.betas.len() as f64).sum();
        let voxels = 0..kinds[0].betas[0].len();
        let (effects, squares): (Vec<f64>, Vec<f64>) =
            voxels.map(|voxel| self.effect_and_squares(kinds, voxel)).unzip();
        let variances: Vec<f64> = squares.iter().map(|squares| squares / freedom as f64).collect();
        let median = quantile(&variances, 0.5).unwrap_or(0.0);
        let t = |(effect, variance): (&f64, &f64)| {
            let error = ((variance + median) / 2.0 * spread).sqrt();
            if error > 0.0 { (effect / error) as f32 } else { 0.0 }
        };
        let t = effects.iter().zip(&variances).map(t).collect();
        ContrastMap { effect: effects.into_iter().map(|effect| effect as f32).collect(), t, freedom }
    }

    /// Σ c_k m_k, and the squares within kinds.
    fn effect_and_squares(&self, kinds: &[Kind<'_>], voxel: usize) -> (f64, f64) {
        let mut sums = (0.0, 0.0);
        for (weight, kind) in self.weights.iter().zip(kinds) {
            let values = kind.betas.iter().map(|beta| f64::from(beta.0[voxel]));
            let mean = values.clone().sum::<f64>() / kind.betas.len() as f64;
            sums.0 += weight * mean;
            sums.1 += values.map(|v| (v - mean).powi(2)).sum::<f64>();
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mindeye_preprocess::Pattern;

    fn patterns(values: &[f32]) -> Vec<Pattern> {
        values.iter().map(|v| Pattern(vec![*v])).collect()
    }

    fn kind<'a>(name: &'a str, betas: &'a [Pattern]) -> Kind<'a> {
        Kind { name, betas: betas.iter().collect() }
    }

    #[test]
    fn two_kinds_give_students_t_of_the_pooled_variance() {
        let (a, b) = (patterns(&[3.0, 4.0, 5.0]), patterns(&[1.0, 2.0]));
        let kinds = [kind("a", &a), kind("b", &b)];
        let contrasts = contrasts(&kinds);
        assert_eq!(contrasts.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["a against b"]);
        let map = contrasts[0].map(&kinds);
        // Means 4 and 1.5, squares 2 + 0.5 on 3 degrees: t = 2.5/√(2.5/3 (1/3 + 1/2)) = 3.
        assert_eq!((map.effect[0], map.freedom), (2.5, 3));
        assert!((map.t[0] - 3.0).abs() < 1e-6 /* one f32 rounding */, "{}", map.t[0]);
    }

    #[test]
    fn what_is_compared_depends_on_the_number_of_kinds() {
        let betas: Vec<_> = (0..5).map(|_| patterns(&[1.0, 2.0])).collect();
        let kinds: Vec<_> = ["a", "b", "c", "d", "e"].into_iter().zip(&betas).map(|(n, b)| kind(n, b)).collect();
        let names = |count: usize| contrasts(&kinds[..count]).into_iter().map(|c| c.name).collect::<Vec<_>>();
        assert_eq!(names(1), ["a against baseline"]);
        assert_eq!(names(3), ["a against b", "a against c", "b against c"]);
        assert_eq!(names(4)[1], "b against the others");
        let singles = [patterns(&[1.0]), patterns(&[2.0])];
        assert_eq!(contrasts(&[kind("a", &singles[0]), kind("b", &singles[1])]), [], "no variance is known");
    }

    #[test]
    fn a_variance_that_is_small_by_luck_is_drawn_to_the_median() {
        let two = |first: [f32; 3], second: [f32; 3]| [Pattern(first.to_vec()), Pattern(second.to_vec())];
        let (a, b) = (two([2.0, 2.0, 1.0], [2.0, 3.0, 3.0]), two([1.0, 0.0, 0.0], [1.0, 1.0, 2.0]));
        let kinds = [kind("a", &a), kind("b", &b)];
        let t = contrasts(&kinds)[0].map(&kinds).t;
        // Variances 0, 0.5 and 2, their median 0.5: s̃² = 0.25, 0.5 and 1.25; effects 1, 2, 1; Σ c²/n = 1.
        for (found, expected) in t.iter().zip([2.0f64, 2.0 / 0.5f64.sqrt(), 1.0 / 1.25f64.sqrt()]) {
            assert!((f64::from(*found) - expected).abs() < 1e-6 /* one f32 rounding */, "{t:?}");
        }
    }

    #[test]
    fn a_voxel_without_variance_has_t_zero_and_never_nan() {
        let (a, b) = (patterns(&[1.0, 1.0]), patterns(&[1.0, 1.0]));
        let kinds = [kind("a", &a), kind("b", &b)];
        assert_eq!(contrasts(&kinds)[0].map(&kinds).t, [0.0]);
    }
}
