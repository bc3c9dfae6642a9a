//! A bundle is everything that one participant's decoder needs, in one folder, opened whole or not at all.

mod agreement;
mod calibrated;
mod engines;
mod error;
mod files;
mod gallery;
mod golden;
mod hrf;

pub use error::BundleError;

use crate::confidence::Calibration;
use crate::{Gallery, Network, TwoStageGallery};
use golden::Golden;
use mindeye_config::{
    BundleManifest, EnginesManifest, Mismatch, PreprocessConfig, SchedulerConfig, Sha256, from_toml, load,
    sha256_of_bytes,
};
use mindeye_preprocess::{Mask, ZscoreTable, read_bold};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The manifest's file, which lists all others.
const MANIFEST: &str = "manifest.toml";
const MASK: &str = "mask.nii.gz";
const REFERENCE: &str = "reference.nii.gz";
const RECIPE: &str = "preprocess.toml";
const ZSCORE: &str = "zscore.safetensors";
const SCHEDULER: &str = "scheduler.toml";
const GOLDEN: &str = "golden.safetensors";
/// One byte per voxel of the mask: its response in the library; only where the recipe has one.
const HRF_INDEX: &str = "hrf_index.nii.gz";
/// How scores become confidence; only where it was fitted.
const CALIBRATION: &str = "calibration.toml";
/// The folder of compiled engines, which keeps its own table.
const ENGINES: &str = "engines/";
const ENGINES_MANIFEST: &str = "engines/manifest.toml";
const REQUIRED: [&str; 6] = [MASK, REFERENCE, RECIPE, ZSCORE, SCHEDULER, GOLDEN];

/// A folder whose every byte is the listed one and whose parts agree with each other.
pub struct Bundle {
    /// The folder.
    pub dir: PathBuf,
    /// Its table of contents.
    pub manifest: BundleManifest,
    /// Digest of `manifest.toml`, and so of the whole bundle.
    pub hash: Sha256,
    /// The voxels that the networks take, in their order.
    pub mask: Arc<Mask>,
    /// How volumes become betas.
    pub recipe: PreprocessConfig,
    /// Mean and SD of the betas in training, per revision lag.
    pub zscore: Arc<ZscoreTable>,
    /// The diffusion's noise schedule.
    pub scheduler: SchedulerConfig,
    /// The pictures to retrieve from.
    pub gallery: Option<Arc<Gallery>>,
    /// The same with coarse vectors for a first look, where it has them.
    pub two_stage: Option<Arc<TwoStageGallery>>,
    /// How retrieval scores become confidence.
    pub calibration: Option<Calibration>,
    /// Number of each voxel's response in the HRF library, in the mask's order.
    pub hrf_index: Option<Arc<Vec<u8>>>,
    /// Engines compiled from the networks.
    pub engines: Option<EnginesManifest>,
    pub(crate) golden: Golden,
}

impl Bundle {
    /// Opens the bundle in `dir`: hashes every file, refuses unlisted ones (in `engines/` by the table there), reads all parts but
    /// the networks and holds each against the manifest. The folder must not change while a program uses it.
    ///
    /// # Errors
    /// [`BundleError`] naming the file and both sides of the first disagreement.
    pub fn open(dir: &Path) -> Result<Self, BundleError> {
        let (manifest, hash) = read_manifest(dir)?;
        files::check(dir, &manifest, &REQUIRED)?;
        agreement::check_dimensions(&manifest.dimensions)?;
        agreement::check_networks(&manifest)?;

        let mask = Mask::read(&dir.join(MASK)).map_err(BundleError::part(MASK))?;
        agreement::check_mask(&manifest.dimensions, &mask)?;
        let reference = read_bold(&dir.join(REFERENCE)).map_err(BundleError::part(REFERENCE))?;
        agreement::check_grid(REFERENCE, &mask, &reference.grid)?;
        let recipe: PreprocessConfig = load(&dir.join(RECIPE))?;
        let zscore = ZscoreTable::read(&dir.join(ZSCORE)).map_err(BundleError::part(ZSCORE))?;
        agreement::check_zscore(&manifest.dimensions, &recipe, &zscore)?;
        let scheduler: SchedulerConfig = load(&dir.join(SCHEDULER))?;
        agreement::check_scheduler(&manifest.dimensions, &scheduler)?;
        let golden = Golden::read(dir, &manifest)?;
        let gallery = gallery::read(dir, &manifest)?.map(Arc::new);
        let two_stage = gallery::read_coarse(dir, &manifest, gallery.as_ref())?.map(Arc::new);
        let lists = |path: &str| manifest.file.iter().any(|file| file.path == path);
        let hrf_index = lists(HRF_INDEX).then(|| hrf::read(dir, &mask)).transpose()?.map(Arc::new);
        let calibration: Option<Calibration> = lists(CALIBRATION).then(|| load(&dir.join(CALIBRATION))).transpose()?;
        agreement::check_calibration(&manifest, calibration.as_ref())?;
        let engines = engines::read(dir, &hash)?;

        let (dir, mask, zscore) = (dir.to_owned(), Arc::new(mask), Arc::new(zscore));
        Ok(Self {
            dir,
            manifest,
            hash,
            mask,
            recipe,
            zscore,
            scheduler,
            gallery,
            two_stage,
            calibration,
            hrf_index,
            engines,
            golden,
        })
    }

    /// Writes this bundle with `calibration` into the new folder `to`: another bundle, with a digest of its own. Files are
    /// linked where the file system can.
    ///
    /// # Errors
    /// [`BundleError`] naming a file that cannot be read or written.
    pub fn write_calibrated(&self, calibration: &Calibration, to: &Path) -> Result<(), BundleError> {
        agreement::check_calibration(&self.manifest, Some(calibration))?;
        calibrated::write(&self.dir, calibration, to)
    }

    /// Whether this program's estimator, which follows the bundle's `preprocess.toml`, is that of the training.
    ///
    /// # Errors
    /// [`Mismatch`] naming the first field that differs.
    pub fn check_estimator(&self) -> Result<(), Mismatch> {
        self.recipe.estimator().agrees_with(&self.manifest.estimator)
    }

    /// The reference volume, an EPI on the mask's grid, to which live volumes are registered.
    #[must_use]
    pub fn reference_path(&self) -> PathBuf {
        self.dir.join(REFERENCE)
    }

    /// The compiled engine of `network` for `target`, if there is one.
    #[must_use]
    pub fn engine_path(&self, target: &str, network: Network) -> Option<PathBuf> {
        let engines = &self.engines.as_ref()?.engine;
        let engine = engines.iter().find(|engine| engine.target == target && engine.network == network.key())?;
        Some(self.dir.join(ENGINES).join(&engine.path))
    }

    /// Name and the first twelve digits of the hash, as in `demo@abcdef012345`: the `bundle` of results.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}@{}", self.manifest.name, self.hash.short())
    }
}

fn read_manifest(dir: &Path) -> Result<(BundleManifest, Sha256), BundleError> {
    let path = dir.join(MANIFEST);
    let text = std::fs::read_to_string(&path).map_err(BundleError::unreadable(&path))?;
    Ok((from_toml(&text, &path)?, sha256_of_bytes(text.as_bytes())))
}
