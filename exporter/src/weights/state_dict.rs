//! The tensors of one network, after the file that holds them was checked against its layout.

use super::misfit::{Misshaped, shapes_agree};
use super::{Layout, Misfit, Numbers, Storage, Stored, Tensor, Weights};
use crate::ExportError;
use crate::random_init::random_tensor;
use safetensors::Dtype;
use std::collections::BTreeMap;

/// Tensors that a file may hold beside those that a graph carries, by their canonical names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// A name, in which `*` at the start and at the end stands for anything: `net.*`, `*.transformers.1.*`.
    pub pattern: String,
    /// Why they are no error, for the report.
    pub reason: &'static str,
}

impl SetAside {
    /// Whether the tensor called `key` is meant.
    #[must_use]
    pub fn covers(&self, key: &str) -> bool {
        match (self.pattern.strip_prefix('*'), self.pattern.strip_suffix('*')) {
            (Some(_), Some(_)) => key.contains(self.pattern.trim_matches('*')),
            (Some(end), None) => key.ends_with(end),
            (None, Some(start)) => key.starts_with(start),
            (None, None) => key == self.pattern,
        }
    }
}

/// A network's tensors: complete, of the right shapes, finite.
#[derive(Debug)]
pub struct StateDict<'w> {
    tensors: BTreeMap<String, Tensor<'w>>,
    set_aside: Vec<(SetAside, usize)>,
}

impl StateDict<'static> {
    /// Tensors of `layout` without a file: each number follows from `seed` and is made when somebody asks for it.
    #[must_use]
    pub fn random(layout: &Layout, seed: u64) -> Self {
        let tensor = |(key, shape): &(String, Vec<usize>)| (key.clone(), random_tensor(key, shape, seed));
        Self { tensors: layout.tensors.iter().map(tensor).collect(), set_aside: Vec::new() }
    }
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
    /// Checks the file against the layout of `network` and hands out its tensors. Those that `exceptions` cover are
    /// left aside.
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
        let counted = exceptions.iter().map(|e| (e.clone(), self.keys().filter(|key| e.covers(key)).count()));
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
        let excused = |key: &str| exceptions.iter().any(|e| e.covers(key));
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

    /// The tensor `key`, where the file has one of floats; unlike those of [`Weights::fit`] it may hold NaN.
    #[must_use]
    pub fn float_tensor(&self, key: &str) -> Option<Tensor<'_>> {
        let stored = self.tensors.get(key)?;
        Some(self.tensor(stored, storage(stored.dtype)?))
    }

    fn tensor(&self, stored: &Stored, storage: Storage) -> Tensor<'_> {
        Tensor {
            shape: stored.shape.clone(),
            numbers: Numbers::Stored(storage, &self.files[stored.file][stored.range.clone()]),
        }
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

impl Weights {
    /// Refuses tensors of `state`, which are of this file, that hold numbers beyond the range of float16.
    ///
    /// # Errors
    /// One error that lists them.
    pub fn refuse_beyond_half(&self, state: &StateDict<'_>) -> Result<(), ExportError> {
        let beyond = state.tensors.iter().filter(|(_, tensor)| !tensor.fits_half());
        let beyond: Vec<_> = beyond.map(|(key, _)| key.as_str()).collect();
        if beyond.is_empty() {
            return Ok(());
        }
        Err(ExportError::BeyondHalf { path: self.path.clone(), tensors: beyond.join(", ") })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_by_start_end_middle_or_name() {
        let cases = [
            ("net.*", "net.layers.0", "subnet.layers"),
            ("*.freqs", "rotary_emb.freqs", "freqs.0"),
            ("*.transformers.1.*", "attentions.0.transformers.1.norm", "attentions.0.transformers.10.norm"),
            ("position_ids", "position_ids", "x.position_ids"),
            ("*", "anything", ""),
        ];
        for (pattern, covered, not) in cases {
            let aside = SetAside { pattern: pattern.to_owned(), reason: "" };
            assert!(aside.covers(covered), "{pattern} {covered}");
            assert!(not.is_empty() || !aside.covers(not), "{pattern} {not}");
        }
    }
}
