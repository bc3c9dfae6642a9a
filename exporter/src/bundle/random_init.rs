//! A bundle without any weights: random networks of the right shapes around the phantom, for wiring and latency work.

use super::golden::{GoldenCase, golden_case, golden_file};
use super::manifest::list_files;
use super::planted::{SCENES, write_planted};
use super::sizes::Sizes;
use crate::networks::{Network, graph};
use crate::onnx::{INLINE_LIMIT, Model};
use crate::random_init::random_weights;
use crate::staging::{Staging, make_folder, write};
use crate::weights::Weights;
use crate::{ExportError, Progress, Step};
use mindeye_config::{
    BUNDLE_FORMAT, BetaConfig, BetaKind, BundleManifest, Checked, ConfigError, Dimensions, GalleryEntry,
    ModelDimensions, NetworkEntry, Origin, Precision, PreprocessConfig, SchedulerConfig,
};
use mindeye_preprocess::phantom::{self, Phantom, PhantomConfig};
use mindeye_preprocess::{Mask, VoxelType, ZscoreTable, write_volume};
use serde::Serialize;
use std::path::Path;

/// Difference from a golden case that warm-up accepts: float32 sums of thousands of products in another order differ by
/// some 1e-6 of numbers of order one; a wrong layer differs by 1e-1.
const TOLERANCE: f64 = 1e-4;
/// Intensity inside the mask of a reference volume that is no photograph of a head.
const REFERENCE_INTENSITY: i16 = 1000;

/// What to make.
#[derive(Debug, Clone)]
pub struct RandomInit<'a> {
    /// Sizes; `voxels` is replaced by the mask's count.
    pub dimensions: ModelDimensions,
    /// All weights follow from it.
    pub seed: u64,
    /// Mask to decode in; without one, the phantom's.
    pub mask: Option<&'a Path>,
}

/// Makes a bundle of random networks in the new folder `out`; equal arguments give equal bytes.
///
/// # Errors
/// `out` exists, the mask cannot be read, the dimensions contradict each other, the disk is full.
pub fn random_init_bundle(init: &RandomInit<'_>, out: &Path) -> Result<BundleManifest, ExportError> {
    random_init_bundle_with_progress(init, out, &mut |_| {})
}

/// As [`random_init_bundle`], telling `progress` what it does.
///
/// # Errors
/// As [`random_init_bundle`].
pub fn random_init_bundle_with_progress(
    init: &RandomInit<'_>,
    out: &Path,
    progress: &mut Progress<'_>,
) -> Result<BundleManifest, ExportError> {
    let staging = Staging::for_folder(out)?;
    let folder = staging.path();
    let mask = read_mask(init.mask)?;
    let model = ModelDimensions { voxels: mask.len(), ..init.dimensions.clone() };
    let sizes = checked_sizes(&model, mask.len())?;

    let (networks, goldens) = write_networks(folder, &sizes, &mask, init.seed, progress)?;
    write(folder, "golden.safetensors", golden_file(&goldens))?;
    let recipe = recipe();
    write_recipe(folder, &recipe, &mask)?;
    write_reference(folder, &mask, init.mask.is_none())?;
    let scheduler = SchedulerConfig::default();
    write_toml(folder, "scheduler.toml", &scheduler)?;

    let manifest = BundleManifest {
        format: BUNDLE_FORMAT.into(),
        name: "random-init".into(),
        created_by: format!("mindeye-export {}", env!("CARGO_PKG_VERSION")),
        origin: Origin::RandomInit,
        seed: Some(init.seed),
        note: note(init.mask.is_none()),
        dimensions: dimensions(&model, &sizes, &mask, scheduler.latent_scale),
        estimator: recipe.estimator(),
        network: networks,
        gallery: Some(GalleryEntry { count: SCENES as usize, vectors_from: VECTORS_FROM.into() }),
        file: list_files(folder)?,
    };
    write_toml(folder, "manifest.toml", &manifest)?;
    staging.keep_folder()?;
    Ok(manifest)
}

const VECTORS_FROM: &str = "planted: the random backbone's own retrieval tokens for the phantom's noiseless response \
                            to each scene; a wiring check, not brain decoding";

fn note(of_phantom: bool) -> String {
    let random = "Random weights, for wiring and latency only, never for a participant. \
                  The blurry picture is the texture of a random decoder.";
    let retrieval = if of_phantom {
        "Retrieval finds the simulated scanner's scenes because their vectors were planted: a wiring check, \
         not brain decoding."
    } else {
        "The gallery's vectors follow the phantom's formula on this mask and match nothing in a recorded run."
    };
    format!("{random} {retrieval}")
}

fn read_mask(path: Option<&Path>) -> Result<Mask, ExportError> {
    match path {
        None => Ok(phantom::mask()),
        Some(path) if !path.exists() => Err(ExportError::NoSuchFile { path: path.to_path_buf() }),
        Some(path) => Ok(Mask::read(path)?),
    }
}

fn checked_sizes(model: &ModelDimensions, voxels: usize) -> Result<Sizes, ExportError> {
    let complain = |complaint| ConfigError::Rejected { path: "model dimensions".into(), complaint };
    model.check().map_err(complain)?;
    Ok(Sizes::of(model, voxels).map_err(complain)?)
}

