//! z-scores use the training session's mean and SD: the live run is too short to estimate its own.

use crate::moments::finite_or_zero;
use crate::{Pattern, PreprocessError, Stage};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::path::Path;
use std::sync::Arc;

/// Mean and SD per voxel and revision lag, frozen from training: `f32[lags, voxels]`, unit of the betas.
#[derive(Debug, Clone, PartialEq)]
pub struct ZscoreTable {
    lags_s: Vec<f64>,
    voxels: usize,
    mean: Vec<f32>,
    sd: Vec<f32>,
}

impl ZscoreTable {
    /// A table of `mean` and `sd`, each `[lags, voxels]` row-major, for these lags in seconds after onset.
    ///
    /// # Errors
    /// [`PreprocessError::Disagree`] if a length does not fit, [`PreprocessError::Zscore`] for a number that is not
    /// finite or an SD that is negative.
    pub fn new(lags_s: Vec<f64>, voxels: usize, mean: Vec<f32>, sd: Vec<f32>) -> Result<Self, PreprocessError> {
        let expected = lags_s.len() * voxels;
        for (tensor, found) in [("mean", mean.len()), ("sd", sd.len())] {
            require_equal(tensor, "lags x voxels of the z-score table", "numbers", found, expected)?;
        }
        let table = Self { lags_s, voxels, mean, sd };
        table.check_numbers()?;
        Ok(table)
    }

    fn check_numbers(&self) -> Result<(), PreprocessError> {
        let complain = |tensor, lag_row, voxel, value| Err(PreprocessError::Zscore { tensor, lag_row, voxel, value });
        if let Some(row) = self.lags_s.iter().position(|lag| !lag.is_finite()) {
            return complain("lags_s", row, 0, self.lags_s[row]);
        }
        let place = |at: usize| (at / self.voxels, at % self.voxels);
        if let Some(at) = self.mean.iter().position(|m| !m.is_finite()) {
            return complain("mean", place(at).0, place(at).1, f64::from(self.mean[at]));
        }
        if let Some(at) = self.sd.iter().position(|sd| !(sd.is_finite() && *sd >= 0.0)) {
            return complain("sd", place(at).0, place(at).1, f64::from(self.sd[at]));
        }
        Ok(())
    }

    /// Reads `zscore.safetensors`: `mean` and `sd` `f32[L, V]`, `lags_s` `f64[L]`, and nothing else.
    ///
    /// # Errors
    /// [`PreprocessError::File`] or [`PreprocessError::Format`] naming `path`, or as [`ZscoreTable::new`].
    pub fn read(path: &Path) -> Result<Self, PreprocessError> {
        let bytes = std::fs::read(path).map_err(|source| PreprocessError::File { path: path.to_owned(), source })?;
        let format = |problem: String| PreprocessError::Format { path: path.to_owned(), problem };
        let file = SafeTensors::deserialize(&bytes).map_err(|e| format(e.to_string()))?;
        if let Some(extra) = file.names().into_iter().find(|name| !["mean", "sd", "lags_s"].contains(name)) {
            return Err(format(format!("has `mean`, `sd` and `lags_s` only, found `{extra}`")));
        }
        let tensor = |name: &str, dtype, rank| tensor(&file, name, dtype, rank).map_err(format);
        let (mean, sd, lags) =
            (tensor("mean", Dtype::F32, 2)?, tensor("sd", Dtype::F32, 2)?, tensor("lags_s", Dtype::F64, 1)?);
        if mean.shape() != sd.shape() || mean.shape()[0] != lags.shape()[0] {
            let (m, s, l) = (mean.shape(), sd.shape(), lags.shape());
            return Err(format(format!("`mean` {m:?}, `sd` {s:?} and `lags_s` {l:?} must be [L, V], [L, V] and [L]")));
        }
        let lags_s = lags.data().as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
        Self::new(lags_s, mean.shape()[1], floats(&mean), floats(&sd))
    }

    /// Writes the table as `zscore.safetensors`; equal tables give equal bytes.
    ///
    /// # Errors
    /// [`PreprocessError::File`] or [`PreprocessError::Format`] naming `path`.
    pub fn write(&self, path: &Path) -> Result<(), PreprocessError> {
        let format =
            |e: safetensors::SafeTensorError| PreprocessError::Format { path: path.to_owned(), problem: e.to_string() };
        let shape = vec![self.lags_s.len(), self.voxels];
        let (mean, sd) = (float_bytes(&self.mean), float_bytes(&self.sd));
        let lags: Vec<u8> = self.lags_s.iter().flat_map(|lag| lag.to_le_bytes()).collect();
        let tensors = [
            ("lags_s", TensorView::new(Dtype::F64, vec![self.lags_s.len()], &lags).map_err(format)?),
            ("mean", TensorView::new(Dtype::F32, shape.clone(), &mean).map_err(format)?),
            ("sd", TensorView::new(Dtype::F32, shape, &sd).map_err(format)?),
        ];
        let bytes = safetensors::serialize(tensors, None).map_err(format)?;
        std::fs::write(path, bytes).map_err(|source| PreprocessError::File { path: path.to_owned(), source })
    }

    /// Voxels, V.
    #[must_use]
    pub fn voxels(&self) -> usize {
        self.voxels
    }

