//! Temporal averaging is the mean of the last few volumes: less noise, and an answer that comes half of them later.

use crate::zscore::require_equal;
use crate::{Pattern, PreprocessError, Stage};
use std::collections::VecDeque;

/// The mean of the last N volumes that came; of fewer, while there are fewer. A missing volume is not made up: the mean is
/// then of older ones.
///
/// White noise falls by √N; what a voxel does is shown (N − 1)/2 volumes later on average. Sums in f64, oldest first.
#[derive(Debug, Clone)]
pub struct TemporalAverage {
    voxels: usize,
    most: usize,
    last: VecDeque<Pattern>,
}

impl TemporalAverage {
    /// Means of `volumes` volumes, 1 or more, of `voxels` voxels.
    #[must_use]
    pub fn new(volumes: usize, voxels: usize) -> Self {
        Self { voxels, most: volumes.max(1), last: VecDeque::with_capacity(volumes.max(1)) }
    }
}

impl Stage for TemporalAverage {
    type In<'a> = Pattern;
    type Out = Pattern;

    fn process_into(&mut self, input: &Pattern, out: &mut Pattern) -> Result<(), PreprocessError> {
        require_equal("volume", "temporal average", "voxels", input.len(), self.voxels)?;
        let mut room = if self.last.len() == self.most { self.last.pop_front() } else { None }.unwrap_or_default();
        room.0.clone_from(&input.0);
        self.last.push_back(room);
        out.0.resize(self.voxels, 0.0);
        for (voxel, out) in out.0.iter_mut().enumerate() {
            let sum: f64 = self.last.iter().map(|volume| f64::from(volume.0[voxel])).sum();
            *out = (sum / self.last.len() as f64) as f32;
        }
        Ok(())
    }

    fn delay_volumes(&self) -> u32 {
        0
    }

    fn reset(&mut self) {
        self.last.clear();
    }
}
