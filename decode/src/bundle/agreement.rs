//! Sizes that stand in two places of a bundle must be equal: mask, reference, z-scores, schedule and networks.

use super::{BundleError, CALIBRATION, MANIFEST, MASK, RECIPE, SCHEDULER, ZSCORE, files};
use crate::Network;
use crate::confidence::Calibration;
use mindeye_config::{BundleManifest, Dimensions, NetworkEntry, PreprocessConfig, SchedulerConfig};
use mindeye_preprocess::{Grid, Mask, ZscoreTable};
use std::fmt::Debug;

/// Corners of the mask and of a volume on its grid may be this many mm apart: headers keep affines in f32, and 0.001 mm is 1/3000 voxel.
const SAME_GRID_MM: f64 = 1e-3;

/// No part of a model is larger than this in any dimension; products of three dimensions then fit a `usize`.
const LARGEST: usize = 1 << 20;

/// Each size is possible at all.
pub(super) fn check_dimensions(dimensions: &Dimensions) -> Result<(), BundleError> {
    let Dimensions { voxels, grid, tokens, token_dim, latent, picture, latent_scale: _ } = dimensions;
    let sizes = [&[*voxels, *tokens, *token_dim][..], grid, latent, picture].concat();
    match sizes.iter().find(|size| !(1..=LARGEST).contains(*size)) {
        Some(size) => Err(disagree(MANIFEST, "a size in [dimensions]", size, "the format", &(1..=LARGEST))),
        None => Ok(()),
    }
}

/// Each network is known, listed once, of a possible tolerance, and has the tensors of these dimensions.
pub(super) fn check_networks(manifest: &BundleManifest) -> Result<(), BundleError> {
    files::unique(manifest.network.iter().map(|network| network.name.as_str()))?;
    for entry in &manifest.network {
        check_network(&manifest.dimensions, entry)?;
    }
    Ok(())
}

fn check_network(dimensions: &Dimensions, entry: &NetworkEntry) -> Result<(), BundleError> {
    let name = &entry.name;
    let network = Network::named(name).ok_or_else(|| BundleError::UnknownNetwork {
        name: name.clone(),
        known: Network::ALL.map(Network::key).join(", "),
    })?;
    const DIMENSIONS: &str = "its [dimensions]";
    let what = |side: &str| format!("{side} of network {name}");
    equal(MANIFEST, what("inputs"), &entry.inputs, DIMENSIONS, &network.inputs(dimensions, entry))?;
    equal(MANIFEST, what("outputs"), &entry.outputs, DIMENSIONS, &network.outputs(dimensions, entry))?;
    let tolerance = entry.tolerance;
    if tolerance.is_finite() && tolerance > 0.0 {
        return Ok(());
    }
    Err(disagree(MANIFEST, what("tolerance"), &tolerance, "the format", &"a positive number"))
}

pub(super) fn check_mask(dimensions: &Dimensions, mask: &Mask) -> Result<(), BundleError> {
    equal(MASK, "voxel grid", &mask.grid().dim, MANIFEST, &dimensions.grid)?;
    equal(MASK, "number of voxels", &mask.len(), MANIFEST, &dimensions.voxels)
}

/// The volume in `path` lies on the mask's grid.
pub(super) fn check_grid(path: &'static str, mask: &Mask, grid: &Grid) -> Result<(), BundleError> {
    equal(path, "voxel grid", &grid.dim, MASK, &mask.grid().dim)?;
    let distance_mm = mask.grid().corner_distance_mm(grid);
    if distance_mm <= SAME_GRID_MM {
        return Ok(());
    }
    Err(disagree(path, "affine", &grid.affine, MASK, &mask.grid().affine))
}

pub(super) fn check_zscore(
    dimensions: &Dimensions,
    recipe: &PreprocessConfig,
    zscore: &ZscoreTable,
) -> Result<(), BundleError> {
    equal(ZSCORE, "number of voxels", &zscore.voxels(), MANIFEST, &dimensions.voxels)?;
    equal(ZSCORE, "list of lags in s", zscore.lags_s(), RECIPE, &recipe.revision_lags_s)
}

pub(super) fn check_scheduler(dimensions: &Dimensions, scheduler: &SchedulerConfig) -> Result<(), BundleError> {
    equal(SCHEDULER, "latent_scale", &scheduler.latent_scale, MANIFEST, &dimensions.latent_scale)
}

/// Confidence is fitted for one size of gallery.
pub(super) fn check_calibration(
    manifest: &BundleManifest,
    calibration: Option<&Calibration>,
) -> Result<(), BundleError> {
    let Some(calibration) = calibration else { return Ok(()) };
    let items = manifest.gallery.as_ref().map_or(0, |gallery| gallery.count);
    equal(CALIBRATION, "pool_size", &calibration.pool_size, MANIFEST, &items)
}

/// `found` in file `path` must be what `other` says.
pub(super) fn equal<T: PartialEq<U> + Debug + ?Sized, U: Debug + ?Sized>(
    path: &'static str,
    what: impl Into<String>,
    found: &T,
    other: &'static str,
    expected: &U,
) -> Result<(), BundleError> {
    if found == expected { Ok(()) } else { Err(disagree(path, what, found, other, expected)) }
}

fn disagree(
    path: &'static str,
    what: impl Into<String>,
    found: &(impl Debug + ?Sized),
    other: &'static str,
    expected: &(impl Debug + ?Sized),
) -> BundleError {
    let (found, expected) = (format!("{found:?}"), format!("{expected:?}"));
    BundleError::Disagree { path, what: what.into(), found, other, expected }
}