/// Writes each network's graph, and the gallery planted with the backbone; returns their entries and golden cases.
fn write_networks(
    folder: &Path,
    sizes: &Sizes,
    mask: &Mask,
    seed: u64,
    progress: &mut Progress<'_>,
) -> Result<(Vec<NetworkEntry>, Vec<GoldenCase>), ExportError> {
    let networks = sizes.networks();
    let (mut done, of) = (0, networks.len() + 1);
    let mut begin = |what: &str| {
        progress(Step { done, of, what });
        done += 1;
    };
    let mut entries = Vec::new();
    let mut goldens = Vec::new();
    for network in networks {
        begin(network.name());
        let weights = Weights::from_bytes(Path::new("random weights"), random_weights(&network.layout(), seed))?;
        let state = weights.fit(network.name(), &network.layout(), &[])?;
        let source = |source| ExportError::Graph { path: weights.path().to_path_buf(), source };
        let graph = graph(network, &state, 1, Precision::Fp32).map_err(source)?;
        let model = Model {
            graph,
            weights_sha256: weights.sha256(),
            precision: Precision::Fp32,
            policy: network.islands().policy(Precision::Fp32),
        };
        let file = format!("{}.onnx", network.name());
        model.write(&make_folder(folder, "networks")?, &file, INLINE_LIMIT)?;
        entries.push(entry(network, &file));
        goldens.push(golden_case(network, &state, seed));
        if network.name() == sizes.backbone.name() {
            begin("gallery");
            write_planted(folder, &sizes.backbone, &state, mask)?;
        }
    }
    Ok((entries, goldens))
}

fn entry(network: &dyn Network, file: &str) -> NetworkEntry {
    NetworkEntry {
        name: network.name().into(),
        path: format!("networks/{file}"),
        precision: Precision::Fp32,
        tolerance: TOLERANCE,
        inputs: network.inputs(1),
        outputs: network.outputs(1),
    }
}

/// Window betas at 7.5 s. The baseline is the run's mean so far: with trials every 6 s the volumes before an onset
/// hold the last trial's response. Three phantom runs of 40 trials: 119 of 120 scenes came first with it, 99 with 3 s
/// before onset.
fn recipe() -> PreprocessConfig {
    let beta = BetaConfig { kind: BetaKind::Window, window_start_s: 4.0, window_end_s: 8.0, ..BetaConfig::default() };
    PreprocessConfig::new(vec![7.5], BetaConfig { baseline_s: 0.0, ..beta })
}

/// Mean 0 and as SD the beta, in percent, of a voxel that responds by one unit.
fn write_recipe(folder: &Path, recipe: &PreprocessConfig, mask: &Mask) -> Result<(), ExportError> {
    write_toml(folder, "preprocess.toml", recipe)?;
    let gain = phantom::window_gain(recipe, PhantomConfig::default().stimulus_s) as f32;
    let numbers = recipe.revision_lags_s.len() * mask.len();
    let table = ZscoreTable::new(recipe.revision_lags_s.clone(), mask.len(), vec![0.0; numbers], vec![gain; numbers])?;
    Ok(table.write(&folder.join("zscore.safetensors"))?)
}

/// The mask, and a volume on its grid: the phantom at rest, or for a mask of the user's a block of even intensity.
fn write_reference(folder: &Path, mask: &Mask, of_phantom: bool) -> Result<(), ExportError> {
    mask.write(&folder.join("mask.nii.gz"))?;
    let volume = if of_phantom { phantom_at_rest() } else { block(mask) };
    let bytes: Vec<u8> = volume.iter().flat_map(|v| v.to_le_bytes()).collect();
    Ok(write_volume(&folder.join("reference.nii.gz"), mask.grid(), VoxelType::Int16, &bytes)?)
}

fn phantom_at_rest() -> Vec<i16> {
    let still =
        PhantomConfig { trials: 0, sfnr: f64::INFINITY, drift_percent: 0.0, motion_mm: 0.0, ..Default::default() };
    Phantom::new(still).volume(0)
}

fn block(mask: &Mask) -> Vec<i16> {
    let mut volume = vec![0; mask.grid().voxel_count()];
    mask.voxels().iter().for_each(|voxel| volume[*voxel as usize] = REFERENCE_INTENSITY);
    volume
}

fn dimensions(model: &ModelDimensions, sizes: &Sizes, mask: &Mask, latent_scale: f64) -> Dimensions {
    let latent = sizes.vae_decoder.latent_side;
    Dimensions {
        voxels: mask.len(),
        grid: mask.grid().dim,
        tokens: model.tokens,
        token_dim: model.token_dim,
        latent: [sizes.vae_decoder.latent_channels, latent, latent],
        picture: [model.picture_side(); 2],
        latent_scale,
    }
}

fn write_toml(folder: &Path, name: &str, value: &impl Serialize) -> Result<(), ExportError> {
    let text = toml::to_string(value).expect("configuration types are tables of plain values, which TOML can hold");
    write(folder, name, text)
}
