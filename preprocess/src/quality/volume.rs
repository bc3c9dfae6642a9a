//! The quality of one volume, live: how far the head moved, how much the brain changed, how steady it has been so far.

use crate::motion::{Motion, Rigid};
use crate::quality::{JENKINSON_RADIUS_MM, jenkinson_rms_mm, power_displacement_mm};
use crate::{Pattern, RunningMoments};

/// What a volume is worth, known as soon as it is in.
///
/// Displacements and DVARS compare it with the newest volume *that came*: over a gap they are what happened in the whole
/// gap, and `volumes_since` says how long it was, so that nothing breaks and nothing is made up.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct VolumeQuality {
    /// Where the head lay, against the run's first volume or the session reference as `motion.against` says; `None`
    /// where it was taken to lie still.
    pub motion: Option<Motion>,
    /// Power's framewise displacement, mm; `None` for the first volume, or without motion.
    pub framewise_displacement_mm: Option<f64>,
    /// Jenkinson's RMS displacement over a sphere of 80 mm, mm; `None` likewise.
    pub fd_jenkinson_mm: Option<f64>,
    /// RMS over the mask of the change, percent of the mean signal so far (Power 2012, NeuroImage 59:2142); `None` for
    /// the first volume.
    pub dvars: Option<f64>,
    /// Indices from the volume it is compared with to this one: 1 without a gap; `None` for the first volume.
    pub volumes_since: Option<u32>,
    /// Median over the mask of |mean|/SD of the volumes so far; `None` before the eighth.
    pub tsnr_median: Option<f64>,
    /// Its DVARS lies above the upper quartile of those before it by 1.5 interquartile ranges (the box plot's rule, as
    /// in `fsl_motion_outliers`); never before eight DVARS.
    pub spike: bool,
    /// Spikes so far, this one included.
    pub spikes: u32,
    /// Weighted RMS difference between the volume and what it was compared with, percent; `None` without motion.
    pub residual_percent: Option<f64>,
    /// False for a volume whose motion did not settle: it is used as it was found, and labelled here; `None` without
    /// motion.
    pub converged: Option<bool>,
    /// Mask voxels that lay more than half a voxel outside the volume, and hold its nearest edge value.
    pub out_of_field: usize,
    /// Mask voxels whose value was taken for a spike and replaced; 0 without despiking.
    pub despiked_voxels: usize,
}

/// What of a volume the meter is told.
pub(crate) struct Seen {
    pub(crate) index: u32,
    /// As [`QualityMeter::change`] told it.
    pub(crate) change: Option<f64>,
    /// As six numbers and as a map.
    pub(crate) pose: Option<(Motion, Rigid)>,
    /// Centre of the head's grid, RAS+ mm.
    pub(crate) centre_mm: [f64; 3],
}

/// Measures each volume against the one before.
#[derive(Default)]
pub(crate) struct QualityMeter {
    before: Option<Before>,
    pattern: Pattern,
    /// DVARS so far, ascending.
    dvars: Vec<f64>,
    spikes: u32,
    /// Working memory of a median.
    room: Vec<f64>,
}

#[derive(Clone, Copy)]
struct Before {
    index: u32,
    pose: Option<(Motion, Rigid)>,
}

/// Quartiles of fewer numbers are noise.
const LEAST_DVARS: usize = 8;

impl QualityMeter {
    /// Room for a run of `planned` volumes of `voxels` voxels.
    pub(crate) fn new(voxels: usize, planned: usize) -> Self {
        Self {
            pattern: Pattern(Vec::with_capacity(voxels)),
            dvars: Vec::with_capacity(planned),
            room: Vec::with_capacity(voxels),
            ..Self::default()
        }
    }

    /// RMS change of the aligned volume, before any filter has touched it, since the volume before; `None` for the first.
    pub(crate) fn change(&mut self, aligned: &Pattern) -> Option<f64> {
        let change = (!self.pattern.is_empty()).then(|| rms_change(&self.pattern, aligned));
        self.pattern.0.clone_from(&aligned.0);
        change
    }

    /// Measures a volume; `moments` are of the run so far.
    pub(crate) fn measure(&mut self, seen: &Seen, moments: &RunningMoments) -> VolumeQuality {
        let poses = self.before.and_then(|before| before.pose).zip(seen.pose);
        let dvars = seen.change.and_then(|change| percent_of_mean(change, moments));
        let spike = dvars.is_some_and(|dvars| self.take_spike(dvars));
        self.spikes += u32::from(spike);
        let quality = VolumeQuality {
            motion: seen.pose.map(|(motion, _)| motion),
            framewise_displacement_mm: poses.map(|(before, now)| power_displacement_mm(&before.0, &now.0)),
            fd_jenkinson_mm: poses
                .map(|(before, now)| jenkinson_rms_mm(&before.1, &now.1, seen.centre_mm, JENKINSON_RADIUS_MM)),
            dvars,
            volumes_since: self.before.map(|before| seen.index - before.index),
            tsnr_median: moments.median_tsnr(&mut self.room),
            spike,
            spikes: self.spikes,
            ..VolumeQuality::default()
        };
        self.before = Some(Before { index: seen.index, pose: seen.pose });
        quality
    }

