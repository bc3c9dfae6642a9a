//! A bundle without any weights: random networks of the right shapes around the phantom, for wiring and latency work.

use super::golden::{GoldenCase, golden_case, golden_file, runtime_case};
use super::loop_graphs::{loop_goldens, write_loop_graphs};
use super::manifest::list_files;
use super::planted::{SCENES, write_planted, write_random};
use super::runtime::Runtime;
use super::sizes::{Size, Sizes};
use super::written::{bundle_batch, redraw, write_network, write_toml};
use crate::networks::{Dialect, Network};
use crate::staging::{Staging, write};
use crate::weights::StateDict;
use crate::{ExportError, Progress, Step};
use mindeye_config::{
    BUNDLE_FORMAT, BetaConfig, BetaKind, BundleManifest, Checked, ConfigError, Dimensions, GalleryEntry,
    ModelDimensions, NetworkEntry, Origin, Precision, PreprocessConfig, SchedulerConfig, Sha256, sha256_of_bytes,
};
use mindeye_preprocess::phantom::{self, Phantom, PhantomConfig};
use mindeye_preprocess::{Mask, VoxelType, ZscoreTable, write_volume};
use std::path::Path;

/// Intensity inside the mask of a reference volume that is no photograph of a head.
const REFERENCE_INTENSITY: i16 = 1000;

/// What to make.
#[derive(Debug, Clone)]
pub struct RandomInit<'a> {
    /// Sizes of the renderer.
    pub size: Size,
    /// Sizes of the model; `voxels` is replaced by the mask's count.
    pub dimensions: ModelDimensions,
    /// Arithmetic of the graphs.
    pub precision: Precision,
    /// Whose operators the graphs use; golden cases come from the portable ones in any case.
    pub dialect: Dialect,
    /// All weights follow from it.
    pub seed: u64,
    /// Mask to decode in; without one, of the phantom's grid.
    pub mask: Option<&'a Path>,
}

impl RandomInit<'_> {
    /// A bundle of `size` with its own preset and precision, around the phantom.
    #[must_use]
    pub fn of(size: Size, seed: u64) -> Self {
        let (dimensions, precision, dialect) = (size.model(), size.precision(), Dialect::Portable);
        Self { size, dimensions, precision, dialect, seed, mask: None }
    }
}

/// Makes a bundle of random networks in the new folder `out`; equal arguments give equal bytes.
///
/// # Errors
/// `out` exists, the mask cannot be read, the dimensions contradict each other, the disk is full; for [`Size::Full`],
/// no ONNX Runtime.
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
    let mask = read_mask(init)?;
    let model = ModelDimensions { voxels: mask.len(), ..init.dimensions.clone() };
    let sizes = checked_sizes(&model, mask.len(), init.size)?;

    let (networks, goldens) = write_networks(folder, &sizes, &mask, init, progress)?;
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
        note: note(init),
        dimensions: dimensions(&model, &sizes, &mask, scheduler.latent_scale),
        estimator: recipe.estimator(),
        network: networks,
        gallery: Some(GalleryEntry {
            count: SCENES as usize,
            vectors_from: vectors_from(init.size).into(),
            coarse: None,
        }),
        file: list_files(folder)?,
    };
    write_toml(folder, "manifest.toml", &manifest)?;
    staging.keep_folder()?;
    Ok(manifest)
}

/// Digest that stands for the weights of `network`, which are in no file.
pub(crate) fn digest_of_seed(network: &str, seed: u64) -> Sha256 {
    sha256_of_bytes(format!("random weights of {network}, seed {seed}").as_bytes())
}

fn vectors_from(size: Size) -> &'static str {
    match size {
        Size::Demo => VECTORS_FROM,
        Size::Full => "random numbers: for the latency of retrieval only",
    }
}

const VECTORS_FROM: &str = "planted: the random backbone's own retrieval tokens for the phantom's noiseless response \
                            to each scene; a wiring check, not brain decoding";

