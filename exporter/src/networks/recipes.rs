//! The layers of PyTorch's networks as ONNX nodes, in the one form that runs well everywhere (spec: diffusion section
//! 7.4).
//!
//! A layer's nodes and weights carry its key in the state dict, so that a name in a graph is a name in the checkpoint.

use super::{Dialect, Islands};
use crate::onnx::{Element, Graph, GraphError, Sweep, Wire};
use crate::weights::{StateDict, Tensor};
use mindeye_config::Precision;

/// Epsilon of PyTorch's layer and group normalisation.
pub(super) const TORCH_EPSILON: f32 = 1e-5;
/// Epsilon of the group normalisations in diffusers' autoencoder.
pub(super) const VAE_EPSILON: f32 = 1e-6;

type Drawn = Result<Wire, GraphError>;

/// A graph being drawn from the tensors of a network.
pub struct Drawing<'s, 'w> {
    pub(super) graph: Graph<'w>,
    state: &'s StateDict<'w>,
    /// Layers that stay in 32 bits.
    pub(super) islands: Islands,
    /// Whose operators it may use.
    pub(super) dialect: Dialect,
}

impl<'s, 'w> Drawing<'s, 'w> {
    /// An empty drawing called `name`, in arithmetic of `precision` but for its `islands`, in the portable dialect.
    #[must_use]
    pub fn new(name: &str, state: &'s StateDict<'w>, precision: Precision, islands: Islands) -> Self {
        let graph = Graph::new(name, islands.arithmetic(precision));
        Self { graph, state, islands, dialect: Dialect::Portable }
    }

    /// The same in another dialect.
    #[must_use]
    pub fn in_dialect(self, dialect: Dialect) -> Self {
        Self { dialect, ..self }
    }

