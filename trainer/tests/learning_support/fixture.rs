//! Answers of PyTorch that were kept: tensors by name, and how near ours come.

#![allow(dead_code, reason = "each test file uses its own part")]

use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// The fixture's tensors by name.
pub(crate) struct Fixture(BTreeMap<String, Tensor>);

impl Fixture {
    pub(crate) fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{name}.safetensors"));
        let bytes = std::fs::read(path).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let tensor = |view: safetensors::tensor::TensorView<'_>| {
            let shape: Vec<i64> = view.shape().iter().map(|n| *n as i64).collect();
            let kind = if view.dtype() == safetensors::Dtype::I64 { Kind::Int64 } else { Kind::Float };
            Tensor::from_data_size(view.data(), &shape, kind)
        };
        Self(file.iter().map(|(name, view)| (name.to_owned(), tensor(view))).collect())
    }

    pub(crate) fn get(&self, name: &str) -> &Tensor {
        self.0.get(name).unwrap_or_else(|| panic!("no {name} in the fixture"))
    }

    pub(crate) fn number(&self, name: &str) -> f64 {
        self.get(name).double_value(&[])
    }

    /// The tensors whose names begin with `prefix`, in a file of their own, with `more`.
    pub(crate) fn file(&self, home: &Path, prefix: &str, more: &[(String, Tensor)]) -> PathBuf {
        let path = home.join(format!("{prefix}safetensors"));
        let of = self.0.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor)));
        let all: Vec<(String, &Tensor)> = of.chain(more.iter().map(|(name, tensor)| (name.clone(), tensor))).collect();
        Tensor::write_safetensors(&all, &path).unwrap();
        path
    }
}

/// Largest difference of two tensors over the largest number of the second.
pub(crate) fn relative(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.size(), expected.size());
    let largest = |x: &Tensor| x.abs().max().double_value(&[]);
    largest(&(found - expected)) / largest(expected).max(1e-12)
}

pub(crate) fn assert_close(what: &str, found: &Tensor, expected: &Tensor, tolerance: f64) {
    let off = relative(found, expected);
    assert!(off <= tolerance, "{what}: differs by {off:.2e}, allowed {tolerance:.0e}");
}
