//! The files of a ridge, `ridge.safetensors` and `shared.safetensors`: documented keys, read strictly.
//!
//! | file | key | type, shape |
//! |---|---|---|
//! | `ridge.safetensors` | `ridge.basis` | f32[trials, voxels]: centred z-scored betas of the selected voxels |
//! | | `ridge.coefficients` | f32[trials, outputs] |
//! | | `ridge.bias` | f32[outputs] |
//! | | `ridge.voxels` | i64[voxels]: places of the selected voxels in mask order, ascending |
//! | | `ridge.alpha` | f64[1] or f64[outputs] |
//! | `shared.safetensors` | `shared.decoder` | f32[width, outputs] |
//! | | `shared.bias` | f32[outputs] |
//!
//! The header's metadata of `ridge.safetensors` has `format` = `mindeye-ridge/1` and `mask_voxels`.

use super::{DualRidge, RidgeError, SharedSpace};
use crate::checkpoint::{self, Mapped, Numbers};
use ndarray::Array2;
use safetensors::tensor::{Dtype, SafeTensors};
use std::collections::BTreeMap;
use std::path::Path;

const FORMAT: &str = "mindeye-ridge/1";
const RIDGE_KEYS: [&str; 5] = ["ridge.alpha", "ridge.basis", "ridge.bias", "ridge.coefficients", "ridge.voxels"];
const SHARED_KEYS: [&str; 2] = ["shared.bias", "shared.decoder"];

impl DualRidge {
    /// Writes `ridge.safetensors`.
    ///
    /// # Errors
    /// [`RidgeError::Format`] naming `path` with what the system said.
    pub fn write(&self, path: &Path) -> Result<(), RidgeError> {
        let metadata = [("format", FORMAT.to_owned()), ("mask_voxels", self.mask_voxels.to_string())];
        let places: Vec<u8> = self.voxels.iter().flat_map(|voxel| (*voxel as i64).to_le_bytes()).collect();
        let alpha: Vec<u8> = self.alpha.iter().flat_map(|alpha| alpha.to_le_bytes()).collect();
        // Numbers of eight bytes first, so that all lie at multiples of their size.
        let tensors = [
            ("ridge.alpha", Stored::bytes(Dtype::F64, self.alpha.len(), alpha)),
            ("ridge.voxels", Stored::bytes(Dtype::I64, self.voxels.len(), places)),
            ("ridge.basis", Stored::floats(self.basis.shape(), slice(&self.basis))),
            ("ridge.bias", Stored::floats(&[self.bias.len()], &self.bias)),
            ("ridge.coefficients", Stored::floats(self.coefficients.shape(), slice(&self.coefficients))),
        ];
        write(path, &tensors, metadata.map(|(key, value)| (key.to_owned(), value)).into())
    }

    /// Reads `ridge.safetensors`.
    ///
    /// # Errors
    /// [`RidgeError::File`], or [`RidgeError::Format`] for a missing, extra or mis-shaped tensor, a number that is
    /// not finite, or voxels that do not ascend within the mask.
    pub fn read(path: &Path) -> Result<Self, RidgeError> {
        let file = Mapped::open(path).map_err(|unopened| RidgeError::unopened(path, unopened))?;
        let wrong = |problem: String| RidgeError::format(path, problem);
        let metadata = file.metadata();
        let stated =
            |key: &str| metadata.get(key).cloned().ok_or_else(|| wrong(format!("metadata `{key}` is missing")));
        let format = stated("format")?;
        if format != FORMAT {
            return Err(wrong(format!("format `{format}`, this version reads `{FORMAT}`")));
        }
        let mask_voxels = stated("mask_voxels")?;
        let mask_voxels =
            mask_voxels.parse().map_err(|_| wrong(format!("`mask_voxels` is `{mask_voxels}`, no count")))?;
        let file = Strict::of(path, file.tensors(), &RIDGE_KEYS)?;
        let ridge = Self {
            basis: file.matrix("ridge.basis")?,
            coefficients: file.matrix("ridge.coefficients")?,
            bias: file.vector("ridge.bias")?,
            voxels: file.places("ridge.voxels", mask_voxels)?,
            mask_voxels,
            alpha: file.alphas("ridge.alpha")?,
        };
        ridge.check().map_err(|e| wrong(e.to_string()))?;
        Ok(ridge)
    }
}

impl SharedSpace {
    /// Writes `shared.safetensors`.
    ///
    /// # Errors
    /// As [`DualRidge::write`].
    pub fn write(&self, path: &Path) -> Result<(), RidgeError> {
        let tensors = [
            ("shared.decoder", Stored::floats(self.decoder.shape(), slice(&self.decoder))),
            ("shared.bias", Stored::floats(&[self.bias.len()], &self.bias)),
        ];
        write(path, &tensors, BTreeMap::new())
    }

