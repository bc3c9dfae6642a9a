//! Centred ridge: the dual of `mindeye-trainer` while there are fewer trials than voxels, and beyond that the primal form
//! W = (Zᵀ Z + αI)⁻¹ Zᵀ Y with Z z-scored and Y centred, since 27,000² numbers would be 5.8 GB. Both are one estimate.

use faer::prelude::Solve;
use faer::{Mat, Side};
use mindeye_trainer::ridge::{AlphaChoice, DualRidge, LeftOut, Problem, Settings, cross, gram};
use ndarray::{Array2, ArrayView2, Axis};

/// α against the mean eigenvalue of Zᵀ Z.
pub(crate) const ALPHAS: [f64; 4] = [0.1, 0.3, 1.0, 3.0];

/// Mean and SD of each voxel over the training trials.
pub(crate) struct Zscore {
    mean: Vec<f32>,
    scale: Vec<f32>,
}

impl Zscore {
    pub(crate) fn of(values: ArrayView2<'_, f32>) -> Self {
        let mean = values.mean_axis(Axis(0)).expect("one or more trials").to_vec();
        let sd = values.std_axis(Axis(0), 0.0);
        Self { mean, scale: sd.iter().map(|sd| 1.0 / sd.max(1e-6)).collect() }
    }

    /// z-scores as f32[voxels, trials].
    pub(crate) fn transposed(&self, values: ArrayView2<'_, f32>, rows: &[usize]) -> Array2<f32> {
        Array2::from_shape_fn((values.ncols(), rows.len()), |(v, t)| {
            (values[[rows[t], v]] - self.mean[v]) * self.scale[v]
        })
    }
}

enum Solution {
    /// W, f32[voxels, outputs], and the mean of the targets.
    Primal(Array2<f32>, Vec<f32>),
    Dual(DualRidge),
}

pub(crate) struct Ridge {
    zscore: Zscore,
    solution: Solution,
    pub(crate) alpha: f64,
    pub(crate) validation_r2: f64,
}

/// Fits betas f32[trials, voxels] to the targets of the pictures shown, α by left-out training pictures.
pub(crate) fn fit(values: ArrayView2<'_, f32>, picture: &[usize], targets: ArrayView2<'_, f32>) -> Ridge {
    if picture.len() < values.ncols() {
        fit_dual(values, picture, targets)
    } else {
        fit_primal(values, picture, targets)
    }
}

fn fit_dual(values: ArrayView2<'_, f32>, picture: &[usize], targets: ArrayView2<'_, f32>) -> Ridge {
    let zscore = Zscore::of(values);
    let all: Vec<usize> = (0..picture.len()).collect();
    let patterns = zscore.transposed(values, &all).reversed_axes().as_standard_layout().into_owned();
    let mut shown = picture.to_vec();
    shown.sort_unstable();
    shown.dedup();
    let image_of: Vec<usize> =
        picture.iter().map(|p| shown.binary_search(p).expect("every picture is shown")).collect();
    let targets = targets.select(Axis(0), &shown);
    let voxels: Vec<usize> = (0..values.ncols()).collect();
    let problem = Problem { patterns: patterns.view(), targets: targets.view(), image_of: &image_of, voxels: &voxels };
    let settings = Settings { alpha: AlphaChoice::Common(Vec::new()), left_out: LeftOut::Image };
    let found = mindeye_trainer::ridge::fit(&problem, &settings).expect("betas and targets that vary");
    let (alpha, validation_r2) = (found.best.alpha, found.best.r2);
    Ridge { zscore, solution: Solution::Dual(found.ridge), alpha, validation_r2 }
}

