//! Mean and SD of training trials, applied by the daemon's own function.

use super::{FolderError, TrainingFolder};
use mindeye_preprocess::{Pattern, ZscoreTable};
use ndarray::{Array2, ArrayView2};

/// Mean and population SD of each voxel over `rows` (training trials) of `folder`, in f64, at every lag at which it has
/// betas: the SD of an early estimate is several times that of a late one, so that one SD does not serve all lags.
///
/// # Errors
/// Of [`ZscoreTable::new`]; none for a folder that opened.
pub fn fit_zscore(folder: &TrainingFolder, rows: &[usize]) -> Result<ZscoreTable, FolderError> {
    let (mut lags_s, mut mean, mut sd) = (Vec::new(), Vec::new(), Vec::new());
    for (lag_s, betas) in folder.lags() {
        let (own_mean, own_sd) = moments(betas, rows);
        lags_s.push(lag_s);
        mean.extend(own_mean);
        sd.extend(own_sd);
    }
    Ok(ZscoreTable::new(lags_s, folder.voxel_count(), mean, sd)?)
}

pub(crate) fn moments(voxels: ArrayView2<'_, f32>, rows: &[usize]) -> (Vec<f32>, Vec<f32>) {
    let count = rows.len() as f64;
    let mut mean = vec![0.0_f64; voxels.ncols()];
    for row in rows {
        mean.iter_mut().zip(voxels.row(*row)).for_each(|(m, v)| *m += f64::from(*v) / count);
    }
    let mut variance = vec![0.0_f64; voxels.ncols()];
    for row in rows {
        let centred = voxels.row(*row).into_iter().zip(&mean).map(|(v, m)| f64::from(*v) - m);
        variance.iter_mut().zip(centred).for_each(|(s, d)| *s += d * d / count);
    }
    (mean.into_iter().map(|m| m as f32).collect(), variance.into_iter().map(|v| v.sqrt() as f32).collect())
}

/// Rows of `voxels` as z-scores by the last lag of `table`, f32[rows, voxels].
///
/// # Errors
/// [`FolderError::Preprocess`] when the table has another number of voxels.
pub fn zscored_rows(
    voxels: ArrayView2<'_, f32>,
    rows: &[usize],
    table: &ZscoreTable,
) -> Result<Array2<f32>, FolderError> {
    let mut out = Array2::zeros((rows.len(), voxels.ncols()));
    let mut z = Pattern::default();
    for (row, mut to) in rows.iter().zip(out.rows_mut()) {
        table.apply(table.lags_s().len() - 1, &Pattern(voxels.row(*row).to_vec()), &mut z)?;
        to.iter_mut().zip(&z.0).for_each(|(to, z)| *to = *z);
    }
    Ok(out)
}
