//! Recipes, masks and runs that several tests share.
#![allow(dead_code, reason = "each test file uses its own part")]

use mindeye_config::{BetaConfig, BetaKind, PreprocessConfig};
use mindeye_preprocess::{Grid, Mask, RunPreprocessor, ZscoreTable};
use std::sync::Arc;

/// The demo's recipe: window 4 to 8 s, one estimate at 7.5 s, percent signal change.
pub(crate) fn recipe(baseline_s: f64) -> PreprocessConfig {
    let beta = BetaConfig { kind: BetaKind::Window, window_start_s: 4.0, window_end_s: 8.0, ..BetaConfig::default() };
    PreprocessConfig::new(vec![7.5], BetaConfig { baseline_s, ..beta })
}

/// A row of voxels 2 mm apart, x fastest.
pub(crate) fn grid(voxels: usize) -> Grid {
    Grid { dim: [voxels, 1, 1], affine: [[2., 0., 0., 0.], [0., 2., 0., 0.], [0., 0., 2., 0.], [0., 0., 0., 1.]] }
}

/// The last `voxels` of a grid with two more, so that a wrong offset shows.
pub(crate) fn mask(voxels: usize) -> Arc<Mask> {
    let last = voxels as u32 + 2;
    Arc::new(Mask::from_voxels(grid(voxels + 2), (2..last).collect()).unwrap())
}

/// Mean 0 and SD `sd` for every voxel and lag.
pub(crate) fn zscore(recipe: &PreprocessConfig, voxels: usize, sd: f32) -> Arc<ZscoreTable> {
    let numbers = recipe.revision_lags_s.len() * voxels;
    let table = ZscoreTable::new(recipe.revision_lags_s.clone(), voxels, vec![0.0; numbers], vec![sd; numbers]);
    Arc::new(table.unwrap())
}

/// A run over `mask(voxels)`.
pub(crate) fn run(recipe: &PreprocessConfig, voxels: usize, tr_s: f64, ring_volumes: usize) -> RunPreprocessor {
    RunPreprocessor::new(recipe, mask(voxels), zscore(recipe, voxels, 1.0), tr_s, ring_volumes).unwrap()
}

/// Raw bytes of one volume over `grid(values.len() + 2)`: two voxels outside the mask, then `values`.
pub(crate) fn raw_f32(values: &[f32]) -> Vec<u8> {
    [777.0, -777.0].iter().chain(values).flat_map(|v: &f32| v.to_le_bytes()).collect()
}