/// α by the tenth of the pictures whose number leaves 0.
fn fit_primal(values: ArrayView2<'_, f32>, picture: &[usize], targets: ArrayView2<'_, f32>) -> Ridge {
    let zscore = Zscore::of(values);
    let target_mean = mean_target(picture, targets);
    let (left_out, kept): (Vec<usize>, Vec<usize>) = (0..picture.len()).partition(|t| picture[*t].is_multiple_of(10));
    let moments = |rows: &[usize]| {
        let z = zscore.transposed(values, rows);
        let y = Array2::from_shape_fn((targets.ncols(), rows.len()), |(k, t)| {
            targets[[picture[rows[t]], k]] - target_mean[k]
        });
        (gram(z.view(), None), cross(z.view(), y.view()), y.iter().map(|v| f64::from(v * v)).sum::<f64>())
    };
    let (gram_kept, cross_kept, _) = moments(&kept);
    let (gram_left, cross_left, square) = moments(&left_out);
    let voxels = gram_kept.nrows();
    let scale = gram_kept.diag().sum() / voxels.min(kept.len()) as f64;
    let mut best = (f64::NEG_INFINITY, 0.0);
    for relative in ALPHAS {
        let weights = solve(&gram_kept, &cross_kept, relative * scale);
        // Σ|y − Wᵀz|² = Σ|y|² − 2 tr(WᵀC) + tr(WᵀGW).
        let fitted = gram_left.dot(&weights);
        let explained: f64 = weights.iter().zip(&cross_left).zip(&fitted).map(|((w, c), f)| w * (2.0 * c - f)).sum();
        let r2 = explained / square;
        if r2 > best.0 {
            best = (r2, relative);
        }
    }
    let all = picture.len() as f64 / kept.len() as f64;
    let weights = solve(&(gram_kept + gram_left), &(cross_kept + cross_left), best.1 * scale * all);
    let solution = Solution::Primal(weights.mapv(|w| w as f32), target_mean);
    Ridge { zscore, solution, alpha: best.1 * scale * all, validation_r2: best.0 }
}

fn mean_target(picture: &[usize], targets: ArrayView2<'_, f32>) -> Vec<f32> {
    let mut mean = vec![0.0_f64; targets.ncols()];
    picture.iter().for_each(|p| mean.iter_mut().zip(targets.row(*p)).for_each(|(m, y)| *m += f64::from(*y)));
    mean.into_iter().map(|m| (m / picture.len() as f64) as f32).collect()
}

fn solve(gram: &Array2<f64>, cross: &Array2<f64>, alpha: f64) -> Array2<f64> {
    let n = gram.nrows();
    // In f32: alpha is a tenth of the mean eigenvalue or more, so that the condition number stays below 1e5.
    let matrix = Mat::from_fn(n, n, |r, c| (gram[[r, c]] + if r == c { alpha } else { 0.0 }) as f32);
    let right = Mat::from_fn(n, cross.ncols(), |r, c| cross[[r, c]] as f32);
    let solved = matrix.llt(Side::Lower).expect("alpha above 0").solve(&right);
    Array2::from_shape_fn((n, cross.ncols()), |(r, c)| f64::from(solved[(r, c)]))
}

impl Ridge {
    /// Predictions for z-scores averaged over the rows of each group, f32[groups, outputs].
    pub(crate) fn predict(&self, values: ArrayView2<'_, f32>, groups: &[Vec<usize>]) -> Array2<f32> {
        let one = |rows: &Vec<usize>| {
            let z = self.zscore.transposed(values, rows);
            z.mean_axis(Axis(1)).expect("a group has trials")
        };
        let mut z = Array2::zeros((groups.len(), values.ncols()));
        groups.iter().zip(z.rows_mut()).for_each(|(rows, mut to)| to.assign(&one(rows)));
        let (weights, target_mean) = match &self.solution {
            Solution::Dual(ridge) => return ridge.predict(z.view()).expect("the ridge's own voxels"),
            Solution::Primal(weights, mean) => (weights, mean),
        };
        let mut out = z.dot(weights);
        out.rows_mut().into_iter().for_each(|mut row| row.iter_mut().zip(target_mean).for_each(|(y, m)| *y += m));
        out
    }
}
