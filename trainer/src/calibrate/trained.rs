//! A trained model as the place for a further participant: its linear path is the decoder of the shared space, and a ridge
//! into that space stands where the trained front-ends stood.
//!
//! ```text
//!   CHECKPOINT of fit --start ridge ── linear.weight, linear.bias ─► shared space ─► targets' places ─► ridge (dual form)
//!              │                                                                                          │ R = Cᵀ basis
//!              └─ linear, gate, MLP, projector, prior: copied ──────────► new checkpoint ◄── ridge.0 ─────┘
//! ```
//! A place of a picture is the one of least length whose linear path comes nearest to the picture's tokens. The new
//! checkpoint is a network's: it exports and is evaluated like one of `fit`. Beside its weights lies the ridge in dual form.
//! Its own golden case of the backbone would need libtorch; the exporter makes one.

use super::checkpoint::CheckpointError;
use super::fit::{JoinedSpace, Target};
use super::{RidgeCheckpoint, TrainingRecord};
use crate::TrainError;
use crate::checkpoint::{Mapped, Numbers, Stored, read_safetensors, write};
use crate::dataset_write::Staging;
use crate::ridge::{RidgeError, SharedSpace, matrix, product};
use crate::training_folder::{TokenShape, TrainingFolder, TrialsUsed};
use half::{bf16, f16};
use mindeye_config::{ModelDimensions, load};
use ndarray::Array2;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const MODEL: &str = "model.safetensors";
const GOLDEN: &str = "golden.safetensors";
const WEIGHT: &str = "voxel2clip.linear.weight";
const BIAS: &str = "voxel2clip.linear.bias";
const FRONT_END: &str = "voxel2clip.ridge.";

/// A checkpoint of `fit --start ridge`, without its front-ends.
pub struct TrainedModel {
    folder: PathBuf,
    model: ModelDimensions,
    record: TrainingRecord,
    shared: SharedSpace,
}

impl TrainedModel {
    /// Whether `checkpoint` is a trained network's, and not a ridge's.
    #[must_use]
    pub fn is_at(checkpoint: &Path) -> bool {
        checkpoint.join(MODEL).is_file()
    }

    /// Opens the folder `checkpoint`.
    ///
    /// # Errors
    /// [`TrainError`]: no linear path (MindEye1's backbone has no shared space), sizes that disagree, no record of what it
    /// was learned from.
    pub fn open(checkpoint: &Path) -> Result<Self, TrainError> {
        let model: ModelDimensions = load(&checkpoint.join("model.toml"))?;
        let weights = checkpoint.join(MODEL);
        let (mut linear, mut bias) = (None, None);
        read_safetensors(&weights, |key, view| {
            match key.as_str() {
                WEIGHT => linear = Some((view.shape().to_vec(), floats(&view))),
                BIAS => bias = Some(floats(&view)),
                _ => {}
            }
            Ok(())
        })?;
        let shared = space(linear, bias, &model).map_err(|problem| TrainError::malformed(&weights, problem))?;
        let record = TrainingRecord::read(checkpoint)?.ok_or_else(|| {
            let problem = "is not there: without it nobody knows which images the model has seen";
            TrainError::malformed(&checkpoint.join(TrainingRecord::FILE), problem)
        })?;
        Ok(Self { folder: checkpoint.to_owned(), model, record, shared })
    }

    /// What a further participant's ridge is fitted to.
    #[must_use]
    pub fn target(&self) -> Target {
        let tokens = TokenShape { tokens: self.model.tokens, token_dim: self.model.token_dim };
        Target::Shared(Box::new(JoinedSpace { shared: self.shared.clone(), tokens, record: self.record.clone() }))
    }

    /// Writes the model with the front-end of `fitted` as its only one.
    pub(super) fn write(
        &self,
        fitted: &RidgeCheckpoint,
        staging: &Staging,
        folder: &TrainingFolder,
    ) -> Result<(), CheckpointError> {
        self.write_weights(fitted, &staging.path().join(MODEL))?;
        self.write_golden(&staging.path().join(GOLDEN))?;
        let model = ModelDimensions { voxels: folder.voxel_count(), ..self.model.clone() };
        staging.write("model.toml", toml::to_string(&model).expect("sizes are numbers"))?;
        let record = TrainingRecord { chosen_on: TrialsUsed::TrainValidation, ..fitted.facts.training.clone() };
        staging.write(TrainingRecord::FILE, record.to_toml())?;
        fitted.ridge.write(&staging.path().join("ridge.safetensors"))?;
        fitted.write_own(staging, folder)
    }

