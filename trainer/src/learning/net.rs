//! Layers as functions of the tensors under a key, so that a network reads like its list of tensors.

use super::parameters::Parameters;
use super::precision::{factor, full};
use tch::{Kind, Tensor};

/// ε of PyTorch's normalisations.
const EPSILON: f64 = 1e-5;
/// ε of group normalisations in Stable Diffusion's autoencoder.
pub(super) const VAE_EPSILON: f64 = 1e-6;

/// A place in the tree of keys.
pub(super) struct Net<'a> {
    parameters: &'a Parameters,
    key: String,
}

impl<'a> Net<'a> {
    pub(super) fn new(parameters: &'a Parameters, key: &str) -> Self {
        Self { parameters, key: key.trim_end_matches('.').to_owned() }
    }

    /// The place `name` below this one.
    pub(super) fn at(&self, name: &str) -> Self {
        Self { parameters: self.parameters, key: self.path(name) }
    }

    pub(super) fn tensor(&self, name: &str) -> &'a Tensor {
        self.parameters.get(&self.path(name))
    }

    fn path(&self, name: &str) -> String {
        if self.key.is_empty() { name.to_owned() } else { format!("{}.{name}", self.key) }
    }

    /// `x` as a factor of a product, at the precision of the parameters.
    fn factor(&self, x: &Tensor) -> Tensor {
        factor(self.parameters.precision(), x)
    }

    pub(super) fn linear(&self, x: &Tensor) -> Tensor {
        self.factor(x).linear(&self.factor(self.tensor("weight")), Some(self.factor(self.tensor("bias"))))
    }

    pub(super) fn linear_without_bias(&self, x: &Tensor) -> Tensor {
        self.factor(x).linear(&self.factor(self.tensor("weight")), None::<&Tensor>)
    }

    /// Products of matrices, batch by batch.
    pub(super) fn bmm(&self, a: &Tensor, b: &Tensor) -> Tensor {
        self.factor(a).bmm(&self.factor(b))
    }

    pub(super) fn layer_norm(&self, x: &Tensor) -> Tensor {
        let weight = self.tensor("weight");
        full(x).layer_norm(weight.size(), Some(weight), Some(self.tensor("bias")), EPSILON, false)
    }

    /// Layer normalisation with a gain `g` and no offset.
    pub(super) fn gain_norm(&self, x: &Tensor) -> Tensor {
        let gain = self.tensor("g");
        full(x).layer_norm(gain.size(), Some(gain), None::<&Tensor>, EPSILON, false)
    }

    pub(super) fn group_norm(&self, x: &Tensor, groups: usize) -> Tensor {
        self.group_norm_with(x, groups, EPSILON)
    }

    pub(super) fn group_norm_with(&self, x: &Tensor, groups: usize, epsilon: f64) -> Tensor {
        full(x).group_norm(groups as i64, Some(self.tensor("weight")), Some(self.tensor("bias")), epsilon, false)
    }

    /// A convolution that keeps the side of the picture, 3x3 or 1x1.
    pub(super) fn conv(&self, x: &Tensor) -> Tensor {
        self.convolved(x, Some(self.tensor("bias")))
    }

    pub(super) fn conv_without_bias(&self, x: &Tensor) -> Tensor {
        self.convolved(x, None)
    }

    /// A convolution in strides of `stride` after `padding` zeros on every side.
    pub(super) fn conv_moved(&self, x: &Tensor, stride: i64, padding: i64) -> Tensor {
        self.convolution(x, Some(self.tensor("bias")), stride, padding)
    }

    /// A linear map of square patches that do not overlap.
    pub(super) fn patches(&self, x: &Tensor, side: usize) -> Tensor {
        self.convolution(x, None, side as i64, 0)
    }

    fn convolved(&self, x: &Tensor, bias: Option<&Tensor>) -> Tensor {
        self.convolution(x, bias, 1, self.tensor("weight").size()[2] / 2)
    }

    fn convolution(&self, x: &Tensor, bias: Option<&Tensor>, stride: i64, padding: i64) -> Tensor {
        let (weight, bias) = (self.factor(self.tensor("weight")), bias.map(|bias| self.factor(bias)));
        self.factor(x).conv2d(&weight, bias, [stride, stride], [padding, padding], [1, 1], 1)
    }
}

/// Softmax over the last axis, in float32.
pub(super) fn softmax(x: &Tensor) -> Tensor {
    x.softmax(-1, Kind::Float)
}
