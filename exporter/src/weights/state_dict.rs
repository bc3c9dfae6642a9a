//! The tensors of one network, after the file that holds them was checked against its layout.

use super::misfit::{Misshaped, shapes_agree};
use super::{Layout, Misfit, Storage, Stored, Tensor, Weights};
use crate::ExportError;
use safetensors::Dtype;
use std::collections::BTreeMap;

/// Tensors that a file may hold beside a network's own, by the start of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetAside {
    /// Start of the canonical names.
    pub prefix: &'static str,
    /// Why they are no error, for the report.
    pub reason: &'static str,
}

/// A network's tensors: complete, of the right shapes, finite.
#[derive(Debug)]
pub struct StateDict<'w> {
    tensors: BTreeMap<String, Tensor<'w>>,
    set_aside: Vec<(SetAside, usize)>,
}

impl<'w> StateDict<'w> {
    /// The tensor called `key`, if the network has one.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Tensor<'w>> {
        self.tensors.get(key)
    }

    /// All keys, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// How many numbers all tensors hold together.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.tensors.values().map(Tensor::len).sum()
    }

    /// Which known exceptions the file holds, and how many tensors of each.
    #[must_use]
    pub fn set_aside(&self) -> &[(SetAside, usize)] {
        &self.set_aside
    }
}

impl Weights {
    /// Checks the file against the layout of `network` and hands out its tensors. Tensors whose names begin as one of
    /// `exceptions` are left aside.
    ///
    /// # Errors
    /// One error listing every missing, extra and mis-shaped tensor; else every tensor of a type that is no float; else
    /// every tensor that holds a NaN or an infinity.
    pub fn fit(
        &self,
        network: &'static str,
        layout: &Layout,
        exceptions: &[SetAside],
    ) -> Result<StateDict<'_>, ExportError> {
        let misfit = self.misfit(layout, exceptions);
        if !misfit.is_empty() {
            return Err(ExportError::Misfit { path: self.path.clone(), network, misfit });
        }
        let tensors = self.floats(layout)?;
        self.refuse_non_finite(&tensors)?;
        let counted = exceptions.iter().map(|e| (*e, self.keys().filter(|key| key.starts_with(e.prefix)).count()));
        let set_aside = counted.filter(|(_, count)| *count > 0).collect();
        Ok(StateDict { tensors, set_aside })
    }

    fn misfit(&self, layout: &Layout, exceptions: &[SetAside]) -> Misfit {
        let mut misfit = Misfit::default();
        let mut known = BTreeMap::new();
        for (key, expected) in &layout.tensors {
            known.insert(key.as_str(), ());
            match self.tensors.get(key) {
                None => misfit.missing.push((key.clone(), expected.clone())),
                Some(stored) if !shapes_agree(expected, &stored.shape) => misfit.misshaped.push(Misshaped {
                    key: key.clone(),
                    expected: expected.clone(),
                    found: stored.shape.clone(),
                }),
                Some(_) => {}
            }
        }
        let excused = |key: &str| exceptions.iter().any(|e| key.starts_with(e.prefix));
        let extra = self.tensors.iter().filter(|(key, _)| !known.contains_key(key.as_str()) && !excused(key));
        misfit.extra = extra.map(|(key, stored)| (key.clone(), stored.shape.clone())).collect();
        misfit
    }

    fn floats(&self, layout: &Layout) -> Result<BTreeMap<String, Tensor<'_>>, ExportError> {
        let mut tensors = BTreeMap::new();
        let mut refused = Vec::new();
        for (key, _) in &layout.tensors {
            let stored = &self.tensors[key];
            match storage(stored.dtype) {
                Some(storage) => drop(tensors.insert(key.clone(), self.tensor(stored, storage))),
                None => refused.push(format!("{key} ({:?})", stored.dtype)),
            }
        }
        if refused.is_empty() {
            return Ok(tensors);
        }
        Err(ExportError::NotFloat { path: self.path.clone(), tensors: refused.join(", ") })
    }

    fn tensor(&self, stored: &Stored, storage: Storage) -> Tensor<'_> {
        Tensor { storage, shape: stored.shape.clone(), bytes: &self.bytes[stored.range.clone()] }
    }

    fn refuse_non_finite(&self, tensors: &BTreeMap<String, Tensor<'_>>) -> Result<(), ExportError> {
        let broken = tensors.iter().filter_map(|(key, tensor)| {
            let at = tensor.first_non_finite()?;
            Some(format!("{key} (first at {at} of {})", tensor.len()))
        });
        let broken: Vec<_> = broken.collect();
        if broken.is_empty() {
            return Ok(());
        }
        Err(ExportError::NotFinite { path: self.path.clone(), tensors: broken.join(", ") })
    }
}

fn storage(dtype: Dtype) -> Option<Storage> {
    match dtype {
        Dtype::F32 => Some(Storage::F32),
        Dtype::F16 => Some(Storage::F16),
        Dtype::BF16 => Some(Storage::Bf16),
        _ => None,
    }
}