    /// All tensors as they are, but for the front-ends.
    fn write_weights(&self, fitted: &RidgeCheckpoint, path: &Path) -> Result<(), CheckpointError> {
        let front_end = primal(fitted);
        let source = opened(&self.folder, MODEL)?;
        let old = copied(&source);
        let mut tensors: Vec<(String, &dyn Numbers)> =
            front_end.iter().map(|(key, numbers)| (key.clone(), numbers as &dyn Numbers)).collect();
        tensors.extend(
            old.iter().filter(|(key, _)| !key.starts_with(FRONT_END)).map(|(k, t)| (k.clone(), t as &dyn Numbers)),
        );
        written(path, &tensors)
    }

    /// The prior's case; the backbone's was another participant's.
    fn write_golden(&self, path: &Path) -> Result<(), CheckpointError> {
        if !self.folder.join(GOLDEN).is_file() {
            return Ok(());
        }
        let source = opened(&self.folder, GOLDEN)?;
        let cases = copied(&source);
        let kept: Vec<(String, &dyn Numbers)> = cases
            .iter()
            .filter(|(key, _)| key.starts_with("prior/"))
            .map(|(key, t)| (key.clone(), t as &dyn Numbers))
            .collect();
        written(path, &kept)
    }
}

/// y = W s + b as rows of a decoder.
fn space(
    linear: Option<(Vec<usize>, Vec<f32>)>,
    bias: Option<Vec<f32>>,
    model: &ModelDimensions,
) -> Result<SharedSpace, String> {
    let (Some((shape, values)), Some(bias)) = (linear, bias) else {
        return Err(format!("has no `{WEIGHT}` and `{BIAS}`: a shared space comes from `fit --start ridge`"));
    };
    let outputs = model.tokens * model.token_dim;
    let [rows, width] = shape[..] else { return Err(format!("`{WEIGHT}` has the shape {shape:?}")) };
    if rows != outputs || bias.len() != outputs {
        let found = bias.len();
        return Err(format!("`{WEIGHT}` {shape:?}, `{BIAS}` [{found}], T x D of model.toml is {outputs}"));
    }
    let weight = Array2::from_shape_vec((rows, width), values).map_err(|error| error.to_string())?;
    Ok(SharedSpace { decoder: weight.t().as_standard_layout().into_owned(), bias })
}

/// R = Cᵀ basis over the whole mask, [H, V], and r = bias, under the keys of participant 0.
fn primal(fitted: &RidgeCheckpoint) -> Vec<(String, Stored)> {
    let ridge = &fitted.ridge;
    let selected = product(matrix(&ridge.coefficients).transpose(), matrix(&ridge.basis));
    let mut weight = Array2::<f32>::zeros((ridge.outputs(), ridge.mask_voxels));
    for (column, voxel) in ridge.voxels.iter().enumerate() {
        weight.column_mut(*voxel).assign(&selected.column(column));
    }
    let shape = vec![ridge.outputs(), ridge.mask_voxels];
    vec![
        (format!("{FRONT_END}0.weight"), Stored { shape, values: weight.into_raw_vec_and_offset().0 }),
        (format!("{FRONT_END}0.bias"), Stored { shape: vec![ridge.outputs()], values: ridge.bias.clone() }),
    ]
}

/// One tensor of a file that goes into another one as it is.
struct Copied<'a>(TensorView<'a>);

/// The file `name` of a checkpoint.
fn opened(folder: &Path, name: &str) -> Result<Mapped, CheckpointError> {
    let path = folder.join(name);
    Mapped::open(&path).map_err(|unopened| RidgeError::unopened(&path, unopened).into())
}

/// All tensors of `file`, sorted by key.
fn copied(file: &Mapped) -> BTreeMap<String, Copied<'_>> {
    file.tensors().tensors().into_iter().map(|(key, view)| (key, Copied(view))).collect()
}

/// Writes `tensors` as the new file `path`.
fn written(path: &Path, tensors: &[(String, &dyn Numbers)]) -> Result<(), CheckpointError> {
    let origin = [("made_by".to_owned(), concat!("mindeye-train ", env!("CARGO_PKG_VERSION")).to_owned())];
    write(path, tensors, &origin.into()).map_err(|source| CheckpointError::File { path: path.to_owned(), source })
}

impl Numbers for Copied<'_> {
    fn dtype(&self) -> Dtype {
        self.0.dtype()
    }

    fn shape(&self) -> Vec<usize> {
        self.0.shape().to_vec()
    }

    fn each_block(&self, take: &mut dyn FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
        take(self.0.data())
    }
}

/// The numbers of a tensor of floats as float32; the reader lets only these three types pass.
fn floats(view: &TensorView<'_>) -> Vec<f32> {
    match view.dtype() {
        Dtype::F16 => view.data().as_chunks().0.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect(),
        Dtype::BF16 => view.data().as_chunks().0.iter().map(|bytes| bf16::from_le_bytes(*bytes).to_f32()).collect(),
        _ => view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
    }
}
