//! What a volume goes through: its head is found, the mask is read, and it joins everything that estimates rest on.

use super::RunPreprocessor;
use crate::alignment::Aligned;
use crate::memory::Memory;
use crate::motion::{Motion, Rigid};
use crate::quality::{Seen, VolumeQuality};
use crate::{PreprocessError, RawVolume};

/// Whether estimates may use a volume.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Kept,
    Censored,
}

impl RunPreprocessor {
    /// Finds the head in `raw`; on the run's first volume, also where it lies in the session reference. Does nothing
    /// where the recipe takes the head to lie still.
    ///
    /// An estimate that does not settle is no error: [`volume_quality`](Self::volume_quality) says so. A registration
    /// that should not be believed is none either: see [`registration`](Self::registration).
    ///
    /// # Errors
    /// [`PreprocessError::Disagree`] for another number of voxels, [`PreprocessError::NonFinite`] for any voxel of the
    /// volume, in the mask or not, [`PreprocessError::NoContrast`] for a volume without a head; the run is then as if
    /// the volume had not come.
    pub fn estimate_motion(&mut self, raw: &RawVolume<'_>) -> Result<(), PreprocessError> {
        self.alignment.estimate(*raw)
    }

    /// Brings a raw volume onto the mask, by one reading under its motion; of the volume that
    /// [`estimate_motion`](Self::estimate_motion) saw last, if it was called since the last `resample` (else it is
    /// estimated here). Where the head is taken to lie still, a gather.
    ///
    /// # Errors
    /// As [`Mask::gather`](crate::Mask::gather) or [`estimate_motion`](Self::estimate_motion); the run is then as if the volume had not come.
    pub fn resample(&mut self, raw: RawVolume<'_>) -> Result<(), PreprocessError> {
        self.resampled = None;
        self.resampled = Some(self.alignment.read(raw, &mut self.volume)?);
        Ok(())
    }

    /// Takes the resampled volume into the run as number `index`, acquired from `start_s` (seconds since volume 0),
    /// with the motion that was estimated for it, which becomes a confound where the recipe says so. Indices left out
    /// become gaps.
    ///
    /// # Errors
    /// [`PreprocessError::NothingResampled`] without a new volume, [`PreprocessError::Time`] or
    /// [`PreprocessError::Order`] if it does not come after the newest one; nothing is changed then.
    pub fn advance(&mut self, index: u32, start_s: f64) -> Result<(), PreprocessError> {
        let aligned = self.newly_resampled(index)?;
        let pose = aligned.estimate.map(|estimate| (estimate.motion, estimate.rigid));
        self.take_in(index, start_s, pose, Use::Kept)
    }

    /// The same with the head at `motion`, measured elsewhere.
    ///
    /// # Errors
    /// As [`RunPreprocessor::advance`], also for a motion that is not finite.
    pub fn advance_with_motion(&mut self, index: u32, start_s: f64, motion: Motion) -> Result<(), PreprocessError> {
        self.take_in(index, start_s, Some((motion, self.alignment.pose(&motion))), Use::Kept)
    }

    /// The same for a volume that no estimate may use: its motion counts as that of the volume before the next, its
    /// voxels are left out of every mean and fit. For window betas it is a gap.
    ///
    /// # Errors
    /// As [`RunPreprocessor::advance_with_motion`].
    pub fn advance_censored(&mut self, index: u32, start_s: f64, motion: Motion) -> Result<(), PreprocessError> {
        self.take_in(index, start_s, Some((motion, self.alignment.pose(&motion))), Use::Censored)
    }

    fn newly_resampled(&self, index: u32) -> Result<Aligned, PreprocessError> {
        self.resampled.ok_or(PreprocessError::NothingResampled { index })
    }

    fn take_in(
        &mut self,
        index: u32,
        start_s: f64,
        pose: Option<(Motion, Rigid)>,
        use_: Use,
    ) -> Result<(), PreprocessError> {
        let aligned = self.newly_resampled(index)?;
        self.check_order(index, start_s)?;
        let motion = pose.map_or(Motion::STILL, |(motion, _)| motion);
        if let Some(value) = motion.0.into_iter().find(|parameter| !parameter.is_finite()) {
            return Err(PreprocessError::Time { what: "motion", rule: "finite", value });
        }
        let change = self.meter.change(&self.volume);
        let mut despiked_voxels = 0;
        if use_ == Use::Kept {
            let (alignment, volume) = (&self.alignment, &mut self.volume);
            despiked_voxels = self.filters.apply(volume, start_s, |slices| alignment.slices(&aligned, slices))?;
            self.moments.add(&self.volume)?;
            self.normaliser.volume(start_s + self.recipe.slice_reference * self.tr_s, &self.volume)?;
        }
        let expected = self.newest.map_or(0, |(newest, _)| newest + 1);
        let kept = (use_ == Use::Kept).then_some(&self.volume);
        match (&mut self.memory, kept) {
            (Memory::Glm(glm), kept) => glm.advance(index, start_s, motion, kept),
            (Memory::Ring(ring), None) => ring.push_gap(expected..index + 1),
            (Memory::Ring(ring), Some(volume)) => {
                ring.push_gap(expected..index);
                ring.push_volume(index, start_s, volume, self.moments.mean());
            }
        }
        let seen = Seen { index, change, pose, centre_mm: self.alignment.centre_mm() };
        self.quality = VolumeQuality { despiked_voxels, ..self.measure(&seen, &aligned) };
        self.alignment.accept(&aligned);
        self.newest = Some((index, start_s));
        self.resampled = None;
        self.unstreamed = use_ == Use::Kept;
        Ok(())
    }

    fn measure(&mut self, seen: &Seen, aligned: &Aligned) -> VolumeQuality {
        VolumeQuality {
            residual_percent: aligned.estimate.map(|estimate| estimate.residual_percent),
            converged: aligned.estimate.map(|estimate| estimate.converged),
            out_of_field: aligned.out_of_field,
            ..self.meter.measure(seen, &self.moments)
        }
    }

    fn check_order(&self, index: u32, start_s: f64) -> Result<(), PreprocessError> {
        if !start_s.is_finite() {
            return Err(PreprocessError::Time { what: "start_s", rule: "finite", value: start_s });
        }
        match self.newest {
            Some((newest, newest_start_s)) if index <= newest || start_s <= newest_start_s => {
                Err(PreprocessError::Order { index, start_s, newest, newest_start_s })
            }
            _ => Ok(()),
        }
    }
}
