//! Running mean and SD of every voxel, so that a percentage needs no second pass over the run.

use crate::{Pattern, PreprocessError, Stage};

/// Mean and SD so far of each voxel, in f64: unit of what is added.
///
/// Welford's recurrence: n ← n + 1, δ = x − μ, μ ← μ + δ/n, M₂ ← M₂ + δ (x − μ), variance M₂/(n − 1)
/// (Welford 1962, Technometrics 4:419). Sums of squares would lose the small variance of a large mean.
#[derive(Debug, Clone, PartialEq)]
pub struct RunningMoments {
    volumes: u64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

/// An SD of fewer volumes says little (OpenNFT holds its signal-to-noise ratio back as long).
const LEAST_FOR_SD: u64 = 8;

impl RunningMoments {
    /// Moments of nothing yet, for `voxels` voxels.
    #[must_use]
    pub fn new(voxels: usize) -> Self {
        Self { volumes: 0, mean: vec![0.0; voxels], squares: vec![0.0; voxels] }
    }

    /// Adds one volume.
    ///
    /// # Errors
    /// [`PreprocessError::Disagree`] if it has another number of voxels.
    pub fn add(&mut self, volume: &Pattern) -> Result<(), PreprocessError> {
        same_voxels(volume, self.mean.len())?;
        self.volumes += 1;
        let n = self.volumes as f64;
        for ((x, mean), squares) in volume.0.iter().zip(&mut self.mean).zip(&mut self.squares) {
            let x = f64::from(*x);
            let delta = x - *mean;
            *mean += delta / n;
            *squares += delta * (x - *mean);
        }
        Ok(())
    }

    /// Volumes added.
    #[must_use]
    pub fn volumes(&self) -> u64 {
        self.volumes
    }

    /// Mean of each voxel so far; zeros before the first volume.
    #[must_use]
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Sample SD (n − 1) of one voxel; `None` before the second volume.
    #[must_use]
    pub fn sd(&self, voxel: usize) -> Option<f64> {
        let freedom = self.volumes.checked_sub(1).filter(|n| *n > 0)?;
        Some((self.squares.get(voxel)? / freedom as f64).sqrt())
    }

    /// Mean over voxels of mean/SD, the signal-to-fluctuation-noise ratio so far; voxels with SD 0 are left out.
    /// `None` before the eighth volume, when an SD says little (spec: rtfmri section 3.3).
    #[must_use]
    pub fn mean_sfnr(&self) -> Option<f64> {
        if self.volumes < LEAST_FOR_SD {
            return None;
        }
        let ratios = (0..self.mean.len()).filter_map(|v| Some(self.mean[v] / self.sd(v).filter(|sd| *sd > 0.0)?));
        let (count, sum) = ratios.fold((0u32, 0.0), |(n, sum), ratio| (n + 1, sum + ratio));
        (count > 0).then(|| sum / f64::from(count))
    }

    /// Median over voxels of |mean|/SD, the temporal signal-to-noise ratio so far, drift included; voxels with SD 0 are
    /// left out. `None` before the eighth volume. `room` is working memory, so that a run allocates once.
    #[must_use]
    pub fn median_tsnr(&self, room: &mut Vec<f64>) -> Option<f64> {
        if self.volumes < LEAST_FOR_SD {
            return None;
        }
        room.clear();
        room.extend((0..self.mean.len()).filter_map(|v| Some(self.mean[v].abs() / self.sd(v).filter(|sd| *sd > 0.0)?)));
        let middle = room.len().checked_sub(1)? / 2;
        let (_, median, _) = room.select_nth_unstable_by(middle, f64::total_cmp);
        Some(*median)
    }

    /// Writes `volume` as percent signal change against the mean so far, 100 (x/μ − 1), and returns how many voxels
    /// have no usable mean; they get 0.
    ///
    /// # Errors
    /// [`PreprocessError::Disagree`] if it has another number of voxels.
    pub fn percent_change(&self, volume: &Pattern, out: &mut Pattern) -> Result<usize, PreprocessError> {
        same_voxels(volume, self.mean.len())?;
        out.0.resize(volume.len(), 0.0);
        let mut without_mean = 0;
        for ((x, mean), out) in volume.0.iter().zip(&self.mean).zip(&mut out.0) {
            let percent = 100.0 * (f64::from(*x) - mean) / mean;
            *out = finite_or_zero(percent, &mut without_mean);
        }
        Ok(without_mean)
    }
}

/// `value` in f32, or 0 and one more in `count` where that is not finite.
pub(crate) fn finite_or_zero(value: f64, count: &mut usize) -> f32 {
    let value = value as f32;
    if value.is_finite() {
        return value;
    }
    *count += 1;
    0.0
}

fn same_voxels(volume: &Pattern, voxels: usize) -> Result<(), PreprocessError> {
    if volume.len() == voxels {
        return Ok(());
    }
    Err(PreprocessError::Disagree {
        left: "volume",
        right: "running moments",
        what: "voxels",
        left_value: volume.len().to_string(),
        right_value: voxels.to_string(),
    })
}

/// As a stage: each volume in percent signal change against the mean up to and including it.
impl Stage for RunningMoments {
    type In<'a> = Pattern;
    type Out = Pattern;

    fn process_into(&mut self, input: &Pattern, out: &mut Pattern) -> Result<(), PreprocessError> {
        self.add(input)?;
        self.percent_change(input, out)?;
        Ok(())
    }

    fn delay_volumes(&self) -> u32 {
        0
    }

    fn reset(&mut self) {
        *self = Self::new(self.mean.len());
    }
}
