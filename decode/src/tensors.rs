//! Reads a safetensors file into named float32 tensors; float16 is widened, every other type refused.

use half::f16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::BTreeMap;
use std::path::Path;

/// One tensor in host memory.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tensor {
    /// Shape in elements, last dimension fastest.
    pub(crate) shape: Vec<usize>,
    /// The elements, all finite.
    pub(crate) values: Vec<f32>,
}

/// All tensors of the file at `path`, or what is wrong with it.
pub(crate) fn read(path: &Path) -> Result<BTreeMap<String, Tensor>, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| error.to_string())?;
    file.iter().map(|(name, view)| Ok((name.to_owned(), tensor(name, &view)?))).collect()
}

fn tensor(name: &str, view: &TensorView<'_>) -> Result<Tensor, String> {
    let values = floats(view).ok_or_else(|| format!("`{name}` must be F32 or F16, found {:?}", view.dtype()))?;
    if let Some(at) = values.iter().position(|v| !v.is_finite()) {
        return Err(format!("`{name}`: element {at} is {}", values[at]));
    }
    Ok(Tensor { shape: view.shape().to_vec(), values })
}

fn floats(view: &TensorView<'_>) -> Option<Vec<f32>> {
    match view.dtype() {
        Dtype::F32 => Some(view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()),
        Dtype::F16 => Some(view.data().as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_tensor(dtype: Dtype, bytes: &[u8]) -> Result<Vec<f32>, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.safetensors");
        let view = TensorView::new(dtype, vec![2], bytes).unwrap();
        std::fs::write(&path, safetensors::serialize([("x", view)], None).unwrap()).unwrap();
        read(&path).map(|tensors| tensors["x"].values.clone())
    }

    #[test]
    fn halves_are_widened_exactly() {
        let bytes: Vec<u8> = [1.5, -0.25].into_iter().flat_map(|v| f16::from_f32(v).to_le_bytes()).collect();
        assert_eq!(read_tensor(Dtype::F16, &bytes), Ok(vec![1.5, -0.25]));
    }

    #[test]
    fn other_types_and_numbers_that_are_none_are_refused_by_name() {
        assert_eq!(read_tensor(Dtype::I64, &[0; 16]), Err("`x` must be F32 or F16, found I64".into()));
        let bytes: Vec<u8> = [1.0, f32::NEG_INFINITY].into_iter().flat_map(f32::to_le_bytes).collect();
        assert_eq!(read_tensor(Dtype::F32, &bytes), Err("`x`: element 1 is -inf".into()));
    }
}
