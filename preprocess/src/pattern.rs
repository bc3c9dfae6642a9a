//! A pattern is one number per voxel of the mask: the shape in which everything after the mask travels.

/// Activity of the mask's voxels, `f32[n_voxels]` in mask order (x fastest); unit as its source says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pattern(pub Vec<f32>);

impl Pattern {
    /// A pattern of `voxels` zeros.
    #[must_use]
    pub fn zeros(voxels: usize) -> Self {
        Self(vec![0.0; voxels])
    }

    /// Voxels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there are no voxels.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values as little-endian bytes: what a journal keeps, and what bit-for-bit tests compare.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    /// Pearson's correlation with `other` over voxels, in f64; `None` where a length differs or a side is constant.
    #[must_use]
    pub fn correlation(&self, other: &Self) -> Option<f64> {
        if self.len() != other.len() || self.is_empty() {
            return None;
        }
        let (mean_a, mean_b) = (self.mean(), other.mean());
        let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
        for (a, b) in self.0.iter().zip(&other.0) {
            let (a, b) = (f64::from(*a) - mean_a, f64::from(*b) - mean_b);
            ab += a * b;
            aa += a * a;
            bb += b * b;
        }
        let r = ab / (aa * bb).sqrt();
        r.is_finite().then_some(r)
    }

    /// Mean over voxels, in f64; NaN for an empty pattern.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.0.iter().map(|v| f64::from(*v)).sum::<f64>() / self.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlation_of_a_line_is_one_and_of_a_constant_is_none() {
        let ramp = Pattern(vec![1.0, 2.0, 3.0, 4.0]);
        let down = Pattern(ramp.0.iter().map(|v| 7.0 - 2.0 * v).collect());
        assert_eq!(ramp.correlation(&ramp), Some(1.0));
        assert_eq!(ramp.correlation(&down), Some(-1.0));
        assert_eq!(ramp.correlation(&Pattern(vec![5.0; 4])), None);
        assert_eq!(ramp.correlation(&Pattern::zeros(3)), None);
    }
}
