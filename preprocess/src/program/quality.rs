//! What people look at before they believe a beta: motion, DVARS, global signal, tSNR and a carpet, as volumes go by.

use mindeye_preprocess::offline::SeenVolume;
use mindeye_preprocess::quality::VolumeQuality;
use mindeye_preprocess::{Pattern, RunningMoments};

/// Quality of a run inside the mask.
pub(crate) struct Quality {
    /// Mean over voxels of each volume, scanner's units.
    pub(crate) global_signal: Vec<f64>,
    /// Root mean square over voxels of the change since the volume before, percent of the run's mean signal; `None`
    /// for the first volume (Power 2012, NeuroImage 59:2142, scaled to a mean of 100).
    pub(crate) dvars: Vec<Option<f64>>,
    /// Mean over SD in time of each voxel.
    pub(crate) tsnr: Vec<f32>,
    pub(crate) carpet: Carpet,
    /// Each volume as the live program would have judged it.
    pub(crate) volumes: Vec<VolumeQuality>,
}

/// Time courses of voxels spread evenly over the mask, each with mean 0 and SD 1 over the run.
pub(crate) struct Carpet {
    /// `[voxels][volumes]`, ascending linear index: the lowest slice first.
    pub(crate) courses: Vec<Vec<f32>>,
}

/// Most voxels of a carpet: more than a screen has lines to show them.
const CARPET_VOXELS: usize = 240;

/// Gathers [`Quality`] volume by volume.
pub(crate) struct Watch {
    previous: Pattern,
    global_signal: Vec<f64>,
    change: Vec<Option<f64>>,
    /// Every so many voxels one goes into the carpet.
    every: usize,
    courses: Vec<Vec<f32>>,
    volumes: Vec<VolumeQuality>,
}

impl Watch {
    /// A watch over patterns of `voxels` voxels.
    pub(crate) fn new(voxels: usize) -> Self {
        let every = voxels.div_ceil(CARPET_VOXELS).max(1);
        let courses = vec![Vec::new(); voxels.div_ceil(every)];
        Self {
            previous: Pattern::default(),
            global_signal: Vec::new(),
            change: Vec::new(),
            every,
            courses,
            volumes: Vec::new(),
        }
    }

    /// Takes note of the next volume.
    pub(crate) fn see(&mut self, seen: &SeenVolume<'_>) {
        let pattern = seen.pattern;
        self.volumes.push(seen.quality);
        self.global_signal.push(pattern.mean());
        self.change.push((!self.previous.is_empty()).then(|| rms_change(&self.previous, pattern)));
        for (course, value) in self.courses.iter_mut().zip(pattern.0.iter().step_by(self.every)) {
            course.push(*value);
        }
        self.previous.clone_from(pattern);
    }

    /// The run is over; `moments` are its voxels' mean and SD.
    pub(crate) fn sum_up(self, moments: &RunningMoments) -> Quality {
        let grand_mean = self.global_signal.iter().sum::<f64>() / self.global_signal.len() as f64;
        let percent = |change: f64| 100.0 * change / grand_mean.abs();
        let dvars = self.change.into_iter().map(|change| change.map(percent).filter(|d| d.is_finite())).collect();
        let tsnr = (0..moments.mean().len()).map(|voxel| tsnr(moments, voxel)).collect();
        let courses = self.courses.into_iter().map(standardised).collect();
        let (global_signal, carpet) = (self.global_signal, Carpet { courses });
        Quality { global_signal, dvars, tsnr, carpet, volumes: self.volumes }
    }
}

impl Quality {
    /// Mean of Power's framewise displacement, mm; `None` without motion.
    pub(crate) fn mean_fd_mm(&self) -> Option<f64> {
        let known: Vec<f64> = self.volumes.iter().filter_map(|volume| volume.framewise_displacement_mm).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    }

    /// Volumes whose motion did not settle.
    pub(crate) fn unsettled(&self) -> usize {
        self.volumes.iter().filter(|volume| volume.converged == Some(false)).count()
    }

    /// Most mask voxels out of a volume's field of view.
    pub(crate) fn most_out_of_field(&self) -> usize {
        self.volumes.iter().map(|volume| volume.out_of_field).max().unwrap_or(0)
    }