    /// Reads `shared.safetensors`.
    ///
    /// # Errors
    /// As [`DualRidge::read`].
    pub fn read(path: &Path) -> Result<Self, RidgeError> {
        let file = Mapped::open(path).map_err(|unopened| RidgeError::unopened(path, unopened))?;
        let file = Strict::of(path, file.tensors(), &SHARED_KEYS)?;
        let shared = Self { decoder: file.matrix("shared.decoder")?, bias: file.vector("shared.bias")? };
        if shared.outputs() != shared.bias.len() {
            let (decoder, bias) = (shared.decoder.shape(), shared.bias.len());
            return Err(RidgeError::format(
                path,
                format!("`shared.decoder` {decoder:?} and `shared.bias` [{bias}] differ"),
            ));
        }
        Ok(shared)
    }
}

fn slice(x: &Array2<f32>) -> &[f32] {
    x.as_slice().expect("arrays of a fit are in row-major order")
}

fn write(path: &Path, tensors: &[(&str, Stored<'_>)], metadata: BTreeMap<String, String>) -> Result<(), RidgeError> {
    let named: Vec<(String, &dyn Numbers)> =
        tensors.iter().map(|(name, tensor)| ((*name).to_owned(), tensor as &dyn Numbers)).collect();
    checkpoint::write(path, &named, &metadata).map_err(|e| RidgeError::format(path, e))
}

/// One tensor on its way to the file; floats become bytes one tensor at a time.
struct Stored<'a> {
    dtype: Dtype,
    shape: Vec<usize>,
    values: Values<'a>,
}

enum Values<'a> {
    Floats(&'a [f32]),
    Bytes(Vec<u8>),
}

impl<'a> Stored<'a> {
    fn floats(shape: &[usize], values: &'a [f32]) -> Self {
        Self { dtype: Dtype::F32, shape: shape.to_vec(), values: Values::Floats(values) }
    }

    fn bytes(dtype: Dtype, length: usize, bytes: Vec<u8>) -> Self {
        Self { dtype, shape: vec![length], values: Values::Bytes(bytes) }
    }
}

impl Numbers for Stored<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> Vec<usize> {
        self.shape.clone()
    }

    fn each_block(&self, take: &mut dyn FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
        match &self.values {
            Values::Floats(values) => take(&values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()),
            Values::Bytes(bytes) => take(bytes),
        }
    }
}

/// A file that has these tensors and no others.
struct Strict<'a> {
    path: &'a Path,
    tensors: SafeTensors<'a>,
}

impl<'a> Strict<'a> {
    fn of(path: &'a Path, tensors: SafeTensors<'a>, keys: &[&str]) -> Result<Self, RidgeError> {
        let mut found = tensors.names();
        found.sort_unstable();
        if found != keys {
            return Err(RidgeError::format(path, format!("needs exactly the tensors {keys:?}, found {found:?}")));
        }
        Ok(Self { path, tensors })
    }

    /// The bytes and shape of `key`, which has this type and rank and no zero size.
    fn tensor(&self, key: &str, dtype: Dtype, rank: usize) -> Result<(Vec<usize>, &'a [u8]), RidgeError> {
        let tensor = self.tensors.tensor(key).map_err(|e| RidgeError::format(self.path, e))?;
        let shape = tensor.shape().to_vec();
        if tensor.dtype() != dtype || shape.len() != rank || shape.contains(&0) {
            let found = tensor.dtype();
            return Err(self.wrong(format!("`{key}` must be {dtype:?} of rank {rank}, found {found:?}{shape:?}")));
        }
        Ok((shape, tensor.data()))
    }

    fn wrong(&self, problem: String) -> RidgeError {
        RidgeError::format(self.path, problem)
    }

    fn floats(&self, key: &str, rank: usize) -> Result<(Vec<usize>, Vec<f32>), RidgeError> {
        let (shape, bytes) = self.tensor(key, Dtype::F32, rank)?;
        let values: Vec<f32> = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        match values.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(self.wrong(format!("`{key}` element {at} is {}", values[at]))),
            None => Ok((shape, values)),
        }
    }

    fn matrix(&self, key: &str) -> Result<Array2<f32>, RidgeError> {
        let (shape, values) = self.floats(key, 2)?;
        Ok(Array2::from_shape_vec((shape[0], shape[1]), values).expect("safetensors checks length against shape"))
    }

    fn vector(&self, key: &str) -> Result<Vec<f32>, RidgeError> {
        Ok(self.floats(key, 1)?.1)
    }

    fn places(&self, key: &str, mask_voxels: usize) -> Result<Vec<usize>, RidgeError> {
        let (_, bytes) = self.tensor(key, Dtype::I64, 1)?;
        let places: Vec<i64> = bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect();
        let ascending = places.windows(2).all(|pair| pair[0] < pair[1]);
        if !ascending || places[0] < 0 || places[places.len() - 1] as usize >= mask_voxels {
            return Err(self.wrong(format!("`{key}` must ascend from 0 to below {mask_voxels}, the mask's voxels")));
        }
        Ok(places.into_iter().map(|place| place as usize).collect())
    }

    fn alphas(&self, key: &str) -> Result<Vec<f64>, RidgeError> {
        let (_, bytes) = self.tensor(key, Dtype::F64, 1)?;
        let alphas: Vec<f64> = bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
        if alphas.iter().all(|alpha| alpha.is_finite() && *alpha > 0.0) {
            return Ok(alphas);
        }
        Err(self.wrong(format!("`{key}` must be above 0, found {alphas:?}")))
    }
}