    /// Revision lags, seconds after onset; row `i` of the table belongs to lag `i`.
    #[must_use]
    pub fn lags_s(&self) -> &[f64] {
        &self.lags_s
    }

    /// Training mean of each voxel at a lag, unit of the betas.
    #[must_use]
    pub fn mean(&self, lag_row: usize) -> &[f32] {
        &self.mean[lag_row * self.voxels..][..self.voxels]
    }

    /// Training SD of each voxel at a lag, unit of the betas.
    #[must_use]
    pub fn sd(&self, lag_row: usize) -> &[f32] {
        &self.sd[lag_row * self.voxels..][..self.voxels]
    }

    /// Writes z = (β − mean)/sd of a lag and returns how many voxels never varied in training (sd 0); they get z = 0,
    /// the training mean, because nothing was learned from them.
    ///
    /// # Errors
    /// [`PreprocessError::Disagree`] if `beta` has another number of voxels or the table has no such row.
    pub fn apply(&self, lag_row: usize, beta: &Pattern, out: &mut Pattern) -> Result<usize, PreprocessError> {
        require_equal("beta", "z-score table", "voxels", beta.len(), self.voxels)?;
        if lag_row >= self.lags_s.len() {
            require_equal("lag row", "z-score table", "rows", lag_row + 1, self.lags_s.len())?;
        }
        out.0.resize(self.voxels, 0.0);
        let mut without_sd = 0;
        let statistics = self.mean(lag_row).iter().zip(self.sd(lag_row));
        for ((beta, (mean, sd)), z) in beta.0.iter().zip(statistics).zip(&mut out.0) {
            *z = finite_or_zero((f64::from(*beta) - f64::from(*mean)) / f64::from(*sd), &mut without_sd);
        }
        Ok(without_sd)
    }
}

fn tensor<'a>(file: &SafeTensors<'a>, name: &str, dtype: Dtype, rank: usize) -> Result<TensorView<'a>, String> {
    let tensor = file.tensor(name).map_err(|e| e.to_string())?;
    if tensor.dtype() != dtype || tensor.shape().len() != rank {
        let (found, shape) = (tensor.dtype(), tensor.shape());
        return Err(format!("`{name}` must be {dtype:?} of rank {rank}, found {found:?}{shape:?}"));
    }
    Ok(tensor)
}

fn floats(tensor: &TensorView<'_>) -> Vec<f32> {
    tensor.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn float_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

pub(crate) fn require_equal(
    left: &'static str,
    right: &'static str,
    what: &'static str,
    left_value: usize,
    right_value: usize,
) -> Result<(), PreprocessError> {
    if left_value == right_value {
        return Ok(());
    }
    let (left_value, right_value) = (left_value.to_string(), right_value.to_string());
    Err(PreprocessError::Disagree { left, right, what, left_value, right_value })
}

/// As a stage: betas of one lag become z-scores.
#[derive(Debug, Clone)]
pub struct FrozenZscore {
    table: Arc<ZscoreTable>,
    lag_row: usize,
}

impl FrozenZscore {
    /// The z-score of row `lag_row`.
    #[must_use]
    pub fn new(table: Arc<ZscoreTable>, lag_row: usize) -> Self {
        Self { table, lag_row }
    }
}

impl Stage for FrozenZscore {
    type In<'a> = Pattern;
    type Out = Pattern;

    fn process_into(&mut self, input: &Pattern, out: &mut Pattern) -> Result<(), PreprocessError> {
        self.table.apply(self.lag_row, input, out)?;
        Ok(())
    }

    fn delay_volumes(&self) -> u32 {
        0
    }

    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zscore_table_comes_back_and_bad_tables_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("zscore.safetensors");
        let table = ZscoreTable::new(vec![6.0, 7.5], 2, vec![0.0, 1.0, 2.0, 3.0], vec![1.0, 0.5, 2.0, 0.0]).unwrap();
        table.write(&path).unwrap();
        let first = std::fs::read(&path).unwrap();
        assert_eq!(ZscoreTable::read(&path).unwrap(), table);
        table.write(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), first, "equal tables, equal bytes");

        let mut z = Pattern::default();
        assert_eq!(table.apply(0, &Pattern(vec![2.0, 2.0]), &mut z).unwrap(), 0);
        assert_eq!(z.0, [2.0, 2.0]);
        assert_eq!(table.apply(1, &Pattern(vec![4.0, 4.0]), &mut z).unwrap(), 1, "a voxel of SD 0 is counted");
        assert_eq!(z.0, [1.0, 0.0]);
        assert!(table.apply(2, &Pattern(vec![4.0, 4.0]), &mut z).is_err());
        assert!(table.apply(0, &Pattern(vec![4.0]), &mut z).is_err());

        let new = |mean: Vec<f32>, sd: Vec<f32>| ZscoreTable::new(vec![7.5], 2, mean, sd).unwrap_err().to_string();
        assert!(new(vec![0.0; 3], vec![1.0; 2]).contains("3 against 2"));
        assert!(new(vec![0.0, f32::NAN], vec![1.0; 2]).contains("`mean` at lag row 0, voxel 1 is NaN"));
        assert!(new(vec![0.0; 2], vec![1.0, -1.0]).contains("`sd` at lag row 0, voxel 1 is -1"));
        std::fs::write(&path, b"not a table").unwrap();
        assert!(matches!(ZscoreTable::read(&path), Err(PreprocessError::Format { .. })));
    }
}