    /// Whether `dvars` is a spike among those before; then it is one of them.
    fn take_spike(&mut self, dvars: f64) -> bool {
        let spike = self.dvars.len() >= LEAST_DVARS && dvars > upper_whisker(&self.dvars);
        let place = self.dvars.partition_point(|before| *before < dvars);
        self.dvars.insert(place, dvars);
        spike
    }

    pub(crate) fn reset(&mut self) {
        (self.before, self.spikes) = (None, 0);
        self.pattern.0.clear();
        self.dvars.clear();
    }
}

/// √⟨(y_t − y_{t−1})²⟩.
fn rms_change(before: &Pattern, now: &Pattern) -> f64 {
    let squares: f64 = before.0.iter().zip(&now.0).map(|(a, b)| (f64::from(*b) - f64::from(*a)).powi(2)).sum();
    (squares / now.len() as f64).sqrt()
}

/// 100 c/|⟨μ⟩|; `None` where the mean signal is 0.
fn percent_of_mean(change: f64, moments: &RunningMoments) -> Option<f64> {
    let mean = moments.mean().iter().sum::<f64>() / moments.mean().len() as f64;
    let percent = 100.0 * change / mean.abs();
    percent.is_finite().then_some(percent)
}

/// Upper quartile and 1.5 interquartile ranges of ascending values; quartiles by linear interpolation.
fn upper_whisker(ascending: &[f64]) -> f64 {
    let quantile = |at: f64| {
        let place = at * (ascending.len() - 1) as f64;
        let (below, above) = (place.floor() as usize, place.ceil() as usize);
        ascending[below] + (place - place.floor()) * (ascending[above] - ascending[below])
    };
    let (lower, upper) = (quantile(0.25), quantile(0.75));
    upper + 1.5 * (upper - lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(meter: &mut QualityMeter, moments: &mut RunningMoments, index: u32, values: [f32; 2]) -> VolumeQuality {
        let pattern = Pattern(values.to_vec());
        moments.add(&pattern).unwrap();
        let motion = Motion([0.1 * f64::from(index), 0.0, 0.0, 0.0, 0.0, 0.0]);
        let pose = Some((motion, motion.about([0.0; 3])));
        let change = meter.change(&pattern);
        meter.measure(&Seen { index, change, pose, centre_mm: [0.0; 3] }, moments)
    }

    #[test]
    fn dvars_is_the_rms_change_in_percent_of_the_mean_so_far() {
        let (mut meter, mut moments) = (QualityMeter::new(2, 4), RunningMoments::new(2));
        assert_eq!(measure(&mut meter, &mut moments, 0, [100.0, 100.0]).dvars, None);
        let second = measure(&mut meter, &mut moments, 1, [103.0, 96.0]);
        // Changes (3, -4): RMS √12.5, of a mean of 99.75. 1e-12: a division and a product of numbers near 100.
        assert!((second.dvars.unwrap() - 100.0 * 12.5f64.sqrt() / 99.75).abs() < 1e-12, "{second:?}");
        assert!((second.framewise_displacement_mm.unwrap() - 0.1).abs() < 1e-12 /* one difference of tenths */);
        assert!((second.fd_jenkinson_mm.unwrap() - 0.1).abs() < 1e-12 /* the same */);
    }

    #[test]
    fn over_a_gap_displacement_is_that_of_the_whole_gap_and_says_how_long_it_was() {
        let (mut meter, mut moments) = (QualityMeter::new(2, 4), RunningMoments::new(2));
        measure(&mut meter, &mut moments, 3, [100.0, 100.0]);
        let after = measure(&mut meter, &mut moments, 8, [100.0, 100.0]);
        assert_eq!((after.volumes_since, after.dvars), (Some(5), Some(0.0)));
        // 1e-12: one difference of tenths.
        assert!((after.framewise_displacement_mm.unwrap() - 0.5).abs() < 1e-12, "{after:?}");
    }

    #[test]
    fn one_jump_is_one_spike_there_and_one_back_and_an_even_run_has_none() {
        let (mut meter, mut moments) = (QualityMeter::new(2, 40), RunningMoments::new(2));
        // Two voxels that swing by 2 at periods of their own.
        let value = |i: u32| [100.0 + 2.0 * (1.7 * i as f32).sin(), 100.0 + 2.0 * (2.3 * i as f32).cos()];
        let jump = |i: u32| if i == 25 { [140.0, 140.0] } else { value(i) };
        let spikes: Vec<u32> = (0..40).filter(|i| measure(&mut meter, &mut moments, *i, jump(*i)).spike).collect();
        assert_eq!((spikes, meter.spikes), (vec![25, 26], 2));
    }
}