    /// Volumes whose DVARS lies above the upper quartile by 1.5 interquartile ranges, and that bound (the box plot's
    /// rule, as `fsl_motion_outliers` has it).
    pub(crate) fn dvars_outliers(&self) -> Option<(usize, f64)> {
        let known: Vec<f64> = self.dvars.iter().flatten().copied().collect();
        let (lower, upper) = (quantile(&known, 0.25)?, quantile(&known, 0.75)?);
        let bound = upper + 1.5 * (upper - lower);
        Some((known.iter().filter(|dvars| **dvars > bound).count(), bound))
    }
}

/// Quantile of `values` by linear interpolation; `None` of nothing.
pub(crate) fn quantile(values: &[f64], at: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = at * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    Some(sorted[below] + (place - place.floor()) * (sorted[above] - sorted[below]))
}

fn rms_change(before: &Pattern, now: &Pattern) -> f64 {
    let squares: f64 = before.0.iter().zip(&now.0).map(|(a, b)| (f64::from(*b) - f64::from(*a)).powi(2)).sum();
    (squares / now.len() as f64).sqrt()
}

/// 0 where the SD is 0 or unknown.
fn tsnr(moments: &RunningMoments, voxel: usize) -> f32 {
    let ratio = moments.sd(voxel).map_or(0.0, |sd| moments.mean()[voxel] / sd);
    if ratio.is_finite() { ratio as f32 } else { 0.0 }
}

fn standardised(course: Vec<f32>) -> Vec<f32> {
    let n = course.len() as f64;
    let mean = course.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let sd = (course.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n).sqrt();
    let scale = if sd > 0.0 { 1.0 / sd } else { 0.0 };
    course.into_iter().map(|v| ((f64::from(v) - mean) * scale) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dvars_is_the_rms_change_in_percent_of_the_mean_signal() {
        let mut watch = Watch::new(2);
        let mut moments = RunningMoments::new(2);
        for volume in [[100.0, 100.0], [103.0, 96.0], [103.0, 98.0]] {
            let pattern = Pattern(volume.to_vec());
            watch.see(&SeenVolume { index: 0, pattern: &pattern, quality: VolumeQuality::default() });
            moments.add(&pattern).unwrap();
        }
        let quality = watch.sum_up(&moments);
        // Changes (3, -4) and (0, 2): RMS √12.5 and √2, of a mean of 100.
        let expected = [None, Some(12.5f64.sqrt()), Some(2f64.sqrt())];
        assert_eq!(quality.dvars.len(), 3);
        for (found, expected) in quality.dvars.iter().zip(expected) {
            // 1e-12: one division and one product of numbers near 100.
            assert!((found.unwrap_or(-1.0) - expected.unwrap_or(-1.0)).abs() < 1e-12, "{found:?} {expected:?}");
        }
        assert_eq!(quality.global_signal, [100.0, 99.5, 100.5]);
    }

    #[test]
    fn quantiles_interpolate_between_neighbours() {
        for (at, expected) in [(0.0, 1.0), (0.5, 2.5), (1.0, 4.0)] {
            assert_eq!(quantile(&[4.0, 1.0, 3.0, 2.0], at), Some(expected));
        }
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn a_carpet_has_at_most_its_voxels_and_each_has_unit_variance() {
        let mut watch = Watch::new(1000);
        let mut moments = RunningMoments::new(1000);
        for t in 0..4 {
            let pattern = Pattern((0..1000).map(|v| (v * (t % 3)) as f32).collect());
            watch.see(&SeenVolume { index: 0, pattern: &pattern, quality: VolumeQuality::default() });
            moments.add(&pattern).unwrap();
        }
        let courses = watch.sum_up(&moments).carpet.courses;
        assert_eq!((courses.len(), courses[7].len()), (200, 4));
        let variance: f32 = courses[7].iter().map(|v| v * v).sum::<f32>() / 4.0;
        assert!((variance - 1.0).abs() < 1e-5 /* four f32 squares */, "{variance}");
        assert_eq!(courses[0], [0.0; 4], "a voxel that never changes stays at 0");
    }
}
