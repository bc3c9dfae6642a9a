//! A list of tensors: what a checkpoint must hold, no more and no less.

use std::collections::BTreeMap;

/// How a tensor's numbers begin, as PyTorch's own layers do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All the same.
    Constant(f64),
    /// Uniform between -bound and bound, where bound = 1/√fan-in for linear and convolutional layers.
    Uniform {
        /// The bound.
        bound: f64,
    },
    /// Normal with this SD around 0.
    Normal {
        /// The SD.
        sd: f64,
    },
    /// Frequencies θ^(-2i/(2n)) of n channel pairs with θ = 10,000, radians for one position.
    RotaryFrequencies,
}

/// Whether training moves a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It does.
    Trained,
    /// It does not.
    Frozen,
    /// A frozen tensor stored once more under another key; it counts as no parameter.
    Copy,
}

/// One tensor of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// Its key in the checkpoint.
    pub key: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// How it begins.
    pub init: Init,
    /// Whether it is trained.
    pub role: Role,
}

impl Slot {
    /// How many numbers it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// True if it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether AdamW decays it: the released code decays every parameter whose name does not hold `bias`, which
    /// leaves out the position-bias table and takes in the gains of the layer norms (spec: MindEye section 3.4).
    #[must_use]
    pub fn is_decayed(&self) -> bool {
        !self.key.contains("bias")
    }
}

/// The tensors of a network, in a fixed order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Layout {
    /// The tensors.
    pub slots: Vec<Slot>,
}

impl Layout {
    /// Appends a trained tensor.
    pub fn tensor(&mut self, key: impl Into<String>, shape: &[usize], init: Init) {
        self.slots.push(Slot { key: key.into(), shape: shape.to_vec(), init, role: Role::Trained });
    }

    /// Appends a linear layer `[out, inner]` with a bias.
    pub fn linear(&mut self, key: &str, out: usize, inner: usize) {
        self.linear_without_bias(key, out, inner);
        self.tensor(format!("{key}.bias"), &[out], fan_in(inner));
    }

    /// Appends a linear layer `[out, inner]` without a bias.
    pub fn linear_without_bias(&mut self, key: &str, out: usize, inner: usize) {
        self.tensor(format!("{key}.weight"), &[out, inner], fan_in(inner));
    }

    /// Appends a normalisation with a gain and an offset per channel.
    pub fn norm(&mut self, key: &str, channels: usize) {
        self.tensor(format!("{key}.weight"), &[channels], Init::Constant(1.0));
        self.tensor(format!("{key}.bias"), &[channels], Init::Constant(0.0));
    }

    /// Appends a convolution with a square kernel, with or without a bias.
    pub fn conv(&mut self, key: &str, out: usize, inner: usize, side: usize, with_bias: bool) {
        let init = fan_in(inner * side * side);
        self.tensor(format!("{key}.weight"), &[out, inner, side, side], init);
        if with_bias {
            self.tensor(format!("{key}.bias"), &[out], init);
        }
    }

    /// All tensors of `other`, after these.
    pub fn extend(&mut self, other: Self) {
        self.slots.extend(other.slots);
    }

    /// Numbers of all parameters, copies counted once.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.slots.iter().filter(|slot| slot.role != Role::Copy).map(Slot::len).sum()
    }

    /// Numbers that training moves.
    #[must_use]
    pub fn trained_parameters(&self) -> usize {
        self.slots.iter().filter(|slot| slot.role == Role::Trained).map(Slot::len).sum()
    }

    /// Every difference between this layout and the tensors `found`, in one line; `None` where they agree.
    /// Tensors for which `is_beside` holds are no difference.
    #[must_use]
    pub fn differences(
        &self,
        found: &BTreeMap<String, Vec<usize>>,
        is_beside: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let mut missing = Vec::new();
        let mut misshaped = Vec::new();
        for slot in &self.slots {
            match found.get(&slot.key) {
                None => missing.push(format!("{} {:?}", slot.key, slot.shape)),
                Some(shape) if *shape != slot.shape => {
                    misshaped.push(format!("{} (expected {:?}, found {shape:?})", slot.key, slot.shape));
                }
                Some(_) => {}
            }
        }
        let known = |key: &String| self.slots.iter().any(|slot| slot.key == *key) || is_beside(key);
        let extra = found.iter().filter(|(key, _)| !known(key)).map(|(key, shape)| format!("{key} {shape:?}"));
        let groups = [("missing", missing), ("extra", extra.collect()), ("mis-shaped", misshaped)];
        let told = groups.iter().filter(|(_, tensors)| !tensors.is_empty());
        let told: Vec<_> =
            told.map(|(what, tensors)| format!("{} {what}: {}", tensors.len(), tensors.join(", "))).collect();
        (!told.is_empty()).then(|| told.join("; "))
    }
}

fn fan_in(inner: usize) -> Init {
    Init::Uniform { bound: 1.0 / (inner as f64).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_told_with_both_shapes() {
        let mut layout = Layout::default();
        layout.linear("lin", 3, 2);
        let found = [("lin.weight", vec![2, 3]), ("stray", vec![4]), ("beside.x", vec![1])];
        let found: BTreeMap<String, Vec<usize>> = found.into_iter().map(|(k, s)| (k.to_owned(), s)).collect();
        let told = layout.differences(&found, |key| key.starts_with("beside.")).unwrap();
        let expected = "1 missing: lin.bias [3]; 1 extra: stray [4]; \
                        1 mis-shaped: lin.weight (expected [3, 2], found [2, 3])";
        assert_eq!(told, expected);
        let whole = [("lin.weight".to_owned(), vec![3, 2]), ("lin.bias".to_owned(), vec![3])].into();
        assert_eq!(layout.differences(&whole, |_| false), None);
    }

    #[test]
    fn decay_goes_by_the_name_as_released() {
        let slot = |key: &str| Slot { key: key.into(), shape: vec![1], init: Init::Constant(0.0), role: Role::Trained };
        let cases = [
            ("voxel2clip.lin0.0.weight", true),
            ("voxel2clip.lin0.1.weight", true), // a layer norm's gain
            ("voxel2clip.lin0.0.bias", false),
            ("net.causal_transformer.rel_pos_bias.relative_attention_bias.weight", false),
            ("net.causal_transformer.norm.g", true),
        ];
        for (key, decayed) in cases {
            assert_eq!(slot(key).is_decayed(), decayed, "{key}");
        }
    }
}
