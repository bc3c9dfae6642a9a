//! Errors of left-out trials without refitting: e = E Y with one matrix E per α.

use super::RidgeError;
use faer::prelude::Solve;
use faer::{Mat, Side};
use ndarray::Array2;

/// What is left out together when α is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeftOut {
    /// One trial (as scikit-learn's `RidgeCV`); the image's other presentations stay in and make it look easy.
    Trial,
    /// All presentations of an image: what decoding a new image is like.
    #[default]
    Image,
}

impl LeftOut {
    /// Trials that are left out together, given the image of each trial.
    pub(crate) fn groups(self, image_of: &[usize]) -> Vec<Vec<usize>> {
        match self {
            Self::Trial => (0..image_of.len()).map(|trial| vec![trial]).collect(),
            Self::Image => {
                let mut groups = std::collections::BTreeMap::<usize, Vec<usize>>::new();
                image_of.iter().enumerate().for_each(|(trial, image)| groups.entry(*image).or_default().push(trial));
                groups.into_values().collect()
            }
        }
    }
}

/// E, f64[n, n], with e_g = G_gg⁻¹ (G Y)_g for each group g.
pub(crate) fn residual_weights(resolvent: &Array2<f64>, groups: &[Vec<usize>]) -> Array2<f64> {
    let mut weights = resolvent.clone();
    for group in groups {
        match group[..] {
            [trial] => {
                let own = resolvent[[trial, trial]];
                weights.row_mut(trial).iter_mut().for_each(|w| *w /= own);
            }
            _ => solve_group(resolvent, group, &mut weights),
        }
    }
    weights
}

fn solve_group(resolvent: &Array2<f64>, group: &[usize], weights: &mut Array2<f64>) {
    let own = Mat::from_fn(group.len(), group.len(), |i, j| resolvent[[group[i], group[j]]]);
    let rows = Mat::from_fn(group.len(), resolvent.ncols(), |i, j| resolvent[[group[i], j]]);
    let solved = match own.llt(Side::Lower) {
        Ok(cholesky) => cholesky.solve(&rows),
        // G is positive semi-definite: rounding can cost the last pivot when nearly all trials are one image.
        Err(_) => own.partial_piv_lu().solve(&rows),
    };
    for (i, trial) in group.iter().enumerate() {
        weights.row_mut(*trial).iter_mut().enumerate().for_each(|(j, w)| *w = solved[(i, j)]);
    }
}

/// `Ok` when something is left to learn from after any group is left out.
pub(crate) fn require_enough(groups: usize, image_of: &[usize]) -> Result<(), RidgeError> {
    let images = image_of.iter().collect::<std::collections::BTreeSet<_>>().len();
    if groups >= 3 {
        return Ok(());
    }
    let needed = "leaving one out needs three or more";
    Err(RidgeError::TooFew { trials: image_of.len(), images, needed })
}
