//! A tensor of doubles in row-major order.

use crate::weights::Tensor;

/// A tensor of doubles, outermost axis first.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Shape.
    pub shape: Vec<usize>,
    /// Numbers in row-major order.
    pub values: Vec<f64>,
}

impl Array {
    /// An array of `shape` with `values`.
    ///
    /// # Panics
    /// When `values` are not as many as `shape` says.
    #[must_use]
    pub fn new(shape: &[usize], values: Vec<f64>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "shape {shape:?}");
        Self { shape: shape.to_vec(), values }
    }

    /// The numbers of a stored tensor.
    #[must_use]
    pub fn of(tensor: &Tensor<'_>) -> Self {
        Self::new(&tensor.shape, tensor.values().map(f64::from).collect())
    }

    /// The same numbers under another shape.
    ///
    /// # Panics
    /// When the shapes hold different counts.
    #[must_use]
    pub fn reshaped(self, shape: &[usize]) -> Self {
        Self::new(shape, self.values)
    }

    /// Each number through `f`.
    #[must_use]
    pub fn map(mut self, f: impl Fn(f64) -> f64) -> Self {
        self.values.iter_mut().for_each(|v| *v = f(*v));
        self
    }

    /// The sum with an array of the same shape.
    ///
    /// # Panics
    /// When the shapes differ.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        assert_eq!(self.shape, other.shape);
        self.values.iter_mut().zip(&other.values).for_each(|(a, b)| *a += b);
        self
    }

    /// The numbers rounded to float32.
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        self.values.iter().map(|v| *v as f32).collect()
    }
}
