//! What tensors a network has: every key with its shape, written down once and used to check, to count and to draw
//! weights.

/// The name and shape of one tensor; an axis of 0 is one that no tensor of the file told.
pub type Entry = (String, Vec<usize>);

/// The tensors of a network, in the order in which it uses them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout {
    /// Key and shape of every tensor.
    pub tensors: Vec<Entry>,
}

impl Layout {
    /// Adds a matrix `[out, inner]` without a bias.
    pub fn linear_without_bias(&mut self, key: &str, out: usize, inner: usize) {
        self.add(format!("{key}.weight"), vec![out, inner]);
    }

    /// Adds a matrix `[out, inner]` with a bias.
    pub fn linear(&mut self, key: &str, out: usize, inner: usize) {
        self.linear_without_bias(key, out, inner);
        self.add(format!("{key}.bias"), vec![out]);
    }

    /// Adds the gain and offset of a normalisation over `channels`.
    pub fn norm(&mut self, key: &str, channels: usize) {
        self.add(format!("{key}.weight"), vec![channels]);
        self.add(format!("{key}.bias"), vec![channels]);
    }

    /// Adds a convolution with a square kernel and a bias.
    pub fn conv(&mut self, key: &str, out: usize, inner: usize, kernel: usize) {
        self.conv_without_bias(key, out, inner, kernel);
        self.add(format!("{key}.bias"), vec![out]);
    }

    /// Adds a convolution with a square kernel and no bias.
    pub fn conv_without_bias(&mut self, key: &str, out: usize, inner: usize, kernel: usize) {
        self.add(format!("{key}.weight"), vec![out, inner, kernel, kernel]);
    }

    /// Adds a tensor of another kind.
    pub fn tensor(&mut self, key: &str, shape: &[usize]) {
        self.add(key.to_owned(), shape.to_vec());
    }

    /// How many numbers all tensors hold together.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.tensors.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }

    fn add(&mut self, key: String, shape: Vec<usize>) {
        self.tensors.push((key, shape));
    }
}
