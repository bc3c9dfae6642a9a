//! PyTorch's layers as loops, one function each, with PyTorch's layouts and epsilons.

use super::array::Array;
use super::erf::erf;
use crate::weights::StateDict;

/// The tensors under one key of a state dict, for example `lin0.1.weight` and `lin0.1.bias` under `lin0.1`.
pub(super) struct Layer<'a> {
    state: &'a StateDict<'a>,
    key: String,
}

impl<'a> Layer<'a> {
    pub(super) fn new(state: &'a StateDict<'a>, key: impl Into<String>) -> Self {
        Self { state, key: key.into() }
    }

    /// The layer one level down.
    pub(super) fn at(&self, key: &str) -> Layer<'a> {
        Layer::new(self.state, format!("{}{}{key}", self.key, if self.key.is_empty() { "" } else { "." }))
    }

    /// Whether the state dict has a weight under this key.
    pub(super) fn exists(&self) -> bool {
        self.parameter("weight").is_some()
    }

    /// Whether it has a bias as well.
    pub(super) fn has_bias(&self) -> bool {
        self.parameter("bias").is_some()
    }

    fn weight(&self) -> Array {
        self.tensor("weight")
    }

    /// The bias, or zeros where the layer has none.
    fn bias(&self, channels: usize) -> Vec<f64> {
        self.parameter("bias").map_or_else(|| vec![0.0; channels], |bias| bias.values)
    }

    /// The tensor `key.name`.
    pub(super) fn tensor(&self, name: &str) -> Array {
        self.parameter(name).expect("the state dict was checked against the layout of its network")
    }

    fn parameter(&self, name: &str) -> Option<Array> {
        self.state.get(&format!("{}.{name}", self.key)).map(Array::of)
    }

    /// y = W x + b over the last axis.
    pub(super) fn linear(&self, x: &Array) -> Array {
        let weight = self.weight();
        let &[out, inner] = weight.shape.as_slice() else { panic!("`{}` is no matrix", self.key) };
        let bias = self.bias(out);
        let mut shape = x.shape.clone();
        *shape.last_mut().expect("a linear layer's input has an axis") = out;
        let mut values = Vec::with_capacity(shape.iter().product());
        for row in x.values.chunks_exact(inner) {
            let dots = weight.values.chunks_exact(inner).map(|w| dot(w, row));
            values.extend(dots.zip(&bias).map(|(dot, b)| dot + b));
        }
        Array::new(&shape, values)
    }

    /// Layer normalisation over the last axis, with PyTorch's own epsilon.
    pub(super) fn layer_norm(&self, x: Array) -> Array {
        self.layer_norm_with(x, 1e-5)
    }

    /// Layer normalisation over the last axis.
    pub(super) fn layer_norm_with(&self, x: Array, epsilon: f64) -> Array {
        let gain = self.weight().values;
        let offset = self.bias(gain.len());
        let mut x = x;
        for row in x.values.chunks_exact_mut(gain.len()) {
            normalise(row, epsilon);
            row.iter_mut().zip(gain.iter().zip(&offset)).for_each(|(v, (g, o))| *v = *v * g + o);
        }
        x
    }

    /// Group normalisation of [B, C, H, W].
    pub(super) fn group_norm(&self, x: &Array, groups: usize, epsilon: f64) -> Array {
        let gain = self.weight().values;
        let offset = self.bias(gain.len());
        let cells = x.shape[2] * x.shape[3];
        let mut x = x.clone();
        x.values.chunks_exact_mut(gain.len() / groups * cells).for_each(|group| normalise(group, epsilon));
        for (i, channel) in x.values.chunks_exact_mut(cells).enumerate() {
            let c = i % gain.len();
            channel.iter_mut().for_each(|v| *v = *v * gain[c] + offset[c]);
        }
        x
    }

    /// Convolution with stride 1 and zeros around, keeping height and width.
    pub(super) fn conv(&self, x: &Array) -> Array {
        let weight = self.weight();
        let &[out, inner, k, _] = weight.shape.as_slice() else { panic!("`{}` is no convolution", self.key) };
        let bias = self.bias(out);
        let (batch, h, w) = (x.shape[0], x.shape[2], x.shape[3]);
        let mut y = Vec::with_capacity(batch * out * h * w);
        for picture in x.values.chunks_exact(inner * h * w) {
            for (kernels, b) in weight.values.chunks_exact(inner * k * k).zip(&bias) {
                let mut plane = vec![*b; h * w];
                for (channel, kernel) in picture.chunks_exact(h * w).zip(kernels.chunks_exact(k * k)) {
                    add_filtered(&mut plane, channel, kernel, (h, w));
                }
                y.extend(plane);
            }
        }
        Array::new(&[batch, out, h, w], y)
    }
}

/// Adds `channel` filtered with the square `kernel` to `plane`, both h x w, zeros beyond the border.
fn add_filtered(plane: &mut [f64], channel: &[f64], kernel: &[f64], (h, w): (usize, usize)) {
    let k = kernel.len().isqrt();
    let reach = k / 2;
    for (i, factor) in kernel.iter().enumerate() {
        let (down, right) = (i / k, i % k);
        let columns = reach.saturating_sub(right)..(w + reach - right).min(w);
        for row in reach.saturating_sub(down)..(h + reach - down).min(h) {
            let source = (row + down - reach) * w;
            let into = &mut plane[row * w + columns.start..row * w + columns.end];
            let from = &channel[source + columns.start + right - reach..source + columns.end + right - reach];
            into.iter_mut().zip(from).for_each(|(y, x)| *y += factor * x);
        }
    }
}

/// Sum of products in eight partial sums, which the compiler can keep in vector registers.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a8.remainder().iter().zip(b8.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a8.zip(b8) {
        for i in 0..8 {
            sums[i] += x[i] * y[i];
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// Mean 0 and variance 1, with the biased variance.
pub(super) fn normalise(row: &mut [f64], epsilon: f64) {
    let n = row.len() as f64;
    let mean = row.iter().sum::<f64>() / n;
    let variance = row.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    let scale = 1.0 / (variance + epsilon).sqrt();
    row.iter_mut().for_each(|v| *v = (*v - mean) * scale);
}

/// x (1 + erf(x / sqrt 2)) / 2.
pub(super) fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2))
}

/// x / (1 + exp(-x)).
pub(super) fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_sees_zeros_beyond_the_border() {
        let channel = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let mut kernel = [0.0; 9];
        kernel[0] = 1.0; // takes the pixel above and to the left
        kernel[4] = 10.0;
        let mut plane = vec![0.0; 6];
        add_filtered(&mut plane, &channel, &kernel, (2, 3));
        assert_eq!(plane, [10.0, 20.0, 30.0, 40.0, 51.0, 62.0]);
    }

    #[test]
    fn a_filter_is_not_confused_by_a_picture_smaller_than_itself() {
        let mut plane = vec![0.0];
        add_filtered(&mut plane, &[2.0], &[1.0, 1.0, 1.0, 1.0, 3.0, 1.0, 1.0, 1.0, 1.0], (1, 1));
        assert_eq!(plane, [6.0]);
    }

    #[test]
    fn activations_have_their_known_values() {
        // gelu(1) = Phi(1) = 0.841344746068543, silu(1) = 0.731058578630005 to fifteen digits.
        for (value, expected) in
            [(gelu(1.0), 0.841_344_746_068_543), (silu(1.0), 0.731_058_578_630_005), (gelu(0.0), 0.0)]
        {
            assert!((value - expected).abs() < 1e-15, "{value} {expected}");
        }
    }
}