    /// The finished graph.
    #[must_use]
    pub fn finish(self) -> Graph<'w> {
        self.graph
    }

    /// A float32 input in the graph's arithmetic.
    pub(super) fn input(&mut self, name: &str, shape: &[usize]) -> Drawn {
        let input = self.graph.input(name, shape)?;
        self.in_arithmetic(&format!("{name}/half"), &input)
    }

    /// `x` in the graph's arithmetic.
    pub(super) fn in_arithmetic(&mut self, node: &str, x: &Wire) -> Drawn {
        self.graph.cast(node, x, self.graph.arithmetic())
    }

    /// What `draw` makes of `x`, in float32 where `wide` asks for it and back in the type of `x`.
    pub(super) fn island(
        &mut self,
        wide: bool,
        node: &str,
        x: &Wire,
        draw: impl FnOnce(&mut Self, &Wire) -> Drawn,
    ) -> Drawn {
        if !wide {
            return draw(self, x);
        }
        let widened = self.graph.cast(&format!("{node}/wide"), x, Element::Float32)?;
        let drawn = draw(self, &widened)?;
        self.graph.cast(&format!("{node}/half"), &drawn, x.element())
    }

    /// The tensor `key` as a weight of the graph, in its arithmetic.
    pub(super) fn weight(&mut self, node: &str, key: &str) -> Drawn {
        self.weight_as(self.graph.arithmetic(), node, key)
    }

    /// The tensor `key` as a weight of the graph, of the type that it will meet.
    pub(super) fn weight_as(&mut self, element: Element, node: &str, key: &str) -> Drawn {
        let tensor = self.tensor(node, key)?;
        Ok(self.graph.weight(key, element, tensor))
    }

    /// The numbers of the tensor `key`, for constants that are worked out here.
    pub(super) fn values(&self, node: &str, key: &str) -> Result<Vec<f64>, GraphError> {
        Ok(self.tensor(node, key)?.values().map(f64::from).collect())
    }

    fn tensor(&self, node: &str, key: &str) -> Result<&'s Tensor<'w>, GraphError> {
        let missing = || GraphError::NoTensor { node: node.to_owned(), key: key.to_owned() };
        self.state.get(key).ok_or_else(missing)
    }

    /// The tensor `key` as a weight, where the state dict has one.
    fn optional(&mut self, element: Element, key: &str) -> Option<Wire> {
        self.state.get(key).map(|tensor| self.graph.weight(key, element, tensor))
    }

    /// A constant of `shape` rounded to the graph's arithmetic.
    pub(super) fn constant(&mut self, name: &str, shape: &[usize], values: &[f64]) -> Wire {
        self.constant_as(self.graph.arithmetic(), name, shape, values)
    }

    /// A constant of `shape` rounded to the type that it will meet.
    pub(super) fn constant_as(&mut self, element: Element, name: &str, shape: &[usize], values: &[f64]) -> Wire {
        let rounded: Vec<f32> = values.iter().map(|v| *v as f32).collect();
        self.graph.floats(name, element, shape, &rounded)
    }

    /// `nn.Linear` over the last axis, with a bias where the state dict has one.
    pub(super) fn linear(&mut self, key: &str, x: &Wire) -> Drawn {
        let bias = self.optional(x.element(), &format!("{key}.bias"));
        self.linear_with(key, x, bias)
    }

    /// `x W^T` of an `nn.Linear`, whose bias its caller adds.
    pub(super) fn linear_without_bias(&mut self, key: &str, x: &Wire) -> Drawn {
        self.linear_with(key, x, None)
    }

    /// Axes before the last are flattened, so that the weight keeps PyTorch's own layout (`Gemm` with `transB`) whatever
    /// the rank.
    fn linear_with(&mut self, key: &str, x: &Wire, bias: Option<Wire>) -> Drawn {
        let weight = self.weight_as(x.element(), key, &format!("{key}.weight"))?;
        let (&inner, before) = x.shape().split_last().unwrap_or((&0, &[]));
        if before.len() == 1 {
            return self.graph.gemm(key, x, &weight, bias.as_ref());
        }
        let rows = self.graph.reshape(&format!("{key}/rows"), x, &[before.iter().product(), inner])?;
        let product = self.graph.gemm(&format!("{key}/gemm"), &rows, &weight, bias.as_ref())?;
        let out = weight.shape()[0];
        self.graph.reshape(key, &product, &[before, &[out]].concat())
    }

    /// `nn.LayerNorm` over the last axis, with PyTorch's own epsilon.
    pub(super) fn layer_norm(&mut self, key: &str, x: &Wire) -> Drawn {
        self.layer_norm_with(key, x, TORCH_EPSILON)
    }

    /// `nn.LayerNorm` over the last axis.
    pub(super) fn layer_norm_with(&mut self, key: &str, x: &Wire, epsilon: f32) -> Drawn {
        self.island(self.islands.norms, key, x, |net, x| {
            let gain = net.weight_as(x.element(), key, &format!("{key}.weight"))?;
            let offset = net.weight_as(x.element(), key, &format!("{key}.bias"))?;
            net.graph.layer_normalization(key, x, &gain, Some(&offset), epsilon)
        })
    }

    /// `nn.GroupNorm` of [B, C, H, W]: each group normalised as if it were one channel, then a gain and an offset for
    /// each channel. TensorRT fuses these five nodes; ONNX Runtime has no kernel for `GroupNormalization` and needs
    /// 29.
    pub(super) fn group_norm(&mut self, key: &str, x: &Wire, groups: usize, epsilon: f32) -> Drawn {
        let &[_, channels, ..] = x.shape() else { return Err(no_picture(key, x)) };
        if groups == 0 || channels % groups != 0 {
            return Err(GraphError::Groups { node: key.to_owned(), channels, groups });
        }
        if self.dialect == Dialect::OnnxRuntimeCuda {
            return self.fused_group_norm(key, (x, None), (groups, epsilon), false);
        }
        self.island(self.islands.norms, key, x, |net, x| net.group_norm_of(key, x, groups, epsilon))
    }

    /// [`Drawing::group_norm`] and the SiLU after it.
    pub(super) fn group_norm_silu(&mut self, key: &str, x: &Wire, groups: usize, epsilon: f32) -> Drawn {
        if self.dialect == Dialect::OnnxRuntimeCuda {
            return self.fused_group_norm(key, (x, None), (groups, epsilon), true);
        }
        let normed = self.group_norm(key, x, groups, epsilon)?;
        self.silu(&format!("{key}/silu"), &normed)
    }

    /// The five nodes of [`Drawing::group_norm`], in the type of `x`.
    fn group_norm_of(&mut self, key: &str, x: &Wire, groups: usize, epsilon: f32) -> Drawn {
        let &[batch, channels, ..] = x.shape() else { return Err(no_picture(key, x)) };
        let ones = self.graph.floats(&format!("ones/{groups}"), x.element(), &[groups], &vec![1.0; groups]);
        let zeros = self.graph.floats(&format!("zeros/{groups}"), x.element(), &[groups], &vec![0.0; groups]);
        let grouped = [batch, groups, x.shape()[1..].iter().product::<usize>() / groups];
        let flat = self.graph.reshape(&format!("{key}/groups"), x, &grouped)?;
        let even = self.graph.instance_normalization(&format!("{key}/normalise"), &flat, &ones, &zeros, epsilon)?;
        let even = self.graph.reshape(&format!("{key}/channels"), &even, x.shape())?;
        let gain = self.per_channel(x.element(), key, "weight", channels)?;
        let scaled = self.graph.mul(&format!("{key}/gain"), &even, &gain)?;
        let offset = self.per_channel(x.element(), key, "bias", channels)?;
        self.graph.add(key, &scaled, &offset)
    }

    /// A parameter [C] as [C, 1, 1], which broadcasts over a picture.
    fn per_channel(&mut self, element: Element, key: &str, parameter: &str, channels: usize) -> Drawn {
        let weight = self.weight_as(element, key, &format!("{key}.{parameter}"))?;
        self.graph.reshape(&format!("{key}.{parameter}/per_channel"), &weight, &[channels, 1, 1])
    }

    /// `nn.Conv2d` with stride 1 that keeps height and width, with a bias where the state dict has one.
    pub(super) fn conv(&mut self, key: &str, x: &Wire) -> Drawn {
        let weight = self.weight(key, &format!("{key}.weight"))?;
        let kernel = weight.shape().last().copied().unwrap_or(0);
        self.conv_moved(key, x, Sweep::keeping(kernel))
    }

    /// `nn.Conv2d` whose kernel moves as `sweep` says, with a bias where the state dict has one.
    pub(super) fn conv_moved(&mut self, key: &str, x: &Wire, sweep: Sweep) -> Drawn {
        let weight = self.weight_as(x.element(), key, &format!("{key}.weight"))?;
        let bias = self.optional(x.element(), &format!("{key}.bias"));
        self.graph.conv(key, x, &weight, bias.as_ref(), sweep)
    }

    /// `x sigmoid(x)`.
    pub(super) fn silu(&mut self, node: &str, x: &Wire) -> Drawn {
        let gate = self.graph.sigmoid(&format!("{node}/sigmoid"), x)?;
        self.graph.mul(node, x, &gate)
    }

    /// Sine and cosine of `timestep` [B] at each of the `frequencies`, [B, F] both, all in float32.
    pub(super) fn waves(
        &mut self,
        node: &str,
        timestep: &Wire,
        frequencies: &[f64],
    ) -> Result<(Wire, Wire), GraphError> {
        let batch = timestep.shape().iter().product();
        let column = self.graph.reshape(&format!("{node}/column"), timestep, &[batch, 1])?;
        let frequencies =
            self.constant_as(Element::Float32, &format!("{node}/frequencies"), &[1, frequencies.len()], frequencies);
        let angles = self.graph.mul(&format!("{node}/angles"), &column, &frequencies)?;
        let sin = self.graph.sin(&format!("{node}/sin"), &angles)?;
        let cos = self.graph.cos(&format!("{node}/cos"), &angles)?;
        Ok((sin, cos))
    }

    /// [B, S, heads d] as [B, heads, S, d].
    pub(super) fn split_heads(&mut self, node: &str, x: &Wire, heads: usize) -> Drawn {
        let &[batch, places, width] = x.shape() else { return Err(no_sequence(node, x)) };
        if heads == 0 || width % heads != 0 {
            return Err(GraphError::Heads { node: node.to_owned(), width, heads });
        }
        let apart = self.graph.reshape(&format!("{node}/apart"), x, &[batch, places, heads, width / heads])?;
        self.graph.transpose(node, &apart, &[0, 2, 1, 3])
    }

    /// [B, heads, S, d] as [B, S, heads d].
    pub(super) fn join_heads(&mut self, node: &str, x: &Wire) -> Drawn {
        let &[batch, heads, places, width] = x.shape() else { return Err(no_sequence(node, x)) };
        let beside = self.graph.transpose(&format!("{node}/beside"), x, &[0, 2, 1, 3])?;
        self.graph.reshape(node, &beside, &[batch, places, heads * width])
    }

    /// Attention of `heads` heads: q [B, S, W] over k and v [B, L, W], before the output projection of the layer `key`.
    pub(super) fn multi_head(&mut self, key: &str, [q, k, v]: [&Wire; 3], heads: usize) -> Drawn {
        let node = format!("{key}/attention");
        if self.dialect == Dialect::OnnxRuntimeCuda {
            return self.graph.multi_head_attention(&node, [q, k, v], heads);
        }
        if heads == 1 {
            return self.attention(&node, q, k, v);
        }
        let mut split = |x: &Wire| self.split_heads(&format!("{}/heads", x.name()), x, heads);
        let (q, k, v) = (split(q)?, split(k)?, split(v)?);
        let mixed = self.attention(&node, &q, &k, &v)?;
        self.join_heads(&format!("{key}/joined"), &mixed)
    }

    /// Softmax attention softmax(q k^T / sqrt(d)) v over [.., S, d]. The scale goes onto q and k alike, d^(-1/4) each:
    /// half precision then cannot overflow in the product, and TensorRT recognises the pattern.
    pub(super) fn attention(&mut self, node: &str, q: &Wire, k: &Wire, v: &Wire) -> Drawn {
        let width = q.shape().last().copied().unwrap_or(0);
        let scale = (width as f64).powf(-0.25) as f32;
        let scale = self.graph.floats(&format!("attention_scale/{width}"), q.element(), &[1], &[scale]);
        let q = self.graph.mul(&format!("{node}/q"), q, &scale)?;
        let k = self.transposed(&format!("{node}/k_transposed"), k)?;
        let k = self.graph.mul(&format!("{node}/k"), &k, &scale)?;
        let scores = self.graph.matmul(&format!("{node}/scores"), &q, &k)?;
        let shares = self.softmax(&format!("{node}/shares"), &scores)?;
        self.graph.matmul(node, &shares, v)
    }

    /// Softmax over the last axis.
    pub(super) fn softmax(&mut self, node: &str, x: &Wire) -> Drawn {
        self.island(self.islands.softmax, node, x, |net, x| net.graph.softmax(node, x))
    }

    /// The wave of a timestep, float32, as its MLP takes it.
    pub(super) fn for_time_mlp(&mut self, node: &str, wave: &Wire) -> Drawn {
        if self.islands.time { Ok(wave.clone()) } else { self.in_arithmetic(node, wave) }
    }

    /// The last two axes exchanged.
    pub(super) fn transposed(&mut self, node: &str, x: &Wire) -> Drawn {
        let rank = x.shape().len();
        let mut order: Vec<usize> = (0..rank).collect();
        order.swap(rank.saturating_sub(2), rank.saturating_sub(1));
        self.graph.transpose(node, x, &order)
    }
}

/// The error of a layer that wants [B, C, H, W].
pub(super) fn no_picture(node: &str, x: &Wire) -> GraphError {
    GraphError::Shapes {
        node: node.to_owned(),
        op: "picture [B, C, H, W]",
        left: x.shape().to_vec(),
        right: vec![0; 4],
    }
}

/// The error of a layer that wants a sequence, [B, S, width].
pub(super) fn no_sequence(node: &str, x: &Wire) -> GraphError {
    GraphError::Shapes {
        node: node.to_owned(),
        op: "sequence [B, S, width]",
        left: x.shape().to_vec(),
        right: vec![0; 3],
    }
}