fn note(init: &RandomInit<'_>) -> String {
    let random = "Random weights, for wiring and latency only, never for a participant. \
                  Pictures are the texture of random networks.";
    let retrieval = match (init.size, init.mask) {
        (Size::Full, _) => {
            "The gallery's vectors are random and match nothing. Golden cases are ONNX Runtime's own on the CPU: they \
             show that another engine agrees with it, not that the graphs are right."
        }
        (Size::Demo, None) => {
            "Retrieval finds the simulated scanner's scenes because their vectors were planted: a wiring check, \
             not brain decoding."
        }
        (Size::Demo, Some(_)) => {
            "The gallery's vectors follow the phantom's formula on this mask and match nothing in a recorded run. The \
             reference is an even block, to which no head can be registered: runs must lie on the mask's grid."
        }
    };
    format!("{random} {retrieval}")
}

fn read_mask(init: &RandomInit<'_>) -> Result<Mask, ExportError> {
    match (init.mask, init.size) {
        (None, Size::Demo) => Ok(phantom::mask()),
        (None, Size::Full) => Ok(phantom_mask_of(init.dimensions.voxels)),
        (Some(path), _) if !path.exists() => Err(ExportError::NoSuchFile { path: path.to_path_buf() }),
        (Some(path), _) => Ok(Mask::read(path)?),
    }
}

/// The phantom's visual region and, up to `count`, the brightest voxels around it: as many as a published model has, on
/// the grid that the simulated scanner sends.
fn phantom_mask_of(count: usize) -> Mask {
    let visual = phantom::mask();
    let intensity = phantom_at_rest();
    let mut order: Vec<u32> = (0_u32..).take(intensity.len()).collect();
    let outside = |voxel: &u32| visual.voxels().binary_search(voxel).is_err();
    order.sort_by_key(|voxel| (outside(voxel), -i32::from(intensity[*voxel as usize]), *voxel));
    order.truncate(count.max(visual.len()));
    order.sort_unstable();
    Mask::from_voxels(visual.grid().clone(), order).expect("indices of one pass over the grid, each once, sorted")
}

pub(crate) fn checked_sizes(model: &ModelDimensions, voxels: usize, size: Size) -> Result<Sizes, ExportError> {
    let complain = |complaint| ConfigError::Rejected { path: "model dimensions".into(), complaint };
    model.check().map_err(complain)?;
    Ok(Sizes::of(model, voxels, size).map_err(complain)?)
}

/// Writes each network's graph, and the gallery planted with the backbone; returns their entries and golden cases.
fn write_networks(
    folder: &Path,
    sizes: &Sizes,
    mask: &Mask,
    init: &RandomInit<'_>,
    progress: &mut Progress<'_>,
) -> Result<(Vec<NetworkEntry>, Vec<GoldenCase>), ExportError> {
    let networks = sizes.networks();
    let (mut done, of) = (0, networks.len() + 1);
    let mut begin = |what: &str| {
        progress(Step { done, of, what });
        done += 1;
    };
    let runtime = if init.size == Size::Full { Some(Runtime::start()?) } else { None };
    let mut entries = Vec::new();
    let mut goldens = Vec::new();
    for network in networks {
        let name = network.name();
        begin(name);
        let state = StateDict::random(&network.layout(), init.seed);
        let origin = (Path::new("random weights"), digest_of_seed(name, init.seed));
        let entry = write_network(folder, network, &state, origin.clone(), init.precision)?;
        goldens.push(match &runtime {
            Some(runtime) => runtime_case(runtime, folder, &entry, init.seed)?,
            None => golden_case(network, &state, bundle_batch(network), init.seed),
        });
        redraw(init.dialect, folder, network, &state, origin, init.precision)?;
        entries.push(entry);
        if name == sizes.backbone.name() {
            begin("gallery");
            match init.size {
                Size::Demo => write_planted(folder, &sizes.backbone, &state, mask)?,
                Size::Full => write_random(folder, &sizes.backbone, init.seed)?,
            }
        }
    }
    goldens.extend(loop_goldens(&entries, init.seed));
    entries.extend(write_loop_graphs(folder, &entries)?);
    Ok((entries, goldens))
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
