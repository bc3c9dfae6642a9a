//! Does the same kind of trial give the same pattern twice: split halves, and every trial against every other.

use crate::report::trial_types::Kind;
use mindeye_preprocess::Pattern;

/// How well a kind's trials agree.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Agreement {
    pub(crate) name: String,
    pub(crate) trials: usize,
    /// Correlation over voxels of the mean of the odd trials with that of the even ones; `None` of one trial.
    pub(crate) split_half: Option<f64>,
    /// Mean correlation of two trials of this kind.
    pub(crate) within: Option<f64>,
    /// Mean correlation of a trial of this kind with one of another.
    pub(crate) between: Option<f64>,
}

/// Correlation over voxels of every two trials, kind by kind: `[trials][trials]`; `None` of a constant pattern.
pub(crate) fn correlations(kinds: &[Kind<'_>]) -> Vec<Vec<Option<f64>>> {
    let betas: Vec<&Pattern> = kinds.iter().flat_map(|kind| kind.betas.iter().copied()).collect();
    betas.iter().map(|a| betas.iter().map(|b| a.correlation(b)).collect()).collect()
}

/// The agreement of each kind, from the same matrix.
pub(crate) fn agreements(kinds: &[Kind<'_>], correlations: &[Vec<Option<f64>>]) -> Vec<Agreement> {
    let mut first = 0;
    let agreement = |kind: &Kind<'_>| {
        let own = first..first + kind.betas.len();
        first = own.end;
        let pairs = own.clone().flat_map(|a| (0..correlations.len()).map(move |b| (a, b)));
        let mean_where = |belongs: &dyn Fn(usize, usize) -> bool| {
            mean(pairs.clone().filter(|(a, b)| belongs(*a, *b)).filter_map(|(a, b)| correlations[a][b]))
        };
        Agreement {
            name: kind.name.to_owned(),
            trials: kind.betas.len(),
            split_half: split_half(&kind.betas),
            within: mean_where(&|a, b| a != b && own.contains(&b)),
            between: mean_where(&|_, b| !own.contains(&b)),
        }
    };
    kinds.iter().map(agreement).collect()
}

fn split_half(betas: &[&Pattern]) -> Option<f64> {
    let half = |from: usize| mean_pattern(betas.iter().copied().skip(from).step_by(2));
    half(0)?.correlation(&half(1)?)
}

fn mean_pattern<'a>(betas: impl Iterator<Item = &'a Pattern>) -> Option<Pattern> {
    let mut sum: Vec<f64> = Vec::new();
    for beta in betas {
        sum.resize(beta.len(), 0.0);
        sum.iter_mut().zip(&beta.0).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    // A correlation does not change with the scale: the sum stands for the mean.
    (!sum.is_empty()).then(|| Pattern(sum.into_iter().map(|v| v as f32).collect()))
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = values.fold((0u32, 0.0), |(n, sum), value| (n + 1, sum + value));
    (count > 0).then(|| sum / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_that_repeat_agree_and_kinds_that_differ_do_not() {
        let up = [Pattern(vec![1.0, 2.0, 3.0]), Pattern(vec![2.0, 4.0, 6.0])];
        let down = [Pattern(vec![3.0, 2.0, 1.0])];
        let kinds =
            [Kind { name: "up", betas: up.iter().collect() }, Kind { name: "down", betas: down.iter().collect() }];
        let agreements = agreements(&kinds, &correlations(&kinds));
        let numbers: Vec<_> = agreements.iter().map(|a| (a.trials, a.split_half, a.within, a.between)).collect();
        assert_eq!(numbers, [(2, Some(1.0), Some(1.0), Some(-1.0)), (1, None, None, Some(-1.0))]);
    }
}
